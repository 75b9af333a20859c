"""What other laws want to be read in a message: who sends, and how to reach them."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

from mailblast.check import visible
from mailblast.check.facts import Facts, Messages, Sample
from mailblast.check.finding import Verdict, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.check.phrases import PRIVACY
from mailblast.check.scope import commercial
from mailblast.check.visible import plain
from mailblast.quantity import counted

_PHONE = re.compile(r"(?:\+|\b0)\d[\d ()./-]{6,}\d")
_MAILBOX = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WEB = re.compile(r"https?://[\w.-]+|\bwww\.[\w-]+\.[\w.-]+")
_ABN = re.compile(r"\bABN:?\s*((?:\d\s?){11})", re.IGNORECASE)
_ABN_WEIGHTS = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)

# What is missing of something in a message: its name, or "".
Missing = Callable[[Facts, Sample, str], str]


def _name(facts: Facts, _sample: Sample, text: str) -> str:
    name = facts.campaign.sender.organisation
    return "" if name.casefold() in text.casefold() else f"the name {name}"


def _address(facts: Facts, _sample: Sample, text: str) -> str:
    lines = [plain(one).casefold() for one in facts.campaign.sender.postal_address]
    there = lines and all(line in text.casefold() for line in lines)
    return "" if there else "the postal address"


def _contact(_facts: Facts, sample: Sample, text: str) -> str:
    """A phone number, an e-mail or a web address, beside the way out."""
    for way in sample.ways_out:
        text = text.replace(way, "")
    if sample.html is not None:
        text += " ".join(set(visible.read(sample.html).links()) - set(sample.ways_out))
    found = any(one.search(text) for one in (_PHONE, _MAILBOX, _WEB))
    return "" if found else "a phone number, e-mail address or web address"


def _way_out(_facts: Facts, sample: Sample, text: str) -> str:
    links = visible.read(sample.html).links() if sample.html else ()
    there = any(way in text or way in links for way in sample.ways_out)
    return "" if there else "a way to unsubscribe"


def _open_for(days: int) -> Missing:
    """The way out stays open for so many days after the message."""

    def missing(facts: Facts, _sample: Sample, _text: str) -> str:
        ends = facts.campaign.unsubscribe.url_ends
        if ends is None or ends >= facts.today + timedelta(days):
            return ""
        return f"a way to unsubscribe that is open for {days} days (url_ends = {ends})"

    return missing


def _privacy(_facts: Facts, sample: Sample, text: str) -> str:
    links = " ".join(visible.read(sample.html).links()) if sample.html else ""
    return "" if PRIVACY.search(f"{text} {links}") else "a link to the privacy notice"


def _abn(_facts: Facts, _sample: Sample, text: str) -> str:
    """An Australian Business Number, where there is one, is one (ABR: modulus 89)."""
    found = _ABN.search(text)
    if not found:
        return ""
    digits = [int(one) for one in found[1] if one.isdigit()]
    digits[0] -= 1
    total = sum(w * d for w, d in zip(_ABN_WEIGHTS, digits, strict=True))
    return f"an ABN that is one ({found[1].strip()} is not)" if total % 89 else ""


def _shown(*wanted: Missing) -> Check:
    """Every message shows all of these."""

    def check(facts: Facts) -> Verdict:
        samples = facts.of(Messages).samples
        for sample in samples:
            text = plain(visible.read(sample.html).text if sample.html else sample.text)
            missing = [found for one in wanted if (found := one(facts, sample, text))]
            if missing:
                items = ", ".join(missing)
                return failed(sample.name, items=items, missing=items)
        return passed(f"in {counted(len(samples), 'message')}")

    return check


def untracked(facts: Facts) -> Verdict:
    """EU-TRACKING: no image that is there to be counted and not to be seen."""
    samples = facts.of(Messages).samples
    for sample in samples:
        for pixel in _pixels(sample.html or ""):
            return warned(f"{sample.name}: {pixel[:100]}", n="whoever is")
    return passed(
        f"no counting image in {counted(len(samples), 'message')}; mailblast puts none there"
    )


def _pixels(html: str) -> Iterator[str]:
    """The sources of remote images of one pixel, or hidden ones."""
    for piece in visible.read(html).pieces:
        remote = piece.image.startswith(("http:", "https:", "//"))
        if remote and (piece.tiny or piece.look.hidden):
            yield piece.image


CHECKS: dict[str, Check] = {
    "CASL-CONTENT": commercial(_shown(_name, _address, _contact, _way_out, _open_for(60))),
    "EU-CONTENT": commercial(_shown(_name, _address, _contact, _way_out, _privacy)),
    "AU-CONTENT": commercial(_shown(_name, _contact, _way_out, _abn, _open_for(30))),
    "EU-TRACKING": commercial(untracked),
}
