"""Header field values as they are written: folded, encoded, and nothing smuggled in.

RFC 5322 §2.2.3 (folding), RFC 2047 (encoded words), RFC 6532 (SMTPUTF8).  We write them
ourselves: the standard library folds and encodes a long List-Unsubscribe, with which
one-click fails in silence, and lets an encoded word with a line break make a header of its
own (CVE-2024-6923).

Every function gives a value with the blank before it and without the CRLF behind it.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from mailblast.errors import Refusal

MAX_LINE = 998  # RFC 5322 §2.1.1: MUST
FOLD_AT = 78  # …and SHOULD
MAX_VALUE = 2000  # characters of a value; nobody reads a longer subject
MAX_WORD = 75  # RFC 2047 §2: an encoded word
MAX_WORD_LINE = 76  # …and a line that has one
_WRAPPING = len("=?utf-8?q??=")

_PLAIN = re.compile(r"[ -~]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?([bq])\?([^?]*)\?=", re.IGNORECASE)
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
# What may stand unencoded in a Q-word wherever the word stands (RFC 2047 §5 (3)).
_Q = {byte: f"={byte:02X}" for byte in range(256)}
_Q |= {
    ord(c): c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
}
_Q[ord(" ")] = "_"


def refusal(name: str, value: str) -> Refusal | None:
    """Why a value may not stand in a header; None when it may.

    A control character is refused as it stands and inside an encoded word: some program on
    the way will decode it, and write what it finds.
    """
    if len(value) > MAX_VALUE:
        return Refusal(f"{name} has {len(value):,} characters; {MAX_VALUE:,} are the most")
    if _PLAIN.fullmatch(value) and "=?" not in value:
        return None
    found = _CONTROL.search(value)
    if found:
        return Refusal(f"{name} has the control character U+{ord(found[0]):04X} in it")
    for kind, text in _ENCODED_WORD.findall(value):
        if _CONTROL.search(_decoded(kind, text)):
            return Refusal(f"{name} has an encoded word with a control character in it")
    return None


def _decoded(kind: str, text: str) -> str:
    raw = text.encode()
    try:
        decode = binascii.a2b_base64 if kind in "bB" else binascii.a2b_qp
        return decode(raw).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def unstructured(name: str, value: str) -> bytes:
    """Free text: as it is where it is plain ASCII, else in encoded words.

    ASCII that looks like an encoded word is encoded too, so that the reader sees what was
    written.
    """
    value = value.strip(" ")
    if _PLAIN.fullmatch(value) and "=?" not in value:
        folded = fold(name, value)
        if max(map(len, folded.split(b"\r\n"))) <= MAX_LINE - len(name):
            return folded
    return encoded_words(name, value)


def mailbox(name: str, display: str, address: str) -> bytes:
    """`Display <address>`, or the bare address where there is no display name."""
    if not display:
        return f" {address}".encode()
    if "=?" not in display and _PLAIN.fullmatch(display):
        phrase = fold(name, display if _ATOMS.fullmatch(display) else _quoted(display))
    else:
        phrase = encoded_words(name, display)
    last = len(phrase) - phrase.rfind(b"\n") - 1 + (0 if b"\n" in phrase else len(name) + 1)
    blank = b"\r\n " if last + len(address) + 3 > FOLD_AT else b" "
    return phrase + blank + f"<{address}>".encode()


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def fold(name: str, value: str) -> bytes:
    """ASCII folded before a word where a line would pass 78; words are never broken."""
    if len(name) + 2 + len(value) <= FOLD_AT:
        return f" {value}".encode("ascii") if value else b""
    lines, length = [""], len(name) + 1
    for word in value.split(" "):
        if word and lines[-1].strip() and length + 1 + len(word) > FOLD_AT:
            lines.append("")
            length = 0
        lines[-1] += f" {word}"
        length += 1 + len(word)
    return "\r\n".join(lines).encode("ascii")


def encoded_words(name: str, value: str) -> bytes:
    """The whole value in UTF-8 encoded words, Q or B, whichever is shorter."""
    raw = value.encode()
    quoted = _q(raw)
    kind, write = ("q", _q) if len(quoted) <= len(raw) * 4 / 3 else ("b", _b)
    first = max(MAX_WORD_LINE - len(name) - 2, 30) - _WRAPPING
    texts = [write(piece) for piece in _pieces(value, write, first)]
    words = "\r\n ".join([f"=?utf-8?{kind}?{text}?=" for text in texts])
    return f" {words}".encode("ascii")


def _pieces(value: str, write: Callable[[bytes], str], room: int) -> Iterator[bytes]:
    """The value in pieces that fit; a character is never split (RFC 2047 §5)."""
    piece = value.encode()
    if len(write(piece)) <= room:
        yield piece
        return
    piece = b""
    for character in value:
        raw = character.encode()
        if len(write(piece + raw)) > room:
            yield piece
            piece, room = b"", MAX_WORD - _WRAPPING
        piece += raw
    yield piece


def _q(raw: bytes) -> str:
    return "".join([_Q[byte] for byte in raw])


def _b(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
