"""HTML made into text, once, while it is still a template.

inscriptis reads the HTML with a word in place of each tag of Jinja.  It lays tables out on
a canvas, which a loop over rows would not survive, and a mail's tables are mostly layout:
so table rows become blocks and cells stand side by side.  Links keep their address, images
their `alt`.
"""

import re

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from mailblast.template.environment import Source
from mailblast.template.markup import RAW_TEXT, Element, elements
from mailblast.template.shield import Shield, Tag, shield

_CONFIG = ParserConfig(css=CSS_PROFILES["strict"].copy(), display_links=True)
_NAMES = {"table": "div", "tbody": "div", "thead": "div", "tfoot": "div", "tr": "div",
          "caption": "div", "td": "span", "th": "span"}  # fmt: skip
_PASSED = frozenset({"html", "body", "head", "link", "meta", "base", "colgroup", "col"})
_VOID = frozenset({"br", "hr", "img", "input", "wbr"})
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<[!?][^>]*+>", re.DOTALL)
_HIDING = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_KEYWORD = re.compile(r"\{%[-+]?\s*(\w+)")
_CELL = "\ue001"  # before a cell; at the start of a line it prints nothing
_CELLS = re.compile(rf"(^[ {_CELL}]+)|[ {_CELL}]*{_CELL}[ {_CELL}]*", re.MULTILINE)
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")
_BLOCKS = frozenset({"autoescape", "block", "call", "filter", "for", "if", "macro", "with"})


def plaintext(source: Source) -> Source:
    """The text template for an HTML template.

    Raises TemplateError where a Jinja statement has no place in the text.
    """
    shielded = shield(source)
    copy = _Copy(shielded)
    for element in elements(shielded.masked):
        copy.take(element)
    text = get_text(copy.finished(), _CONFIG)
    text = _CELLS.sub(
        lambda m: (m[1] or "  ").replace(_CELL, ""), text.replace("\xa0", " ")
    )
    text = _LINK.sub(_link, text)
    return shielded.restore(_settled(text, shielded), source.name, copy.statements)


def _link(match: re.Match[str]) -> str:
    text, address = match[1].strip(), match[2]
    if not text or text in (address, address.removeprefix("mailto:")):
        return address
    return f"{text} <{address}>"


def _settled(text: str, shielded: Shield) -> str:
    """Statements that stand alone get a line each, without the blank lines behind them."""
    numbers = (str(n) for n, tag in enumerate(shielded.tags) if tag.kind == "statement")
    alone = re.compile(rf"(?:\s*{shielded.word}(?:{'|'.join(numbers)})x)+\s*")
    lines: list[str] = []
    after_statement = False
    for line in text.strip().split("\n"):
        if alone.fullmatch(line):
            lines += line.split()
            after_statement = True
        elif line.strip() or not (after_statement or lines[-1:] == [""]):
            lines.append(line.rstrip())
            after_statement = False
    return "\n".join(lines) + "\n"


class _Copy:
    """Writes the HTML again with only what matters to the text."""

    def __init__(self, shielded: Shield) -> None:
        self.statements: list[int] = []
        self._shielded = shielded
        self._pieces: list[str] = []
        self._position = 0
        self._hidden = ""  # the name of the element that hides what is read now…
        self._depth = 0  # …and how many of that name are open
        self._dropped: list[int] = []

    def take(self, element: Element) -> None:
        """Go on to this element, and write it."""
        self._text(self._position, element.start)
        self._position = element.end
        if self._hidden:
            self._drop(element.start, element.end)
            self._depth += (element.name == self._hidden) * (-1 if element.closes else 1)
            if not self._depth:
                self._hidden = ""
        elif _hides(element):
            self._hidden, self._depth = element.name, 1
            self._drop(element.start, element.end)
        else:
            self._tag(element)
        self._settle()

    def finished(self) -> str:
        """All of it."""
        self._text(self._position, len(self._shielded.masked))
        self._hidden = ""
        self._settle()
        return "".join(self._pieces)

    def _text(self, start: int, end: int) -> None:
        if self._hidden:
            return self._drop(start, end)
        for comment in _COMMENT.finditer(self._shielded.masked, start, end):
            self._write(start, comment.start())
            self._drop(*comment.span())
            self._settle()
            start = comment.end()
        return self._write(start, end)

    def _tag(self, element: Element) -> None:
        name = _NAMES.get(element.name, element.name)
        shown = element.attributes.get({"a": "href", "img": "alt"}.get(name, ""))
        if element.name in RAW_TEXT or shown is None or element.closes:
            self._drop(element.start, element.end)
            self._pieces.append(_bare(element, name))
            return
        self._drop(element.start, shown.start)
        self._settle()
        self._pieces.append('<a href="' if name == "a" else "")
        self._write(shown.start, shown.end)
        self._pieces.append('">' if name == "a" else "")
        self._drop(shown.end, element.end)

    def _write(self, start: int, end: int) -> None:
        def token(number: int, tag: Tag) -> str:
            if tag.kind == "statement":
                self.statements.append(number)
            return (
                self._shielded.token(number)
                if tag.kind in ("expression", "statement")
                else ""
            )

        self._pieces.append(self._shielded.between(start, end, token))

    def _drop(self, start: int, end: int) -> None:
        def note(number: int, tag: Tag) -> str:
            if tag.kind == "statement":
                self._dropped.append(number)
            return ""

        self._shielded.between(start, end, note)

    def _settle(self) -> None:
        """Of what was dropped, keep the statements if they reach beyond it."""
        if self._hidden or not self._dropped:
            return
        if not _balanced([self._shielded.tags[number] for number in self._dropped]):
            self.statements += self._dropped
            self._pieces += [
                f" {self._shielded.token(number)} " for number in self._dropped
            ]
        self._dropped = []


def _hides(element: Element) -> bool:
    if element.closes or element.name in _VOID:
        return False
    style = element.attributes.get("style")
    hidden = style is not None and _HIDING.search(style.plain) is not None
    return hidden or element.name == "head" or "hidden" in element.attributes


def _bare(element: Element, name: str) -> str:
    if element.name in _PASSED | RAW_TEXT | {"img"}:
        return ""
    if not name.isalnum() or not name.isascii():
        name = "div"
    if element.closes:
        return f"</{name}>"
    return f"{_CELL}<{name}>" if element.name in ("td", "th") else f"<{name}>"


def _balanced(statements: list[Tag]) -> bool:
    depth = 0
    for tag in statements:
        keyword = _KEYWORD.match(tag.text)
        word = keyword[1] if keyword else ""
        if not depth and word not in _BLOCKS:
            return False
        depth += (word in _BLOCKS) - word.startswith("end")
    return depth == 0
