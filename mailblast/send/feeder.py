"""What feeds the lines: claims of what is due, composed and put in the schedule.

Rule: memory is bounded by what is ready, never by the list.  A destination gets as much as it
can use soon, so that one that is throttled does not fill the memory while others starve.
"""

import asyncio
import heapq
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice

from mailblast import disposition
from mailblast.compose import Message
from mailblast.destination import Route, Unroutable
from mailblast.due import Due
from mailblast.errors import Refusal
from mailblast.event import EventKind
from mailblast.ledger import Claim, Claimed
from mailblast.pool import Pool
from mailblast.reason import Reason
from mailblast.schedule import Schedule
from mailblast.send.book import Book, Ready
from mailblast.send.routing import Routing
from mailblast.send.standing import Standing

COMPOSED = 50  # messages composed at a time
READY = 1000  # messages that only wait for their turn
READY_BYTES = 64 << 20  # of composed messages held in memory
BREATH = 0.03  # seconds from one look to the next at what could be claimed
LONG_BREATH = 0.5  # the same while all that is left has to wait
SHARE = 8  # messages of a domain that are claimed together, where it has so many
LOOKED_AT = 2000  # domains that one look goes through
TURNED_AWAY = 500  # messages of a domain to which no way leads, at a time


class Feeder:
    """Keeps the schedule filled until nothing is due soon."""

    def __init__(
        self,
        schedule: Schedule[Ready],
        pool: Pool,
        routing: Routing,
        standing: Standing,
        book: Book,
        on_ready: Callable[[], None],
    ) -> None:
        self.feeding = True
        self.in_flight = 0  # messages that a line has taken; kept by the lines
        self._job = book.job
        self._schedule = schedule
        self._pool = pool
        self._routing = routing
        self._standing = standing
        self._book = book
        self._on_ready = on_ready
        self._hungry: OrderedDict[str, None] = OrderedDict()  # domains with more to claim
        self._given_back: set[str] = set()  # domains, since the last claim began
        self._counted: dict[
            str, int
        ] = {}  # due when it began, of domains not looked up yet
        self._later: list[tuple[float, str]] = []  # (due, domain) of what is deferred
        self._left = book.job.limit
        self._coming: Counter[str] = Counter()  # claimed and being composed, a destination
        self._coming_all = 0
        self._size = 16_000  # bytes of a message: the largest seen
        self._composing: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None  # of composing
        self._placed: dict[str, str] = {}  # not written down yet
        book.on_later = self._defer
        standing.on_held = self._give_back

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
            pause = BREATH
            if wants := self._wants():
                await self._take(wants)
            elif not self._busy():
                later = self._next_in()
                if self._left == 0 or later > self._job.wait:
                    break
                pause = min(LONG_BREATH, max(BREATH, later))
            await asyncio.sleep(pause)
        self.stop()
        if placed := self._placed:
            await self._book.commit.in_thread(lambda: self._book.deliveries.place(placed))

    def stop(self) -> None:
        """Take up nothing more."""
        self.feeding = False
        self._on_ready()

    # --- What is due -----------------------------------------------------------------------

    def _defer(self, domain: str, due: float) -> None:
        """A message of this domain will be due again."""
        heapq.heappush(self._later, (due, domain))

    def _load(self, waiting: dict[str, tuple[int, float | None]]) -> None:
        for name, (count, later) in waiting.items():
            if count:
                self._hungry[name] = None
                self._counted[name] = count
            if later is not None:
                heapq.heappush(self._later, (later, name))

    def _hungry_again(self) -> None:
        now = time.time()
        while self._later and self._later[0][0] <= now:
            self._hungry[heapq.heappop(self._later)[1]] = None

    def _busy(self) -> bool:
        """Whether something that was claimed is not settled yet."""
        return bool(len(self._schedule) or self.in_flight or self._coming_all)

    def _next_in(self) -> float:
        """In how many seconds something may go again, of what is due or will be."""
        later = self._later[0][0] - time.time() if self._later else math.inf
        now = time.monotonic()
        for domain in self._hungry:
            if later <= 0:
                break
            later = min(later, self._soonest(domain) - now)
        return later

    def _soonest(self, domain: str) -> float:
        way = self._routing.of(domain)
        if not isinstance(way, Route):
            return 0.0  # it is being looked up, or will be turned away
        return self._schedule.not_before(way.destination)

    def _give_back(self, waiting: list[Ready]) -> None:
        """What waited for a destination that is held: put off if it is dead, else unclaimed."""
        ids = []
        for ready in waiting:
            destination = ready.route.destination
            if outcome := self._standing.down(destination):
                self._book.concluded(ready.due, destination, outcome)
            else:
                ids.append(ready.due.delivery)
                self._hungry[ready.due.domain] = None
                self._given_back.add(ready.due.domain)
        if ids:
            self._book.give_back(ids)
            if self._left is not None:
                self._left += len(ids)

    # --- Claims ----------------------------------------------------------------------------

    def _wants(self) -> dict[str, int]:
        """How many messages to claim now, for each domain that has use for them.

        Few large claims cost less than many small ones, and rows that were entered together
        are then claimed and settled together: so each domain gets a share, and nobody gets
        any before there is room for half of all that may wait.
        """
        most = self._ready_most()
        room = most - len(self._schedule) - self._coming_all
        if room < most // 2:
            return {}
        if self._left is not None:
            room = min(room, self._left)
        share = max(SHARE, room // max(1, len(self._hungry)))
        wants: dict[str, int] = {}
        wanted: Counter[str] = Counter()  # for each destination
        for name in list(islice(self._hungry, LOOKED_AT)):
            if room <= 0:
                break
            destination = self._destination(name)
            count = min(room, share, self._appetite(name) - wanted[destination])
            if count > 0:
                wants[name] = count
                wanted[destination] += count
                room -= count
            self._hungry.move_to_end(name)
        return wants

    def _appetite(self, domain: str) -> int:
        """How many messages of this domain's destination can be used soon."""
        way = self._routing.of(domain)
        if way is None:
            return 0
        if count := self._counted.pop(domain, 0):
            destination = self._destination(domain)
            self._book.tally.waiting(destination, count)
            if destination != domain:
                self._placed[domain] = destination
        if isinstance(way, Unroutable) or self._standing.down(way.destination):
            return TURNED_AWAY
        room = self._schedule.room(way.destination, time.monotonic())
        return room - self._coming[way.destination]

    def _ready_most(self) -> int:
        return max(2 * self._job.connections, min(READY, READY_BYTES // self._size))

    async def _take(self, wants: dict[str, int]) -> None:
        claim, deliveries = self._claim(wants), self._book.deliveries
        placed, self._placed = self._placed, {}
        self._given_back.clear()

        def claim_and_place() -> Claimed:
            if placed:
                deliveries.place(placed)
            return deliveries.claim(claim)

        claimed = await self._book.commit.in_thread(claim_and_place)
        self._strike(claimed)
        self._begin_all(claimed.taken)
        if self._left is not None:
            self._left -= len(claimed.taken)
        got = Counter(due.domain for due in claimed.taken) + Counter(claimed.struck)
        for name, most in wants.items():
            # Nothing more is due there, unless what came back during the claim.
            if got[name] < most and name not in self._given_back:
                self._hungry.pop(name, None)
                self._routing.forget(name)

    async def _take_doubtful(self) -> None:
        claim, deliveries = self._claim({}), self._book.deliveries
        claimed = await self._book.commit.in_thread(
            lambda: deliveries.claim_doubtful(claim)
        )
        self._book.tally.taken_up_again(len(claimed.taken) + len(claimed.struck))
        self._strike(claimed)
        for due in claimed.taken:
            await self._routing.find(due.domain)
        self._begin_all(claimed.taken)

    def _strike(self, claimed: Claimed) -> None:
        for domain in claimed.struck:
            self._book.tally.happened(self._destination(domain), EventKind.SUPPRESSED)

    def _destination(self, domain: str) -> str:
        way = self._routing.of(domain)
        return way.destination if isinstance(way, Route) else domain

    def _claim(self, wants: dict[str, int]) -> Claim:
        run = self._job.run
        return Claim(run.number, run.campaign, self._job.owner, time.time(), wants)

    # --- Composing -------------------------------------------------------------------------

    def _begin_all(self, taken: list[Due]) -> None:
        begun: list[tuple[Due, Route]] = []
        for due in taken:
            way = self._routing.of(due.domain)
            if not isinstance(way, Route):
                self._turn_away(due, way)
            elif outcome := self._standing.down(way.destination):
                self._book.concluded(due, way.destination, outcome)
            else:
                begun.append((due, way))
        self._coming.update(way.destination for _, way in begun)
        self._coming_all += len(begun)
        # In the order of the list: whose rows lie on one page are settled in one commit.
        begun.sort(key=lambda one: one[0].delivery)
        for start in range(0, len(begun), COMPOSED):
            task = asyncio.create_task(self._compose(begun[start : start + COMPOSED]))
            self._composing.add(task)
            task.add_done_callback(self._composed)

    def _turn_away(self, due: Due, way: Unroutable | None) -> None:
        assert way is not None  # noqa: S101 - it was known when the claim was made
        outcome = disposition.unroutable(
            way.reason, way.why, way.code, way.status, permanent=way.permanent
        )
        self._book.concluded(due, due.domain, outcome)
        self._standing.judged(self._job.run, due.domain, due, outcome)

    async def _compose(self, begun: list[tuple[Due, Route]]) -> None:
        try:
            composed = await self._pool.compose([due for due, _ in begun])
        finally:
            self._coming.subtract(way.destination for _, way in begun)
            self._coming_all -= len(begun)
        if self.feeding:
            self._put(begun, composed)

    def _composed(self, task: asyncio.Task[None]) -> None:
        self._composing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._error = error

    def _put(
        self, begun: list[tuple[Due, Route]], composed: list[Message | Refusal]
    ) -> None:
        held: list[Ready] = []
        for (due, way), message in zip(begun, composed, strict=True):
            if isinstance(message, Refusal):
                why = message.why
                self._book.settled(
                    due, way.destination, EventKind.INVALID, Reason.UNRENDERABLE, why
                )
                continue
            self._size = max(self._size, len(message.content))
            ready = Ready(due, message, way)
            if self._standing.held(way.destination):  # since the claim
                held.append(ready)
            else:
                self._schedule.add(way.destination, ready)
        self._give_back(held)
        self._on_ready()
