"""The past of an address as JSON: its events, what they count as, and what followed.

The words are those of the ledger and of `report --json`; times are ISO 8601 in UTC.
"""

from collections.abc import Iterable

from mailblast.event import Event
from mailblast.ledger import Delivery, Mishap, Returned, Run, Suppression
from mailblast.report import iso
from mailblast.suppression.policy import Count, Recorded

# A run, the delivery in it, its events, and the mail that came back for it.
Story = tuple[Run, Delivery, list[Event], list[Returned]]


def mishap(one: Mishap) -> dict[str, object]:
    """An object of `bounces list --json`."""
    named = {"address": one.mailbox, "run": one.run}
    return {**named, **_fact(one.event), "suppressed": one.suppressed}


def event(one: Recorded) -> dict[str, object]:
    """What happened, in which run."""
    return {"id": one.id, "run": one.run, **_fact(one.event)}


def _fact(told: Event) -> dict[str, object]:
    return {
        "event": told.kind,
        "at": iso(told.at),
        "reason": told.reason,
        "code": told.code or None,
        "status": told.status or None,
        "text": told.text,
        "host": told.host or None,
        "against": told.against,
    }


def of(
    key: str, recorded: list[Recorded], weighed: list[Count], entries: list[Suppression]
) -> dict[str, object]:
    """The object of `bounces show --json`."""
    return {
        "address": key,
        "suppressed": any(one.removed is None for one in entries),
        "entries": [entry(one) for one in entries],
        "counts": [count(one) for one in weighed],
        "events": [event(one) for one in recorded],
    }


def entry(one: Suppression) -> dict[str, object]:
    """An entry of the suppression list."""
    return {
        "key": one.key,
        "reason": one.reason,
        "note": one.note,
        "source": one.source,
        "added": iso(one.added),
        "removed": iso(one.removed),
        "events": list(one.events),
    }


def count(one: Count) -> dict[str, object]:
    """What counts against the address, and how much is borne."""
    return {
        "against": one.against,
        "count": len(one.causes),
        "span": one.span,
        "suppresses": str(one.tolerance),
        "events": [past.last.id for past in one.causes],
    }


def told(
    key: str, entries: list[Suppression], stories: Iterable[Story]
) -> dict[str, object]:
    """The object of `show --json`."""
    return {
        "address": key,
        "suppressed": any(one.removed is None for one in entries),
        "entries": [entry(one) for one in entries],
        "runs": [_story(*one) for one in stories],
    }


def _story(
    run: Run, delivery: Delivery, events: list[Event], returned: list[Returned]
) -> dict[str, object]:
    known = {one.digest for one in events}
    return {
        "run": run.run,
        "campaign": run.campaign,
        "row": delivery.row,
        "disposition": delivery.disposition,
        "reason": delivery.reason,
        "marks": list(delivery.marks),
        "events": [_fact(one) for one in events],
        "came_back": [
            {
                "at": iso(one.at),
                "kind": one.kind,
                "result": one.result,
                "tied": one.tied or None,
                "source": one.source,
                "text": one.text,
            }
            for one in returned
            if one.digest not in known
        ],
    }
