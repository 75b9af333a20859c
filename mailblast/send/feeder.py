"""What feeds the lines: claims of what is due, composed and put in the schedule.

Rule: memory is bounded by what is ready, never by the list.  A destination gets as much as it
can use soon, so that one that is throttled does not fill the memory while others starve.
"""

import asyncio
import heapq
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass

from mailblast.compose import Due, Message
from mailblast.errors import Refusal
from mailblast.event import Event, EventKind
from mailblast.ledger import Claim, Claimed, Deliveries, GroupCommit, Run
from mailblast.pool import Pool
from mailblast.reason import Reason
from mailblast.schedule import Schedule
from mailblast.send.tally import Tally

COMPOSED = 50  # messages composed at a time
READY = 1000  # messages that only wait for their turn
READY_BYTES = 64 << 20  # of composed messages held in memory
BREATH = (
    0.03  # seconds from one claim to the next: few large ones cost less than many small
)
WAIT_FOR_RETRY = 600.0  # seconds: what can be settled within ten minutes is waited for


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, and how much of it."""

    run: Run
    owner: str
    connections: int
    retry: tuple[float, ...]
    give_up_after: float
    resend_doubtful: bool = False
    limit: int | None = None  # messages, in this process


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that only waits for its turn."""

    due: Due
    message: Message


@dataclass(frozen=True, slots=True)
class Book:
    """Where things are written down: the ledger, its one writer, and the sums on the screen."""

    deliveries: Deliveries
    commit: GroupCommit
    tally: Tally


class Bell:
    """Rings when something has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def ring(self) -> None:
        """Wake everyone who waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait until it rings; False when `seconds` went by without."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        return True


