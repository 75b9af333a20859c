"""Who sends: the name in From, the postal address, the way the mail leaves."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from mailblast.campaign.checks import is_loopback
from mailblast.check import visible
from mailblast.check.facts import Facts, Listed, Messages, Sample
from mailblast.check.finding import Verdict, asked, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.phrases import REPLY_OR_FORWARD
from mailblast.check.scope import commercial
from mailblast.quantity import counted

_SAMPLE_ADDRESS = re.compile(
    r"123 (?:main|any)\b|\byour (?:street|address|city|company)|\{\{|\blorem\b",
    re.IGNORECASE,
)
_PO_BOX = re.compile(r"\bp\.?\s?o\.?\s?box\b|\bpost(?:al)? office box\b", re.IGNORECASE)
_ZIP = re.compile(r"\b[A-Z]{2},? +\d{5}(?:-\d{4})?$")
_USA = re.compile(r"(?:the )?united states(?: of america)?|u\.?s\.?a?\.?", re.IGNORECASE)
_EMOJI = re.compile("[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
_ADDR_SPEC = re.compile(r"[^\s<>\"]+@[^\s<>\"]+\.[^\s<>\"]+")


def named(facts: Facts) -> Verdict:
    """CANSPAM-FROM-IDENT: From names the organisation, or a brand of its."""
    sender = facts.campaign.sender
    name, address = sender.mailbox.name, sender.mailbox.address.mailbox
    values = {"name": name, "legal_name": sender.organisation}
    if not name:
        return warned("From is an address without a name", **values)
    if wrong := _misnamed(name, address):
        return failed(wrong, **values)
    known = (sender.organisation, *facts.campaign.declared.brands)
    ours = next((one for one in known if _words(one) & _words(name)), None)
    if ours is None:
        return failed(f"none of {', '.join(known)}", **values)
    return passed(f'"{name}" names {ours}')


def _misnamed(name: str, address: str) -> str:
    other = _ADDR_SPEC.search(name)
    if other and other[0].casefold() != address.casefold():
        return f"another address is in the name: {other[0]}"
    if REPLY_OR_FORWARD.match(name):
        return "the name looks like a subject"
    if found := _EMOJI.search(name):
        return f"a sign that is no letter: {found[0]}"
    return ""


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 1}


def address_shown(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-ADDRESS: the postal address can be read in every part of every message."""
    sender = facts.campaign.sender
    lines = [
        visible.plain(line).casefold() for line in sender.postal_address if line.strip()
    ]
    who = sender.organisation
    if not lines:
        yield failed("[sender] postal_address is empty", sender=who, part="text and HTML")
        return
    if found := _SAMPLE_ADDRESS.search("\n".join(sender.postal_address)):
        yield failed(f'"{found[0]}" is an example', sender=who, part="text and HTML")
        return
    samples = facts.of(Messages).samples
    missing = {part.name: found for found in samples for part in _without(found, lines)}
    for part, sample in missing.items():
        yield failed(sample.name, sender=who, part=part)
    if not missing:
        yield passed(f"in each part of {counted(len(samples), 'message')}")


class _Part(NamedTuple):
    name: str
    text: str


def _without(sample: Sample, lines: list[str]) -> Iterator[_Part]:
    """The parts of a message in which a line of the address cannot be read."""
    for part in parts(sample):
        text = visible.plain(part.text).casefold()
        if not all(line in text for line in lines):
            yield part


def parts(sample: Sample) -> Iterator[_Part]:
    """What can be read in each part of a message."""
    yield _Part("text", sample.text)
    if sample.html is not None:
        yield _Part("HTML", visible.read(sample.html).text)


def address_form(facts: Facts) -> Verdict:
    """CANSPAM-ADDRESS-FORM: an address that mail reaches, and somebody's word for it."""
    sender = facts.campaign.sender
    lines, kind = sender.postal_address, facts.campaign.declared.postal_address_kind
    if not lines:
        return failed("[sender] postal_address is empty")
    if wrong := _malformed(lines, kind):
        return failed(wrong)
    if kind == "usps-po-box" and not _in_the_us(lines):
        return warned("a PO box outside the United States: the rule speaks of USPS alone")
    return asked(f"{kind}: {', '.join(lines)}", "\n".join((kind, *lines)))


def _malformed(lines: tuple[str, ...], kind: str) -> str:
    if len(lines) < 3:
        return "name, street and town are three lines at least"
    if not any(character.isdigit() for line in lines for character in line):
        return "neither a house number nor a postcode"
    box = next((line for line in lines if _PO_BOX.search(line)), None)
    if box and kind == "street":
        return f'"{box}" is no street address: set postal_address_kind'
    if _USA.fullmatch(lines[-1].strip()) and not any(map(_ZIP.search, lines)):
        return "no line ends with a state and a ZIP code, as ME 04599"
    return ""


def _in_the_us(lines: tuple[str, ...]) -> bool:
    return bool(_USA.fullmatch(lines[-1].strip()) or any(map(_ZIP.search, lines)))


def relayed(facts: Facts) -> Verdict:
    """CANSPAM-RELAY-DISGUISE: a relay that knows us, or somebody's word that we may."""
    delivery = facts.campaign.delivery
    if delivery.via == "direct":
        return passed("straight to the mail hosts of each domain")
    if delivery.via != "relay":
        return skipped(f'via = "{delivery.via}": nothing leaves this machine')
    if delivery.username:
        return passed(f"{delivery.host} is logged in to")
    if is_loopback(delivery.host):
        return passed(f"{delivery.host} is this machine")
    return asked(delivery.host, delivery.host, host=delivery.host)


def sole(facts: Facts) -> Verdict:
    """CANSPAM-MULTISENDER: of several advertisers one is the sender, in From and the footer."""
    sender, advertisers = facts.campaign.sender, facts.campaign.declared.advertisers
    if not advertisers:
        return skipped("no advertisers are declared in [message]")
    if len(advertisers) == 1:
        return passed(f"{advertisers[0]} alone")
    shown = _words(sender.mailbox.name)
    named_ones = [one for one in advertisers if _words(one) <= shown]
    if len(named_ones) != 1:
        said = ", ".join(named_ones) or "none of them"
        return failed(f'From is "{sender.mailbox.name}": {said}', n=len(advertisers))
    designated = named_ones[0]
    if designated.casefold() != sender.organisation.casefold():
        why = f"organisation is {sender.organisation}, and From names {designated}"
        return failed(why, n=len(advertisers))
    return passed(f"{designated} alone is in From and has its address in the footer")


def for_another(facts: Facts) -> Verdict:
    """CANSPAM-THIRDPARTY: whoever is sent for has given their suppression list."""
    principal = facts.campaign.declared.on_behalf_of
    if not principal:
        return skipped("on_behalf_of is not set in [sender]")
    about = f"{principal}\n{facts.of(Listed).digest}"
    return asked(f"for {principal}: their suppression list is imported", about, x=principal)


CHECKS: dict[str, Check] = {
    "CANSPAM-FROM-IDENT": named,
    "CANSPAM-ADDRESS": commercial(address_shown),
    "CANSPAM-ADDRESS-FORM": commercial(address_form),
    "CANSPAM-RELAY-DISGUISE": relayed,
    "CANSPAM-MULTISENDER": commercial(sole),
    "CANSPAM-THIRDPARTY": commercial(for_another),
}
