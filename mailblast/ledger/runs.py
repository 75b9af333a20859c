"""The runs of a ledger: which campaign went out when, with which content, to which list."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    null,
    select,
    update,
)

from mailblast.event import Against, Disposition
from mailblast.ledger.database import Database
from mailblast.ledger.tables import deliveries, domains, events, runs
from mailblast.reason import Reason


@dataclass(frozen=True, slots=True)
class Run:
    """One sending of one campaign.  Times are seconds since 1970."""

    number: int
    run: str
    campaign: str
    kind: str
    state: str
    created: float
    started: float | None
    ended: float | None
    digest: str
    manifest: Mapping[str, str]
    header: tuple[str, ...]


PIECE = 20_000  # deliveries that are counted at a time
_PIECE = deliveries.c.id.between(bindparam("first"), bindparam("last"))


class Runs:
    """Begins, finds and ends runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, run: Run) -> Run:
        """Enter a run in the state `enrolling`; gives it back with its number."""
        values = {
            "run": run.run,
            "campaign": run.campaign,
            "kind": run.kind,
            "state": "enrolling",
            "created": run.created,
            "digest": run.digest,
            "manifest": json.dumps(dict(run.manifest)),
            "header": json.dumps(run.header),
        }
        with self._database.writing() as connection:
            connection.execute(insert(runs).values(values))
        found = self.find(run.run)
        assert found is not None  # noqa: S101 - just written
        return found

    def find(self, name: str) -> Run | None:
        """The run of this name, or the only one that begins with it."""
        with self._database.reading() as connection:
            exact = connection.execute(select(runs).where(runs.c.run == name)).all()
            query = select(runs).where(runs.c.run.startswith(name, autoescape=True))
            rows = exact or connection.execute(query.limit(2)).all()
        return _run(rows[0]) if len(rows) == 1 else None

    def numbered(self, number: int) -> Run:
        """The run with this number."""
        with self._database.reading() as connection:
            query = select(runs).where(runs.c.number == number)
            return _run(connection.execute(query).one())

    def exists(self, name: str) -> bool:
        """Whether there is a run of exactly this name."""
        with self._database.reading() as connection:
            query = select(runs.c.number).where(runs.c.run == name)
            return connection.execute(query).first() is not None

    def latest(self, campaign: str) -> Run | None:
        """The run of this campaign that began last; samples are not looked at."""
        query = select(runs).where(runs.c.campaign == campaign, runs.c.kind == "campaign")
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(runs.c.number.desc()).limit(1)).first()
        return _run(row) if row else None

    def all(self) -> list[Run]:
        """Every run that went out or may still, oldest first; samples are left out."""
        query = select(runs).where(runs.c.kind == "campaign", runs.c.started.is_not(None))
        with self._database.reading() as connection:
            return [_run(row) for row in connection.execute(query.order_by(runs.c.number))]

    def enter(self, number: int, state: str, **times: float | None) -> None:
        """Note a new state of a run, with the time it `started` or `ended`."""
        with self._database.writing() as connection:
            connection.execute(
                update(runs).where(runs.c.number == number).values(state=state, **times)
            )

    def discard(self, number: int) -> None:
        """Forget a run from which nothing was ever offered."""
        mine = select(deliveries.c.id).where(deliveries.c.run == number)
        with self._database.writing() as connection:
            connection.execute(delete(events).where(events.c.delivery.in_(mine)))
            connection.execute(delete(deliveries).where(deliveries.c.run == number))
            connection.execute(delete(runs).where(runs.c.number == number))

    def dispositions(self, number: int) -> dict[Disposition, int]:
        """How many deliveries are in each disposition: together, the rows of the file."""
        return {
            Disposition(name): many
            for (name,), many in self._counted(number, deliveries.c.disposition)
        }

    def any_in(self, number: int, these: Collection[Disposition]) -> bool:
        """Whether a delivery of the run is in one of these dispositions."""
        query = select(deliveries.c.id).where(
            deliveries.c.run == number, deliveries.c.disposition.in_(these)
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def reasons(self, number: int) -> dict[Reason, int]:
        """How many deliveries have each reason for not having been accepted (yet)."""
        return {
            Reason(name): many
            for (name,), many in self._counted(number, deliveries.c.reason)
            if name
        }

    def marks(self, number: int) -> dict[str, int]:
        """How many deliveries have each mark, `complained` and the like."""
        found: Counter[str] = Counter()
        for (marks,), many in self._counted(
            number, deliveries.c.marks, where=(deliveries.c.marks != "",)
        ):
            found.update(dict.fromkeys(marks.split(), many))
        return dict(sorted(found.items()))

    def destinations(self, number: int) -> dict[str, dict[Disposition, int]]:
        """The dispositions of each destination; rows without a domain are left out."""
        with self._database.reading() as connection:
            placed = _placed(connection)
        found: dict[str, Counter[Disposition]] = {}
        columns = (deliveries.c.domain, deliveries.c.disposition)
        for (domain, name), many in self._counted(number, *columns):
            if domain:
                one = found.setdefault(placed.get(domain, domain), Counter())
                one[Disposition(name)] += many
        return {name: dict(one) for name, one in found.items()}

    def placements(self) -> dict[str, str]:
        """The destinations of all domains that were found to belong to another."""
        with self._database.reading() as connection:
            return _placed(connection)

    def verdicts(
        self, number: int, since: float
    ) -> Iterator[tuple[str, Disposition, Reason | None, int]]:
        """What became of the deliveries settled since then: destination, disposition, reason,
        and how many.  What a recipient's own rules refuse has no reason here: it is no fault
        of ours."""
        with self._database.reading() as connection:
            placed = _placed(connection)
        barred = exists().where(
            events.c.delivery == deliveries.c.id,
            events.c.against.in_((Against.RESTRICTED, Against.POLICY)),
        )
        ours = case(
            (and_(deliveries.c.reason == Reason.POLICY_AUTH, barred), null()),
            else_=deliveries.c.reason,
        )
        columns = (deliveries.c.domain, deliveries.c.disposition, ours)
        settled = deliveries.c.settled >= since
        for (domain, became, reason), many in self._counted(
            number, *columns, where=(settled,)
        ):
            why = Reason(reason) if reason else None
            yield placed.get(domain, domain), Disposition(became), why, many

    def _counted(
        self,
        number: int,
        *columns: ColumnElement[str],
        where: Iterable[ColumnElement[bool]] = (),
    ) -> list[tuple[tuple[Any, ...], int]]:
        """How often each of these values, or of these together, occurs; most often first.

        Piece by piece: where no index has the order, SQLite sorts for GROUP BY, and has all
        that it sorts in memory.
        """
        mine = deliveries.c.run == number
        counts: Counter[tuple[Any, ...]] = Counter()
        with self._database.reading() as connection:
            ends = select(func.min(deliveries.c.id), func.max(deliveries.c.id)).where(mine)
            first, last = connection.execute(ends).one()
            grouped = select(*columns, func.count()).where(mine, _PIECE, *where)
            query = grouped.group_by(*columns)
            for start in range(first or 0, (last or 0) + 1, PIECE):
                ids = {"first": start, "last": start + PIECE - 1}
                for *values, many in connection.execute(query, ids):
                    counts[tuple(values)] += many
        return sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))


def _placed(connection: Connection) -> dict[str, str]:
    """To which destination each domain was found to belong."""
    return dict(map(tuple, connection.execute(select(domains))))


def _run(row: Any) -> Run:
    fields = row._asdict()
    fields["manifest"] = json.loads(fields["manifest"])
    fields["header"] = tuple(json.loads(fields["header"]))
    return Run(**fields)
