"""How much is sent, and so whether the rules for bulk senders bind.

Below the numbers the same is looked at, and what fails is a warning.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mailblast.check.facts import Facts, Listed, NotGathered, Seen
from mailblast.check.finding import Status, Verdict, passed, warned
from mailblast.check.pack import Check
from mailblast.provider import Destinations

Hosts = Mapping[str, Sequence[str]]

# "Close to 5,000" within 24 hours (GFAQ); more than 5,000 a day (MBLOG).
GMAIL, OUTLOOK = 4_500, 5_000
GMAIL_DOMAINS = ("gmail.com", "googlemail.com")
OUTLOOK_NAMES = ("outlook", "hotmail", "live", "msn")  # under many top-level domains


def _counted(listed: Listed) -> tuple[int, int]:
    """The rows at Gmail, and at Outlook.com."""
    gmail = sum(
        listed.domains[name].rows for name in GMAIL_DOMAINS if name in listed.domains
    )
    outlook = sum(
        seen.rows
        for name, seen in listed.domains.items()
        if name.partition(".")[0] in OUTLOOK_NAMES
    )
    return gmail, outlook


def threshold(facts: Facts) -> Verdict:
    """BULK-THRESHOLD: whether this list alone makes a bulk sender."""
    gmail, outlook = _counted(facts.of(Listed))
    seen = f"{gmail:,} at Gmail, {outlook:,} at Outlook.com"
    if gmail < GMAIL and outlook <= OUTLOOK:
        return passed(f"{seen}: what fails for bulk senders alone is a warning")
    domain = facts.campaign.sender.mailbox.address.domain
    return warned(seen, n=f"{gmail:,}", outlook=f"{outlook:,}", domain=domain)


def _is_bulk(facts: Facts) -> bool:
    try:
        gmail, outlook = _counted(facts.of(Listed))
    except NotGathered:
        return False  # a run that goes on was looked at when it began
    return gmail >= GMAIL or outlook > OUTLOOK


def shares(listed: Mapping[str, Seen], known: Hosts, table: Destinations) -> dict[str, int]:
    """How many rows of a list each provider has, most first; "" is whoever is none known.

    `known` are the mail hosts of the domains that were looked up; of the others the names
    tell.  `table` goes by hosts (`direct`), however this campaign is sent.
    """
    found: Counter[str] = Counter()
    for domain, seen in listed.items():
        found[table.place(domain, known.get(domain, ())).provider] += seen.rows
    return dict(found.most_common())


def in_bulk(check: Check) -> Check:
    """The rule, as an error for bulk senders and a warning for others."""

    def checked(facts: Facts, **told: Any) -> Iterator[Verdict]:
        found = check(facts, **told)
        each: Iterable[Verdict] = (found,) if isinstance(found, Verdict) else found
        for verdict in each:
            mild = verdict.status is Status.FAIL and not _is_bulk(facts)
            yield replace(verdict, status=Status.WARN) if mild else verdict

    return checked


CHECKS: dict[str, Check] = {"BULK-THRESHOLD": threshold}
