"""The way of the messages of a run: offered, committed, accounted.

One process, one loop.  The feeder claims what is due and has it composed; workers, as many
as there may be connections, take what the schedule lets go, offer it on a line that leads
there, make `attempted` durable, send the final dot and record the answer.

Rule: whoever waits is woken for one message and not for every one: a run with hundreds of
connections would otherwise do nothing but look.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass

from mailblast import disposition
from mailblast.compose import Message
from mailblast.destination import Carrier, Line
from mailblast.disposition import Outcome
from mailblast.errors import (
    ConnectionFailed,
    EncryptionFailed,
    LedgerError,
    MailblastError,
)
from mailblast.event import EventKind
from mailblast.ledger import Ledger
from mailblast.pool import Pool
from mailblast.schedule import Schedule
from mailblast.send.book import Book, Job, Ready
from mailblast.send.feeder import Feeder
from mailblast.send.lines import Lines, Opened
from mailblast.send.routing import Routing
from mailblast.send.standing import Standing
from mailblast.send.tally import Tally
from mailblast.smtp.protocol import CLOSING, Answer, Envelope, Phase

PATIENCE = 60.0  # seconds without any connection after which the run stops
AGAIN = 1.0  # seconds until a message is taken up again for which no line came about
SILENCE = 20.0  # seconds without any answer after which it is said that we wait
# RFC 5321 §4.5.3.2: up to five minutes for most commands, and ten for the dot.
SILENT = f"no answer for {SILENCE:g} s; mailblast waits, for a server may take minutes"
SWEEP = 1.0  # seconds from one look for lines that nobody needs to the next

Taken = tuple[str, Ready]  # a destination, and a message for it


@dataclass(frozen=True, slots=True)
class Road:
    """By which way: in which order, composed by whom, carried by what."""

    schedule: Schedule[Ready]
    standing: Standing
    carrier: Carrier
    pool: Pool


class Dispatch:
    """Sends what is due of one run."""

    def __init__(self, job: Job, road: Road, ledger: Ledger, tally: Tally) -> None:
        self._job = job
        self._schedule = road.schedule
        self._tally = tally
        self._book = Book(job, ledger, tally, self.stop)
        self._lines = Lines(road.carrier, job.connections)
        self._routing = Routing(road.carrier)
        self._standing = road.standing
        self._standing.on_stop = self.stop
        self._standing.on_warned = tally.warnings.append
        self._feeder = Feeder(
            road.schedule, road.pool, self._routing, road.standing, self._book, self._wake
        )
        self._idle: list[asyncio.Future[Taken | None]] = []  # workers that wait
        self._alarm: asyncio.TimerHandle | None = None
        self._stopping = False
        self._connected = time.monotonic()  # when a connection last came about
        self._last_word = self._connected  # when a server last said anything
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
        sweeping = asyncio.create_task(self._sweep())
        try:
            await asyncio.gather(*self._tasks)
        except asyncio.CancelledError:
            pass  # `abort`
        finally:
            sweeping.cancel()
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

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self._lines.sweep()
            self._standing.keep()
            if self._feeder.in_flight and time.monotonic() > self._last_word + SILENCE:
                self._tally.remark = self._tally.remark or SILENT

    def _heard(self) -> None:
        self._last_word, self._tally.remark = time.monotonic(), ""

    async def _close(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        await self._routing.close()
        await self._lines.close()
        try:
            await self._book.close()
            self._standing.keep(all_known=True)
            self._book.deliveries.release(self._job.run.number, self._job.owner)
        except LedgerError as error:
            self._failure = self._failure or error

    def abort(self) -> None:
        """Stop at once.  What was offered and is not answered stays doubtful."""
        for task in self._tasks:
            task.cancel()

    def stop(self) -> None:
        """Let every worker finish its message, and take up nothing more."""
        self._stopping = True
        self._feeder.feeding = False
        self._wake()

    # --- Whose turn it is ------------------------------------------------------------------

    async def _work(self) -> None:
        """One worker: a message at a time, those first that go where the last one went."""
        last: str | None = None
        while (taken := await self._next(last)) is not None:
            destination, ready = taken
            last = destination if ready.route.hosts else None  # a relay's lines fit all
            await self._serve(destination, ready)

    async def _next(self, prefer: str | None) -> Taken | None:
        """The next message that may go, when it may; None when there will be no more.

        `prefer` is where the worker has just given a line back: with more destinations than
        connections each message would else need a new one.
        """
        if self._over():
            self._wake()
            return None
        taken = self._schedule.next(time.monotonic(), prefer)
        if taken is not None:
            if self._idle:
                self._wake()  # a window that has grown has room for more than one
            return taken
        waiting: asyncio.Future[Taken | None] = asyncio.get_running_loop().create_future()
        self._idle.append(waiting)
        self._set_alarm()
        return await waiting

    def _over(self) -> bool:
        return self._stopping or not (self._feeder.feeding or len(self._schedule))

    def _wake(self) -> None:
        """Give those who wait what may go now; at the end, send them home."""
        over = self._over()
        while self._idle:
            taken = None if over else self._schedule.next(time.monotonic())
            if taken is None and not over:
                self._set_alarm()
                return
            waiting = self._idle.pop()
            if not waiting.done():
                waiting.set_result(taken)
            elif taken is not None:  # it was broken off meanwhile
                self._schedule.put_back(*taken)

    def _set_alarm(self) -> None:
        wake = self._schedule.wake()
        if wake is None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        pause = max(0.0, wake - time.monotonic())
        self._alarm = asyncio.get_running_loop().call_later(pause, self._wake)

    # --- One message -----------------------------------------------------------------------

    async def _serve(self, destination: str, ready: Ready) -> None:
        self._feeder.in_flight += 1
        done = False
        try:
            done = await self._deliver(destination, ready)
        finally:
            self._feeder.in_flight -= 1
            if done:
                self._schedule.done(destination)
            else:
                self._schedule.put_back(destination, ready)
                self._standing.let_go(destination)
        if not done:
            await asyncio.sleep(AGAIN)

    async def _deliver(self, destination: str, ready: Ready) -> bool:
        """Deliver one message; False when the relay is away and it has to wait."""
        opened = await self._line(destination, ready, new=False)
        if opened is None:
            return bool(ready.route.hosts)
        used = not opened.fresh
        answer = await self._offer(opened, destination, ready)
        if used and answer is not None and _worn_out(answer):
            # The other side had enough of the connection; of the message it said nothing.
            opened = await self._line(destination, ready, new=True)
            if opened is None:
                return bool(ready.route.hosts)
            answer = await self._offer(opened, destination, ready)
        if answer is not None:
            self._account(destination, ready, answer, opened.line)
        return True

    async def _line(self, destination: str, ready: Ready, *, new: bool) -> Opened | None:
        """A line for this message; None when none came about, and that is dealt with."""
        limit = self._schedule.most_connections(destination)
        take = self._lines.open if new else self._lines.take
        try:
            opened = await take(ready.route, limit)
        except ConnectionFailed as error:
            if ready.route.hosts:
                self._silent(destination, ready, error)
            else:
                self._no_relay(error)
            return None
        self._connected = time.monotonic()
        self._heard()
        return opened

    def _silent(self, destination: str, ready: Ready, error: ConnectionFailed) -> None:
        """None of the hosts of this domain can be used: the message is put off."""
        provider = self._standing.provider(destination)
        outcome = disposition.unreachable(
            str(error),
            error.code,
            provider,
            permanent=error.permanent,
            unencrypted=isinstance(error, EncryptionFailed),
        )
        self._conclude(destination, ready, outcome)

    def _no_relay(self, error: ConnectionFailed) -> None:
        """The relay cannot be reached: worth trying again for a while, if nobody else can."""
        alone = not len(self._lines)
        if alone and (error.permanent or time.monotonic() > self._connected + PATIENCE):
            raise error
        if alone:
            self._tally.remark = f"{error}; trying again"

    async def _offer(self, opened: Opened, destination: str, ready: Ready) -> Answer | None:
        """Bring a message to its answer on a line, and give the line back.

        None when it must not be sent any more.
        """
        at = self._schedule.turn(destination, now := time.monotonic())
        if at > now:
            await asyncio.sleep(at - now)
        if self._book.opted_out(ready, destination):
            self._lines.rest(opened)
            return None
        try:
            answer = await self._offered(opened.line, destination, ready)
            self._heard()
            return answer
        finally:
            self._lines.give(opened, destination, self._schedule.most_carried(destination))

    async def _offered(self, line: Line, destination: str, ready: Ready) -> Answer | None:
        message = ready.message
        answer = await line.offer(_envelope(message), message.content)
        if isinstance(answer, Answer):
            return answer
        try:
            if not await self._book.attempted(ready, destination, line):
                line.close()
                return None
        except LedgerError:
            line.close()  # without QUIT: nothing may complete the message
            raise
        answer = await line.commit()
        self._tally.answered(doubtful=answer.doubtful)
        return answer

    def _account(self, destination: str, ready: Ready, answer: Answer, line: Line) -> None:
        provider = self._standing.provider(destination)
        outcome = disposition.judge(
            answer.reply,
            answer.why,
            after_dot=answer.phase is Phase.DOT,
            to_rcpt=answer.phase is Phase.RCPT,
            provider=provider,
        )
        if outcome is not None:  # else `attempted` stands: doubtful
            self._conclude(destination, ready, outcome, line)

    def _conclude(
        self, destination: str, ready: Ready, outcome: Outcome, line: Line | None = None
    ) -> None:
        due, run = ready.due, self._job.run
        host, tls = (line.host, line.tls) if line else ("", "")
        self._book.concluded(due, destination, outcome, host, tls)
        if outcome.kind is EventKind.ACCEPTED:
            self._standing.accepted(run, destination, due)
        else:
            self._standing.concluded(run, ready.route, due, outcome)


def _worn_out(answer: Answer) -> bool:
    """Whether a connection was over before it took anything of this message.

    Some servers close one in silence after so many messages, some say 421 (RFC 5321 §3.8).
    """
    over = answer.reply is None or answer.reply.code == CLOSING
    return over and answer.phase is Phase.MAIL and not answer.open


def _envelope(message: Message) -> Envelope:
    return Envelope(
        return_path=message.return_path,
        recipient=message.recipient,
        smtputf8=message.smtputf8,
        envelope_id=_tag_of(message.return_path),
    )


def _tag_of(return_path: str) -> str:
    """The tag in a return path.  As ENVID it proves as much, where a relay replaces the path."""
    return return_path.rpartition("@")[0].rpartition("+")[2]
