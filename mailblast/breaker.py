"""The circuit breaker: when to stop by itself, before the damage is done.

Rule: this module is told what became of each message and nothing else.  It counts for each
destination and for the run, and says when a threshold is passed, and, when asked, which are
near.  Whoever hears it pauses; nobody is suppressed for it: these are faults of ours, or of the
list.

    blocked         refused for our reputation, or as spam    pauses the destination
    authentication  SPF, DKIM or DMARC does not pass          pauses the run
    hard bounces    addresses or domains that are dead        pauses the run
    complaints      recipients call it spam                   pauses the run
    unsubscribe     the way out is closed (`send.outage`)     pauses the run

A receiver that is sent to in spite of its refusals blocks for longer ("if messages start
bouncing or being deferred, reduce the sending volume", Google support answer 81126, read
2026-07).  The thresholds are ours; other senders' services stop at 5 % hard bounces and at
0.3 % complaints too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mailblast.campaign import Thresholds
from mailblast.event import Disposition, EventKind
from mailblast.reason import Reason

LEAST_COMPLAINTS = 3  # one angry reader of 200 is no trend
NEAR = 2, 5  # of a threshold: from here on it is told: 2 % of hard bounces where 5 % pause
LEAST_NEAR = 2  # of what is counted; one of twenty is no trend either

LEAVING = 10_000  # of a million: opt-outs and complaints together, of which is told
LEAST_ANSWERED = 200  # messages of a run, before that is told

_HARD = frozenset(
    {Reason.INVALID_RECIPIENT, Reason.DOMAIN_INVALID, Reason.MAILBOX_INACTIVE}
)
_BLOCKED = frozenset({Reason.BLOCKED_REPUTATION, Reason.SPAM_CONTENT, Reason.RELAY_DENIED})
_OURS = _BLOCKED | {Reason.POLICY_AUTH}
COUNTED = _HARD | _OURS  # of what bounces, what may trip it
_TAKEN = (Disposition.ACCEPTED, Disposition.DELIVERED)
_PARTS = 1_000_000  # shares are compared in whole numbers, so that a threshold is exact


class Fault(StrEnum):
    """What the breaker trips for."""

    BLOCKED = "blocked"
    AUTHENTICATION = "authentication"
    HARD_BOUNCES = "hard-bounces"
    COMPLAINTS = "complaints"
    UNSUBSCRIBE = "unsubscribe"


# What to do before going on.
ADVICE = {
    Fault.BLOCKED: "Read the replies (mailblast report), ask that provider's postmaster, and "
    "send less. Waiting a day helps more often than anything else.",
    Fault.AUTHENTICATION: "Mend SPF, DKIM or DMARC first: mailblast report has the replies.",
    Fault.HARD_BOUNCES: "Ask where the list is from and how old it is, and clean it.",
    Fault.COMPLAINTS: "Ask whether these people agreed to get this, and make it easy to leave.",
    Fault.UNSUBSCRIBE: "Bring it up first: mailblast check says what is wrong with it.",
}


@dataclass(frozen=True, slots=True)
class Trip:
    """A threshold was passed: for a destination, or for the run (`destination` is "")."""

    destination: str
    fault: Fault
    why: str


@dataclass(slots=True)
class Counts:
    """What was heard of messages, at one destination or in the run."""

    answered: int = 0  # accepted, refused or bounced; and deferred for a fault of ours
    hard: int = 0
    blocked: int = 0
    complaints: int = 0
    stopped: set[int] = field(default_factory=set)  # the first told that all are refused
    unauthenticated: set[int] = field(default_factory=set)  # the first deliveries of these
    tripped: bool = False


class Breaker:
    """Counts, and trips."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._hard = round(thresholds.hard * _PARTS)
        self._blocked = round(thresholds.blocked * _PARTS)
        self._complaints = round(thresholds.complaints * _PARTS)
        self._run = Counts()
        self._destinations: dict[str, Counts] = {}
        self._suspects: set[str] = set()  # where a fault of ours was counted

    def happened(
        self,
        destination: str,
        delivery: int,
        kind: EventKind,
        reason: Reason | None = None,
        *,
        stop: bool = False,
    ) -> Trip | None:
        """Count what became of a delivery; the trip, if this passed a threshold.

        `stop`: the reply itself says that it will be the same for everybody.

        What is put off for a fault of the recipient's or of the destination's is no verdict
        yet, and not counted.  After a trip, the same destination (or the run) gives no
        further one until `rearm`.
        """
        here = self._destinations.get(destination)
        if here is None:
            here = self._destinations[destination] = Counts()
        if kind is EventKind.ACCEPTED:
            here.answered += 1
            self._run.answered += 1
            # More accepted can pass the minimum; with nothing bad there is nothing to see.
            if not (self._run.hard or self._run.complaints or here.blocked):
                return None
        elif not self._count(destination, here, delivery, kind, reason):
            return None
        elif stop and len(here.stopped) < self._thresholds.authentication:
            here.stopped.add(delivery)
        return self._run_trip(destination, here) or self._destination_trip(
            destination, here
        )

    def _count(
        self,
        destination: str,
        here: Counts,
        delivery: int,
        kind: EventKind,
        reason: Reason | None,
    ) -> bool:
        """Count something else than an acceptance; says whether it counts."""
        blocked = reason in _BLOCKED
        unauthenticated = reason is Reason.POLICY_AUTH
        verdict = kind in (EventKind.REFUSED, EventKind.BOUNCED)
        complaint = kind is EventKind.COMPLAINED
        ours = kind is EventKind.DEFERRED and (blocked or unauthenticated)
        if not (verdict or complaint or ours):
            return False
        for counts in (here, self._run):
            # What bounced or was complained of had been accepted, and was counted then.
            counts.answered += kind is EventKind.REFUSED or ours
            counts.hard += verdict and reason in _HARD
            counts.blocked += blocked
            counts.complaints += complaint
        if reason in _OURS:
            self._suspects.add(destination)
        if unauthenticated and len(here.unauthenticated) < self._thresholds.authentication:
            here.unauthenticated.add(delivery)
        return True

    def _run_trip(self, destination: str, here: Counts) -> Trip | None:
        run = self._run
        if run.tripped:
            return None
        fault, why = None, ""
        if len(here.unauthenticated) >= self._thresholds.authentication:
            fault = Fault.AUTHENTICATION
            why = (
                f"{destination} refuses our authentication: it said so of "
                f"{len(here.unauthenticated)} recipients."
            )
        elif run.answered >= self._thresholds.minimum:
            if run.hard * _PARTS > self._hard * run.answered:
                fault = Fault.HARD_BOUNCES
                why = _sentence(run.hard, run.answered, "do not exist any more", self._hard)
            elif (
                run.complaints >= LEAST_COMPLAINTS
                and run.complaints * _PARTS > self._complaints * run.answered
            ):
                fault = Fault.COMPLAINTS
                why = _sentence(
                    run.complaints, run.answered, "complained", self._complaints
                )
        if fault is None:
            return None
        run.tripped = True
        return Trip("", fault, why)

    def _destination_trip(self, destination: str, here: Counts) -> Trip | None:
        least = self._thresholds.minimum_destination
        if here.tripped or self._run.tripped:
            return None
        if len(here.stopped) >= self._thresholds.authentication:
            here.tripped = True
            why = (
                f"{destination} does not take our mail: it said so of "
                f"{len(here.stopped)} recipients."
            )
            return Trip(destination, Fault.BLOCKED, why)
        if here.answered < least:
            return None
        if here.blocked * _PARTS <= self._blocked * here.answered:
            return None
        here.tripped = True
        said = f"were refused by {destination} as unwanted"
        why = _sentence(here.blocked, here.answered, said, self._blocked)
        return Trip(destination, Fault.BLOCKED, why)

    def near(self) -> list[Trip]:
        """The thresholds that are not passed, but more than NEAR of them is reached: as they
        would trip.  To be asked now and then; it looks only where something bad was counted."""
        if self._run.tripped:
            return []
        run, t = self._run, self._thresholds
        found = []
        if run.answered >= t.minimum:
            for fault, count, share, what in (
                (Fault.HARD_BOUNCES, run.hard, self._hard, "do not exist any more"),
                (Fault.COMPLAINTS, run.complaints, self._complaints, "complained"),
            ):
                if _is_near(count, run.answered, share):
                    why = _near_sentence(count, run.answered, what, share, "the run")
                    found.append(Trip("", fault, why))
        for destination in sorted(self._suspects):
            found += self._near_at(destination, self._destinations[destination])
        return found

    def _near_at(self, destination: str, here: Counts) -> Iterator[Trip]:
        most = self._thresholds.authentication
        if LEAST_NEAR <= len(here.unauthenticated) < most:
            why = (
                f"{destination} refuses our authentication: it said so of "
                f"{len(here.unauthenticated)} recipients; {most} pause the run."
            )
            yield Trip(destination, Fault.AUTHENTICATION, why)
        if here.tripped or here.answered < self._thresholds.minimum_destination:
            return
        if _is_near(here.blocked, here.answered, self._blocked):
            said = f"were refused by {destination} as unwanted"
            why = _near_sentence(here.blocked, here.answered, said, self._blocked, "it")
            yield Trip(destination, Fault.BLOCKED, why)

    def rearm(self, destination: str = "") -> None:
        """Begin to count anew for a destination, or for the whole run."""
        if destination:
            self._destinations.pop(destination, None)
            self._suspects.discard(destination)
        else:
            self._run = Counts()
            self._destinations.clear()
            self._suspects.clear()

    def take_over(
        self, destination: str, became: Disposition, reason: Reason | None, count: int
    ) -> None:
        """Add what became of `count` messages of this run in an earlier process.

        Nothing trips by it; the next answer may.
        """
        here = self._destinations.setdefault(destination, Counts())
        against = became in (Disposition.REFUSED, Disposition.BOUNCED)
        for each in (here, self._run):
            each.answered += count if against or became in _TAKEN else 0
            each.hard += count if against and reason in _HARD else 0
            each.blocked += count if against and reason in _BLOCKED else 0
        if against and reason in _OURS:
            self._suspects.add(destination)
        if against and reason is Reason.POLICY_AUTH:
            # They are settled and do not come again: any other numbers will do for them.
            most = min(count, self._thresholds.authentication)
            here.unauthenticated.update(range(-most, 0))

    def complained(self, destination: str, count: int) -> None:
        """Add so many complaints from an earlier time."""
        for each in (self._destinations.setdefault(destination, Counts()), self._run):
            each.complaints += count

    def stopped(self, destination: str, delivery: int) -> None:
        """Add that a destination said that it will be the same for everybody."""
        here = self._destinations.setdefault(destination, Counts())
        if len(here.stopped) < self._thresholds.authentication:
            here.stopped.add(delivery)

    def passed(self) -> list[tuple[str, Trip]]:
        """The thresholds that are passed by what was added, each with the destination that it
        was found at."""
        found = []
        for destination, here in self._destinations.items():
            trip = self._run_trip(destination, here)
            trip = trip or self._destination_trip(destination, here)
            if trip is not None:
                found.append((destination, trip))
        return found


