"""Where a sending writes down what happens: the ledger, by its one writer, and the sums.

Rule: an event is on the disk before anything depends on it.  A message whose `attempted` is
durable is never offered again by itself, whatever happens.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mailblast import disposition
from mailblast.address import key_of
from mailblast.compose import Due, Message
from mailblast.destination import Line, Route
from mailblast.disposition import Outcome
from mailblast.event import Event, EventKind
from mailblast.ledger import Deliveries, GroupCommit, Run
from mailblast.reason import Reason
from mailblast.schedule import next_attempt
from mailblast.send.tally import Tally
from mailblast.suppression import Entry


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, and how much of it.  Durations are in seconds."""

    run: Run
    owner: str
    connections: int
    retry: tuple[float, ...]
    give_up_after: float
    wait: float = 600.0  # for what is due later, before the process ends
    resend_doubtful: bool = False
    limit: int | None = None  # messages, in this process


@dataclass(slots=True)
class Ready:
    """A message that only waits for its turn, and the way it goes."""

    due: Due
    message: Message
    route: Route


class Book:
    """Records the events of one run."""

    def __init__(
        self, job: Job, deliveries: Deliveries, tally: Tally, on_error: Callable[[], None]
    ) -> None:
        self.job = job
        self.deliveries = deliveries
        self.tally = tally
        self.commit = GroupCommit(deliveries)
        self.commit.on_error = on_error
        self.on_later: Callable[[str, float], None] = lambda _domain, _due: None

    async def attempted(self, ready: Ready, line: Line) -> bool:
        """Make it durable that the final dot goes out; False when the claim has passed on.

        Raises LedgerError; then the dot must not go out either.
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
        ours = await self.commit.durable(fact)
        if ours:
            self.tally.offered()
        return ours

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
        )
        self.commit.note(fact, self._suppression(due, outcome))
        self.tally.happened(destination, kind)
        return kind

    def settled(
        self, due: Due, destination: str, kind: EventKind, reason: Reason, why: str = ""
    ) -> None:
        """Record something that ends a delivery without the network."""
        self.concluded(due, destination, Outcome(kind, reason, text=why))

    def _next_attempt(self, due: Due) -> float | None:
        job = self.job
        later = next_attempt(
            time.time(), due.deferrals, due.dated, job.retry, job.give_up_after
        )
        if later is not None:
            self.on_later(due.domain, later)
        return later

    def _suppression(self, due: Due, outcome: Outcome) -> Entry | None:
        # A sample is counted nowhere, so it suppresses nobody.
        if not disposition.address_is_dead(outcome) or self.job.run.kind == "sample":
            return None
        said = " ".join(f"{outcome.code} {outcome.text}".split())
        return Entry(key_of(due.mailbox), Reason.HARD_BOUNCE, said)
