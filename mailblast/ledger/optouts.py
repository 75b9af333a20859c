"""Opt-outs and the mail after them: what proves that they are honoured in time."""

from sqlalchemy import func, or_, select

from mailblast.check.facts import History, Late
from mailblast.event import EventKind
from mailblast.ledger.database import Database
from mailblast.ledger.tables import deliveries, events, runs, suppressions
from mailblast.reason import Reason

_OPT_OUTS = select(func.count()).where(
    suppressions.c.reason == Reason.UNSUBSCRIBED, suppressions.c.removed.is_(None)
)

# The last message to whoever had opted out and not come back; samples go to the sender alone.
_LATE = (
    select(suppressions.c.added, func.max(events.c.at).label("mailed"))
    .join(deliveries, deliveries.c.key == suppressions.c.key)
    .join(runs, runs.c.number == deliveries.c.run)
    .join(events, events.c.delivery == deliveries.c.id)
    .where(
        suppressions.c.reason == Reason.UNSUBSCRIBED,
        suppressions.c.scope.in_(("", runs.c.campaign)),
        runs.c.kind == "campaign",
        events.c.kind == EventKind.ATTEMPTED,
        events.c.at > suppressions.c.added,
        or_(suppressions.c.removed.is_(None), events.c.at < suppressions.c.removed),
    )
    .group_by(suppressions.c.id)
)


class OptOuts:
    """Looks back at opt-outs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self) -> History:
        """How many stand, and whom mail reached after theirs."""
        with self._database.reading() as connection:
            standing = connection.execute(_OPT_OUTS).scalar_one()
            rows = connection.execute(_LATE).all()
        return History(standing, tuple(Late(row.added, row.mailed) for row in rows))
