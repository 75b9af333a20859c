"""How long a message is tried, before it counts as one that could not be delivered."""

from datetime import timedelta

from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, passed, skipped, warned
from mailblast.check.pack import Check

DAYS = 4  # RFC 5321 §4.5.4.1: "at least 4-5 days"


def patient(facts: Facts) -> Verdict:
    """SMTP-RETRY: a slow destination is waited for."""
    delivery = facts.campaign.delivery
    if delivery.via not in ("direct", "relay"):
        return skipped(f'via = "{delivery.via}": nothing leaves this machine')
    span = timedelta(seconds=delivery.give_up_after)
    if span < timedelta(DAYS):
        return warned(f"[delivery] give_up_after: {span}", v=span)
    return passed(f"given up after {span}")


CHECKS: dict[str, Check] = {"SMTP-RETRY": patient}
