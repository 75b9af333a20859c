"""Whom an explanation speaks of, and which of its lines speak of whom.

Rule: a recipient is named where reports name one: at the beginning of a line, in brackets,
alone.  What follows, up to the next recipient or an empty line, is what was said of it.
"""

import re
from dataclasses import dataclass

ADDRESS = (
    r"(?:\"[^\"\n]{1,64}\"|[^\s<>()\[\]\\,;:\"'@|=/`*]"
    r"[^\s<>()\[\]\\,;:\"@|`*]{0,120})@(?:[\w#][\w.#-]{0,253}[\w]|\[[\d.:]{3,45}\])"
)
MAX_PASSAGE = 2000
MAX_PASSAGES = 1000

# "* <anna@example.net>: host …", "  anna@example.net", "Recipient: <anna@example.net>".
_LEADING = re.compile(
    rf"""^(?P<indent>[ \t]*) (?:[*•·o+-][ ]{{1,3}}|\d{{1,3}}[.)][ ]|\#[ ]|>>>[ ])?
    (?:(?:E?SMTP[:;]|rfc822;|mailto:|generated[ ](?:by|from)
      |(?:failed[ ]|the[ ]|original[ ]|intended[ ])?recipients?(?:[ ]address)?[ ]?:|addressed[ ]to:
      |undeliverable[ ]address:|address:|user:|to:)[ \t]{{0,8}})?
    ['"]?<?(?:mailto:)?(?P<address>{ADDRESS})>?['"]?
    (?P<rest>[ \t]*(?:$|[:;,.(<\[-]|\.\.\.|\s(?!wrote|writes|schrieb)).*)$""",
    re.MULTILINE | re.VERBOSE | re.IGNORECASE,
)
_ANY = re.compile(ADDRESS)


@dataclass(frozen=True, slots=True)
class Passage:
    """A recipient and what is said of it; `start` and `end` are places in the text."""

    address: str
    text: str
    start: int
    end: int


def leading(text: str) -> list[Passage]:
    """The recipients with which lines begin, each with the words that follow."""
    found: list[Passage] = []
    lines = _Lines(text)
    at = 0
    while len(found) < MAX_PASSAGES:
        match = _LEADING.search(text, at)
        if match is None:
            return found
        end = lines.end(match)
        said = match["rest"].strip(" \t:,;>") + "\n" + text[match.end() : end]
        found.append(
            Passage(match["address"], said.strip()[:MAX_PASSAGE], match.start(), end)
        )
        at = max(end, match.end())
    return found


def mentioned(text: str) -> list[re.Match[str]]:
    """Every address in a text."""
    return list(_ANY.finditer(text))[:MAX_PASSAGES]


class _Lines:
    """Where a passage ends: at an empty line, or at a line that begins another."""

    def __init__(self, text: str) -> None:
        self._text = text

    def end(self, match: re.Match[str]) -> int:
        """The end of the passage that `match` begins."""
        text, at = self._text, match.end()
        indent = _width(match["indent"])
        said = match["rest"].strip(" \t:,;>.-")
        while at < len(text) and at - match.end() < MAX_PASSAGE:
            stop = text.find("\n", at + 1)
            stop = len(text) if stop < 0 else stop
            line = text[at + 1 : stop]
            if not line.strip():
                return at
            begins = _LEADING.match(line)
            if begins and _width(begins["indent"]) <= indent:
                return at
            # A list of addresses is no passage: the next line is less indented prose.
            if (
                not said
                and indent
                and _width(line[: len(line) - len(line.lstrip())]) < indent
            ):
                return at
            at = stop
        return at


def _width(white: str) -> int:
    return len(white.expandtabs(8))
