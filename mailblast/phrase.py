"""Phrases of server replies, and where they occur in a text.

A phrase is written as a server says it: `mailbox [is] full`.  `[…]` may be missing, `(a|b)`
is one of these, `*` stands for a few words, `@` for an address.  Capitals, punctuation and
accents do not count, nor where the text is wrapped.

Rule: no regular expression is made from a phrase.  A text is cut into words once, and every
phrase is looked for in the same pass, word by word: thousands of phrases cost hardly more
than one, and no text, however hostile, costs more than its length.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

MAX_TEXT = 2_000  # as much as is kept of a reply (smtp.reply)
MAX_GAP = 10  # words that `*` may stand for: an IP address, a domain, half a sentence

# Chinese, Japanese and Korean put no blanks between words: each character is one.
_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# A dot inside a name belongs to its word: "spam." of spam.example is not "spam".  An IP
# address is one word.
_WORD = re.compile(rf"[{_SIGNS}]|\d+(?:\.\d+)+|[^\W_{_SIGNS}]+(?:\.(?=[^\W_]))?|@")
# "=" at the end of a line is quoted-printable's: the line goes on (RFC 2045 §6.7).
_SOFT_BREAK = re.compile(r"=\r?\n")
_RUN_ON = re.compile(r"(?<=[a-z]{2})\.(?=[A-Z][a-z])")  # "User unknown.Giving up"
# Every line of a long reply repeats the codes: "421-4.7.28 from your IP 421-4.7.28 address".
_CODES = re.compile(
    r"(?<![\w.])(?:(?:[245]\d\d[ -]#?)?[245]\.\d{1,3}\.\d{1,3}(?!\.?\w)|[245]\d\d-(?=\S))"
)
# It begins where a word does, so that a text without "@" is gone through once.
_APART = r"\s<>()\[\]\",;:"
_ADDRESS = re.compile(rf"(?<![^{_APART}])[^{_APART}@]++@[^{_APART}]*+")
_QUOTES = str.maketrans("", "", "'`´‘’")
_MARKS = re.compile("[\u0300-\u036f\u3099\u309a]")

_PIECE = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]|([^()\[\]]+)")

Row = tuple[str, ...]  # of words


def words(text: str) -> list[str]:
    """The words of a text in small letters, without codes; an address is the word `@`."""
    text = _SOFT_BREAK.sub("", text[:MAX_TEXT]).translate(_QUOTES)
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = unicodedata.normalize("NFC", _MARKS.sub("", apart))[:MAX_TEXT]
    text = _RUN_ON.sub(". ", text)
    if "@" in text:
        text = _ADDRESS.sub(" @ ", text)
    return _WORD.findall(_CODES.sub(" ", text).lower().replace("e-mail", "email"))


def spelt_out(phrase: str) -> Iterator[tuple[Row, ...]]:
    """Every way to say a phrase, each as the rows of words between its gaps.

    Raises ValueError if one of them has no word.
    """
    choices = []
    for one_of, optional, plain in _PIECE.findall(phrase):
        if plain:
            choices.append([plain])
        else:
            choices.append([*optional.split("|"), ""] if optional else one_of.split("|"))
    for chosen in product(*choices):
        rows = tuple(tuple(words(part)) for part in "".join(chosen).split("*"))
        if not all(rows):
            raise ValueError(f"no word before or after a gap: {phrase}")
        yield rows


@dataclass(frozen=True, slots=True)
class _End:
    """What ends at a node: row `place` of a phrase, and the phrase with it if `last`."""

    number: int
    way: int
    place: int
    last: bool


@dataclass(slots=True)
class _Node:
    """A word, and those that may follow it."""

    following: dict[str, "_Node"] = field(default_factory=dict)
    ends: list[_End] = field(default_factory=list)


class Phrases:
    """Many phrases, each with a number, looked for at once."""

    def __init__(self) -> None:
        self._root = _Node()
        self._ways = 0

    def add(self, phrase: str, number: int) -> None:
        """Look for `phrase` from now on; several may have the same number."""
        for rows in spelt_out(phrase):
            self._ways += 1
            for place, row in enumerate(rows):
                node = self._root
                for word in row:
                    node = node.following.setdefault(word, _Node())
                node.ends.append(_End(number, self._ways, place, place == len(rows) - 1))

    def found(self, text: str) -> set[int]:
        """The numbers of the phrases that occur in `text`, of which 2,000 characters count."""
        said = words(text)
        numbers: set[int] = set()
        reached: dict[tuple[int, int], int] = {}  # way and place -> where its row ended
        first = self._root.following
        for start, word in enumerate(said):
            node, at = first.get(word), start + 1
            while node is not None:
                for end in node.ends:
                    if _follows(end, start, reached):
                        reached[end.way, end.place] = at
                        if end.last:
                            numbers.add(end.number)
                node = node.following.get(said[at]) if at < len(said) else None
                at += 1
        return numbers


def _follows(end: _End, start: int, reached: dict[tuple[int, int], int]) -> bool:
    """Whether a row that begins at `start` is the first, or comes soon after the one before."""
    if not end.place:
        return True
    before = reached.get((end.way, end.place - 1))
    return before is not None and 0 <= start - before <= MAX_GAP
