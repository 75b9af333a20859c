"""Mail that came back, entered once: its events, and the suppressions they cause.

The digest of the mail is its key, and that of an event the delivery and what is said of it:
two imports of one mailbox, one after the other or at the same moment, change the ledger once,
and what one mail has said another cannot say again.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from mailblast.campaign import Policy
from mailblast.event import Event, EventKind
from mailblast.judging import Judged
from mailblast.ledger.database import Database
from mailblast.ledger.history import judge
from mailblast.ledger.recording import record
from mailblast.ledger.statement import count, insert_all
from mailblast.ledger.suppressions import WORKSPACE, enter
from mailblast.ledger.tables import deliveries, events, returned, runs
from mailblast.tie import Sent, Tie

# Judged anew when it is imported again, for its form may be known by then.  What is then tied
# by address alone stays what it was: nothing came of it either way.
OPEN = "unmatched"
_STILL = (OPEN, "weak")


@dataclass(frozen=True, slots=True)
class Returned:
    """One mail that came back, as the ledger keeps it.

    `digest` is its SHA-256, `source` where it lay, `kind` what it is (`bounce.Kind`), `result`
    in a word what came of it, `tied` by what it belongs to the `delivery`, and `text` what it
    says in short.
    """

    digest: bytes
    at: float
    source: str
    kind: str
    result: str
    tied: str = ""
    delivery: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A mail (its SHA-256, and where it lay), what it is, to what it is tied, and what it
    changes."""

    digest: bytes
    source: str
    kind: str
    tie: Tie
    judged: Judged


class Taken(NamedTuple):
    """What came of a mail; and whether it did now, or when it was entered before."""

    result: str
    new: bool


@dataclass(frozen=True, slots=True)
class Entered:
    """What came of each mail of a batch, in order, and how many addresses were suppressed."""

    taken: list[Taken]
    suppressed: int