OPT_OUTS = "opt-outs"  # the reason of a warning that many leave


def leaving(
    dispositions: Mapping[Disposition, int], marks: Mapping[str, int]
) -> str | None:
    """What is to be said of a run of whose recipients many leave; nothing pauses for it."""
    against = (Disposition.REFUSED, Disposition.BOUNCED)
    answered = sum(dispositions.get(one, 0) for one in (*_TAKEN, *against))
    gone = marks.get("unsubscribed", 0) + marks.get("complained", 0)
    if answered < LEAST_ANSWERED or gone * _PARTS <= LEAVING * answered:
        return None
    return _sentence(gone, answered, "opted out or complained", LEAVING)


def _sentence(count: int, of: int, what: str, threshold: int) -> str:
    return f"{_counted(count, of, what)}, more than {_limit(threshold)}."


def _near_sentence(count: int, of: int, what: str, threshold: int, whom: str) -> str:
    return f"{_counted(count, of, what)}; more than {_limit(threshold)} pause {whom}."


def _counted(count: int, of: int, what: str) -> str:
    return f"{count:,} of {of:,} recipients {what}: {100 * count / of:.3g} %"


def _limit(threshold: int) -> str:
    return f"{100 * threshold / _PARTS:g} %"


def _is_near(count: int, of: int, threshold: int) -> bool:
    part, whole = NEAR
    return count >= LEAST_NEAR and whole * count * _PARTS > part * threshold * of
