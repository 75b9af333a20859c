"""Who must not be mailed: the workspace's list and each campaign's own.

An entry is never deleted.  Taking somebody off the list needs their consent, which is kept
beside the entry as evidence (15 U.S.C. 7704(a)(4)(B)).  Only what we entered ourselves,
because mail bounced, is lifted without (`pardon`).
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    insert,
    literal,
    select,
    update,
)

from mailblast.address import Address
from mailblast.event import Against
from mailblast.ledger.database import Database
from mailblast.ledger.tables import deliveries, events, suppressions
from mailblast.reason import Reason
from mailblast.suppression import Entry, keys

WORKSPACE = ""  # the scope of an entry that binds every campaign

_BATCH = 2000  # entries a transaction: short enough that a running `send` does not wait


@dataclass(frozen=True, slots=True)
class Suppression:
    """An entry as it stands in the ledger.  Times are seconds since 1970."""

    id: int
    scope: str
    key: str
    reason: str
    note: str
    source: str
    added: float
    removed: float | None
    consent: str | None
    events: tuple[int, ...] = ()

    @property
    def bounced(self) -> bool:
        """Whether it stands because mail bounced, and not because somebody asked."""
        return self.reason in BOUNCED


class Suppressions:
    """Adds, finds, lists and, with consent, lifts entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, entries: Iterable[Entry], at: float, source: str, scope: str = WORKSPACE
    ) -> int:
        """Enter what is not on the list yet; says how many were new."""
        added = 0
        batch: dict[str, Entry] = {}
        for entry in entries:
            batch.setdefault(entry.key, entry)
            if len(batch) == _BATCH:
                added += self._add(batch, at, source, scope)
                batch = {}
        return added + self._add(batch, at, source, scope)

    def _add(self, batch: dict[str, Entry], at: float, source: str, scope: str) -> int:
        with self._database.writing() as connection:
            return enter(connection, batch.values(), at, source, scope)

    def check(self, keys: Sequence[str], scope: str | None = None) -> list[Suppression]:
        """Every entry, lifted ones too, under one of these keys; of all scopes if None."""
        query = select(suppressions).where(suppressions.c.key.in_(keys))
        if scope is not None:
            query = query.where(suppressions.c.scope.in_((WORKSPACE, scope)))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(suppressions.c.id))
            return [_suppression(row) for row in rows]

    def standing(
        self, addresses: Iterable[Address], scope: str = WORKSPACE
    ) -> dict[str, str]:
        """Which of these must not be mailed now: the key of each, and its entry's reason."""
        with self._database.reading() as connection:
            if not any_listed(connection):
                return {}
            theirs = {address.key: keys(address) for address in addresses}
            every = [key for some in theirs.values() for key in some]
            found = listed(connection, every, scope)
        return {
            address: next(found[key] for key in some if key in found)
            for address, some in theirs.items()
            if not found.keys().isdisjoint(some)
        }

    def all(self) -> Iterator[Suppression]:
        """The workspace's list, in the order of entry; streamed."""
        query = (
            select(suppressions)
            .where(suppressions.c.scope == WORKSPACE, suppressions.c.removed.is_(None))
            .order_by(suppressions.c.id)
        )
        with self._database.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield _suppression(row)

    def keys(self, scope: str) -> Iterator[str]:
        """The key of every entry that binds a campaign now; streamed."""
        query = select(suppressions.c.key).where(
            suppressions.c.scope.in_((WORKSPACE, scope)), suppressions.c.removed.is_(None)
        )
        with self._database.reading() as connection:
            streamed = connection.execution_options(yield_per=10_000).execute(query)
            yield from streamed.scalars()

    def remove(self, key: str, at: float, consent: str) -> int:
        """Lift the entries of this key, in every scope, because of this consent."""
        change = (
            update(suppressions)
            .where(suppressions.c.key == key, suppressions.c.removed.is_(None))
            .values(removed=at, consent=consent)
        )
        with self._database.writing() as connection:
            return connection.execute(change).rowcount

    def bounced(self, domain: str, since: float) -> list[Suppression]:
        """The entries of addresses in this domain that stand since then or later because
        mail bounced."""
        query = select(suppressions).where(
            _BOUNCED,
            suppressions.c.added >= since,
            suppressions.c.key.endswith(f"@{domain}", autoescape=True),
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(suppressions.c.id))
            return [_suppression(row) for row in rows]

    def pardon(self, ids: Sequence[int], at: float, why: str) -> int:
        """Lift those of these entries that stand because mail bounced; says how many.

        What counted against the address until then counts no more (`history`).
        """
        change = (
            update(suppressions)
            .where(suppressions.c.id.in_(bindparam("ids", expanding=True)), _BOUNCED)
            .values(removed=at, consent=why)
        )
        lifted = 0
        with self._database.writing() as connection:
            for start in range(0, len(ids), 10_000):
                some = {"ids": ids[start : start + 10_000]}
                lifted += connection.execute(change, some).rowcount
        return lifted

    def hold(self, run: int, domain: str, at: float, why: str) -> int:
        """Lift the entries of this domain's recipients in a run that a single event caused; says
        how many.

        Unlike after `pardon`, the event counts still: another one confirms it.
        """
        theirs = select(deliveries.c.key).where(
            deliveries.c.run == run, deliveries.c.domain == domain
        )
        change = (
            update(suppressions)
            .where(
                suppressions.c.key.in_(theirs),
                _BOUNCED,
                suppressions.c.events.in_(_alone(theirs)),
            )
            .values(removed=at, consent=f"{HELD}{why}")
        )
        with self._database.writing() as connection:
            return connection.execute(change).rowcount


