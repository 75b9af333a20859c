"""The list: where it comes from, and what its rows say of consent."""

from mailblast.check.facts import Facts, Listed
from mailblast.check.finding import Verdict, asked, failed, passed
from mailblast.check.pack import Check
from mailblast.check.scope import commercial


def sourced(facts: Facts) -> Verdict:
    """CANSPAM-HARVEST: the list's source is declared; any other has somebody's word."""
    recipients = facts.campaign.recipients
    file = recipients.file.name
    if not recipients.source:
        return failed("[recipients] source is not declared", file=file)
    if recipients.source == "other":
        return asked('source = "other"', facts.of(Listed).digest, file=file)
    return passed(f'source = "{recipients.source}"')


CHECKS: dict[str, Check] = {
    "CANSPAM-HARVEST": commercial(sourced),
}
