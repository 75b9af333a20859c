"""What a reader sees of an HTML part.

The styles are in the elements already (`template.styles` puts them there), so a style
attribute and the old attributes of HTML are all there is to read.  It is no browser: what it
takes for visible can be off in cases nobody writes by accident.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from html.parser import HTMLParser

SMALLEST = 0.2  # of opacity; less is not seen
_UNIT = {"px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "": 1.0}
_SIZE = re.compile(r"([\d.]+)\s*(px|pt|em|rem|%|)")
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source",
    "track", "wbr",
})  # fmt: skip
_NO_TEXT = frozenset({"head", "script", "style", "template", "title"})
# An end tag of these may be left out: the next of its kind closes it (HTML §13.1.2.4).
_CLOSED_BY_THE_NEXT = frozenset({"p", "li", "td", "th", "tr", "dt", "dd", "option"})
_INLINE = frozenset(
    {"a", "abbr", "b", "em", "font", "i", "s", "small", "span", "strong", "u"}
)
_COLOURS = {
    "black": (0, 0, 0), "white": (255, 255, 255), "silver": (192, 192, 192),
    "gray": (128, 128, 128), "grey": (128, 128, 128), "red": (255, 0, 0),
    "yellow": (255, 255, 0), "lightgray": (211, 211, 211), "lightgrey": (211, 211, 211),
    "whitesmoke": (245, 245, 245), "navy": (0, 0, 128), "blue": (0, 0, 255),
}  # fmt: skip

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """How text looks: `hidden` says why it is not seen, `size` is in CSS pixels."""

    hidden: str = ""
    size: float = 16.0
    colour: Colour = (0, 0, 0)
    background: Colour = (255, 255, 255)
    link: str = ""

    @property
    def contrast(self) -> float:
        """The contrast ratio of WCAG 2: from 1, the same colour, to 21, black on white."""
        light, dark = sorted(map(_luminance, (self.colour, self.background)), reverse=True)
        return (light + 0.05) / (dark + 0.05)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text, or an image with its `alt` text, and how it looks."""

    text: str
    look: Look
    image: str = ""  # its source
    tiny: bool = False  # an image of one pixel, or none


@dataclass(frozen=True, slots=True)
class Page:
    """All pieces of an HTML part, in order."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The text that is seen, its blanks as one each."""
        seen = (p.text for p in self.pieces if not p.look.hidden and not p.image)
        return plain("".join(seen))

    def links(self) -> dict[str, list[Piece]]:
        """What each link shows, by its address, in order."""
        found: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            if piece.look.link and (piece.image or piece.text.strip()):
                found.setdefault(piece.look.link, []).append(piece)
        return found


@lru_cache(maxsize=16)  # every rule looks at the same few messages
def read(html: str) -> Page:
    """What there is to see in an HTML part."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Page(tuple(reader.pieces))


def plain(text: str) -> str:
    """Text with its blanks as one each."""
    return " ".join(text.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[Piece] = []
        self._open: list[tuple[str, Look]] = []

    @property
    def _look(self) -> Look:
        return self._open[-1][1] if self._open else Look()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in reversed(attrs)}
        if tag in _CLOSED_BY_THE_NEXT and self._open and self._open[-1][0] == tag:
            self._open.pop()
        look = _styled(self._look, tag, given)
        self._part(tag)
        if tag == "img":
            source, alt = given.get("src", "") or "?", given.get("alt", "")
            self.pieces.append(Piece(alt, look, source, _tiny(given)))
        if tag not in _VOID:
            self._open.append((tag, look))

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open]
        if tag in names:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]
        self._part(tag)

    def handle_data(self, data: str) -> None:
        self.pieces.append(Piece(data, self._look))

    def _part(self, tag: str) -> None:
        """Words on both sides of a block are two words."""
        if tag not in _INLINE and self.pieces:
            self.pieces.append(Piece("\n", replace(self._look, link="")))


def _styled(look: Look, tag: str, given: dict[str, str]) -> Look:
    style = dict(_declarations(given.get("style", "")))
    background = style.get(
        "background-color", style.get("background", given.get("bgcolor"))
    )
    return replace(
        look,
        hidden=look.hidden or _why_hidden(tag, given, style),
        size=_size(style, look.size),
        colour=_colour(style.get("color", given.get("color")), look.colour),
        background=_colour(background, look.background),
        link=given.get("href", "").strip() if tag == "a" else look.link,
    )


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.lower().split(";"):
        name, _, value = declaration.partition(":")
        yield name.strip(), value.replace("!important", "").strip()


def _why_hidden(tag: str, given: dict[str, str], style: dict[str, str]) -> str:
    if tag in _NO_TEXT:
        return f"in <{tag}>"
    if "hidden" in given:
        return "the attribute hidden"
    for name, value in (("display", "none"), ("visibility", "hidden"), ("mso-hide", "all")):
        if style.get(name) == value:
            return f"{name}:{value}"
    if _number(style.get("opacity", ""), 1.0) < SMALLEST:
        return f"opacity:{style['opacity']}"
    nothing = ("0", "0px")
    if style.get("overflow") == "hidden" and (
        style.get("max-height") in nothing or style.get("height") in nothing
    ):
        return "a height of 0"
    return ""


def _tiny(given: dict[str, str]) -> bool:
    style = dict(_declarations(given.get("style", "")))
    sides = (style.get(name) or given.get(name, "") for name in ("width", "height"))
    return all(side.removesuffix("px").strip() in ("0", "1") for side in sides)


def _size(style: dict[str, str], inherited: float) -> float:
    given = style.get("font-size") or _of_shorthand(style.get("font", ""))
    found = _SIZE.match(given)
    if not found:
        return inherited
    number = _number(found[1], inherited)
    if found[2] in ("em", "%"):
        return inherited * (number / 100 if found[2] == "%" else number)
    return number * _UNIT[found[2]]


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text)
    except ValueError:
        return otherwise


def _of_shorthand(font: str) -> str:
    """The size in `font: bold 13px/1.5 Helvetica`."""
    found = re.search(r"[\d.]+(?:px|pt|em|rem|%)", font)
    return found[0] if found else ""


def _colour(given: str | None, inherited: Colour) -> Colour:
    """A colour in one of the forms that mail uses; others leave things as they are."""
    text = (given or "").strip().lower()
    if found := re.search(r"#([0-9a-f]{6}|[0-9a-f]{3})\b", text):
        digits = found[1] if len(found[1]) == 6 else "".join(2 * one for one in found[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    if found := re.search(r"rgba?\((\d{1,3})[, ]+(\d{1,3})[, ]+(\d{1,3})", text):
        red, green, blue = (min(int(one), 255) for one in found.groups())
        return red, green, blue
    return _COLOURS.get(text, inherited)


def _luminance(colour: Colour) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [
        one / 255 / 12.92 if one <= 10 else ((one / 255 + 0.055) / 1.055) ** 2.4
        for one in colour
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
