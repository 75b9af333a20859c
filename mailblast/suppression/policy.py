"""When an address is suppressed because of what became of its mail.

Rule: told everything that was recorded of one address, and how much is borne; asks nobody.
One message has one outcome, however often it was attempted.  Only what speaks of the
recipient, or of a domain that does not work, counts; a block, our reputation, our
authentication, the content, the size and the pace are ours, and nobody is ever suppressed
for them, whatever the code ("subscribers lost" that way: RFC 9989 §7.4).  A delivery or an
automatic reply proves that the address works, and everything before it is forgotten.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from mailblast.campaign.suppression import Policy, Tolerance
from mailblast.disposition import (
    TRANSITIONS,
    Outcome,
    address_is_dead,
    after,
)
from mailblast.event import Against, Disposition, Event, EventKind
from mailblast.reason import Reason, Scope
from mailblast.suppression import Entry

_E = EventKind
_A = Against

DAY = 86400.0

# Exchange: mail from chosen senders only; the sender is not on the list, or not a member.
_CHOSEN_SENDERS = frozenset({"5.7.124", "5.7.133", "5.7.134"})
_PROTOCOL = ".5."  # RFC 3463 §3.6: what we said was not understood
_FAILED = frozenset({_E.REFUSED, _E.BOUNCED, _E.EXPIRED})
_OURS = frozenset(
    {
        *(Reason.BLOCKED_REPUTATION, Reason.SPAM_CONTENT, Reason.RELAY_DENIED),
        *(Reason.MESSAGE_TOO_LARGE, Reason.RATE_LIMITED),
    }
)
_THEIRS = frozenset(
    {Reason.INVALID_RECIPIENT, Reason.MAILBOX_INACTIVE, Reason.DOMAIN_INVALID}
)
# What only words say, whatever status stands beside them.
_SAID = _THEIRS | {Reason.MAILBOX_FULL}
_PASSING = frozenset({Reason.EXPIRED, Reason.NETWORK_TEMPORARY, Reason.SYSTEM_ERROR})

# --- What one outcome counts as -------------------------------------------------------------


def against(outcome: Outcome) -> Against | None:
    """What an outcome counts as against its address; None for what does not.

    Attempts are no outcomes: `deferred` counts for nothing, `expired` as what was said last.
    """
    if outcome.kind is _E.COMPLAINED:
        return _A.COMPLAINT
    reason = outcome.reason
    if outcome.kind not in _FAILED or reason is None or reason in _OURS:
        return None
    scope = outcome.scope or reason.scope
    if scope in (Scope.US, Scope.MESSAGE):
        return None
    if _PROTOCOL in outcome.status[1:4] and reason not in _SAID:
        return None
    if reason is Reason.POLICY_AUTH:
        return _barred(outcome) if scope is Scope.RECIPIENT else None
    if reason is Reason.MAILBOX_FULL and scope is Scope.RECIPIENT:
        return _A.FULL
    if outcome.kind is _E.EXPIRED:
        return _A.SOFT
    if reason in _THEIRS and scope is Scope.RECIPIENT:
        return _A.NONEXISTENT if address_is_dead(outcome) else _A.PERMANENT
    if outcome.to_rcpt and reason is Reason.OTHER:
        return _A.PERMANENT
    # At the door a fault of the destination's that is for good may as well be of the message.
    passing = reason in _PASSING and outcome.kind is _E.BOUNCED
    return _A.SOFT if passing else None


def _barred(outcome: Outcome) -> Against:
    return _A.RESTRICTED if outcome.status in _CHOSEN_SENDERS else _A.POLICY


# --- What became of each message ------------------------------------------------------------


class Recorded(NamedTuple):
    """An event as it stands in the ledger: its number there, and the name of its run."""

    id: int
    run: str
    event: Event


@dataclass(frozen=True, slots=True)
class Past:
    """What became of one message, by which event, and when it was sent.

    It counts when the message was sent and not when a notice was read: whoever imports once
    a week comes to the same end.
    """

    sent: float
    became: Disposition
    last: Recorded

    @property
    def against(self) -> Against | None:
        """What it counts as."""
        return self.last.event.against

    def works(self, now: float, window: float) -> bool:
        """Whether it proves that the address takes mail: accepted alone does not, until the
        bounce window has closed."""
        silent = self.accepted and now - self.sent > window
        return silent or self.became is Disposition.DELIVERED

    @property
    def accepted(self) -> bool:
        """Whether it was taken, and no more is known yet."""
        return self.became is Disposition.ACCEPTED


_OUTCOMES = frozenset(
    {
        *(Disposition.ACCEPTED, Disposition.DELIVERED),
        *(Disposition.REFUSED, Disposition.BOUNCED, Disposition.EXPIRED),
    }
)
_AT_THE_DOOR = frozenset({_E.ATTEMPTED, _E.ACCEPTED, _E.DEFERRED, _E.REFUSED, _E.EXPIRED})


def outcomes(history: Iterable[Recorded], since: float = 0.0) -> list[Past]:
    """What became of each message that was sent after `since`, in the order of sending.

    `history` is all that was recorded of one address, in the order of recording; an event
    decides if it moves the disposition (`disposition.TRANSITIONS`), and the last one wins.
    """
    found: dict[int, Past] = {}
    for one in history:
        event = one.event
        past = found.get(event.delivery, Past(event.at, Disposition.QUEUED, one))
        if event.kind in _AT_THE_DOOR:
            past = replace(past, sent=event.at)
        if event.kind in TRANSITIONS[past.became]:
            past = replace(past, became=after(past.became, event.kind), last=one)
        found[event.delivery] = past
    ended = [one for one in found.values() if one.became in _OUTCOMES and one.sent > since]
    return sorted(ended, key=lambda past: (past.sent, past.last.id))


def failures(pasts: Sequence[Past], now: float, window: float) -> list[Past]:
    """Those in a row at the end of which none was delivered, by a bounce window in seconds.

    What was accepted lately may still come back: as the last one it says nothing yet; before
    a later failure it counts as delivered, for a doubt may cost no subscriber.
    """
    found: list[Past] = []
    for past in reversed(pasts):
        if past.works(now, window) or (found and past.accepted):
            break
        if not past.accepted:
            found.append(past)
    return found[::-1]


# --- The verdict ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Count:
    """How far it has come with one thing that counts against an address."""

    against: Against
    tolerance: Tolerance
    causes: tuple[Past, ...]  # at most one a day (UTC)

    @property
    def span(self) -> float:
        """Seconds from the first to the last."""
        return self.causes[-1].sent - self.causes[0].sent

    @property
    def passed(self) -> bool:
        """Whether it is more than is borne."""
        most = self.tolerance
        return 0 < most.count <= len(self.causes) and self.span >= most.span

    def entry(self, key: str) -> Entry:
        """The entry in the suppression list, with the events that caused it."""
        last = self.causes[-1].last.event
        note = said(last)
        if self.against not in _AT_ONCE or len(self.causes) > 1:
            note = f"{in_words(self)}; the last: {note}"
        reason = Reason.SOFT_BOUNCE if self.against in _SOFT else Reason.HARD_BOUNCE
        return Entry(key, reason, note, events=tuple(one.last.id for one in self.causes))


_SOFT = frozenset({_A.FULL, _A.SOFT})
_AT_ONCE = frozenset({_A.NONEXISTENT, _A.RESTRICTED})
_COUNTED = tuple(one for one in Against if one is not _A.COMPLAINT)


def counts(pasts: Sequence[Past], policy: Policy, now: float) -> list[Count]:
    """How far it has come with everything that counts against an address, the gravest first.

    `now` is in seconds since 1970.
    """
    row = failures(pasts, now, policy.bounce_window)
    found = []
    for what in _COUNTED:
        # That there is no such address also confirms a refusal without a reason.
        alike = {what, _A.NONEXISTENT} if what is _A.PERMANENT else {what}
        causes = tuple(_one_a_day(past for past in row if past.against in alike))
        if any(past.against is what for past in causes):
            found.append(Count(what, getattr(policy, what), causes))
    return found


def verdict(pasts: Sequence[Past], policy: Policy, now: float) -> Count | None:
    """What passes the measure, the gravest; None while nothing does."""
    return next((one for one in counts(pasts, policy, now) if one.passed), None)


# A company that closed looks the same, and is believed a day later.
SURGE = 20  # addresses of one domain in one run
SURGE_SHARE = 0.5


def is_surge(unknown: int, of: int) -> bool:
    """Whether a domain that calls so many of its recipients unknown is rather in error: more
    than 20, and more than half of all that met an answer."""
    return unknown > SURGE and unknown > SURGE_SHARE * of


def complaint(key: str, told: Recorded) -> Entry:
    """The entry for a complaint: at once and for good, whatever else is known."""
    return Entry(key, Reason.COMPLAINT, said(told.event), events=(told.id,))


def _one_a_day(pasts: Iterable[Past]) -> Iterable[Past]:
    days: set[int] = set()
    for past in pasts:
        day = int(past.sent // DAY)
        if day not in days:
            days.add(day)
            yield past


# --- In words -------------------------------------------------------------------------------

CALLED = {
    _A.COMPLAINT: "complaint",
    _A.NONEXISTENT: "does not exist",
    _A.RESTRICTED: "takes mail from chosen senders only",
    _A.PERMANENT: "refused for good",
    _A.POLICY: "barred by a rule of the recipient's",
    _A.FULL: "mailbox full",
    _A.SOFT: "failed for now, after all attempts",
}


def in_words(count: Count) -> str:
    """How often, and since when (UTC): "mailbox full, 3 times since 2026-11-24"."""
    times = "once" if len(count.causes) == 1 else f"{len(count.causes)} times"
    day = datetime.fromtimestamp(count.causes[0].sent, UTC).date()
    return f"{CALLED[count.against]}, {times} since {day}"


def said(event: Event) -> str:
    """What the other side said, its code first: on one line."""
    text = " ".join(event.text.split())
    for one in (event.status, str(event.code or "")):
        if one and one not in text[:20]:
            text = f"{one} {text}"
    return text.strip()


def doubts_us(outcome: Outcome) -> bool:
    """Whether it will be the same for everybody: not where a recipient's own rule says it."""
    return outcome.reason is Reason.POLICY_AUTH and outcome.scope is not Scope.RECIPIENT


