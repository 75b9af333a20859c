"""The way out: that it is there, can be seen, and says what it is."""

import re
from collections.abc import Iterator

from mailblast.check import visible
from mailblast.check.facts import Facts, Messages, Sample
from mailblast.check.finding import Verdict, asked, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.check.phrases import OPT_OUT, OPT_OUT_BY_REPLY, SAYS_NOTHING
from mailblast.check.scope import commercial
from mailblast.check.visible import Piece
from mailblast.quantity import counted

UNREADABLE, SMALL = 8, 10  # CSS pixels
INVISIBLE, FAINT = 1.3, 3.0  # contrast ratios
FAR_BELOW = re.compile(r"(?:[ \t]*\n){31}")


def present(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-OPTOUT-PRESENT: each part of each message shows a way to opt out."""
    ways = facts.campaign.unsubscribe
    if not (ways.url or ways.mailto):
        yield failed("neither url nor mailto in [unsubscribe]", part="text or HTML")
        return
    samples = facts.of(Messages).samples
    missing = {part: sample for sample in samples for part in _without(sample)}
    for part, sample in missing.items():
        yield failed(sample.name, part=part)
    if not missing:
        yield passed(f"in each part of {counted(len(samples), 'message')}")


def _without(sample: Sample) -> Iterator[str]:
    if not any(way in sample.text for way in sample.ways_out):
        yield "text"
    if sample.html is not None and not _link(sample):
        yield "HTML"


def _link(sample: Sample) -> list[Piece]:
    """What stands in the links that lead out, in the HTML part."""
    links = visible.read(sample.html or "").links()
    return [piece for way in sample.ways_out for piece in links.get(way, ())]


def conspicuous(facts: Facts) -> Verdict:
    """CANSPAM-OPTOUT-CONSPICUOUS: the link is text, of a size and colour to be read."""
    samples = facts.of(Messages).samples
    doubt = None
    for sample in samples:
        verdict = _seen(sample)
        if verdict and verdict.status == "fail":
            return verdict
        doubt = doubt or verdict
    return doubt or passed(f"in {counted(len(samples), 'message')}")


def _seen(sample: Sample) -> Verdict | None:
    """What is wrong with how the link looks: the best of several counts."""
    pieces = _link(sample)
    if pieces:
        wrong = [(_unreadable(piece), piece) for piece in pieces]
        if all(why for why, _ in wrong):
            return failed(sample.name, reason=wrong[0][0])
        if all(why or _faint(piece) for why, piece in wrong):
            return warned(sample.name, reason=_faint(next(p for w, p in wrong if not w)))
    at = min(
        (sample.text.find(way) for way in sample.ways_out if way in sample.text), default=0
    )
    if FAR_BELOW.search(sample.text, 0, at):
        return warned(sample.name, reason="more than 30 blank lines stand above it")
    return None


def _unreadable(piece: Piece) -> str:
    look = piece.look
    if look.hidden:
        return look.hidden
    if piece.image:
        return "an image alone: many readers see none"
    if look.size < UNREADABLE:
        return f"{look.size:g} pixels"
    if look.contrast < INVISIBLE:
        return "the colour of its background"
    return ""


def _faint(piece: Piece) -> str:
    look = piece.look
    if look.size < SMALL:
        return f"{look.size:g} pixels"
    if look.contrast < FAINT:
        return f"contrast {look.contrast:.1f}:1"
    return ""


def explained(facts: Facts) -> Iterator[Verdict]:
    """CANSPAM-OPTOUT-NOTICE: the link, or its sentence, says that one can opt out."""
    samples = facts.of(Messages).samples
    unknown = None
    for sample in samples:
        for words, around in _said(sample):
            if OPT_OUT.search(around):
                continue
            if SAYS_NOTHING.fullmatch(words):
                yield failed(sample.name, text=words)
                return
            unknown = unknown or warned(
                f"{sample.name}: no words that mailblast knows", text=words
            )
    yield unknown or passed(f"in {counted(len(samples), 'message')}")


def _said(sample: Sample) -> Iterator[tuple[str, str]]:
    """The words of each link out, and the sentence they stand in."""
    if sample.html is not None and (pieces := _link(sample)):
        words = visible.plain(" ".join(piece.text for piece in pieces))
        yield words, _sentence(visible.read(sample.html).text, words)
    way = next((way for way in sample.ways_out if way in sample.text), None)
    if way is not None:
        before, _, after = sample.text.partition(way)
        above = before.rstrip().rsplit("\n\n", 1)[-1][-300:]
        words = before.rsplit("\n\n", 1)[-1][-300:] + after.split("\n", 1)[0]
        yield visible.plain(words), f"{above} {words}"


def _sentence(text: str, words: str) -> str:
    before, _, after = text.partition(words)
    start = re.split(r"[.!?。]\s", before[-300:])[-1]
    return f"{start}{words}{re.split(r'[.!?。]', after[:300])[0]}"


def answered(facts: Facts) -> Verdict:
    """CANSPAM-OPTOUT-REPLY: who is invited to opt out by reply can be replied to."""
    sender = facts.campaign.sender
    address = (sender.reply_to or sender.mailbox).address.mailbox
    for sample in facts.of(Messages).samples:
        text = visible.read(sample.html).text if sample.html else sample.text
        found = OPT_OUT_BY_REPLY.search(text)
        if not found:
            continue
        if _NO_REPLY.match(address):
            return failed(f'{sample.name}: "{found[0]}"', address=address)
        return asked(f'{sample.name}: "{found[0]}"', address, address=address)
    return passed("no message asks for replies to opt out")


_NO_REPLY = re.compile(r"(?:no|do-?not)[-._]?reply", re.IGNORECASE)

CHECKS: dict[str, Check] = {
    "CANSPAM-OPTOUT-PRESENT": commercial(present),
    "CANSPAM-OPTOUT-CONSPICUOUS": commercial(conspicuous),
    "CANSPAM-OPTOUT-NOTICE": commercial(explained),
    "CANSPAM-OPTOUT-REPLY": commercial(answered),
}
