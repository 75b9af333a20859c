"""What was recorded of one address, over all runs; and who is suppressed for it.

What was refused at the door and what came back by mail meet here: whoever records an event
that counts against an address lets it be judged in the same transaction, by the same rule
(`suppression.policy`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, exists, func, select

from mailblast.campaign import Policy
from mailblast.event import Against, Disposition, Event, EventKind
from mailblast.ledger.database import Database
from mailblast.ledger.deliveries import event_of
from mailblast.ledger.suppressions import BOUNCED, HELD, WORKSPACE, enter
from mailblast.ledger.tables import deliveries, domains, events, runs, suppressions
from mailblast.reason import Reason
from mailblast.suppression import Entry
from mailblast.suppression.policy import (
    SURGE,
    Past,
    Recorded,
    complaint,
    outcomes,
    verdict,
)


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something that went wrong with a message, for a list: to whom, in which run, what, and
    whether the address is suppressed now for whatever reason."""

    mailbox: str
    run: str
    event: Event
    suppressed: bool


class History:
    """Looks back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, key: str) -> list[Recorded]:
        """All that was recorded of an address, in that order; samples are left out."""
        with self._database.reading() as connection:
            return _history(connection, key)

    def numbered(self, ids: Sequence[int]) -> list[Recorded]:
        """The events with these numbers."""
        query = _RECORDED.where(events.c.id.in_(ids)).order_by(events.c.id)
        with self._database.reading() as connection:
            return [_recorded(row) for row in connection.execute(query)]

    def judged(self, key: str) -> list[Past]:
        """What became of each message to an address, as far as it counts still."""
        with self._database.reading() as connection:
            return _judged(connection, key)

    def counting(self, keys: Sequence[str]) -> dict[str, Against]:
        """Those of these addresses whose last message came to nothing, by a fault of theirs,
        and what it counts as.  Ask for a few thousand at once."""
        with self._database.reading() as connection:
            some = connection.execute(_BLAMED, {"keys": keys}).scalars().all()
            last = {key: _judged(connection, key)[-1:] for key in some}
        return {
            key: past[0].against for key, past in last.items() if past and past[0].against
        }

    def runs_of(self, ids: Sequence[int]) -> dict[int, dict[int, str]]:
        """The runs that these deliveries belong to: of each its number, and the deliveries with
        their destinations."""
        found: dict[int, dict[int, str]] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), 10_000):
                some = {"ids": ids[start : start + 10_000]}
                for row in connection.execute(_DESTINED, some):
                    found.setdefault(row.run, {})[row.id] = row.destination
        return found

    def unknown(self, run: int) -> list[tuple[str, int, int]]:
        """The domains that called addresses of a run unknown: how many, of how many that met an
        answer."""
        with self._database.reading() as connection:
            rows = connection.execute(_UNKNOWN, {"run": run})
            return [(row.domain, row.unknown, row.answered) for row in rows]

    def complaints(self, run: int, since: float) -> dict[str, int]:
        """How many deliveries of a run were complained of since then, by destination."""
        with self._database.reading() as connection:
            rows = connection.execute(_COMPLAINTS, {"run": run, "since": since})
            return {row.destination: row.many for row in rows}

    def answering(self) -> dict[str, float]:
        """How long each destination takes to answer the dot, in seconds: the mean of the
        latest messages, where there are enough of them."""
        with self._database.reading() as connection:
            rows = connection.execute(_ANSWERING)
            return {row.destination: max(0.0, row.seconds) for row in rows}

    def mishaps(
        self, run: int | None = None, reason: str = "", *, suppressed: bool = False
    ) -> Iterator[Mishap]:
        """Who bounced, was refused, expired or complained, the newest first; streamed.

        In one run, for one reason, or only those who are suppressed now.
        """
        query = _MISHAPS
        if run is not None:
            query = query.where(deliveries.c.run == run)
        if reason:
            # A complaint is no reason why a message did not arrive.
            column = events.c.against if reason == Reason.COMPLAINT else events.c.reason
            query = query.where(column == reason)
        if suppressed:
            query = query.where(_SUPPRESSED)
        with self._database.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield Mishap(row.mailbox, row.run, event_of(row), bool(row.suppressed))


def judge(
    connection: Connection, facts: Sequence[Event], policy: Policy, at: float, source: str
) -> list[Entry]:
    """Suppress whom these events, which were just recorded, make it time for.

    Within the transaction that recorded them.  Gives the new entries.
    """
    counted = {fact.delivery: fact for fact in facts if fact.against}
    if not counted:
        return []
    found: list[Entry] = []
    for id_, key in connection.execute(_KEYS, {"ids": list(counted)}):
        if counted[id_].against is Against.COMPLAINT:
            entry: Entry | None = _complained(connection, id_, key)
        else:
            passed = verdict(_judged(connection, key), policy, at)
            entry = passed.entry(key) if passed else None
        if entry and enter(connection, [entry], at, source, WORKSPACE):
            found.append(entry)
    return found


def _complained(connection: Connection, delivery: int, key: str) -> Entry:
    query = _RECORDED.where(
        events.c.delivery == delivery, events.c.against == Against.COMPLAINT
    )
    row = connection.execute(query.order_by(events.c.id.desc()).limit(1)).one()
    return complaint(key, _recorded(row))


def _judged(connection: Connection, key: str) -> list[Past]:
    pardoned = connection.execute(_PARDONED, {"key": key}).scalar() or 0.0
    return outcomes(_history(connection, key), since=pardoned)


def _history(connection: Connection, key: str) -> list[Recorded]:
    return [_recorded(row) for row in connection.execute(_HISTORY, {"key": key})]


def _recorded(row: Any) -> Recorded:
    return Recorded(row.id, row.run, event_of(row))


# A sample is counted nowhere.
_REAL = runs.c.kind == "campaign"
_JOINED = events.join(deliveries, deliveries.c.id == events.c.delivery).join(
    runs, and_(runs.c.number == deliveries.c.run, _REAL)
)
_RECORDED = select(events, runs.c.run).select_from(_JOINED)
_HISTORY = _RECORDED.where(deliveries.c.key == bindparam("key")).order_by(events.c.id)
_BLAMED = (
    select(deliveries.c.key)
    .distinct()
    .select_from(_JOINED)
    .where(
        deliveries.c.key.in_(bindparam("keys", expanding=True)),
        events.c.against.is_not(None),
    )
)
_KEYS = (
    select(deliveries.c.id, deliveries.c.key)
    .join(runs, runs.c.number == deliveries.c.run)
    .where(
        deliveries.c.id.in_(bindparam("ids", expanding=True)),
        deliveries.c.key.is_not(None),
        _REAL,
    )
)
_PLACED = func.coalesce(domains.c.destination, deliveries.c.domain).label("destination")
_DESTINED = (
    select(deliveries.c.id, deliveries.c.run, _PLACED)
    .join(runs, runs.c.number == deliveries.c.run)
    .outerjoin(domains, domains.c.domain == deliveries.c.domain)
    .where(deliveries.c.id.in_(bindparam("ids", expanding=True)), _REAL)
)
_COMPLAINTS = (
    select(_PLACED, func.count(deliveries.c.id.distinct()).label("many"))
    .select_from(_JOINED)
    .outerjoin(domains, domains.c.domain == deliveries.c.domain)
    .where(
        deliveries.c.run == bindparam("run"),
        deliveries.c.marks.contains("complained"),
        events.c.kind == EventKind.COMPLAINED,
        events.c.at >= bindparam("since"),
    )
    .group_by(_PLACED)
)
_IS_UNKNOWN = and_(
    deliveries.c.disposition.in_((Disposition.REFUSED, Disposition.BOUNCED)),
    deliveries.c.reason == Reason.INVALID_RECIPIENT,
)
_ANSWERED = (
    *(Disposition.ACCEPTED, Disposition.DELIVERED, Disposition.REFUSED),
    *(Disposition.BOUNCED, Disposition.EXPIRED),
)
_HOW_MANY = func.sum(case((_IS_UNKNOWN, 1), else_=0)).label("unknown")
_UNKNOWN = (
    select(deliveries.c.domain, _HOW_MANY, func.count().label("answered"))
    .where(
        deliveries.c.run == bindparam("run"),
        deliveries.c.disposition.in_(_ANSWERED),
    )
    .group_by(deliveries.c.domain)
    .having(_HOW_MANY > SURGE)
)
LATEST = 20_000  # events: of so many it is known how long an answer takes
ENOUGH = 20  # answers of a destination

_answer = events.alias("answer")
_last = select(func.max(events.c.id)).scalar_subquery()
_ANSWERING = (
    select(_PLACED, func.avg(_answer.c.at - events.c.at).label("seconds"))
    .select_from(events)
    .join(
        _answer,
        and_(
            _answer.c.delivery == events.c.delivery,
            _answer.c.attempt == events.c.attempt,
            _answer.c.kind.in_((EventKind.ACCEPTED, EventKind.REFUSED, EventKind.DEFERRED)),
        ),
    )
    .join(deliveries, deliveries.c.id == events.c.delivery)
    .outerjoin(domains, domains.c.domain == deliveries.c.domain)
    .where(events.c.id > _last - LATEST, events.c.kind == EventKind.ATTEMPTED)
    .group_by(_PLACED)
    .having(func.count() >= ENOUGH)
)
# Whoever was taken off the list begins anew, but for what is only held: it may be confirmed.
_PARDONED = select(func.max(suppressions.c.removed)).where(
    suppressions.c.key == bindparam("key"),
    suppressions.c.reason.in_(BOUNCED),
    suppressions.c.consent.not_like(f"{HELD}%"),
)
_SUPPRESSED = exists().where(
    suppressions.c.key == deliveries.c.key,
    suppressions.c.scope == WORKSPACE,
    suppressions.c.removed.is_(None),
)
_MISHAPS = (
    select(events, runs.c.run, deliveries.c.mailbox, _SUPPRESSED.label("suppressed"))
    .select_from(_JOINED)
    .where(
        events.c.kind.in_(
            [
                *(EventKind.REFUSED, EventKind.BOUNCED),
                *(EventKind.EXPIRED, EventKind.COMPLAINED),
            ]
        )
    )
    .order_by(events.c.id.desc())
)
