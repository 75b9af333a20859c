"""To which mail a rule applies, and whether the campaign says truly what it is."""

from collections.abc import Iterable, Iterator
from typing import Any

from mailblast.check.facts import Facts, Messages
from mailblast.check.finding import Verdict, asked, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.phrases import PROMOTION
from mailblast.check.visible import read

BEGINNING = 200  # visible characters in which promotion makes a message commercial


def commercial(check: Check) -> Check:
    """The rule, for commercial mail alone (16 CFR 316.3)."""

    def checked(facts: Facts, **told: Any) -> Verdict | Iterable[Verdict]:
        if facts.campaign.message.purpose != "commercial":
            return skipped("the campaign is declared transactional")
        return check(facts, **told)

    return checked


def declared(facts: Facts) -> Verdict:
    """CANSPAM-SCOPE: commercial, or somebody's word that it is not."""
    purpose = facts.campaign.message.purpose
    if purpose == "commercial":
        return passed("commercial: every rule of the Act is applied")
    return asked(f'purpose = "{purpose}"', facts.content, purpose=purpose)


def mixed(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-PURPOSE-MIXED: what is declared transactional does not read as promotion."""
    if facts.campaign.message.purpose == "commercial":
        yield skipped("the campaign is commercial anyhow")
        return
    for sample in facts.of(Messages).samples:
        start = (read(sample.html).text if sample.html else sample.text)[:BEGINNING]
        for where, text in (("subject", sample.subject), ("start of the body", start)):
            if found := PROMOTION.search(text):
                yield warned(f'{sample.name}: "{found[0]}" in the {where}', where=where)
                return
    yield passed("no words of promotion in the subject or at the beginning")


CHECKS: dict[str, Check] = {
    "CANSPAM-SCOPE": declared,
    "CANSPAM-PURPOSE-MIXED": mixed,
}
