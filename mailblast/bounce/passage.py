"""Whom an explanation speaks of, and which of its lines speak of whom.

Rule: a recipient is named where reports name one: at the beginning of a line, in brackets,
alone.  What follows, up to the next recipient or an empty line, is what was said of it.
"""

import re
from dataclasses import dataclass
from itertools import islice

# Points of Chinese and Japanese, between which an address stands without a blank.
_WIDE = "（）【】「」《》“”，。；："
ADDRESS = (
    rf"(?:\"[^\"\n]{{1,64}}\"|[^\s<>()\[\]\\,;:\"'@|=/`*{_WIDE}]"
    rf"[^\s<>()\[\]\\,;:\"@|`*{_WIDE}]{{0,120}})"
    r"@(?:[\w#][\w.#-]{0,253}[\w]|\[[\d.:]{3,45}\])"
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
    at = 0
    while len(found) < MAX_PASSAGES and (match := _LEADING.search(text, at)):
        end = _end(text, match)
        said = match["rest"].strip(" \t:,;>") + "\n" + text[match.end() : end]
        found.append(
            Passage(match["address"], said.strip()[:MAX_PASSAGE], match.start(), end)
        )
        at = max(end, match.end())
    return found


def mentioned(text: str) -> list[re.Match[str]]:
    """Every address in a text."""
    return list(islice(_ANY.finditer(text), MAX_PASSAGES))


def _end(text: str, match: re.Match[str]) -> int:
    """Where the passage ends that `match` begins.

    At an empty line, or at a line that begins another passage: one that stands further in
    belongs to this one.
    """
    at, indent = match.end(), _width(match["indent"])
    listed = not match["rest"].strip(" \t:,;>.-")
    while at < len(text) and at - match.end() < MAX_PASSAGE:
        stop = text.find("\n", at + 1)
        line = text[at + 1 : stop if stop >= 0 else None]
        further = _width(line[: len(line) - len(line.lstrip())])
        if not line.strip() or (further <= indent and _LEADING.match(line)):
            break
        # Below a list of addresses prose goes on for all of them, less indented.
        if listed and further < indent:
            break
        at = stop if stop >= 0 else len(text)
    return at


def _width(white: str) -> int:
    return len(white.expandtabs(8))
