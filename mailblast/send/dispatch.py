"""The way of the messages of a run: claimed, composed, offered, committed, accounted.

One process, one loop.  A feeder claims what is due and has it composed; lines (one a
connection) take what the schedule lets go, offer it, make `attempted` durable, send the final
dot and record the answer.  Memory is bounded by what is ready, never by the list.

Rule: an event is on the disk before anything depends on it.  A message whose `attempted` is
durable is never offered again by itself, whatever happens.
"""

import asyncio
import heapq
import time
from collections import Counter, OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass

from mailblast import disposition
from mailblast.compose import Due, Message
from mailblast.destination import Carrier, Line
from mailblast.errors import ConnectionFailed, LedgerError, MailblastError, Refusal
from mailblast.event import Event, EventKind
from mailblast.ledger import (
    Claim,
    Deliveries,
    GroupCommit,
    Run,
    Watch,
    keys_of,
    suppression_reason,
)
from mailblast.pool import Pool
from mailblast.reason import Reason
from mailblast.schedule import Schedule, next_attempt
from mailblast.send.tally import Tally
from mailblast.smtp.protocol import Envelope, Phase
from mailblast.smtp.session import Answer
from mailblast.suppression import Entry

CLAIM_BATCH = 50  # messages claimed and composed at a time
READY_BYTES = 64 << 20  # of composed messages held in memory
WAIT_FOR_RETRY = 600.0  # seconds: what can be settled within ten minutes is waited for
IDLE = 5.0  # seconds without work after which a connection is given back
PATIENCE = 60.0  # seconds without any connection after which the run stops


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, and how much of it."""

    run: Run
    owner: str
    connections: int
    retry: tuple[float, ...]
    give_up_after: float
    limit: int | None = None  # messages, in this process


@dataclass(frozen=True, slots=True)
class _Ready:
    due: Due
    message: Message


@dataclass(frozen=True, slots=True)
class Road:
    """By which way: in which order, composed by whom, carried by what."""

    schedule: Schedule[_Ready]
    carrier: Carrier
    pool: Pool


class Dispatch:
    """Sends what is due of one run."""

    def __init__(
        self,
        job: Job,
        road: Road,
        deliveries: Deliveries,
        watch: Watch,
        tally: Tally,
    ) -> None:
        self._job = job
        self._schedule = road.schedule
        self._pool = road.pool
        self._carrier = road.carrier
        self._deliveries = deliveries
        self._watch = watch
        self._commit = GroupCommit(deliveries)
        self._commit.on_error = self.stop
        self._hungry: OrderedDict[str, None] = OrderedDict()  # destinations with something left to claim
        self._later: list[tuple[float, str]] = []  # (due, destination) of deferred ones
        self._left = job.limit
        self._in_flight = 0
        self._coming: Counter[str] = Counter()  # claimed, and being composed
        self._feeding = True
        self._stopping = False
        self._changed = asyncio.Event()
        self._open_lines = 0
        self._connected = time.monotonic()  # when a connection last came about
        self._tasks: set[asyncio.Task[None]] = set()
        self._size = 16_000  # of a message: the largest seen
        self.tally = tally
        self.failure: MailblastError | None = None

    # --- The whole -------------------------------------------------------------------------

    async def go(self) -> None:
        """Send until nothing is due soon, or until told to stop.

        Raises LedgerError when the account cannot be kept, ConnectionFailed when no
        connection comes about, TemplateError when the template breaks on a message.
        """
        tasks = [self._start(self._feed())]
        tasks += [self._start(self._work()) for _ in range(self._job.connections)]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            pass  # `abort`
        finally:
            await self._close()
        if self.failure:
            raise self.failure

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        # One task's failure must not cut the others off after their final dot.
        try:
            await work
        except MailblastError as error:
            self.failure = self.failure or error
            self.stop()

    async def _close(self) -> None:
        try:
            await self._commit.close()
            self._deliveries.release(self._job.run.number, self._job.owner)
        except LedgerError as error:
            self.failure = self.failure or error

    def abort(self) -> None:
        """Stop at once.  What was offered and is not answered stays doubtful."""
        for task in list(self._tasks):
            task.cancel()

    def stop(self) -> None:
        """Let every line finish its message, and take up nothing more."""
        self._stopping = True
        self._feeding = False
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, seconds: float | None) -> bool:
        """Wait until something changes; False when `seconds` went by without."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        return True

    # --- The feeder ------------------------------------------------------------------------

    async def _feed(self) -> None:
        run = self._job.run.number
        now = time.time()
        self._load(await self._commit.in_thread(lambda: self._deliveries.waiting(run, now)))
        while not self._stopping:
            self._hungry_again()
            wants = self._wants()
            if wants:
                await self._take(wants)
            elif not await self._anything_later():
                break
        self._feeding = False
        self._notify()

    def _load(self, waiting: dict[str, tuple[int, float | None]]) -> None:
        for name, (count, later) in waiting.items():
            if count:
                self._hungry[name] = None
            if later is not None:
                heapq.heappush(self._later, (later, name))
            self.tally.waiting(name, count)

    def _hungry_again(self) -> None:
        now = time.time()
        while self._later and self._later[0][0] <= now:
            self._hungry[heapq.heappop(self._later)[1]] = None

    def _wants(self) -> dict[str, int]:
        """How many messages to claim now, for each destination that has use for them."""
        coming = self._coming.total()
        room = min(CLAIM_BATCH, self._ready_most() - len(self._schedule) - coming)
        if self._left is not None:
            room = min(room, self._left)
        wants: dict[str, int] = {}
        for _ in range(len(self._hungry)):
            if room <= 0:
                break
            name = next(iter(self._hungry))
            if (most := min(room, self._schedule.room(name) - self._coming[name])) > 0:
                wants[name] = most
                room -= most
            self._hungry.move_to_end(name)
        return wants

    def _ready_most(self) -> int:
        return max(2 * self._job.connections, min(8 * CLAIM_BATCH, READY_BYTES // self._size))

    async def _take(self, wants: dict[str, int]) -> None:
        run, now = self._job.run, time.time()
        claim = Claim(run.number, run.campaign, self._job.owner, now, wants)
        taken = await self._commit.in_thread(lambda: self._deliveries.claim(claim))
        got = Counter(due.destination for due in taken)
        for name, most in wants.items():
            if got[name] < most:  # nothing more is due there
                self._hungry.pop(name, None)
        if self._left is not None:
            self._left -= len(taken)
        if taken:
            self._coming += got
            self._start(self._compose(taken))

    async def _compose(self, taken: list[Due]) -> None:
        try:
            composed = await self._pool.compose(taken)
        finally:
            self._coming -= Counter(due.destination for due in taken)
        if not self._stopping:
            self._put(taken, composed)

    def _put(self, taken: list[Due], composed: list[Message | Refusal]) -> None:
        for due, message in zip(taken, composed, strict=True):
            if isinstance(message, Refusal):
                self._settle(due, EventKind.INVALID, Reason.UNRENDERABLE, message.why)
                continue
            self._size = max(self._size, len(message.content))
            self._schedule.add(due.destination, _Ready(due, message))
        self._notify()

    async def _anything_later(self) -> bool:
        """Wait for more to do; False when nothing will be due soon."""
        busy = len(self._schedule) or self._in_flight or self._coming.total()
        if self._left == 0 and not busy:
            return False
        if busy or self._hungry:
            await self._wait(0.2)  # room comes with time as well, where a rate is set
            return True
        if not self._later or self._later[0][0] > time.time() + WAIT_FOR_RETRY:
            return False
        await self._wait(max(0.01, min(1.0, self._later[0][0] - time.time())))
        return True

    # --- The lines -------------------------------------------------------------------------

    async def _work(self) -> None:
        """One line: a connection at a time, a message at a time."""
        line: Line | None = None
        carried: Counter[str] = Counter()
        try:
            while not self._over():
                got = self._schedule.next(time.monotonic())
                if got is None:
                    if not await self._wait(self._pause()) and line is not None:
                        line = await self._give_back(line)
                    continue
                destination, ready = got
                if line is None and (line := await self._open()) is None:
                    self._schedule.put_back(destination, ready)
                    await self._wait(1.0)
                    continue
                usable = await self._serve(line, destination, ready)
                carried[destination] += 1
                if not usable or carried[destination] >= self._schedule.most_carried(destination):
                    line = await self._give_back(line)
                    carried.clear()
        finally:
            if line is not None:
                await self._give_back(line)

    def _over(self) -> bool:
        return self._stopping or not (self._feeding or len(self._schedule))

    def _pause(self) -> float:
        wake = self._schedule.wake()
        return IDLE if wake is None else min(IDLE, max(0.0, wake - time.monotonic()))

    async def _open(self) -> Line | None:
        """A new connection, or None when it is worth trying again a little later."""
        try:
            line = await self._carrier.open()
        except ConnectionFailed as error:
            alone = not self._open_lines
            if alone and (error.permanent or time.monotonic() > self._connected + PATIENCE):
                raise
            return None
        self._connected = time.monotonic()
        self._open_lines += 1
        return line

    async def _give_back(self, line: Line) -> None:
        self._open_lines -= 1
        await line.quit()

    async def _serve(self, line: Line, destination: str, ready: _Ready) -> bool:
        """Deliver one message; says whether the line can carry another."""
        self._in_flight += 1
        try:
            return await self._deliver(line, ready)
        finally:
            self._in_flight -= 1
            self._schedule.done(destination)
            self._notify()

    async def _deliver(self, line: Line, ready: _Ready) -> bool:
        due, message = ready.due, ready.message
        # The last look, for whoever unsubscribed since the claim.
        struck = self._watch.listed(lambda: keys_of(message.recipient.casefold()))
        if struck is not None:
            self._settle(due, EventKind.SUPPRESSED, suppression_reason(struck))
            return True
        answer = await line.offer(_envelope(message), message.content)
        if not isinstance(answer, Answer):
            if not await self._attempted(line, ready):
                return False
            answer = await line.commit()
        self._account(due, answer, line.host)
        return answer.open

    async def _attempted(self, line: Line, ready: _Ready) -> bool:
        """Make it durable that the final dot goes out; False when it must not."""
        due, message = ready.due, ready.message
        fact = Event(
            due.delivery,
            EventKind.ATTEMPTED,
            time.time(),
            due.attempt,
            host=line.host,
            digest=message.digest,
        )
        try:
            ours = await self._commit.durable(fact)
        except LedgerError:
            line.close()  # without QUIT: nothing may complete the message
            raise
        if not ours:
            line.close()
            return False
        self.tally.offered()
        return True

    # --- The account -----------------------------------------------------------------------

    def _account(self, due: Due, answer: Answer, host: str) -> None:
        after_dot = answer.phase is Phase.DOT
        outcome = disposition.judge(answer.reply, answer.why, after_dot=after_dot)
        if outcome is None:
            return  # `attempted` stands: doubtful
        if after_dot:
            self.tally.answered()
        kind, later = outcome.kind, None
        if kind is EventKind.DEFERRED:
            later = self._next_attempt(due)
            kind = kind if later is not None else EventKind.EXPIRED
        fact = Event(
            due.delivery,
            kind,
            time.time(),
            due.attempt,
            outcome.reason,
            outcome.code,
            outcome.status,
            outcome.text,
            host,
            later,
        )
        self._commit.note(fact, _suppression(due, outcome))
        self.tally.happened(due.destination, kind)

    def _next_attempt(self, due: Due) -> float | None:
        job = self._job
        later = next_attempt(time.time(), due.attempt, due.dated, job.retry, job.give_up_after)
        if later is not None:
            heapq.heappush(self._later, (later, due.destination))
        return later

    def _settle(self, due: Due, kind: EventKind, reason: Reason, why: str = "") -> None:
        """Record something that ends a delivery without the network."""
        self._commit.note(Event(due.delivery, kind, time.time(), due.attempt, reason, text=why))
        self.tally.happened(due.destination, kind)


def _envelope(message: Message) -> Envelope:
    return Envelope(
        return_path=message.return_path,
        recipient=message.recipient,
        smtputf8=message.smtputf8,
        envelope_id=str(message.delivery),
    )


def _suppression(due: Due, outcome: disposition.Outcome) -> Entry | None:
    if not disposition.address_is_dead(outcome):
        return None
    said = f"{outcome.code} {outcome.text}".strip()
    return Entry(due.mailbox.casefold(), Reason.HARD_BOUNCE, said)
