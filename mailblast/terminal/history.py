"""The past of an address in lines: what happened, what it counts as, and what followed."""

from collections.abc import Container, Iterator, Mapping, Sequence

from mailblast.event import Against, EventKind
from mailblast.ledger import Mishap, Suppression
from mailblast.suppression.policy import CALLED, Count, Recorded, said
from mailblast.terminal.words import duration, moment, visible

_FAILED = (EventKind.REFUSED, EventKind.BOUNCED, EventKind.EXPIRED)
_WORKS = (EventKind.DELIVERED, EventKind.AUTOREPLIED)


def entry(one: Suppression) -> str:
    """An entry of the suppression list."""
    scope = f", campaign {one.scope}" if one.scope else ""
    lifted = f"; lifted {moment(one.removed)}: {one.consent}" if one.removed else ""
    note = f" ({one.note})" if one.note else ""
    since = f"since {moment(one.added)}, by {one.source}"
    return visible(f"{one.key}  {one.reason}{note}, {since}{scope}{lifted}")


def explained(one: Suppression, causes: Mapping[int, Recorded]) -> Iterator[str]:
    """An entry, and the events that caused it."""
    yield entry(one)
    for number in one.events:
        if number in causes:
            yield f"  because: {_happened(causes[number])}"


def mishap(one: Mishap) -> str:
    """Something that went wrong, for a list."""
    event = one.event
    why = f" {event.reason}" if event.reason else ""
    now = ", suppressed" if one.suppressed else ""
    head = f"{moment(event.at)}  {one.mailbox}  {event.kind}{why}{now}  {one.run}"
    return visible(f"{head}  {said(event)}".rstrip())


def past(recorded: Sequence[Recorded], counting: Container[int]) -> Iterator[str]:
    """Everything that happened to an address, each with what it counts as.

    `counting` are the numbers of the outcomes since it was last taken off the list.
    """
    for one in recorded:
        yield f"  {_happened(one)}"
        if weighed := _weighed(one, counting):
            yield f"      {weighed}"


def _happened(one: Recorded) -> str:
    event = one.event
    by = ", ".join(each for each in (event.host, event.tls) if each)
    by = f" [{by}]" if by else ""
    head = f"{moment(event.at)}  {one.run}  {event.kind}{by}"
    return visible(f"{head} {said(event)}".rstrip())


def _weighed(one: Recorded, counting: Container[int]) -> str:
    event = one.event
    if event.against is Against.COMPLAINT:
        return "suppresses at once and for good"
    if event.against is not None:
        told = f"{event.against}: {CALLED[event.against]}"
        return f"counts as {told}" if one.id in counting else f"counts no more as {told}"
    if event.kind in _WORKS:
        return "the address works: what was before counts no more"
    if event.kind in _FAILED:
        return "counts for nothing"
    return ""


def counted(one: Count) -> str:
    """How far it has come: "2 of 3 mailbox full, over 12 days (30 days at least)"."""
    tolerance, count = one.tolerance, len(one.causes)
    if not tolerance.count:
        return f"{count} × {CALLED[one.against]}: never suppressed for it ([suppression])"
    told = f"{count} of {tolerance.count} {CALLED[one.against]}"
    if not tolerance.span:
        return told
    span = duration(one.span) if one.span else "0"
    return f"{told}, over {span} ({duration(tolerance.span)} at least)"
