"""The parts of a mail, within bounds: what every reader of notices reads from.

Rule: any bytes at all give parts or a `Refusal`, in linear time and bounded memory.

Not the standard library's parser, for what it does with hostile input: it recurses (some
1,000 parts one in another end in RecursionError), makes an object of each of 40,000 parts
and is quadratic in encoded words; bounding the input first would need this very scan.  It
is also stricter than notices are: of groups that run together it makes one, and a delivery
status in base64 it leaves encoded.  What is needed of MIME is small: boundary lines
(RFC 2046 §5.1.1), field names, folding.  Encoded words are left as they are.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mailblast.bounce import charset
from mailblast.errors import Refusal

# A notice has its report before the message it returns: that may be of any size and is not
# read.  Two megabytes leave room for an explanation with pictures (Exchange Online).
MAX_READ = 2 * 1024 * 1024
# Header sections with all their ARC seals stay below 64 KB; servers cut at 100 to 256 KB.
MAX_HEAD = 256 * 1024
MAX_VALUE = 16 * 1024
# A notice is one multipart of three parts; gateways and list software wrap that again.
MAX_DEPTH = 10
MAX_PARTS = 100
_LONGEST = 200  # characters before the colon of a field, blanks and all

Fields = tuple[tuple[str, str], ...]

_DASHES = re.compile(rb"^--([^\n]*)", re.MULTILINE)
# RFC 5322 §3.6.8 allows nearly any character in a name; but "<a@b.example>: User unknown",
# the rest of a line broken without a fold, is none.
_NAME = re.compile(r"([A-Za-z][\w.-]{0,99})[ \t]*")
_TYPE = re.compile(r"\s*([\w.+-]{1,64}/[\w.+-]{1,64})")
_PARAMETER = re.compile(r';\s*([\w-]{1,40})\s*=\s*(?:"([^"]*)"|([^\s;"]+))')


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its fields (names in lower case, values unfolded), its raw body."""

    fields: Fields
    body: bytes

    @property
    def type(self) -> str:
        """The type in lower case; what has none is text/plain (RFC 2045 §5.2)."""
        found = _TYPE.match(self.value("content-type"))
        return found[1].lower() if found else "text/plain"

    def values(self, name: str) -> Iterator[str]:
        """Every value of a field."""
        return (value for field, value in self.fields if field == name)

    def value(self, name: str) -> str:
        """The first value of a field; "" when there is none."""
        for field, value in self.fields:  # asked so often that a generator would cost
            if field == name:
                return value
        return ""

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type; "" when there is none."""
        for found in _PARAMETER.finditer(self.value("content-type")):
            if found[1].lower() == name:
                return found[2] or found[3] or ""
        return ""

    def decoded(self, limit: int) -> bytes:
        """The first `limit` bytes of the body, with their transfer encoding undone."""
        body = self.body[:limit]
        match self.value("content-transfer-encoding").strip().lower():
            case "quoted-printable":
                return quopri.decodestring(body)
            case "base64":
                return _from_base64(body)
        return body

    def prose(self, limit: int) -> str:
        """The first `limit` bytes of the body as text to read, markup taken off."""
        text = charset.decode(self.decoded(limit), self.parameter("charset"))
        if self.type == "text/html":
            return charset.plain(text)
        return text.replace("\r", "")


def read(content: bytes) -> tuple[Part, ...] | Refusal:
    """Part a mail: itself first, then, if it is a multipart, its leaves in order.

    A returned message is a leaf: what stands in it was written by somebody else.
    """
    content = content[:MAX_READ].lstrip(b"\r\n")
    body = _body(content, 0)
    if isinstance(body, Refusal):
        return body
    mail = Part(fields(text(content[:body])), content[body:])
    walk = _Walk(mail)
    return walk.go() or (mail, *walk.leaves)


def fields(section: str) -> Fields:
    """The fields of a header section; folded lines are joined by a space.

    A line that is no field belongs to the value before it: some programs break long values
    without indenting them.
    """
    found: list[tuple[str, list[str]]] = []
    for line in section.split("\n"):
        before, colon, value = line.partition(":")
        named = colon and before[:1].isalpha() and len(before) <= _LONGEST
        if named and (name := _name(before)):
            found.append((name, [value.strip()]))
        elif found and line.strip():
            found[-1][1].append(line.strip())
    return tuple((name, " ".join(lines)[:MAX_VALUE]) for name, lines in found)


@lru_cache(4096)  # the same few names stand in every mail
def _name(before: str) -> str:
    """The name of a field in lower case; "" where none stands before the colon."""
    found = _NAME.fullmatch(before)
    return found[1].lower() if found else ""


def text(content: bytes) -> str:
    """Bytes as text; what is not UTF-8 is shown as `\\xe9`."""
    return content.decode("utf-8", "backslashreplace")


def _body(content: bytes, start: int) -> int | Refusal:
    """Where the body begins of what begins at `start`.

    A head that nothing ends is ended by the next line with two dashes, which no header
    section contains, or else by the end of the mail.
    """
    stop = min(start + MAX_HEAD, len(content))
    blank = _blank(content, start, stop)
    end = stop if blank < 0 else blank
    dashes = content.find(b"\n--", start, end) if start else -1
    if dashes >= 0:
        return dashes + 1
    if blank < 0 and stop < len(content):
        return Refusal(f"a header section is longer than {MAX_HEAD // 1024} KB")
    return end


def _blank(content: bytes, start: int, stop: int) -> int:
    """Behind the first empty line; -1 when there is none."""
    if content.startswith((b"\n", b"\r\n"), start):
        return content.index(b"\n", start) + 1
    bare = content.find(b"\n\n", start, stop)
    # Only before that: a mail with bare line ends is not searched to its end for others.
    crlf = content.find(b"\n\r\n", start, stop if bare < 0 else bare)
    return crlf + 3 if crlf >= 0 else bare + 2 if bare >= 0 else -1


def _from_base64(body: bytes) -> bytes:
    """Undo base64; a body that only claims to be base64 is given back as it is."""
    letters = b"".join(body.split())
    try:
        return base64.b64decode(letters[: len(letters) // 4 * 4], validate=True)
    except binascii.Error:
        return body


class _Walk:
    """The way along the boundary lines of a multipart."""

    def __init__(self, mail: Part) -> None:
        self.leaves: list[Part] = []
        self._content = mail.body
        self._within: list[bytes] = []  # the open boundaries, the innermost last
        self._leaf: tuple[Fields, int] | None = None  # its fields, where its body begins
        self._open(mail)

    def go(self) -> Refusal | None:
        """Collect the leaves.  What nobody closed ends where the mail ends."""
        lines = _DASHES.finditer(self._content) if self._within else iter(())
        for line in lines:
            word = line[1].rstrip()
            level = self._level(word)
            if not level:
                continue
            self._end_leaf(line.start())
            del self._within[level:]
            if word != self._within[-1]:  # the closing line: "--" follows the boundary
                self._within.pop()
            elif refusal := self._part(line.end() + 1):
                return refusal
        self._end_leaf(len(self._content))
        return None

    def _level(self, word: bytes) -> int:
        """To which of the open boundaries a line belongs: 1 is the outermost, 0 none."""
        for level in range(len(self._within), 0, -1):
            boundary = self._within[level - 1]
            if word in (boundary, boundary + b"--"):
                return level
        return 0

    def _part(self, start: int) -> Refusal | None:
        """Begin the part whose head is at `start`: go into a multipart, note a leaf."""
        body = _body(self._content, start)
        if isinstance(body, Refusal):
            return body
        part = Part(fields(text(self._content[start:body])), b"")
        if not self._open(part):
            self._leaf = (part.fields, body)
        if len(self._within) > MAX_DEPTH:
            return Refusal(f"parts nested more than {MAX_DEPTH} deep")
        if len(self.leaves) >= MAX_PARTS:
            return Refusal(f"more than {MAX_PARTS} parts")
        return None

    def _open(self, part: Part) -> bool:
        boundary = part.parameter("boundary").rstrip()
        if not boundary or not part.type.startswith("multipart/"):
            return False
        self._within.append(boundary.encode())
        return True

    def _end_leaf(self, end: int) -> None:
        if self._leaf is not None:
            found, start = self._leaf
            self.leaves.append(Part(found, self._content[start:end]))
        self._leaf = None
