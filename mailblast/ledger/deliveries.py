"""The deliveries: one a row of the list, and the events that move them.

Rule: a delivery changes only by an event, in the transaction that appends the event.  An
event that was made under a claim carries the claim's attempt number; when the claim has
passed to somebody else, the event is stale and changes nothing (fencing).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from mailblast import disposition
from mailblast.address import Address
from mailblast.due import Due
from mailblast.event import Against, Disposition, Event, EventKind
from mailblast.ledger.database import Database
from mailblast.ledger.recording import record
from mailblast.ledger.statement import count, fetch
from mailblast.ledger.suppressions import any_listed, listed
from mailblast.ledger.tables import CLAIMABLE, deliveries, domains, events, runs
from mailblast.reason import Reason
from mailblast.suppression import keys

# Longer than any server may take over one message (RFC 5321 §4.5.3.2.6: ten minutes for the
# reply to the final dot), so that a claim is never taken over while its message is offered.
LEASE = 3600.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What has become of one row.  Times are seconds since 1970."""

    id: int
    run: int
    row: int
    line: int
    mailbox: str
    key: str | None
    domain: str
    cells: tuple[str, ...]
    disposition: Disposition
    reason: Reason | None
    marks: tuple[str, ...]
    attempt: int
    due: float
    dated: float | None
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims, for which run, when, and how many messages of each domain."""

    run: int
    scope: str
    owner: str
    at: float
    wants: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim came to: whose turn it is, and the domains of those who turned out
    to be suppressed by now."""

    taken: list[Due]
    struck: tuple[str, ...]


