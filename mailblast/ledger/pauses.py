"""Where sending is stopped until somebody lifts it: kept, for a restart must not forget it."""

from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select, update

from mailblast.ledger.database import Database
from mailblast.ledger.tables import pauses


@dataclass(frozen=True, slots=True)
class Pause:
    """Of a destination, whatever the run (`run` is None), or of a whole run (`destination`
    is "").  `at` is in seconds since 1970."""

    run: int | None
    destination: str
    reason: str
    why: str
    at: float


class Pauses:
    """Enters, finds and lifts pauses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pause: Pause) -> None:
        """Enter a pause."""
        values = {name: getattr(pause, name) for name in Pause.__slots__}
        with self._database.writing() as connection:
            connection.execute(insert(pauses).values(values))

    def standing(self, run: int | None) -> list[Pause]:
        """The pauses that hold for a run, the oldest first; for None, those that hold for
        any."""
        columns = [pauses.c[name] for name in Pause.__slots__]
        query = select(*columns).where(
            pauses.c.lifted.is_(None), or_(pauses.c.run.is_(None), pauses.c.run == run)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(pauses.c.id))
            return [Pause(**row._asdict()) for row in rows]

    def last_lifted(self, run: int) -> float:
        """When a pause of this run, or of a destination, was lifted last; 0.0 for never."""
        query = select(func.max(pauses.c.lifted)).where(
            or_(pauses.c.run.is_(None), pauses.c.run == run)
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or 0.0

    def lift(self, run: int, at: float) -> None:
        """Lift all that hold for a run."""
        with self._database.writing() as connection:
            connection.execute(
                update(pauses)
                .where(
                    pauses.c.lifted.is_(None),
                    or_(pauses.c.run.is_(None), pauses.c.run == run),
                )
                .values(lifted=at)
            )
