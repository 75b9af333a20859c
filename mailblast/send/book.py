"""Where a sending writes down what happens: the ledger, by its one writer, and the sums.

Rule: an event is on the disk before anything depends on it.  A message whose `attempted` is
durable is never offered again by itself, whatever happens.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mailblast.address import key_of
from mailblast.campaign import Policy
from mailblast.compose import Message
from mailblast.destination import Line, Route
from mailblast.disposition import Outcome
from mailblast.due import Due
from mailblast.event import Against, Event, EventKind
from mailblast.ledger import Ledger, Run, Struck, keys_of, suppression_reason
from mailblast.reason import Reason
from mailblast.schedule import next_attempt
from mailblast.send.tally import Tally
from mailblast.suppression.policy import against


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, and how much of it.  Durations are in seconds."""

    run: Run
    owner: str
    connections: int
    retry: tuple[float, ...]
    give_up_after: float
    policy: Policy  # who is suppressed for what happens
    wait: float = 600.0  # for what is due later, before the process ends
    resend_doubtful: bool = False
    limit: int | None = None  # messages, in this process


@dataclass(slots=True)
class Ready:
    """A message that only waits for its turn, and the way it goes."""

    due: Due
    message: Message
    route: Route

    def keys(self) -> tuple[str, ...]:
        """Those under which the recipient may be on a suppression list."""
        return keys_of(key_of(self.message.recipient))


class Book:
    """Records the events of one run."""

    def __init__(
        self, job: Job, ledger: Ledger, tally: Tally, on_error: Callable[[], None]
    ) -> None:
        self.job = job
        self.deliveries = ledger.deliveries
        self.tally = tally
        self.commit = ledger.group_commit(job.run.campaign, job.policy)
        self.commit.on_error = on_error
        self._giving: set[asyncio.Task[None]] = set()
        self.on_later: Callable[[str, float], None] = lambda _domain, _due: None

    def opted_out(self, ready: Ready, destination: str) -> bool:
        """Whether the recipient has opted out since the claim; then that is recorded."""
        reason = self.commit.watch.listed(ready.keys)
        if reason is None:
            return False
        self._struck(ready, destination, reason)
        return True

    def _struck(self, ready: Ready, destination: str, reason: str) -> None:
        why = suppression_reason(reason)
        self.settled(ready.due, destination, EventKind.SUPPRESSED, why)

    async def attempted(self, ready: Ready, destination: str, line: Line) -> bool:
        """Make it durable that the final dot goes out; False when it must not.

        That is so when the claim has passed on, or the recipient has opted out.  Raises
        LedgerError; then the dot must not go out either.
        """
        due = ready.due
        fact = Event(
            due.delivery,
            EventKind.ATTEMPTED,
            time.time(),
            due.attempt,
            host=line.host,
            tls=line.tls,
            digest=ready.message.digest,
        )
        fate = await self.commit.durable(fact, ready.keys)
        if isinstance(fate, Struck):
            self._struck(ready, destination, fate.reason)
            return False
        if fate:
            self.tally.offered()
        return fate

    def concluded(
        self, due: Due, destination: str, outcome: Outcome, host: str = "", tls: str = ""
    ) -> EventKind:
        """Record what an attempt came to; a deferred one may turn out to be expired.

        `host` is who said it, `tls` how the line to them was protected.
        """
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
            tls,
            later,
            against=_against(outcome, kind),
        )
        self.commit.note(fact)
        self.tally.happened(destination, kind)
        return kind

    def give_back(self, ids: list[int]) -> None:
        """Give claims back soon; what was not given back is released in the end anyhow."""
        deliveries, owner = self.deliveries, self.job.owner
        giving = self.commit.in_thread(lambda: deliveries.give_back(owner, ids))
        task = asyncio.get_running_loop().create_task(giving)
        self._giving.add(task)
        task.add_done_callback(self._giving.discard)

    async def close(self) -> None:
        """Wait until everything is on the disk.  Raises LedgerError if something is not."""
        if self._giving:
            await asyncio.gather(*self._giving)
        await self.commit.close()

    def settled(
        self, due: Due, destination: str, kind: EventKind, reason: Reason, why: str = ""
    ) -> None:
        """Record something that ends a delivery without the network."""
        self.concluded(due, destination, Outcome(kind, reason, text=why))

    def _next_attempt(self, due: Due) -> float | None:
        job = self.job
        later = next_attempt(
            time.time(),
            due.deferrals,
            due.dated,
            job.retry,
            job.give_up_after,
            delivery=due.delivery,
        )
        if later is not None:
            self.on_later(due.domain, later)
        return later


def _against(outcome: Outcome, kind: EventKind) -> Against | None:
    """What it counts as against the address; nearly all are accepted and count as nothing."""
    return None if kind is EventKind.ACCEPTED else against(replace(outcome, kind=kind))
