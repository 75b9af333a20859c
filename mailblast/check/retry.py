"""How long a message is tried, before it counts as one that could not be delivered."""

from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, passed, skipped, warned
from mailblast.check.pack import Check

DAY = 86_400.0
DAYS = 4  # RFC 5321 §4.5.4.1: "at least 4-5 days"


def patient(facts: Facts) -> Verdict:
    """SMTP-RETRY: a slow destination is waited for."""
    delivery = facts.campaign.delivery
    if delivery.via not in ("direct", "relay"):
        return skipped(f'via = "{delivery.via}": nothing leaves this machine')
    days = f"{delivery.give_up_after / DAY:.3g} days"
    if delivery.give_up_after < DAYS * DAY:
        return warned(f"[delivery] give_up_after: {days}", v=days)
    return passed(f"given up after {days}")


CHECKS: dict[str, Check] = {"SMTP-RETRY": patient}