class Imports:
    """Enters mail that came back, and finds what it belongs to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, digests: Collection[bytes]) -> dict[bytes, str]:
        """Which of these mails were entered before, and need not be read again: what came of
        them then."""
        with self._database.reading() as connection:
            standing = _standing(connection, digests)
        return {digest: result for digest, result in standing.items() if result != OPEN}

    def sent(self, numbers: Collection[int]) -> dict[int, Sent]:
        """The deliveries with these numbers."""
        with self._database.reading() as connection:
            rows = connection.execute(_BY_NUMBER, {"some": list(numbers)})
            return {one.delivery: one for one in map(_sent, rows)}

    def sent_to(self, keys: Collection[str], since: float) -> dict[str, Sent]:
        """The latest delivery to each of these addresses that was offered since then."""
        values = {"some": list(keys), "since": since}
        with self._database.reading() as connection:
            found = map(_sent, connection.execute(_BY_KEY, values))
            return {one.key: one for one in found if one.key}

    def enter(
        self,
        changes: Sequence[Change],
        at: float,
        policy: Policy,
        keep: Callable[[Sequence[Taken]], None],
    ) -> Entered:
        """Record what these mails say: all of it, or nothing.

        `policy` says who is suppressed for it.
        `keep` is told what came of them before that is durable: what it writes beside the
        ledger is there when the ledger says so.
        """
        with self._database.writing() as connection:
            batch = _Batch(connection, changes, at)
            taken = [batch.take(change) for change in changes]
            suppressed = batch.write(policy)
            keep(taken)
        return Entered(taken, suppressed)

    def about(self, delivery: int) -> list[Returned]:
        """The mails that were tied to a delivery, in the order in which they were entered."""
        query = select(returned).where(returned.c.delivery == delivery)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(returned.c.at))
            return [Returned(**row._asdict()) for row in rows]

    def results(self, run: int) -> dict[str, int]:
        """How many mails were tied to deliveries of a run, by what came of them."""
        query = (
            select(returned.c.result)
            .join(deliveries, deliveries.c.id == returned.c.delivery)
            .where(deliveries.c.run == run)
        )
        with self._database.reading() as connection:
            counts = count(connection, query, {})
        order = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        return {result: many for (result,), many in order}


class _Batch:
    """What is to be written for a batch of mails, within its transaction."""

    def __init__(
        self, connection: Connection, changes: Sequence[Change], at: float
    ) -> None:
        self._connection, self._at = connection, at
        self._standing = _standing(connection, [one.digest for one in changes])
        self._said = _said(
            connection, {fact.delivery for one in changes for fact in one.judged.facts}
        )
        self._rows: dict[bytes, dict[str, Any]] = {}
        self._anew: dict[bytes, dict[str, Any]] = {}
        self._new: list[tuple[Change, list[Event]]] = []

    def take(self, change: Change) -> Taken:
        """What comes of a mail, now that it is known what was said before."""
        before = self._standing.get(change.digest)
        if before is not None and (before != OPEN or change.judged.result in _STILL):
            return Taken(before, new=False)
        judged = change.judged
        facts = [one for one in judged.facts if (one.delivery, one.kind) not in self._said]
        self._said.update((one.delivery, one.kind) for one in facts)
        self._new.append((change, facts))
        repeated = judged.facts and not facts
        result = judged.again if repeated else judged.result
        rows = self._rows if before is None or change.digest in self._rows else self._anew
        rows[change.digest] = self._row(change, result)
        self._standing[change.digest] = result
        return Taken(result, new=True)

    def _row(self, change: Change, result: str) -> dict[str, Any]:
        tie = change.tie
        return {
            "digest": change.digest,
            "at": self._at,
            "source": change.source,
            "result": result,
            "kind": change.kind,
            "tied": str(tie.by or ""),
            "delivery": tie.sent.delivery if tie.sent else None,
            "text": change.judged.text,
        }

    def write(self, policy: Policy) -> int:
        """Write it all; says how many addresses were suppressed."""
        if self._rows:
            insert_all(self._connection, insert(returned), list(self._rows.values()))
        for row in self._anew.values():
            values = {name: value for name, value in row.items() if name != "digest"}
            self._connection.execute(_ANEW.values(values), {"it": row["digest"]})
        record(self._connection, [fact for _, facts in self._new for fact in facts])
        return sum(self._suppress(change, facts, policy) for change, facts in self._new)

    def _suppress(self, change: Change, facts: Sequence[Event], policy: Policy) -> int:
        """Whom a mail suppresses by the events that it has added, and by its own wish."""
        at, source = self._at, change.source
        found = len(judge(self._connection, facts, policy, at, source))
        if wishes := change.judged.wishes:
            found += enter(self._connection, wishes, at, source, WORKSPACE)
        return found


_ANEW = update(returned).where(returned.c.digest == bindparam("it"))
_SENT = select(
    deliveries.c.id.label("delivery"),
    runs.c.run,
    deliveries.c.mailbox,
    deliveries.c.key,
    deliveries.c.dated,
    deliveries.c.digest.is_not(None).label("offered"),
    (runs.c.kind == "sample").label("sample"),
).join(runs, runs.c.number == deliveries.c.run)
_BY_NUMBER = _SENT.where(
    deliveries.c.id.in_(bindparam("some", expanding=True)), deliveries.c.dated.is_not(None)
)
_BY_KEY = _SENT.where(
    deliveries.c.key.in_(bindparam("some", expanding=True)),
    deliveries.c.dated >= bindparam("since"),
    deliveries.c.digest.is_not(None),
).order_by(deliveries.c.dated, deliveries.c.id)
_STANDING = select(returned.c.digest, returned.c.result).where(
    returned.c.digest.in_(bindparam("some", expanding=True))
)
# Only what mail has said: the ledger itself calls `delivered` what came back in silence.
_SAID = select(events.c.delivery, events.c.kind).where(
    events.c.delivery.in_(bindparam("some", expanding=True)),
    events.c.digest.is_not(None),
    events.c.kind != EventKind.ATTEMPTED,
)


def _standing(connection: Connection, digests: Collection[bytes]) -> dict[bytes, str]:
    rows = connection.execute(_STANDING, {"some": list(digests)})
    return {row.digest: row.result for row in rows}


def _said(connection: Connection, about: Collection[int]) -> set[tuple[int, EventKind]]:
    if not about:
        return set()
    rows = connection.execute(_SAID, {"some": list(about)})
    return {(delivery, EventKind(kind)) for delivery, kind in rows}


def _sent(row: Any) -> Sent:
    values = row._asdict()
    return Sent(**values | {name: bool(values[name]) for name in ("offered", "sample")})