class Deliveries:
    """Claims what is due, records what happened, and finds what has become of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, run: int, now: float) -> dict[str, tuple[int, float | None]]:
        """For each domain with unclaimed messages: how many are due, and when the next
        of the others will be (None: no others)."""
        with self._database.reading() as connection:
            rows = connection.execute(_WAITING, {"run": run, "now": now})
            return {name: (count, later) for name, count, later in rows}

    def any_due(self, run: int, before: float) -> bool:
        """Whether anything of a run is due before then, claimed or not."""
        query = select(deliveries.c.id).where(
            deliveries.c.run == run,
            deliveries.c.disposition.in_(tuple(disposition.DUE)),
            deliveries.c.due <= before,
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def destination_of(self, domain: str) -> str:
        """The destination that a domain was found to belong to, or itself."""
        query = select(domains.c.destination).where(domains.c.domain == domain)
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or domain

    def claim(self, claim: Claim) -> Claimed:
        """Take what is due, for LEASE seconds.  Whoever is suppressed by now is not taken.

        The transaction ends before anything is sent.  The first claim of a delivery sets its
        `dated`, from which the message's Date comes, whenever it may be sent.
        """
        with self._database.writing() as connection:
            rows = [
                row for want in claim.wants.items() for row in _due(connection, claim, want)
            ]
            return _take(connection, claim, rows)

    def claim_doubtful(self, claim: Claim) -> Claimed:
        """Take what is doubtful: the user has decided to offer it once more.

        There are no more of them than connections at each break.  They stay doubtful until
        they are offered: should it not come to that, nothing has changed.
        """
        query = _CLAIMED_COLUMNS.where(
            deliveries.c.run == claim.run, deliveries.c.disposition == Disposition.DOUBTFUL
        )
        with self._database.writing() as connection:
            return _take(connection, claim, connection.execute(query).all())

    def release(self, run: int, owner: str | None = None) -> None:
        """Give back what is claimed and was not offered; of one owner, or of all.

        Of all: when the caller holds the run's lock, every other owner on this machine is
        dead.  An `attempted` is never given back: it is doubtful.
        """
        change = update(deliveries).where(
            deliveries.c.run == run,
            deliveries.c.disposition.in_(tuple(disposition.DUE)),
            deliveries.c.owner.is_not(None),
        )
        if owner is not None:
            change = change.where(deliveries.c.owner == owner)
        with self._database.writing() as connection:
            connection.execute(change.values(owner=None, lease=None))

    def give_back(self, owner: str, ids: Sequence[int]) -> None:
        """Give back some claims of this owner's: nothing was attempted."""
        change = (
            update(deliveries)
            .where(
                deliveries.c.id.in_(bindparam("ids", expanding=True)),
                deliveries.c.owner == owner,
                deliveries.c.disposition.in_(tuple(disposition.DUE)),
            )
            .values(owner=None, lease=None)
        )
        with self._database.writing() as connection:
            for start in range(0, len(ids), 10_000):
                connection.execute(change, {"ids": ids[start : start + 10_000]})

    def place(self, placed: Mapping[str, str]) -> None:
        """Keep to which destination each domain was found to belong."""
        rows = [{"domain": domain, "destination": name} for domain, name in placed.items()]
        with self._database.writing() as connection:
            connection.execute(_UNPLACE, [{"it": domain} for domain in placed])
            connection.execute(insert(domains), rows)

    def offered_since(self, at: float) -> dict[str, int]:
        """How many messages were attempted since then, to each destination, in any run."""
        with self._database.reading() as connection:
            counts = count(connection, _OFFERED, {"at": at})
        return {destination: many for (destination,), many in counts.items()}

    def record(self, facts: Sequence[Event]) -> list[Event]:
        """Append events and move their deliveries; gives back those that came too late."""
        with self._database.writing() as connection:
            return record(connection, facts)

    def find(self, run: int, key: str) -> Delivery | None:
        """The delivery of a run to this normalised address."""
        return self._one(deliveries.c.run == run, deliveries.c.key == key)

    def numbered(self, number: int) -> Delivery | None:
        """The delivery with this number."""
        return self._one(deliveries.c.id == number)

    def at_row(self, run: int, row: int) -> Delivery | None:
        """The delivery of a run to this row of its list."""
        return self._one(deliveries.c.run == run, deliveries.c.row == row)

    def last_to(self, address: Address) -> Delivery | None:
        """The last delivery to this address, in whatever run; a sample counts."""
        samples = select(runs.c.number).where(runs.c.kind == "sample")
        theirs = or_(
            deliveries.c.key == address.key,
            # The key of a sample is nobody's.
            and_(deliveries.c.run.in_(samples), deliveries.c.mailbox == address.mailbox),
        )
        last = select(func.max(deliveries.c.id)).where(theirs).scalar_subquery()
        return self._one(deliveries.c.id == last)

    def _one(self, *conditions: Any) -> Delivery | None:
        with self._database.reading() as connection:
            row = connection.execute(select(*_COLUMNS).where(*conditions)).first()
        return _delivery(row) if row else None

    def those(self, run: int, *wanted: Disposition) -> Iterator[Delivery]:
        """The deliveries of a run in these dispositions (all, if none is named); streamed.

        In the order of the list: rows were numbered as they were entered.
        """
        query = select(*_COLUMNS).where(deliveries.c.run == run).order_by(deliveries.c.id)
        if wanted:
            query = query.where(deliveries.c.disposition.in_(wanted))
        with self._database.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield _delivery(row)

    def last_accepted(self, run: int) -> float | None:
        """When the last of the messages was accepted whose bounce window is still open."""
        query = select(func.max(deliveries.c.settled)).where(
            deliveries.c.run == run, deliveries.c.disposition == Disposition.ACCEPTED
        )
        with self._database.reading() as connection:
            found: float | None = connection.execute(query).scalar()
        return found

    def accepted_before(self, then: float, most: int) -> list[int]:
        """The numbers of deliveries that are `accepted` since before then."""
        query = select(deliveries.c.id).where(
            deliveries.c.disposition == Disposition.ACCEPTED, deliveries.c.settled <= then
        )
        with self._database.reading() as connection:
            return list(connection.execute(query.limit(most)).scalars())

    def history(self, delivery: int) -> list[Event]:
        """Everything that happened to a delivery, oldest first."""
        query = select(events).where(events.c.delivery == delivery).order_by(events.c.id)
        with self._database.reading() as connection:
            return [event_of(row) for row in connection.execute(query)]


_COLUMNS = [
    deliveries.c[name]
    for name in (
        "id", "run", "row", "line", "mailbox", "key", "domain", "cells", "disposition",
        "reason", "marks", "attempt", "due", "dated", "digest",
    )
]  # fmt: skip


