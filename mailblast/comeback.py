"""The circuit breaker, told of what comes back by mail.

Whoever refuses us after taking the message refuses us all the same: it counts by the same rule
as at the door (`breaker`), and pauses the same.  A `send` that is at work sees the pause within a
second or so (`standing`).

Rule: a run of which nothing is due any more is not paused; what would have paused it for our
authentication pauses the destination, for the next run would meet it too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mailblast.breaker import COUNTED, Breaker, Fault, Trip
from mailblast.campaign import Thresholds
from mailblast.disposition import DUE
from mailblast.event import Event, EventKind
from mailblast.ledger import Ledger, Pause
from mailblast.surge import Held, hold


@dataclass(slots=True)
class Returns:
    """The deliveries of which something came back that may pause or hold something: all
    `concerned`, and those of which it was said that it will be the same for everybody."""

    concerned: set[int] = field(default_factory=set)
    stops: set[int] = field(default_factory=set)

    def add(self, facts: Iterable[Event], *, stop: bool) -> None:
        """Take note of what was recorded."""
        told = {one.delivery for one in facts if _may_pause(one)}
        self.concerned |= told
        if stop:
            self.stops |= told


def _may_pause(fact: Event) -> bool:
    bounced = fact.kind is EventKind.BOUNCED and fact.reason in COUNTED
    return bounced or fact.kind is EventKind.COMPLAINED


@dataclass(frozen=True, slots=True)
class Followed:
    """What followed from what came back: new pauses, domains that are held, and what is near a
    pause, by the name of the run."""

    paused: tuple[Pause, ...] = ()
    held: tuple[Held, ...] = ()
    near: Mapping[str, Sequence[Trip]] = field(default_factory=dict)


def follow(
    ledger: Ledger, thresholds: Thresholds, returns: Returns, now: float
) -> Followed:
    """Pause and hold what has to be, after what came back was recorded."""
    paused: list[Pause] = []
    held: list[Held] = []
    near: dict[str, Sequence[Trip]] = {}
    for run, deliveries in ledger.history.runs_of(sorted(returns.concerned)).items():
        breaker = Breaker(thresholds)
        since = ledger.pauses.last_lifted(run)
        for verdict in ledger.runs.verdicts(run, since):
            breaker.take_over(*verdict)
        for destination, count in ledger.history.complaints(run, since).items():
            breaker.complained(destination, count)
        for delivery, destination in deliveries.items():
            if delivery in returns.stops:
                breaker.stopped(destination, delivery)
        paused += _pauses(ledger, run, breaker.passed(), now)
        held += hold(ledger, run, now)
        if found := breaker.near():
            near[ledger.runs.numbered(run).run] = found
    return Followed(tuple(paused), tuple(held), near)


def _pauses(
    ledger: Ledger, run: int, passed: Sequence[tuple[str, Trip]], now: float
) -> list[Pause]:
    standing = {one.destination for one in ledger.pauses.standing(run)}
    due = ledger.runs.any_in(run, DUE)
    found = []
    for destination, trip in passed:
        where = trip.destination
        if not where and not due:
            if trip.fault is not Fault.AUTHENTICATION:
                continue
            where = destination
        if where not in standing:
            standing.add(where)
            one = Pause(None if where else run, where, trip.fault, trip.why, now)
            ledger.pauses.add(one)
            found.append(one)
    return found