class Feeder:
    """Keeps the schedule filled until nothing is due soon."""

    def __init__(
        self, job: Job, schedule: Schedule[Ready], pool: Pool, book: Book, bell: Bell
    ) -> None:
        self.feeding = True
        self.in_flight = 0  # messages that a line has taken; kept by the lines
        self._job = job
        self._schedule = schedule
        self._pool = pool
        self._book = book
        self._bell = bell
        self._hungry: OrderedDict[str, None] = OrderedDict()  # something is left to claim
        self._later: list[tuple[float, str]] = []  # (due, destination) of what is deferred
        self._left = job.limit
        self._coming: Counter[str] = Counter()  # claimed, and being composed
        self._size = 16_000  # bytes of a message: the largest seen
        self._composing: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None  # of composing

    async def run(self) -> None:
        """Feed.  Raises LedgerError, or TemplateError when a message cannot be composed."""
        run, now = self._job.run.number, time.time()
        waiting = self._book.deliveries.waiting
        self._load(await self._book.commit.in_thread(lambda: waiting(run, now)))
        if self._job.resend_doubtful:
            await self._take_doubtful()
        while self.feeding:
            if self._error:
                raise self._error
            self._hungry_again()
            wants = self._wants()
            if wants:
                await self._take(wants)
                await asyncio.sleep(BREATH)
            elif not await self._anything_later():
                break
        self.stop()

    def stop(self) -> None:
        """Take up nothing more."""
        self.feeding = False
        self._bell.ring()

    def defer(self, destination: str, due: float) -> None:
        """A message of this destination will be due again."""
        heapq.heappush(self._later, (due, destination))

    def settle(self, due: Due, kind: EventKind, reason: Reason, why: str = "") -> None:
        """Record something that ends a delivery without the network."""
        fact = Event(due.delivery, kind, time.time(), due.attempt, reason, text=why)
        self._book.commit.note(fact)
        self._book.tally.happened(due.domain, kind)

    def _load(self, waiting: dict[str, tuple[int, float | None]]) -> None:
        for name, (count, later) in waiting.items():
            if count:
                self._hungry[name] = None
            if later is not None:
                heapq.heappush(self._later, (later, name))
            self._book.tally.waiting(name, count)

    def _hungry_again(self) -> None:
        now = time.time()
        while self._later and self._later[0][0] <= now:
            self._hungry[heapq.heappop(self._later)[1]] = None

    def _wants(self) -> dict[str, int]:
        """How many messages to claim now, for each destination that has use for them.

        Each gets a share.  Rows that were entered together are then claimed and settled
        together, and the ledger writes one page for a dozen of them.
        """
        room = self._ready_most() - len(self._schedule) - self._coming.total()
        if self._left is not None:
            room = min(room, self._left)
        share = max(1, room // max(1, len(self._hungry)))
        wants: dict[str, int] = {}
        for name in list(self._hungry):
            if room <= 0:
                break
            most = min(room, share, self._schedule.room(name) - self._coming[name])
            if most > 0:
                wants[name] = most
                room -= most
                self._hungry.move_to_end(name)
        return wants

    def _ready_most(self) -> int:
        return max(2 * self._job.connections, min(READY, READY_BYTES // self._size))

    async def _take(self, wants: dict[str, int]) -> None:
        claim, deliveries = self._claim(wants), self._book.deliveries
        claimed = await self._book.commit.in_thread(lambda: deliveries.claim(claim))
        self._strike(claimed)
        got = Counter(due.domain for due in claimed.taken) + Counter(claimed.struck)
        for name, most in wants.items():
            if got[name] < most:  # nothing more is due there
                self._hungry.pop(name, None)
        if self._left is not None:
            self._left -= len(claimed.taken)
        self._begin_all(claimed.taken)

    async def _take_doubtful(self) -> None:
        claim, deliveries = self._claim({}), self._book.deliveries
        claimed = await self._book.commit.in_thread(
            lambda: deliveries.claim_doubtful(claim)
        )
        taken = claimed.taken
        self._book.tally.taken_up_again(len(taken) + len(claimed.struck))
        self._strike(claimed)
        self._begin_all(taken)

    def _strike(self, claimed: Claimed) -> None:
        for destination in claimed.struck:
            self._book.tally.happened(destination, EventKind.SUPPRESSED)

    def _claim(self, wants: dict[str, int]) -> Claim:
        run = self._job.run
        return Claim(run.number, run.campaign, self._job.owner, time.time(), wants)

    def _begin_all(self, taken: list[Due]) -> None:
        self._coming.update(due.domain for due in taken)
        for start in range(0, len(taken), COMPOSED):
            task = asyncio.create_task(self._compose(taken[start : start + COMPOSED]))
            self._composing.add(task)
            task.add_done_callback(self._composed)

    async def _compose(self, taken: list[Due]) -> None:
        try:
            composed = await self._pool.compose(taken)
        finally:
            self._coming -= Counter(due.domain for due in taken)
        if self.feeding:
            self._put(taken, composed)

    def _composed(self, task: asyncio.Task[None]) -> None:
        self._composing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._error = error
            self._bell.ring()

    def _put(self, taken: list[Due], composed: list[Message | Refusal]) -> None:
        for due, message in zip(taken, composed, strict=True):
            if isinstance(message, Refusal):
                self.settle(due, EventKind.INVALID, Reason.UNRENDERABLE, message.why)
                continue
            self._size = max(self._size, len(message.content))
            self._schedule.add(due.domain, Ready(due, message))
        self._bell.ring()

    async def _anything_later(self) -> bool:
        """Wait for more to do; False when nothing will be due soon."""
        busy = len(self._schedule) or self.in_flight or self._coming.total()
        if self._left == 0 and not busy:
            return False
        if busy or self._hungry:
            await self._bell.wait(0.2)  # room comes with time as well, where a rate is set
            return True
        if not self._later or self._later[0][0] > time.time() + WAIT_FOR_RETRY:
            return False
        await self._bell.wait(max(0.01, min(1.0, self._later[0][0] - time.time())))
        return True
