"""Whether the header is true: the domains in it are the sender's own.

The proof of a domain is a DKIM key that is published there and whose private half signs here:
that takes somebody who writes its zone.  It stands for all domains of the organisation.  What
is not proven so, somebody's word is asked for.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from mailblast.campaign import Campaign
from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts, Messages, NotGathered, Sample
from mailblast.check.finding import Verdict, asked, failed, passed
from mailblast.check.pack import Check
from mailblast.check.published import DkimKey, Dmarc
from mailblast.check.signature import OwnKey
from mailblast.errors import Refusal
from mailblast.keyrecord import parse


def true(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-HEADER-TRUE: To is whom the mail goes to, and every domain is proven."""
    if wrong := _misaddressed(facts.of(Messages).samples):
        yield failed(wrong, what="To is not whom the mail goes to")
        return
    dmarc = facts.of(Dmarc)  # whoever asks no DNS is asked for no word either
    if unknown := _unknown(facts):
        yield unknown
        return
    proven = _proven(facts, dmarc)
    named = _named(facts.campaign)
    open_ = {domain: where for domain, where in named.items() if not _below(domain, proven)}
    if open_:
        seen = ", ".join(f"{domain} ({where})" for domain, where in open_.items())
        domain, where = next(iter(open_.items()))
        what = f"{domain} in {where} is not proven to be yours"
        yield asked(seen, "\n".join(sorted(open_)), what=what)
    else:
        yield passed(f"{', '.join(named)}: by the DKIM key of {proven}")


def _misaddressed(samples: Sequence[Sample]) -> str:
    """A message whose To is another than whom it goes to, or several."""
    for sample in samples:
        to = ", ".join(value for name, value in sample.headers if name.lower() == "to")
        address = to.rpartition("<")[2].rstrip(">")
        if address.casefold() != sample.recipient.casefold():
            return f"{sample.name}: To: {to or '(none)'}"
    return ""


def _unknown(facts: Facts) -> Verdict | None:
    """What is to be said if nobody answers whether the key is published."""
    if facts.campaign.dkim is None:
        return None
    key = facts.of(DkimKey)
    if not (key.found.failure and key.found.failure.transient):
        return None
    what = f"whose {key.name} is cannot be looked up"
    return unanswered(key.name, key.found.failure, what=what)


def _named(campaign: Campaign) -> dict[str, str]:
    """The domains that a message names as the sender's, and where."""
    signer = campaign.dkim.domain if campaign.dkim else ""
    way_out = urlsplit(campaign.unsubscribe.url).hostname or ""
    found = {
        way_out: "the unsubscribe link",
        signer: "the signature",
        campaign.sender.return_path.domain: "the return path",
        campaign.sender.mailbox.address.domain: "From",
    }
    return {domain: found[domain] for domain in reversed(found) if domain}


def _proven(facts: Facts, dmarc: Dmarc) -> str:
    """The domain for which the published key speaks; "" where it is not ours."""
    if facts.campaign.dkim is None or dmarc.signer is None:
        return ""
    try:
        ours = facts.of(OwnKey).public
    except NotGathered:
        return ""
    records = (parse(text) for text in facts.of(DkimKey).found.records)
    if not any(not isinstance(one, Refusal) and one.public == ours for one in records):
        return ""
    signer = dmarc.signer
    return signer.domain if signer.unknown else signer.organisational


def _below(domain: str, parent: str) -> bool:
    return bool(parent) and f".{domain}".endswith(f".{parent}")


CHECKS: dict[str, Check] = {"CANSPAM-HEADER-TRUE": true}
