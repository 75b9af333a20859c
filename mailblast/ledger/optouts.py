"""Opt-outs and the mail around them: what proves that they are honoured in time."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import case, exists, func, or_, select

from mailblast.check.facts import History, Late
from mailblast.event import EventKind
from mailblast.ledger.database import Database
from mailblast.ledger.suppressions import WORKSPACE
from mailblast.ledger.tables import deliveries, events, runs, suppressions
from mailblast.reason import Reason

# What is asked for, and the event that says so where the wish came by mail.
_WISHES = {
    Reason.UNSUBSCRIBED: EventKind.UNSUBSCRIBED,
    Reason.COMPLAINT: EventKind.COMPLAINED,
}


@dataclass(frozen=True, slots=True)
class OptOut:
    """Somebody who asked for no more, or complained.  Times are seconds since 1970.

    `asked` is when: the date of their mail, if it came by mail, else the moment in which it was
    entered.  `added` is when it took effect, `removed` when it was lifted, by `consent`.
    `mailed_before` and `mailed_after` are of the last mail before it was asked, and of the last
    one after.  Samples are no mail.
    """

    key: str
    scope: str
    reason: str
    note: str
    source: str
    asked: float
    added: float
    removed: float | None
    consent: str | None
    mailed_before: float | None
    mailed_after: float | None


class OptOuts:
    """Looks back at opt-outs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self) -> History:
        """How many stand, and whom mail reached after theirs."""
        with self._database.reading() as connection:
            standing = connection.execute(_STANDING).scalar_one()
            query = _OPT_OUTS.where(
                suppressions.c.reason == Reason.UNSUBSCRIBED, _MAILED_AFTER.is_not(None)
            )
            rows = connection.execute(query).all()
        return History(standing, tuple(Late(row.asked, row.mailed_after) for row in rows))

    def of(self, run: int) -> Iterator[OptOut]:
        """Those of a run's recipients, in the order in which they took effect; streamed."""
        query = _OPT_OUTS.where(
            suppressions.c.key.in_(select(deliveries.c.key).where(deliveries.c.run == run))
        )
        with self._database.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield OptOut(**row._asdict())


_STANDING = select(func.count()).where(
    suppressions.c.reason == Reason.UNSUBSCRIBED, suppressions.c.removed.is_(None)
)

# An earlier wish that was lifted since is another matter.
_earlier = suppressions.alias("earlier")
_lifted = (
    select(func.max(_earlier.c.removed))
    .where(
        _earlier.c.key == suppressions.c.key,
        _earlier.c.scope == suppressions.c.scope,
        _earlier.c.removed <= suppressions.c.added,
    )
    .correlate(suppressions)
    .scalar_subquery()
)
_theirs = events.join(deliveries, deliveries.c.id == events.c.delivery)
_wish = (
    select(func.min(events.c.at))
    .select_from(_theirs)
    .where(
        deliveries.c.key == suppressions.c.key,
        events.c.kind == case(_WISHES, value=suppressions.c.reason),
        events.c.at <= suppressions.c.added,
        events.c.at > func.coalesce(_lifted, 0.0),
    )
    .correlate(suppressions)
    .scalar_subquery()
)
_ASKED = func.coalesce(_wish, suppressions.c.added)
_mailed = (
    select(func.max(events.c.at))
    .select_from(_theirs.join(runs, runs.c.number == deliveries.c.run))
    .where(
        deliveries.c.key == suppressions.c.key,
        suppressions.c.scope.in_((WORKSPACE, runs.c.campaign)),
        runs.c.kind == "campaign",
        events.c.kind == EventKind.ATTEMPTED,
    )
    .correlate(suppressions)
)
# The message that they answered came before the answer, whatever the two clocks say.
_answer = events.alias("answer")
_answered = exists().where(
    _answer.c.delivery == events.c.delivery,
    _answer.c.id > events.c.id,
    _answer.c.kind.in_(_WISHES.values()),
)
_until = or_(suppressions.c.removed.is_(None), events.c.at < suppressions.c.removed)
_MAILED_BEFORE = _mailed.where(or_(events.c.at <= _ASKED, _answered)).scalar_subquery()
_MAILED_AFTER = _mailed.where(events.c.at > _ASKED, ~_answered, _until).scalar_subquery()

_OPT_OUTS = (
    select(
        *(suppressions.c.key, suppressions.c.scope, suppressions.c.reason),
        *(suppressions.c.note, suppressions.c.source),
        _ASKED.label("asked"),
        *(suppressions.c.added, suppressions.c.removed, suppressions.c.consent),
        _MAILED_BEFORE.label("mailed_before"),
        _MAILED_AFTER.label("mailed_after"),
    )
    .where(suppressions.c.reason.in_(_WISHES))
    .order_by(suppressions.c.added, suppressions.c.id)
)