HELD = "held: "  # how the `consent` of an entry begins that was lifted by `hold`


def _alone(keys: Select[tuple[str]]) -> Select[Any]:
    """The events that call these addresses unknown, each as the list that it alone makes."""
    return (
        select(literal("[").concat(cast(events.c.id, Text)).concat("]"))
        .join(deliveries, deliveries.c.id == events.c.delivery)
        .where(deliveries.c.key.in_(keys), events.c.against == Against.NONEXISTENT)
    )


BOUNCED = (Reason.HARD_BOUNCE, Reason.SOFT_BOUNCE)
_BOUNCED = and_(suppressions.c.reason.in_(BOUNCED), suppressions.c.removed.is_(None))


def _suppression(row: Any) -> Suppression:
    fields = row._asdict()
    fields["events"] = tuple(json.loads(fields["events"]))
    return Suppression(**fields)


def _weight(reason: str) -> int:
    """Which entries stand beside others: a wish is entered though mail bounced before, for
    that may be undone; and a complaint whatever else is known."""
    if reason == Reason.COMPLAINT:
        return 2
    return 0 if reason in BOUNCED else 1


def enter(
    connection: Connection, entries: Iterable[Entry], at: float, source: str, scope: str
) -> int:
    """Add entries within a transaction; those that stand already stay as they are.

    Of two entries of one key that which weighs more is added.
    """
    wanted: dict[str, Entry] = {}
    for entry in entries:
        other = wanted.setdefault(entry.key, entry)
        if _weight(entry.reason) > _weight(other.reason):
            wanted[entry.key] = entry
    if not wanted:
        return 0
    standing = listed(connection, list(wanted), scope, only_scope=True)
    rows = [
        {
            "scope": scope,
            "key": key,
            "reason": entry.reason,
            "note": entry.note,
            "source": source,
            "added": at,
            "events": json.dumps(entry.events),
        }
        for key, entry in wanted.items()
        if key not in standing or _weight(entry.reason) > _weight(standing[key])
    ]
    if rows:
        connection.execute(insert(suppressions), rows)
    return len(rows)


_LISTED = select(suppressions.c.key, suppressions.c.reason).where(
    suppressions.c.key.in_(bindparam("keys", expanding=True)),
    suppressions.c.scope.in_(bindparam("scopes", expanding=True)),
    suppressions.c.removed.is_(None),
)


_ANY = select(suppressions.c.id).limit(1)


def any_listed(connection: Connection) -> bool:
    """Whether anyone at all is, or was, on a list."""
    return connection.execute(_ANY).first() is not None


def listed(
    connection: Connection, keys: Sequence[str], scope: str, *, only_scope: bool = False
) -> dict[str, str]:
    """Which of the keys are on the list now, each with its weightiest reason."""
    scopes = [scope] if only_scope else [WORKSPACE, scope]
    found: dict[str, str] = {}
    for start in range(0, len(keys), 10_000):  # SQLite takes 32,766 values a statement
        values: dict[str, Any] = {"keys": keys[start : start + 10_000], "scopes": scopes}
        for row in connection.execute(_LISTED, values):
            other = found.setdefault(row.key, row.reason)
            if _weight(row.reason) > _weight(other):
                found[row.key] = row.reason
    return found


class Watch:
    """The entries that were added since it began: the last looks before a message leaves.

    Every transaction that lets final dots go looks first, within itself (`look`): an opt-out
    that was committed before the dot is honoured.  What it saw also serves the look before
    MAIL FROM (`listed`), which asks for itself only when that is 10 ms old.
    """

    def __init__(self, database: Database, scope: str) -> None:
        self._database = database
        self._scope = scope
        self._added: dict[str, str] = {}
        with database.reading() as connection:
            self._seen = _newest(connection)
        self._looked = 0.0  # monotonic

    def listed(self, keys: Callable[[], Sequence[str]]) -> str | None:
        """The reason of an entry under one of these keys, if one was added meanwhile."""
        if time.monotonic() > self._looked + FRESH:
            with self._database.reading() as connection:
                self.look(connection)
        return self.among(keys) if self._added else None

    def look(self, connection: Connection) -> bool:
        """See what is new, within a transaction; says whether anything ever was."""
        newest = _newest(connection)
        if newest != self._seen:
            values = {"seen": self._seen, "scopes": [WORKSPACE, self._scope]}
            rows = connection.execute(_NEW, values)
            self._added.update((row.key, row.reason) for row in rows)
            self._seen = newest
        self._looked = time.monotonic()
        return bool(self._added)

    def among(self, keys: Callable[[], Sequence[str]]) -> str | None:
        """The reason of an entry under one of these keys, among those seen so far."""
        return next((self._added[key] for key in keys() if key in self._added), None)


FRESH = 0.01  # seconds: longer than from one commit to the next when all are busy

_NEW = select(suppressions.c.key, suppressions.c.reason).where(
    suppressions.c.id > bindparam("seen"),
    suppressions.c.scope.in_(bindparam("scopes", expanding=True)),
    suppressions.c.removed.is_(None),
)


def _newest(connection: Connection) -> int:
    row = connection.exec_driver_sql("SELECT max(id) FROM suppressions").first()
    return int(row[0] or 0) if row else 0
