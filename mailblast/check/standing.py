"""What others say of the sender, and what the sender says of itself: block lists and marks."""

from collections.abc import Iterator

from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, asked, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import Dmarc, Listings, Logo, Transport
from mailblast.mtasts import record_id

RPT = "v=TLSRPTv1"


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


def encrypted(facts: Facts) -> Iterator[Verdict]:
    """DNS-MTASTS: the domains that mail comes back to say that they speak TLS."""
    for domain, found in facts.of(Transport).mta_sts.items():
        name = f"_mta-sts.{domain}"
        if found.failure and found.failure.transient:
            yield unanswered(name, found.failure, domain=domain)
        elif identity := record_id(found.records):
            yield passed(f"{name}: id={identity}; the policy behind it was not fetched")
        elif any(text.startswith("v=STSv1") for text in found.records):
            problem = "has a record that is none, or two"
            yield failed(" | ".join(found.records), domain=domain, problem=problem)
        else:
            yield warned(f"no {name}", domain=domain, problem="has none")


def reported(facts: Facts) -> Iterator[Verdict]:
    """TLS-RPT: somebody learns when mail to these domains fails for its TLS."""
    for domain, found in facts.of(Transport).tls_rpt.items():
        name = f"_smtp._tls.{domain}"
        texts = [text for text in found.records if text.replace(" ", "").startswith(RPT)]
        if found.failure and found.failure.transient:
            yield unanswered(name, found.failure, domain=domain)
        elif not texts:
            yield warned(f"no {name}", domain=domain, problem="has none")
        elif len(texts) > 1 or "rua=" not in texts[0].replace(" ", ""):
            problem = "has a record without rua=, or two"
            yield failed(" | ".join(texts), domain=domain, problem=problem)
        else:
            yield passed(texts[0])


def logo(facts: Facts) -> Iterator[Verdict]:
    """DNS-BIMI: a logo that is published can be shown."""
    found = facts.of(Logo)
    if found.found.failure and found.found.failure.transient:
        yield unanswered(found.name, found.found.failure, name=found.name)
        return
    texts = [text for text in found.found.records if text.lower().startswith("v=bimi1")]
    if not texts:
        yield skipped("no logo is published (BIMI), which is optional")
        return
    if len(texts) > 1:
        problem = "there are two records"
        yield failed(" | ".join(texts), name=found.name, problem=problem)
        return
    wrong = list(_unshown(facts, found.name, texts[0]))
    yield from wrong or [passed(f"{texts[0]}; the logo itself was not fetched")]


def _unshown(facts: Facts, name: str, text: str) -> Iterator[Verdict]:
    pairs = (tag.partition("=") for tag in text.split(";"))
    tags = {key.strip().lower(): value.strip() for key, _, value in pairs}
    place = tags.get("l", "")
    if not place.lower().startswith("https://"):
        yield failed(text, name=name, problem="l= is no https address of a logo")
    elif not place.lower().partition("?")[0].endswith((".svg", ".svgz")):
        yield warned(text, name=name, problem="the logo is no SVG, as its name goes")
    if not tags.get("a"):
        problem = "without a= (a VMC or CMC) Gmail and Apple show no logo"
        yield warned(text, name=name, problem=problem)
    wish = facts.of(Dmarc).sender.requested
    if wish not in ("quarantine", "reject"):
        problem = f"DMARC is p={wish or '(no record)'}: the logo will not be shown"
        yield warned(text, name=name, problem=problem)


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
    "DNS-MTASTS": encrypted,
    "TLS-RPT": reported,
    "DNS-BIMI": logo,
    "HDR-CSA": certified,
    "HDR-VBR": vouched,
}
