"""How an event enters the ledger: appended, and its delivery moved, in one transaction.

There are two ways to the same end.  Nearly all events of a run are an `attempted` of what is
due, and the `accepted` that follows; for those the move is one statement with its conditions
in it (`_swift`).  Where a condition fails, and for every other event, the delivery is read
first and moved by the table of transitions (`_careful`).
"""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    Subquery,
    Update,
    bindparam,
    column,
    insert,
    literal_column,
    null,
    select,
    update,
    values,
)

from mailblast import disposition
from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger.statement import execute_all, insert_all
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
    if all(fact.attempt and fact.kind in _SWIFT for fact in facts) and _swift(
        connection, facts
    ):
        return []
    return _careful(connection, facts)


def _careful(connection: Connection, facts: Sequence[Event]) -> list[Event]:
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
        insert_all(connection, _APPEND, fresh)
        execute_all(connection, _WRITE, [_values(states[id_]) for id_ in ids])
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


# --- The swift way --------------------------------------------------------------------------


def _moved(
    before: Collection[Disposition], disposition: Disposition, **values: Any
) -> Callable[[int], Update]:
    """How a number of deliveries is moved by one statement: which of them were not among
    `before`, or were claimed anew, it leaves.

    A text value says from which column of the moves it comes.
    """

    def said(word: Disposition) -> ColumnElement[str]:
        # As text: every bound value is one of a move's.
        return literal_column(f"'{word}'")

    def statement(count: int) -> Update:
        moves = _moves(count)
        taken = {
            name: moves.c[value] if isinstance(value, str) else value
            for name, value in values.items()
        }
        return (
            update(deliveries)
            .where(
                deliveries.c.id == moves.c.delivery,
                deliveries.c.attempt == moves.c.attempt,
                deliveries.c.disposition.in_([said(one) for one in sorted(before)]),
            )
            .values(disposition=said(disposition), reason=null(), **taken)
        )

    return statement


_MOVE = (
    column("delivery", Integer),
    column("attempt", Integer),
    column("at", Float),
    column("digest", LargeBinary),
)


def _moves(count: int) -> Subquery:
    rows: list[tuple[Any, ...]] = [(0, 0, 0.0, b"")] * count
    # SQLite names the columns of VALUES only in a WITH; and that stands within, because of a
    # statement that begins with it the driver does not say how many rows it touched.
    given = values(*_MOVE, name="given").data(rows).cte("given", nesting=True)
    return select(given).subquery("moves")


_SWIFT = {
    EventKind.ATTEMPTED: _moved(
        disposition.OPEN, Disposition.DOUBTFUL, settled=null(), digest="digest"
    ),
    EventKind.ACCEPTED: _moved(
        {Disposition.DOUBTFUL},
        Disposition.ACCEPTED,
        settled="at",
        owner=null(),
        lease=null(),
    ),
}


def _swift(connection: Connection, facts: Sequence[Event]) -> bool:
    """Move the deliveries and append the events; False when a condition did not hold.

    Then some may have been moved already, and no event was appended: `_careful`, in the same
    transaction, comes to the same end from there.
    """
    for kind in _SWIFT:
        some = [fact for fact in facts if fact.kind is kind]
        if some and _move_all(connection, kind, some) != len(some):
            return False
    insert_all(connection, _APPEND, [row_of(fact, fact.attempt) for fact in facts])
    return True


def _move_all(connection: Connection, kind: EventKind, facts: Sequence[Event]) -> int:
    """One statement for all: each step of a statement lets go of the interpreter, and has to
    wait until the sessions let go of it again."""
    bound: list[Any] = []
    for fact in facts:
        bound += (fact.delivery, fact.attempt, fact.at, fact.digest)
    sql = _move_sql(kind, len(facts), connection.dialect)
    return connection.exec_driver_sql(sql, tuple(bound)).rowcount


@lru_cache(maxsize=256)
def _move_sql(kind: EventKind, count: int, dialect: Dialect) -> str:
    return str(_SWIFT[kind](count).compile(dialect=dialect))


_APPEND = insert(events)


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
        "tls": fact.tls,
        "digest": fact.digest,
        "against": fact.against and fact.against.value,
    }