_WAITING = (
    select(
        deliveries.c.domain,
        func.sum(case((deliveries.c.due <= bindparam("now"), 1), else_=0)),
        func.min(case((deliveries.c.due > bindparam("now"), deliveries.c.due))),
    )
    .where(deliveries.c.run == bindparam("run"), CLAIMABLE)
    .group_by(deliveries.c.domain)
)
_UNPLACE = delete(domains).where(domains.c.domain == bindparam("it"))
_PLACED = func.coalesce(domains.c.destination, deliveries.c.domain)
_OFFERED = (
    select(_PLACED)
    .select_from(events)
    .join(deliveries, deliveries.c.id == events.c.delivery)
    .outerjoin(domains, domains.c.domain == deliveries.c.domain)
    .where(events.c.kind == EventKind.ATTEMPTED, events.c.at >= bindparam("at"))
)
_CLAIMED_COLUMNS = select(*(deliveries.c[name] for name in (
    "id", "row", "mailbox", "key", "domain", "cells", "attempt", "deferrals", "dated",
)))  # fmt: skip
_DUE = (
    _CLAIMED_COLUMNS.where(
        deliveries.c.run == bindparam("run"),
        deliveries.c.domain == bindparam("domain"),
        deliveries.c.due <= bindparam("now"),
        CLAIMABLE,
    )
    .order_by(deliveries.c.due, deliveries.c.id)
    .limit(bindparam("most"))
)
_CLAIM = (
    update(deliveries)
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        owner=bindparam("by"),
        lease=bindparam("until"),
        attempt=deliveries.c.attempt + literal_column("1"),
        dated=func.coalesce(deliveries.c.dated, bindparam("now")),
    )
)


def _take(connection: Connection, claim: Claim, rows: Sequence[Any]) -> Claimed:
    """Claim these rows, but for those that are suppressed by now."""
    struck = _suppressed(connection, rows, claim.scope)
    record(connection, [_stop(id_, why, claim.at) for id_, why in struck.items()])
    taken = [row for row in rows if row.id not in struck]
    if taken:
        values = {"by": claim.owner, "until": claim.at + LEASE, "now": claim.at}
        for start in range(0, len(taken), 10_000):
            ids = [row.id for row in taken[start : start + 10_000]]
            connection.execute(_CLAIM, {"ids": ids, **values})
    return Claimed(
        [_as_due(row, claim.at) for row in taken],
        tuple(row.domain for row in rows if row.id in struck),
    )


def _as_due(row: Any, at: float) -> Due:
    return Due(
        delivery=row.id,
        row=row.row,
        mailbox=row.mailbox,
        domain=row.domain,
        smtputf8=not row.mailbox.isascii(),
        cells=tuple(json.loads(row.cells)),
        attempt=row.attempt + 1,
        dated=at if row.dated is None else row.dated,
        deferrals=row.deferrals,
    )


def _suppressed(connection: Connection, rows: Sequence[Any], scope: str) -> dict[int, str]:
    """Which of the claimed rows are suppressed by now, each with the reason."""
    if not any_listed(connection):
        return {}
    theirs = {row.id: keys_of(row.key) for row in rows}
    found = listed(connection, [key for some in theirs.values() for key in some], scope)
    if not found:
        return {}
    return {row: found[key] for row, some in theirs.items() for key in some if key in found}


def keys_of(key: str) -> tuple[str, ...]:
    """Every key under which this normalised address may be suppressed."""
    return keys(Address(key, key.rpartition("@")[2], key, smtputf8=not key.isascii()))


def _due(connection: Connection, claim: Claim, want: tuple[str, int]) -> Sequence[Any]:
    domain, most = want
    values = {"run": claim.run, "domain": domain, "now": claim.at, "most": most}
    return fetch(connection, _DUE, values)


def _stop(delivery: int, reason: str, at: float) -> Event:
    return Event(delivery, EventKind.SUPPRESSED, at, reason=suppression_reason(reason))


def suppression_reason(reason: str) -> Reason:
    """The reason of a suppressed delivery, from that of the entry in the list."""
    return Reason(reason) if reason in _OF_AN_ENTRY else Reason.LISTED


_OF_AN_ENTRY = (
    Reason.UNSUBSCRIBED, Reason.COMPLAINT, Reason.HARD_BOUNCE, Reason.SOFT_BOUNCE,
)  # fmt: skip


def _delivery(row: Any) -> Delivery:
    fields = row._asdict()
    fields["cells"] = tuple(json.loads(fields["cells"]))
    fields["disposition"] = Disposition(fields["disposition"])
    fields["reason"] = Reason(fields["reason"]) if fields["reason"] else None
    fields["marks"] = tuple(fields["marks"].split())
    return Delivery(**fields)


def event_of(row: Any) -> Event:
    """An event from a row that has the columns of the table, and perhaps others."""
    fields = {name: getattr(row, name) for name in _EVENT}
    fields["kind"] = EventKind(fields["kind"])
    fields["reason"] = Reason(fields["reason"]) if fields["reason"] else None
    fields["against"] = Against(fields["against"]) if fields["against"] else None
    return Event(**fields)


_EVENT = tuple(one.name for one in events.columns if one.name != "id")
