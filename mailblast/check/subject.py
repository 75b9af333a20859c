"""The subject: it says what the message is, and pretends nothing."""

import re
from collections.abc import Iterator

from mailblast.check import visible
from mailblast.check.facts import Facts, Messages, Sample
from mailblast.check.finding import Verdict, asked, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.phrases import DEADLINE, REPLY_OR_FORWARD
from mailblast.check.scope import commercial
from mailblast.quantity import counted

COMPARED = 1000  # visible characters of the body
STEM = 5  # letters by which two forms of a word are one

_UNRENDERED = re.compile(r"\{\{|\{%|\bundefined\b|\bNone\b")


def truthful(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-SUBJECT: it has words of the body in it, or somebody's word that it is true."""
    samples = facts.of(Messages).samples
    about = facts.campaign.message.subject
    for sample in samples:
        if wrong := _empty(sample.subject) or _foreign(sample):
            yield asked(f'{sample.name}: "{sample.subject}"', about, what=wrong)
            return
    yield passed(f"it shares words with the body in {counted(len(samples), 'message')}")


def _empty(subject: str) -> str:
    if not subject.strip():
        return "empty"
    if found := _UNRENDERED.search(subject):
        return f'not filled in ("{found[0]}")'
    return ""


def _foreign(sample: Sample) -> str:
    """Why the subject has nothing to do with the body, as far as words tell."""
    body = visible.read(sample.html).text if sample.html else sample.text
    wanted, found = _stems(sample.subject), _stems(body[:COMPARED])
    # Scripts without blanks have no words to compare.
    if not wanted or wanted & found or not sample.subject.isascii():
        return ""
    return "without a significant word in common with the body"


def _stems(text: str) -> set[str]:
    return {word[:STEM] for word in re.findall(r"\w{4,}", text.casefold())}


def no_reply(facts: Facts) -> Verdict:
    """CANSPAM-SUBJECT-REFWD: a bulk message is no reply and nothing forwarded."""
    samples = facts.of(Messages).samples
    for sample in samples:
        if found := REPLY_OR_FORWARD.match(sample.subject):
            return failed(f'{sample.name}: "{sample.subject}"', prefix=found[1])
    return passed(f"in {counted(len(samples), 'message')}")


def urgent(facts: Facts) -> Verdict:
    """CANSPAM-SUBJECT-URGENCY: a deadline in the subject is declared, and not over."""
    samples, ends = facts.of(Messages).samples, facts.campaign.declared.offer_ends
    for sample in samples:
        found = DEADLINE.search(sample.subject)
        if found and ends is None:
            return warned(f"{sample.name}: no offer_ends in [message]", words=found[0])
        if found and ends is not None and ends < facts.today:
            return failed(f"{sample.name}: the offer ended on {ends}", words=found[0])
    return passed(f"offer_ends = {ends}" if ends else "no deadline in the subject")


EXPLICIT = "SEXUALLY-EXPLICIT: "  # 19 characters, the blank with them (16 CFR 316.4)


def labelled(facts: Facts) -> Verdict:
    """CANSPAM-SEXUAL: what is declared so begins with the label, and shows no image."""
    if not facts.campaign.declared.sexually_explicit:
        return skipped("sexually_explicit is not declared in [message]")
    samples = facts.of(Messages).samples
    for sample in samples:
        # As it stands in the message: an encoded word would hide the label.
        raw = next((value for name, value in sample.headers if name == "Subject"), "")
        if not raw.startswith(EXPLICIT):
            return failed(f'{sample.name}: "{raw[:40]}"')
        if any(piece.image for piece in visible.read(sample.html or "").pieces):
            return failed(f"{sample.name}: it shows an image at first sight")
    return passed(f"in {counted(len(samples), 'message')}, it is the label")


CHECKS: dict[str, Check] = {
    "CANSPAM-SUBJECT": commercial(truthful),
    "CANSPAM-SUBJECT-REFWD": no_reply,
    "CANSPAM-SUBJECT-URGENCY": commercial(urgent),
    "CANSPAM-SEXUAL": commercial(labelled),
    "CASL-SUBJECT": commercial(truthful),
}
