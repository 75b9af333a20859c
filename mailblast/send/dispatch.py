"""The way of the messages of a run: claimed, composed, offered, committed, accounted.

One process, one loop.  A feeder claims what is due and has it composed; lines (one a
connection) take what the schedule lets go, offer it, make `attempted` durable, send the final
dot and record the answer.  Memory is bounded by what is ready, never by the list.

Rule: an event is on the disk before anything depends on it.  A message whose `attempted` is
durable is never offered again by itself, whatever happens.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass

from mailblast import disposition
from mailblast.address import key_of
from mailblast.compose import Due, Message
from mailblast.destination import Carrier, Line, Route
from mailblast.errors import ConnectionFailed, LedgerError, MailblastError
from mailblast.event import Event, EventKind
from mailblast.ledger import Deliveries, GroupCommit, Watch, keys_of, suppression_reason
from mailblast.pool import Pool
from mailblast.reason import Reason
from mailblast.schedule import Schedule, next_attempt
from mailblast.send.feeder import Bell, Book, Feeder, Job, Ready
from mailblast.send.tally import Tally
from mailblast.smtp.protocol import Answer, Envelope, Phase
from mailblast.suppression import Entry

IDLE = 5.0  # seconds without work after which a connection is given back
PATIENCE = 60.0  # seconds without any connection after which the run stops


@dataclass(frozen=True, slots=True)
class Road:
    """By which way: in which order, composed by whom, carried by what."""

    schedule: Schedule[Ready]
    carrier: Carrier
    pool: Pool


class Dispatch:
    """Sends what is due of one run."""

    def __init__(
        self, job: Job, road: Road, deliveries: Deliveries, watch: Watch, tally: Tally
    ) -> None:
        self._job = job
        self._schedule = road.schedule
        self._carrier = road.carrier
        self._deliveries = deliveries
        self._watch = watch
        self._tally = tally
        self._commit = GroupCommit(deliveries)
        self._commit.on_error = self.stop
        self._bell = Bell()
        book = Book(deliveries, self._commit, tally)
        self._feeder = Feeder(job, road.schedule, road.pool, book, self._bell)
        self._stopping = False
        self._open_lines = 0
        self._connected = time.monotonic()  # when a connection last came about
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: MailblastError | None = None

    # --- The whole -------------------------------------------------------------------------

    async def go(self) -> None:
        """Send until nothing is due soon, or until told to stop.

        Raises LedgerError when the account cannot be kept, ConnectionFailed when no
        connection comes about, TemplateError when the template breaks on a message.
        """
        work = [self._feeder.run(), *(self._work() for _ in range(self._job.connections))]
        self._tasks = [asyncio.create_task(self._guard(one)) for one in work]
        try:
            await asyncio.gather(*self._tasks)
        except asyncio.CancelledError:
            pass  # `abort`
        finally:
            await self._close()
        if self._failure:
            raise self._failure

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        # One task's failure must not cut the others off after their final dot.
        try:
            await work
        except MailblastError as error:
            self._failure = self._failure or error
            self.stop()

    async def _close(self) -> None:
        try:
            await self._commit.close()
            self._deliveries.release(self._job.run.number, self._job.owner)
        except LedgerError as error:
            self._failure = self._failure or error

    def abort(self) -> None:
        """Stop at once.  What was offered and is not answered stays doubtful."""
        for task in self._tasks:
            task.cancel()

    def stop(self) -> None:
        """Let every line finish its message, and take up nothing more."""
        self._stopping = True
        self._feeder.stop()

    # --- The lines -------------------------------------------------------------------------

    async def _work(self) -> None:
        """One line: a connection at a time, a message at a time."""
        line: Line | None = None
        carried: Counter[str] = Counter()
        used = 0.0  # when the connection carried its last message
        try:
            while not self._over():
                got = self._schedule.next(time.monotonic())
                if got is None:
                    if line is None or time.monotonic() < used + IDLE:
                        await self._bell.wait(self._pause())
                        continue
                    await self._give_back(line)
                    line = None
                    carried.clear()
                    continue
                destination, ready = got
                if line is None and (line := await self._open()) is None:
                    self._schedule.put_back(destination, ready)
                    await self._bell.wait(1.0)
                    continue
                usable = await self._serve(line, destination, ready)
                used = time.monotonic()
                carried[destination] += 1
                if not usable or carried[destination] >= self._schedule.most_carried(
                    destination
                ):
                    await self._give_back(line)
                    line = None
                    carried.clear()
        finally:
            if line is not None:
                await self._give_back(line)

    def _over(self) -> bool:
        return self._stopping or not (self._feeder.feeding or len(self._schedule))

    def _pause(self) -> float:
        wake = self._schedule.wake()
        return IDLE if wake is None else min(IDLE, max(0.0, wake - time.monotonic()))

    async def _open(self) -> Line | None:
        """A new connection, or None when it is worth trying again a little later."""
        try:
            line = await self._carrier.open(Route("", ""))
        except ConnectionFailed as error:
            alone = not self._open_lines
            if alone and (error.permanent or time.monotonic() > self._connected + PATIENCE):
                raise
            self._tally.remark = f"{error}; trying again" if alone else ""
            return None
        self._connected = time.monotonic()
        self._tally.remark = ""
        self._open_lines += 1
        return line

    async def _give_back(self, line: Line) -> None:
        self._open_lines -= 1
        await line.quit()

    async def _serve(self, line: Line, destination: str, ready: Ready) -> bool:
        """Deliver one message; says whether the line can carry another."""
        self._feeder.in_flight += 1
        try:
            return await self._deliver(line, ready)
        finally:
            self._feeder.in_flight -= 1
            self._schedule.done(destination)
            self._bell.ring()

    async def _deliver(self, line: Line, ready: Ready) -> bool:
        due, message = ready.due, ready.message
        # The last look, for whoever unsubscribed since the claim.
        struck = self._watch.listed(lambda: keys_of(key_of(message.recipient)))
        if struck is not None:
            self._feeder.settle(due, EventKind.SUPPRESSED, suppression_reason(struck))
            return True
        answer = await line.offer(_envelope(message), message.content)
        if not isinstance(answer, Answer):
            if not await self._attempted(line, ready):
                return False
            answer = await line.commit()
            if not answer.doubtful:
                self._tally.answered()
        self._account(due, answer, line)
        return answer.open

    async def _attempted(self, line: Line, ready: Ready) -> bool:
        """Make it durable that the final dot goes out; False when it must not."""
        due, message = ready.due, ready.message
        fact = Event(
            due.delivery,
            EventKind.ATTEMPTED,
            time.time(),
            due.attempt,
            host=line.host,
            tls=line.tls,
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
        self._tally.offered()
        return True

    # --- The account -----------------------------------------------------------------------

    def _account(self, due: Due, answer: Answer, line: Line) -> None:
        after_dot = answer.phase is Phase.DOT
        outcome = disposition.judge(answer.reply, answer.why, after_dot=after_dot)
        if outcome is None:
            return  # `attempted` stands: doubtful
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
            line.host,
            line.tls,
            later,
        )
        sample = self._job.run.kind == "sample"  # counted nowhere, so it suppresses nobody
        self._commit.note(fact, None if sample else _suppression(due, outcome))
        self._tally.happened(due.domain, kind)

    def _next_attempt(self, due: Due) -> float | None:
        job = self._job
        later = next_attempt(
            time.time(), due.deferrals, due.dated, job.retry, job.give_up_after
        )
        if later is not None:
            self._feeder.defer(due.domain, later)
        return later


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
    said = " ".join(f"{outcome.code} {outcome.text}".split())
    return Entry(key_of(due.mailbox), Reason.HARD_BOUNCE, said)
