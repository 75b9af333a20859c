"""What others say of the sender, and what the sender says of itself: block lists and marks."""

from collections.abc import Iterator

from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, asked, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import Listings


def not_listed(facts: Facts) -> Iterator[Verdict]:
    """DNS-BLOCKLIST: no list that was named has a sending address or a domain."""
    for one in facts.of(Listings).each:
        if one.unusable:
            yield skipped(f"{one.blocklist} for {one.subject}: {one.unusable}")
        elif one.codes:
            seen = f"{', '.join(one.codes)} {one.why}".strip()
            yield failed(seen, subject=one.subject, blocklist=one.blocklist)
        else:
            yield passed(f"{one.subject} is not in {one.blocklist}")


def certified(facts: Facts) -> Verdict:
    """HDR-CSA: the mark of a certified sender is used by certified senders alone."""
    if "x-csa-complaints" not in _headers(facts):
        return passed("no X-CSA-Complaints among the headers")
    domain = facts.campaign.sender.mailbox.address.domain
    return asked("X-CSA-Complaints is set", f"{domain} is certified by the CSA")


def vouched(facts: Facts) -> Verdict:
    """HDR-VBR: nobody reads VBR-Info."""
    if "vbr-info" not in _headers(facts):
        return passed("no VBR-Info among the headers")
    return warned("VBR-Info is set")


def _headers(facts: Facts) -> set[str]:
    return {name.lower() for name, _ in facts.campaign.message.headers}


CHECKS: dict[str, Check] = {
    "DNS-BLOCKLIST": not_listed,
    "HDR-CSA": certified,
    "HDR-VBR": vouched,
}
