"""How a list enters the ledger: every row becomes a delivery, good or not.

A row that cannot be mailed is `invalid`, one that must not be is `suppressed`; both keep
their cells and the reason, so that they can be written back as they came.  Nothing of the
list is held in memory but one batch: duplicates are found by the ledger's own index.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger.database import Database
from mailblast.ledger.deliveries import keys_of, suppression_reason
from mailblast.ledger.recording import execute_all, row_of
from mailblast.ledger.runs import Run
from mailblast.ledger.suppressions import any_listed, listed
from mailblast.ledger.tables import deliveries, events
from mailblast.reason import Reason
from mailblast.recipients import Row

BATCH = 2000  # rows a transaction: some 60 ms, which a concurrent `unsubscribe add` waits

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_STANDING = select(deliveries.c.key, deliveries.c.line).where(
    deliveries.c.run == bindparam("run"),
    deliveries.c.key.in_(bindparam("keys", expanding=True)),
)

_ENTER = insert(deliveries)


class Enrolment:
    """Enters the rows of one list into one run."""

    def __init__(self, database: Database, run: Run, at: float) -> None:
        self._database = database
        self._run = run
        self._at = at

    def enter(self, batch: Sequence[Row]) -> None:
        """Enter some rows, durably."""
        with self._database.writing() as connection:
            first = 1 + (
                connection.execute(select(func.max(deliveries.c.id))).scalar() or 0
            )
            rows = [self._delivery(first + n, row) for n, row in enumerate(batch)]
            facts = [
                _invalid(row["id"], bad, self._at)
                for row, bad in zip(rows, batch, strict=True)
                if bad.reason
            ]
            facts += self._set_aside_duplicates(connection, rows)
            facts += self._set_aside_suppressed(connection, rows)
            execute_all(connection, _ENTER, rows)
            if facts:
                connection.execute(insert(events), [row_of(fact, 0) for fact in facts])

    def _delivery(self, number: int, row: Row) -> dict[str, Any]:
        address = row.address
        return {
            "id": number,
            "run": self._run.number,
            "row": row.number,
            "line": row.line,
            "mailbox": address.mailbox if address else "",
            "key": address.key if address else None,
            "domain": address.domain if address else "",
            "cells": _as_json(row.cells),
            "disposition": "invalid" if row.reason else "queued",
            "reason": row.reason,
            "marks": "",
            "attempt": 0,
            "deferrals": 0,
            "due": 0.0,
        }

    def _set_aside_duplicates(
        self, connection: Connection, rows: Iterable[dict[str, Any]]
    ) -> list[Event]:
        good = [row for row in rows if row["key"] is not None]
        values = {"run": self._run.number, "keys": [row["key"] for row in good]}
        first = {row.key: row.line for row in connection.execute(_STANDING, values)}
        facts = []
        for row in good:
            line = first.setdefault(row["key"], row["line"])
            if line != row["line"]:
                row.update(key=None, disposition="invalid", reason=Reason.DUPLICATE)
                text = f"the same address as line {line}"
                facts.append(
                    Event(
                        row["id"],
                        EventKind.INVALID,
                        self._at,
                        reason=Reason.DUPLICATE,
                        text=text,
                    )
                )
        return facts

    def _set_aside_suppressed(
        self, connection: Connection, rows: Iterable[dict[str, Any]]
    ) -> list[Event]:
        if not any_listed(connection):
            return []
        theirs = {row["id"]: keys_of(row["key"]) for row in rows if row["key"] is not None}
        every = [key for some in theirs.values() for key in some]
        found = listed(connection, every, self._run.campaign)
        facts = []
        for row in rows:
            key = next((key for key in theirs.get(row["id"], ()) if key in found), None)
            if key is not None:
                reason = suppression_reason(found[key])
                row.update(disposition=Disposition.SUPPRESSED.value, reason=reason)
                facts.append(
                    Event(row["id"], EventKind.SUPPRESSED, self._at, reason=reason)
                )
        return facts


def _invalid(delivery: int, row: Row, at: float) -> Event:
    return Event(delivery, EventKind.INVALID, at, reason=row.reason, text=row.why)