def consequence(outcome: Outcome) -> str:
    """What mailblast does with a refusal, in one plain sentence."""
    counted = against(outcome)
    if counted is _A.NONEXISTENT:
        return "gives up on this message and suppresses the address now: it does not exist"
    for_good = outcome.kind is _E.REFUSED
    message = "gives up on this message" if for_good else "tries this message again later"
    return f"{message}; {_beyond_this_message(outcome, counted)}"


def _beyond_this_message(outcome: Outcome, counted: Against | None) -> str:
    if outcome.pause or doubts_us(outcome):
        fault = "the fault is ours" if outcome.scope is Scope.US else "no retry mends it"
        what = "the run" if outcome.reason is Reason.POLICY_AUTH else "the destination"
        return (
            f"pauses {what} when three recipients meet it, because {fault}; "
            "nobody is suppressed"
        )
    if outcome.rest:
        return (
            f"rests the destination for {_minutes(outcome.rest)}, "
            "then goes on with one connection; nobody is suppressed"
        )
    if counted is not None:
        return (
            f"it counts against the address ({CALLED[counted]}): [suppression] {counted} "
            "says how often that is borne"
        )
    if outcome.generic:
        return "nobody is suppressed: it is not certain that the address does not exist"
    return "nobody is suppressed"


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
