"""How an event enters the ledger: appended, and its delivery moved, in one transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from mailblast import disposition
from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger.tables import deliveries, events

_MARKS = {
    EventKind.COMPLAINED: "complained",
    EventKind.AUTOREPLIED: "autoreplied",
    EventKind.UNSUBSCRIBED: "unsubscribed",
}
# After these the claim is over.  After `attempted` it is not: its owner waits for the answer.
_ENDS_CLAIM = frozenset(EventKind) - {EventKind.ATTEMPTED}

_STATE = ("id", "disposition", "reason", "marks", "attempt", "deferrals", "due", "owner",
          "lease", "digest", "settled")  # fmt: skip
_READ = select(*(deliveries.c[name] for name in _STATE)).where(
    deliveries.c.id.in_(bindparam("ids", expanding=True))
)
_WRITE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("it"))
    .values(
        {name: bindparam(f"new_{name}") for name in _STATE if name not in ("id", "attempt")}
    )
)


def record(connection: Connection, facts: Sequence[Event]) -> list[Event]:
    """Append events and move their deliveries; gives back those that came too late.

    An event with an attempt number that is no longer the delivery's is stale: the claim was
    taken over.  So is an `attempted` of what was settled meanwhile, as a doubtful one by a
    notice.  Neither is recorded.  Events without a number (0) come from outside, as mail.
    """
    if not facts:
        return []
    ids = sorted({fact.delivery for fact in facts})
    states = {
        row.id: row._asdict()
        for start in range(0, len(ids), 10_000)
        for row in connection.execute(_READ, {"ids": ids[start : start + 10_000]})
    }
    fresh, stale = [], []
    for fact in facts:
        state = states[fact.delivery]
        if fact.attempt and _too_late(state, fact):
            stale.append(fact)
            continue
        fresh.append(row_of(fact, state["attempt"]))
        _move(state, fact)
    if fresh:
        connection.execute(insert(events), fresh)
        connection.execute(_WRITE, [_values(states[id_]) for id_ in ids])
    return stale


def _too_late(state: dict[str, Any], fact: Event) -> bool:
    settled = state["disposition"] not in disposition.OPEN
    return fact.attempt != state["attempt"] or (
        fact.kind is EventKind.ATTEMPTED and settled
    )


def _move(state: dict[str, Any], fact: Event) -> None:
    before = Disposition(state["disposition"])
    if fact.kind in disposition.TRANSITIONS[before]:
        _change(state, fact, before)
    if fact.kind in _ENDS_CLAIM and fact.attempt:
        state["owner"] = state["lease"] = None
    if mark := _MARKS.get(fact.kind):
        state["marks"] = " ".join(sorted({*state["marks"].split(), mark}))


def _change(state: dict[str, Any], fact: Event, before: Disposition) -> None:
    after = disposition.after(before, fact.kind)
    state["disposition"] = after.value
    if after is not before or fact.kind in (EventKind.DEFERRED, EventKind.ATTEMPTED):
        state["reason"] = fact.reason
        state["settled"] = None if after in disposition.OPEN else fact.at
    if fact.kind is EventKind.ATTEMPTED:
        state["digest"] = fact.digest
    if fact.kind is EventKind.DEFERRED:
        state["due"] = fact.due
        state["deferrals"] += 1


def _values(state: dict[str, Any]) -> dict[str, Any]:
    values = {
        f"new_{name}": state[name] for name in _STATE if name not in ("id", "attempt")
    }
    return {"it": state["id"], **values}


def row_of(fact: Event, attempt: int) -> dict[str, Any]:
    """An event as a row of the table."""
    return {
        "delivery": fact.delivery,
        "kind": fact.kind.value,
        "at": fact.at,
        "attempt": attempt,
        "reason": fact.reason and fact.reason.value,
        "code": fact.code,
        "status": fact.status,
        "text": fact.text,
        "host": fact.host,
        "digest": fact.digest,
    }
