"""What the body shows: that it is whole, says the same twice, and hides nothing."""

import re
from collections.abc import Iterator

from mailblast.check import each, visible
from mailblast.check.facts import Sample
from mailblast.check.finding import Verdict, failed, warned
from mailblast.check.pack import Check
from mailblast.check.page import Page

# Octets of HTML.  Gmail shows about 102 KB and cuts off the rest, the way out with it.
CLIPPED, NEAR = 102_400, 92_160
SAME, OTHER = 0.7, 0.4  # share of the words of one part that stand in the other
FEW = 8  # words; of fewer nothing can be said
PREHEADER = 200  # characters that are hidden on purpose, to be seen in the list of messages
SEEN = 1.1  # contrast ratio; less is invisible
TINY = 2  # CSS pixels
_URL = re.compile(r"(?:https?://|mailto:|www\.)\S+|\S+@\S+", re.IGNORECASE)
# Scripts without blanks: two signs in a row stand for a word.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+"
)
_FILLER = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\ufeff]+"
)
_NEVER_TEXT = ("in <",)  # style, script and the like are no hidden words


def whole(sample: Sample) -> Iterator[Verdict]:
    """MSG-CLIPPED: Gmail shows all of it."""
    size = len((sample.html or "").encode())
    if size >= CLIPPED:
        yield failed("", n=f"{size:,}")
    elif size >= NEAR:
        yield warned("", n=f"{size:,}")


def alike(sample: Sample) -> Iterator[Verdict]:
    """MSG-ALIKE: who reads the text is told what the HTML says."""
    page = visible.read(sample.html or "")
    images = " ".join(piece.text for piece in page.pieces if piece.image)
    shown, text = _words(page.text), _words(sample.text)
    if len(shown) < FEW:
        if len(_words(f"{page.text} {images}")) < FEW <= len(text):
            yield warned(
                f"{len(shown)} words of HTML", reason="the HTML says next to nothing"
            )
        return
    for found, part, other in (
        (_share(shown, text), "HTML", "text"),
        (_share(text, shown | _words(images)), "text", "HTML"),
    ):
        if found < SAME:
            verdict = warned if found >= OTHER else failed
            reason = f"{found:.0%} of the words of the {part} stand in the {other}"
            yield verdict("", reason=reason)
            return


def _words(text: str) -> set[str]:
    plain = _URL.sub(" ", text).casefold()
    runs = _UNSPACED.findall(plain)
    pairs = {run[n : n + 2] for run in runs for n in range(len(run) - 1)}
    return pairs | set(re.findall(r"\w{3,}", _UNSPACED.sub(" ", plain)))


def _share(words: set[str], other: set[str]) -> float:
    return len(words & other) / len(words) if words else 1.0


def sound(_: Sample, page: Page) -> Iterator[Verdict]:
    """MSG-HTML: tags are closed, in order, where they belong."""
    for fault in page.faults:
        yield failed(f"line {fault.line} of the HTML", reason=fault.words)


def described(_: Sample, page: Page) -> Iterator[Verdict]:
    """MSG-ALT: who sees no images reads what they are."""
    for picture in page.pictures:
        source = picture.source[:100] or "without a source"
        if picture.alt is None:
            yield failed("", source=source, reason="has no alt text")
        elif picture.alone and not picture.alt.strip():
            yield failed(
                "", source=source, reason="is all there is of a link, and says nothing"
            )


def sized(_: Sample, page: Page) -> Iterator[Verdict]:
    """MSG-IMAGE-SIZE: the page stands before its images come."""
    for picture in page.pictures:
        if not picture.sized:
            yield failed("", source=picture.source[:100] or "without a source")


def open_to_all(sample: Sample) -> Iterator[Verdict]:
    """MSG-HIDDEN: what is there is seen; a line for the list of messages may be hidden."""
    hidden, faint = 0, 0
    how = ""
    for piece in visible.read(sample.html or "").pieces:
        look, length = piece.look, len(_FILLER.sub("", piece.text))
        if piece.image or not length or look.hidden.startswith(_NEVER_TEXT):
            continue
        if look.hidden or look.size < TINY:
            hidden += length
            how = how or look.hidden or f"{look.size:g} pixels"
        elif look.contrast < SEEN:
            faint += length
    if hidden:
        yield (failed if hidden > PREHEADER else warned)(how, n=hidden)
    if faint:
        # An image may lie between, which cannot be seen from here.
        yield warned("the colour of its background", n=faint)


CHECKS: dict[str, Check] = {
    "MSG-CLIPPED": each.html(whole),
    "MSG-ALIKE": each.html(alike),
    "MSG-HTML": each.page(sound),
    "MSG-ALT": each.page(described),
    "MSG-IMAGE-SIZE": each.page(sized),
    "MSG-HIDDEN": each.html(open_to_all),
}
