"""How much each destination took lately, day by day, and how much of it was complained of."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from sqlalchemy import Integer, bindparam, cast, func, or_, select

from mailblast.event import Disposition
from mailblast.ledger.database import Database
from mailblast.ledger.statement import count
from mailblast.ledger.tables import deliveries, domains, runs

_DAY = 86_400
_TAKEN = (Disposition.ACCEPTED, Disposition.DELIVERED, Disposition.BOUNCED)
_PLACED = func.coalesce(domains.c.destination, deliveries.c.domain)
_COUNTED = (
    select(
        _PLACED,
        cast(deliveries.c.dated, Integer) // _DAY,
        deliveries.c.marks.contains("complained"),
    )
    .join(runs, runs.c.number == deliveries.c.run)
    .outerjoin(domains, domains.c.domain == deliveries.c.domain)
    .where(
        runs.c.kind == "campaign",
        runs.c.started.is_not(None),
        or_(runs.c.ended.is_(None), runs.c.ended >= bindparam("since")),
        deliveries.c.dated >= bindparam("since"),
        deliveries.c.disposition.in_(_TAKEN),
    )
)
_PLACES = select(domains).where(domains.c.domain.in_(bindparam("some", expanding=True)))


class Took(NamedTuple):
    """So many messages that a destination took, first offered on a day (UTC)."""

    destination: str
    day: date
    many: int
    complained: bool


class Traffic:
    """Looks back at how much went where."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, at: float) -> Iterator[Took]:
        """What every destination took of the messages that were first offered since then."""
        with self._database.reading() as connection:
            counts = count(connection, _COUNTED, {"since": at})
        for (destination, days, complained), many in counts.items():
            day = datetime.fromtimestamp(days * _DAY, UTC).date()
            yield Took(destination, day, many, complained=bool(complained))

    def placed(self, names: Sequence[str]) -> Mapping[str, str]:
        """The destinations that these domains were found to belong to, where that is known."""
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(names), 10_000):
                some = {"some": names[start : start + 10_000]}
                found.update(map(tuple, connection.execute(_PLACES, some)))
        return found
