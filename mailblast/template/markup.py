"""Where the tags of an HTML template stand.

The template itself stays as its author wrote it, to the character, except where we mean to
change it: so no parser ever writes it anew.  What reads it here is tolerant as mail clients
are, and knows positions only.  It reads the masked text, in which Jinja's tags are fillers.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailblast.template.shield import FILLER

_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<[!?][^>]*+>"
    rf"|<(?P<close>/?)(?P<name>[a-zA-Z{FILLER}][^\s/>]*+)"
    r"""(?P<attributes>(?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"""(?P<name>[^\s"'<>/=]++)(?:\s*=\s*(?P<value>"[^"]*+"|'[^']*+'|[^\s"'>]++))?"""
)
# What stands in these is text, whatever it looks like (HTML §13.1.2).
RAW_TEXT = frozenset({"script", "style", "textarea", "title"})
_VALUE_ENDS = {name: re.compile(rf"</{name}\s*>|\Z", re.IGNORECASE) for name in RAW_TEXT}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; the positions are those of its value, without quotes."""

    name: str
    value: str
    start: int
    end: int
    quote: str

    @property
    def plain(self) -> str:
        """The value with its character references resolved."""
        return html.unescape(self.value)


@dataclass(frozen=True, slots=True)
class Element:
    """One tag, from its `<` to behind its `>`; a raw text element up to its end."""

    name: str
    closes: bool
    start: int
    end: int
    inner: int  # behind the `>` of the start tag
    attributes: dict[str, Attribute]

    @property
    def name_end(self) -> int:
        """Behind the name: where an attribute may be put in."""
        return self.start + 1 + len(self.name)


def elements(masked: str) -> Iterator[Element]:
    """Every start and end tag in order; comments are passed over."""
    position = 0
    while match := _TAG.search(masked, position):
        position = match.end()
        if match["name"] is None:
            continue
        name = match["name"].lower()
        if name in RAW_TEXT and not match["close"]:
            end = _VALUE_ENDS[name].search(masked, position)
            position = end.end() if end else len(masked)
        attributes = _attributes(masked, *match.span("attributes"))
        yield Element(
            name, bool(match["close"]), match.start(), position, match.end(), attributes
        )


def _attributes(masked: str, start: int, end: int) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for match in _ATTRIBUTE.finditer(masked, start, end):
        value = match["value"] or ""
        quote = value[:1] if value[:1] in ('"', "'") else ""
        first, last = match.span("value") if value else (match.end(), match.end())
        inside = len(quote)
        attribute = Attribute(
            match["name"].lower(),
            value[inside : len(value) - inside],
            first + inside,
            last - inside,
            quote,
        )
        found.setdefault(attribute.name, attribute)  # the first counts (HTML §13.2.5.33)
    return found
