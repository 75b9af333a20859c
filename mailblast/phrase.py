"""Phrases of server replies, and where they occur in a text.

A phrase is written as a server says it: `mailbox [is] full`.  `[…]` may be missing, `(a|b)`
is one of these, `~` stands for up to four words and `*` for up to ten, `@` for an address.
Capitals, punctuation and accents do not count, nor where the text is wrapped.

Rule: no regular expression is made from a phrase.  A text is cut into words once, and every
phrase is looked for in the same pass, word by word: thousands of phrases cost hardly more
than one, and no text, however hostile, costs more than its length.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

MAX_TEXT = 2_000  # as much as is kept of a reply (smtp.reply)
# The most words that a gap stands for: between a subject and what is said of it; an IP
# address, a domain, half a sentence.
GAPS = {"~": 4, "*": 10}
_END = ""  # no word: where a text ends, no row goes on
_FIRST = -1  # what a phrase begins with has no gap before it

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

_GAP = re.compile(r"([*~])")
_PLAIN = re.compile("[a-z ]+")
_PIECE = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]|([^()\[\]]+)")

Row = tuple[str, ...]  # of words


def words(text: str) -> list[str]:
    """The words of a text in small letters, without codes; an address is the word `@`."""
    text = text[:MAX_TEXT].translate(_QUOTES)
    if "=" in text:
        text = _SOFT_BREAK.sub("", text)
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = unicodedata.normalize("NFC", _MARKS.sub("", apart))[:MAX_TEXT]
    text = _RUN_ON.sub(". ", text)
    if "@" in text:
        # Sendmail's dots may touch it: "anna@example.net...User unknown".
        text = _ADDRESS.sub(" @ ", text.replace("...", " "))
    return _WORD.findall(_CODES.sub(" ", text).lower().replace("e-mail", "email"))


def spelt_out(phrase: str) -> list[tuple[int, set[Row]]]:
    """The parts of a phrase between its gaps: the gap before each, and its rows of words.

    Raises ValueError if a part could be said in no word, or a gap stands within brackets.
    """
    first, *others = _GAP.split(phrase)
    gaps = [GAPS[sign] for sign in others[::2]]
    return [
        (gap, _rows(part, phrase))
        for gap, part in zip([_FIRST, *gaps], [first, *others[1::2]], strict=True)
    ]


def _rows(part: str, phrase: str) -> set[Row]:
    choices = []
    for one_of, optional, plain in _PIECE.findall(part):
        if plain:
            choices.append([plain])
        else:
            choices.append([*optional.split("|"), ""] if optional else one_of.split("|"))
    if _PIECE.sub("", part):
        raise ValueError(f"a bracket without its other, or around a gap: {phrase}")
    rows = {_row("".join(chosen)) for chosen in product(*choices)}
    if () in rows:
        raise ValueError(f"no word before or after a gap: {phrase}")
    return rows


def _row(text: str) -> Row:
    # Nearly all are plain words, of which there are tens of thousands.
    return tuple(text.split() if _PLAIN.fullmatch(text) else words(text))


class _End(NamedTuple):
    """What ends at a node: a part of a phrase."""

    part: int  # counted over all phrases; the part before it has the number before
    gap: int  # words that may stand before it, or _FIRST
    number: int | None  # the phrase's, if it is the last part


@dataclass(slots=True)
class _Node:
    """A word, and those that may follow it."""

    following: dict[str, "_Node"] = field(default_factory=dict)
    ends: list[_End] = field(default_factory=list)


class Phrases:
    """Many phrases, each with a number, looked for at once."""

    def __init__(self) -> None:
        self._root = _Node()
        self._parts = 0

    def add(self, phrase: str, number: int) -> None:
        """Look for `phrase` from now on; several may have the same number.

        All rows of a part end alike: what stands on both sides of a gap is added, not
        multiplied.
        """
        parts = spelt_out(phrase)
        for place, (gap, rows) in enumerate(parts, 1):
            self._parts += 1
            end = _End(self._parts, gap, number if place == len(parts) else None)
            for row in rows:
                node = self._root
                for word in row:
                    node = node.following.setdefault(word, _Node())
                node.ends.append(end)

    def found(self, text: str) -> set[int]:
        """The numbers of the phrases that occur in `text`, of which 2,000 characters count."""
        said = [*words(text), _END]
        numbers: set[int] = set()
        reached: dict[int, int] = {}  # part -> where it ended
        first = self._root.following
        for start, word in enumerate(said):
            node, at = first.get(word), start + 1
            while node is not None:
                for part, gap, number in node.ends:
                    if gap != _FIRST:
                        before = reached.get(part - 1)
                        if before is None or not 0 <= start - before <= gap:
                            continue
                    if number is not None:
                        numbers.add(number)
                    # Of rows that begin at the same word the shortest counts: what the
                    # longer one has more may belong to the next part.
                    elif reached.get(part, 0) <= start:
                        reached[part] = at
                node = node.following.get(said[at])
                at += 1
        return numbers
