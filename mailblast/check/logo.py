"""BIMI: the logo that a domain publishes, and whether a mailbox provider could show it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mailblast.certificate import mark
from mailblast.check import svg
from mailblast.check.answers import unanswered
from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import Dmarc, Logo
from mailblast.errors import Refusal

RENEWED = 30  # days before its end by which a certificate is renewed


@dataclass(frozen=True, slots=True)
class LogoFiles:
    """What stands behind l= and a= of the record, or why it was not fetched."""

    logo: bytes | Refusal
    certificate: bytes | Refusal


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
    tags = record(texts[0])
    wrong = [
        *_unshown(facts, found.name, texts[0], tags),
        *_behind(facts, found.name, tags),
    ]
    yield from wrong or [passed(texts[0])]


def record(text: str) -> dict[str, str]:
    """The tags of a record, by their names in lower case."""
    pairs = (tag.partition("=") for tag in text.split(";"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _unshown(
    facts: Facts, name: str, text: str, tags: Mapping[str, str]
) -> Iterator[Verdict]:
    """What in the records alone keeps the logo from being shown."""
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


def _behind(facts: Facts, name: str, tags: Mapping[str, str]) -> Iterator[Verdict]:
    """What is wrong with the logo itself, and with its certificate."""
    files = facts.of(LogoFiles)
    if tags.get("l"):
        found = files.logo if isinstance(files.logo, Refusal) else svg.faults(files.logo)
        if isinstance(found, Refusal):
            yield failed(
                f"{tags['l']}: {found}", name=name, problem="the logo cannot be had"
            )
        elif found:
            yield failed("; ".join(found), name=name, problem="the logo is no SVG Tiny PS")
    if tags.get("a"):
        given = files.certificate
        read = given if isinstance(given, Refusal) else mark.read(given)
        if isinstance(read, Refusal):
            problem = "the certificate cannot be had"
            yield failed(f"{tags['a']}: {read}", name=name, problem=problem)
        else:
            yield from _certified(facts, name, read)


def _certified(facts: Facts, name: str, found: mark.MarkCertificate) -> Iterator[Verdict]:
    left = (found.ends - facts.today).days
    domain = name.partition("._bimi.")[2]
    if left < 0:
        yield failed(f"until {found.ends}", name=name, problem="the certificate has ended")
    elif left <= RENEWED:
        problem = f"the certificate ends in {left} days"
        yield warned(f"until {found.ends}", name=name, problem=problem)
    if not {domain, name} & set(found.names):
        problem = f"the certificate is not for {domain}"
        yield failed(
            f"for {', '.join(found.names) or 'nobody'}", name=name, problem=problem
        )
    if not (found.has_logo and found.for_marks):
        problem = "the certificate is not one for a logo (VMC or CMC)"
        yield failed(
            "without a logotype, or not for brand indicators", name=name, problem=problem
        )


CHECKS: dict[str, Check] = {"DNS-BIMI": logo}
