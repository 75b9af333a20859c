"""An HTML part as a browser takes it apart: its links, its images, and what is wrong with it.

The parser is html5lib's, in the form in which it is kept today: it mends what is broken as every
browser does, and says what it had to mend (HTML §13.2).  What it would complain of and every
mail does (no doctype, the conditional comments of Outlook, a bare &) is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from tinyhtml5.parser import HTMLParser
from tinyhtml5.tokenizer import HTMLTokenizer

from mailblast.errors import Refusal

MAX_LENGTH = 1_000_000  # characters
# The time that parsing takes grows with the square of these.
MAX_DEPTH = 400  # of elements
MAX_ATTRIBUTES = 250  # of one tag
MAX_FAULTS = 20_000

# What the parser calls it, and what is said of it.
_FAULTS = {
    **dict.fromkeys(
        ("unexpected-end-tag", "end-tag-too-early"), "</{name}> fits no open tag"
    ),
    **dict.fromkeys(
        ("adoption-agency-1.2", "adoption-agency-1.3", "adoption-agency-4.4"),
        "</{name}> closes in the wrong order, or nothing",
    ),
    "unexpected-cell-end-tag": "</{name}> closes what is open in it",
    "unexpected-end-tag-treated-as": "</{originalName}> is no end tag",
    "expected-one-end-tag-but-got-another": "<{expectedName}> is open at </{gotName}>",
    "end-tag-too-early-named": "<{expectedName}> is open at </{gotName}>",
    "expected-closing-tag-but-got-eof": "<{name}> is never closed",
    "expected-named-closing-tag-but-got-eof": "<{name}> is never closed",
    "eof-in-table": "<table> is never closed",
    "non-void-element-with-trailing-solidus": "<{name}/> is not closed by its slash",
    "unexpected-start-tag-implies-end-tag": "<{startName}> in <{endName}>",
    "unexpected-start-tag-implies-table-voodoo": "<{name}> in a table, outside its cells",
    "unexpected-end-tag-implies-table-voodoo": "</{name}> in a table, outside its cells",
    "unexpected-char-implies-table-voodoo": "text in a table, outside its cells",
    "unexpected-start-tag-ignored": "<{name}> may not stand there",
    "unexpected-start-tag": "<{name}> may not stand there",
    "duplicate-attribute": "an attribute is given twice",
    "unexpected-character-in-unquoted-attribute-value": "a value needs quotation marks",
    "unexpected-character-after-attribute-value": "no blank between two attributes",
    "invalid-character-in-attribute-name": "a quotation mark or < in the name of an attribute",
}
_UNFINISHED = "a tag, an attribute or a comment is not closed at the end"

# Their end tags may be left out.
_OPEN_ENDED = frozenset(("p", "li", "td", "th", "tr", "dt", "dd", "option"))


@dataclass(frozen=True, slots=True)
class Anchor:
    """A link: where it leads, and all the text and the `alt` texts in it."""

    target: str
    text: str
    image: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """An image; `alt` is None where none is given, `alone` in a link that has no words."""

    source: str
    alt: str | None
    sized: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What a browser has to mend, and in which line of the part."""

    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML part.  `names` are what a link within the page can lead to."""

    anchors: tuple[Anchor, ...]
    pictures: tuple[Picture, ...]
    faults: tuple[Fault, ...]
    names: frozenset[str]


@lru_cache(maxsize=16)  # a handful of rules look at the same few messages
def read(html: str) -> Page | Refusal:
    """Take an HTML part apart; a Refusal if that would take too long."""
    parsed = _parsed(html)
    if isinstance(parsed, Refusal):
        return parsed
    root, parser = parsed
    named = (one.get("id") or one.get("name") for one in root.iter())
    return Page(
        tuple(map(_anchor, root.iter("a"))),
        tuple(_pictures(root)),
        tuple(_faults(parser)),
        frozenset(filter(None, named)),
    )


def tree(html: str, most: int = MAX_LENGTH) -> Element | Refusal:
    """A whole page of up to so many characters as its elements; a Refusal if that would take
    too long."""
    parsed = _parsed(html, most)
    return parsed if isinstance(parsed, Refusal) else parsed[0]


def _parsed(html: str, most: int = MAX_LENGTH) -> tuple[Element, HTMLParser] | Refusal:
    if len(html) > most:
        return Refusal(f"{len(html):,} characters of HTML are too many to look at")
    parser = _Parser(namespace_html_elements=False)
    try:
        return parser.parse(html), parser
    except _TooMuch as error:
        return Refusal(str(error))


class _TooMuch(Exception):
    """Whoever writes this wants us to be busy with it.  `_parsed` alone catches it."""


class _Parser(HTMLParser):  # type: ignore[misc]  # the library ships no types
    """The parser, which gives up where a browser would go on."""

    def _parse(self, stream: str, **_: Any) -> None:
        self.container, self.scripting = None, False
        self.tokenizer = _Tokenizer(stream, parser=self)
        self.reset()
        self.main_loop()

    def parse_error(self, *what: Any) -> None:
        super().parse_error(*what)
        if len(self.errors) > MAX_FAULTS:
            raise _TooMuch(f"it has more than {MAX_FAULTS:,} faults")


class _Tokenizer(HTMLTokenizer):  # type: ignore[misc]  # as above
    """Its tokens.  What is open is counted as it is, not as the tags would have it: end tags
    that fit nothing close nothing."""

    def emit_current_token(self) -> None:
        if len(self.parser.tree.open_elements) > MAX_DEPTH:
            raise _TooMuch(f"its tags are nested more than {MAX_DEPTH} deep")
        super().emit_current_token()

    def attribute_name_state(self) -> bool:
        if len(self.current_token["data"]) > MAX_ATTRIBUTES:
            raise _TooMuch(f"a tag has more than {MAX_ATTRIBUTES} attributes")
        return bool(super().attribute_name_state())


def _anchor(element: Element) -> Anchor:
    images = list(element.iter("img"))
    words = [*element.itertext(), *(one.get("alt") or "" for one in images)]
    text = " ".join("".join(words).split())
    return Anchor((element.get("href") or "").strip(), text, bool(images))


def _pictures(root: Element) -> Iterator[Picture]:
    wordless = {
        image
        for link in root.iter("a")
        if link.get("href") and not "".join(link.itertext()).strip()
        for image in link.iter("img")
    }
    for image in root.iter("img"):
        style = (image.get("style") or "").lower()
        sized = all(image.get(side) or f"{side}:" in style for side in ("width", "height"))
        yield Picture(image.get("src") or "", image.get("alt"), sized, image in wordless)


def _faults(parser: Any) -> Iterator[Fault]:
    unclosed = [one.name for one in parser.tree.open_elements if one.name not in _IMPLIED]
    for (line, _), code, values in parser.errors:
        if code.startswith(("eof-in-", "expected-attribute")) and code != "eof-in-table":
            yield Fault(line, _UNFINISHED)
        elif words := _FAULTS.get(code):
            name = {"name": unclosed[-1] if unclosed else "body"}
            yield Fault(line, words.format(**{**name, **values}))


_IMPLIED = _OPEN_ENDED | {"html", "head", "body", "tbody"}
