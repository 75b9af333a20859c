"""Opt-outs, and whether they took effect in the time that the law or a provider gives.

A business day is a weekday; holidays are counted too, so that a deadline is never later than
the law's.
"""

from datetime import UTC, datetime, timedelta

from mailblast.check.facts import Facts, History, Late
from mailblast.check.finding import Verdict, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.quantity import counted

HOUR = 3600.0
SATURDAY = 5


def honoured(facts: Facts, *, business_days: int = 0, hours: int = 0) -> Verdict:
    """Nobody is mailed after the deadline; within it, a mail is a warning.

    CANSPAM-OPTOUT-10BD: 15 U.S.C. 7704(a)(4)(A)(i).  The others by their own numbers.
    """
    history = facts.of(History)
    late = [
        one for one in history.late if one.mailed > _deadline(one, business_days, hours)
    ]
    for found, verdict in ((late, failed), (history.late, warned)):
        if found:
            first = min(found, key=lambda one: one.asked)
            days = max(one.mailed - one.asked for one in found) / 24 / HOUR
            evidence = f"the last mail came up to {days:.1f} days after the request"
            who = counted(len(found), "address", "addresses")
            date = f"{_moment(first.asked):%Y-%m-%d}"
            problem = f"mailed after they had opted out: {who} (the first asked on {date})"
            return verdict(evidence, n=who, date=date, problem=problem)
    return passed(f"no mail to any of {history.opt_outs:,} who opted out")


def _deadline(late: Late, business_days: int, hours: int) -> float:
    if hours:
        return late.asked + hours * HOUR
    return after(_moment(late.asked), business_days).timestamp()


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def after(moment: datetime, business_days: int) -> datetime:
    """The same time of day so many weekdays later."""
    while business_days:
        moment += timedelta(1)
        business_days -= moment.weekday() < SATURDAY
    return moment


CHECKS: dict[str, Check] = {
    "CANSPAM-OPTOUT-10BD": honoured,
    "BULK-UNSUB-48H": honoured,
    "CASL-OPTOUT": honoured,
    "EU-OBJECTION": honoured,
}
