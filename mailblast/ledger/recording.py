"""How an event enters the ledger: appended, and its delivery moved, in one transaction.

There are two ways to the same end.  Nearly all events of a run are an `attempted` of what is
due, and the `accepted` that follows; for those the move is one statement with its conditions
in it (`_swift`).  Where a condition fails, and for every other event, the delivery is read
first and moved by the table of transitions (`_careful`).
"""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Row,
    Select,
    Update,
    bindparam,
    insert,
    literal_column,
    null,
    select,
    update,
)

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
        execute_all(connection, _APPEND, fresh)
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


def _moved(before: Collection[Disposition], **values: Any) -> Update:
    def said(word: Disposition) -> ColumnElement[str]:
        return literal_column(
            f"'{word}'"
        )  # as text: every bound value is one of the event's

    return (
        update(deliveries)
        .where(
            deliveries.c.id == bindparam("delivery"),
            deliveries.c.attempt == bindparam("attempt"),
            deliveries.c.disposition.in_([said(one) for one in sorted(before)]),
        )
        .values(disposition=said(values.pop("disposition")), reason=null(), **values)
    )


_SWIFT = {
    EventKind.ATTEMPTED: _moved(
        disposition.OPEN,
        disposition=Disposition.DOUBTFUL,
        settled=null(),
        digest=bindparam("digest"),
    ),
    EventKind.ACCEPTED: _moved(
        {Disposition.DOUBTFUL},
        disposition=Disposition.ACCEPTED,
        settled=bindparam("at"),
        owner=null(),
        lease=null(),
    ),
}


def _swift(connection: Connection, facts: Sequence[Event]) -> bool:
    """Move the deliveries and append the events; False when a condition did not hold.

    Then some may have been moved already, and no event was appended: `_careful`, in the same
    transaction, comes to the same end from there.
    """
    rows = [row_of(fact, fact.attempt) for fact in facts]
    for kind in _SWIFT:
        some = [row for row in rows if row["kind"] == kind]
        if some and execute_all(connection, _SWIFT[kind], some) != len(some):
            return False
    execute_all(connection, _APPEND, rows)
    return True


_APPEND = insert(events)


def execute_all(
    connection: Connection, statement: Insert | Update, rows: Sequence[dict[str, Any]]
) -> int:
    """Run a statement for rows that all have the same fields; how many it touched.

    The library writes the statement once; that it also prepares the values of each row, one
    by one, would take longer than the database does.
    """
    sql, in_order, _ = _written(statement, connection.dialect, tuple(rows[0]))
    return connection.exec_driver_sql(sql, list(map(in_order, rows))).rowcount


def fetch(
    connection: Connection, statement: Select[Any], values: dict[str, Any]
) -> Sequence[Row[Any]]:
    """All rows of a query, of which there are many in a second."""
    sql, in_order, own = _written(statement, connection.dialect, tuple(values))
    return connection.exec_driver_sql(sql, in_order({**own, **values})).all()


@lru_cache(maxsize=32)
def _written(
    statement: Insert | Update | Select[Any], dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Callable[[dict[str, Any]], tuple[Any, ...]], dict[str, Any]]:
    """The statement as text, how its values are ordered, and those it brings itself."""
    columns = list(names) if isinstance(statement, Insert) else None
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    own = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), itemgetter(*(compiled.positiontup or ())), own


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
    }
