"""What a server says: one reply, and the reader that cuts replies out of bytes.

Rule: a reply is hostile until parsed.  Its lines, its length and its characters are bounded
here, and nowhere else.  Decide by the first digit alone (RFC 5321 §4.2.1): servers use
codes that no RFC lists, and a client that enumerates them calls a 421 a fault of protocol.
An enhanced status code counts only if its class is that of the basic code (RFC 2034 §4).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mailblast.errors import Refusal

# RFC 5321 §4.5.3.1.5 allows 512 octets a line; servers write longer ones.  Precedents:
# Postfix 2048 (line_length_limit), KumoMTA 4096.
MAX_LINE = 2_000
# A whole reply, continuation lines included.  The longest in the wild, an EHLO or a policy
# text, are a few kB; aiosmtplib stops at 32 kB.
MAX_REPLY = 65_536
# What is kept of the text: enough for any explanation, little enough for a million rows.
MAX_TEXT = 2_000

# RFC 5321 §4.2 gives %x32-35 %x30-35 %x30-39; the second digit is not ours to police.
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# Cisco writes `550 #5.1.0 Address rejected`.
_STATUS = re.compile(r"#?([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")


_QUOTED = re.compile(r"(?<![\w.@/#=-])[45][0-5]\d(?=[\s-]|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said to one command, or, with code 0, what we said in its place.

    `text` is without the codes of the lines, which are joined with newlines; it has at most
    2,000 characters and nothing unprintable.  `status` is the enhanced status code
    (RFC 3463) or "".
    """

    code: int
    text: str
    status: str = ""

    @property
    def positive(self) -> bool:
        """It was done (2yz)."""
        return self.code // 100 == 2

    @property
    def intermediate(self) -> bool:
        """The server waits for more (3yz)."""
        return self.code // 100 == 3

    @property
    def transient(self) -> bool:
        """Not now (4yz)."""
        return self._class == 4

    @property
    def permanent(self) -> bool:
        """Not at all (5yz)."""
        return self._class == 5

    @property
    def _class(self) -> int:
        # A refusal of our own has no code: there its status says how lasting it is.
        return self.code // 100 or int(self.status[:1] or 0)

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


class ReplyReader:
    """Bytes in, replies out, in whatever pieces the bytes come.

    `feed` returns what became complete, in order.  A `Refusal` in that list is its last
    item and says why the peer no longer speaks SMTP; from then on nothing more comes out.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._octets = 0
        self._over = False

    @property
    def partial(self) -> bool:
        """Whether a reply has begun that has not ended."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply | Refusal]:
        """What `data` completes."""
        found: list[Reply | Refusal] = []
        if self._over:
            return found
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            item = self._line(line)
            if item is not None:
                found.append(item)
            if self._over:
                return found
        if len(self._rest) >= MAX_LINE:
            found.append(self._refuse(f"a reply line of more than {MAX_LINE} octets"))
        return found

    def _line(self, line: bytes) -> Reply | Refusal | None:
        if len(line) >= MAX_LINE:
            return self._refuse(f"a reply line of more than {MAX_LINE} octets")
        line = line.removesuffix(b"\r")
        if not self._lines and (reply := _single(line)) is not None:
            return reply
        match = _LINE.fullmatch(line)
        if match is None:
            return self._refuse(f"not a reply: {printable(line[:80])}")
        if self._lines and self._lines[0][:3] != match[1]:
            # RFC 5321 §4.2.1: the codes must agree.  Which one would count is a guess, and
            # after the final dot a guess loses or doubles a message.
            return self._refuse(f"one reply with two codes: {printable(line[:80])}")
        self._octets += len(line)
        if self._octets > MAX_REPLY:
            return self._refuse(f"a reply of more than {MAX_REPLY} octets")
        self._lines.append(line)
        if match[2] == b"-":
            return None
        lines, self._lines, self._octets = self._lines, [], 0
        return parse(lines)

    def _refuse(self, why: str) -> Refusal:
        self._over = True
        self._rest, self._lines = b"", []
        return Refusal(why)


def parse(lines: Sequence[bytes]) -> Reply:
    """The reply that these lines make, their line ends taken off, their codes equal."""
    texts = [line[4:].decode("utf-8", "backslashreplace") for line in lines]
    code = int(lines[0][:3])
    return Reply(code, printable("\n".join(texts)), _status(code, texts))


def quoted(text: str) -> Reply | Refusal:
    """The refusal that is quoted in a text: as a server said it, in a log, in a notice.

    It begins with the first 4yz or 5yz; how the lines were wrapped does not matter.
    """
    if not text.strip():
        return Refusal("nothing was said")
    found = _QUOTED.search(text[:MAX_TEXT])
    if found is None:
        return Refusal("there is no SMTP code of a refusal (4yz or 5yz) in it")
    said = " ".join(text[found.start() : MAX_TEXT].split())
    return parse([said.encode("utf-8", "backslashreplace")])


@lru_cache(maxsize=256)
def _single(line: bytes) -> Reply | None:
    """The reply that is one line, or None.  Servers repeat themselves: `250 2.1.0 Ok`."""
    match = _LINE.fullmatch(line)
    return parse((line,)) if match and match[2] != b"-" else None


def _status(code: int, texts: Iterable[str]) -> str:
    for text in texts:
        match = _STATUS.match(text)
        if match:
            return match[0].removeprefix("#") if int(match[1]) == code // 100 else ""
    return ""


def printable(text: str | bytes) -> str:
    """`text` made safe for a screen, a log and a ledger: bounded, unprintables escaped.

    Newlines stay.  What a server says can hold terminal escapes or turn the reading
    direction around.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    text = text[:MAX_TEXT].replace("\t", " ")
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)
    return text[:MAX_TEXT]


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
