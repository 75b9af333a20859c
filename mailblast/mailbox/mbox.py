"""An mbox: written, and its lines parted into messages; and its relative, MMDF.

An mbox is read in both of its quotings (mboxo, mboxrd) and with Content-Length in their place
(mboxcl, mboxcl2), with LF or CRLF, and written as mboxrd, the only one that can be undone
exactly.  Form and From_ line: RFC 4155 appendix A.  In MMDF a line of four ^A stands before
and behind each message, and nothing is quoted (mmdf(5)).
"""

import fcntl
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mailblast.errors import Refusal
from mailblast.mailbox.mail import MAX_MESSAGE, Mail, too_large

_MAX_AHEAD = 500_000  # lines kept while it is seen whether a Content-Length is true

_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,9})\s*$", re.IGNORECASE)
_QUOTED = re.compile(rb">+From ")
_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
# The date of a From_ line, "Tue Jan  2 15:04" or "Tue, 2 Jan 2024 15:04": such a line parts
# two messages even where a crash took the empty line before it.
_DATED = re.compile(
    rb"From .{0,320}\w{3}(?: \w{3} [ \d]\d|, [ \d]?\d \w{3} \d{4}) \d\d:\d\d"
)


def append_mbox(path: Path, content: bytes, sender: str, at: float) -> None:
    """Append one message to an mbox, which is made (mode 0600) if it is not there.

    `sender` is the envelope sender ("" for the null path), `at` seconds since 1970.
    """
    append_all(path, [content], sender, at)


def append_all(path: Path, contents: Iterable[bytes], sender: str, at: float) -> None:
    """The same for several messages of one sender."""
    name = "".join(sender.split()) or "MAILER-DAEMON"
    # time.asctime's form, but in no locale: %b of strftime would follow the user's.
    date = datetime.fromtimestamp(at, UTC).ctime()
    line = f"From {name} {date}\n".encode("utf-8", "surrogateescape")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write(_gap(descriptor))
        for content in contents:
            body = content.replace(b"\r\n", b"\n")
            quoted = _QUOTE.sub(rb">\1", body if body.endswith(b"\n") else body + b"\n")
            handle.writelines((line, quoted, b"\n"))


def _gap(descriptor: int) -> bytes:
    """What must stand between the file's end and a From_ line: a crash may have cut it."""
    size = os.fstat(descriptor).st_size
    end = os.pread(descriptor, 2, max(0, size - 2))
    if not size or end == b"\n\n":
        return b""
    return b"\n" if end.endswith(b"\n") else b"\n\n"


def begins(line: bytes) -> bool:
    """Whether this is the first line of a mailbox."""
    return line.startswith(b"From ") or _is_mmdf(line)


def parted(
    lines: Iterator[bytes], source: str, *, dated: bool = False
) -> Iterator[Mail | Refusal]:
    """Part the lines of a mailbox into its messages; `source:3` is the third.

    With `dated` only a From_ line that has a date in it parts: for what may as well be one
    message in which nothing was quoted.
    """
    first = next(lines, b"")
    if _is_mmdf(first):
        yield from _mmdf(lines, source)
    else:
        yield from _mbox(lines, source, dated=dated)


def _is_mmdf(line: bytes) -> bool:
    return line.rstrip(b"\r\n") == b"\x01\x01\x01\x01"


def _mmdf(lines: Iterator[bytes], source: str) -> Iterator[Mail | Refusal]:
    number, message = 1, _Message()
    for piece in lines:
        if not _is_mmdf(piece):
            # Some programs write a From_ line at the beginning all the same.
            if message.begun or not piece.startswith(b"From "):
                message.add(piece)
        elif message.begun:
            yield message.taken(f"{source}:{number}", whole=True)
            number, message = number + 1, _Message()
    if message.begun:
        yield message.taken(f"{source}:{number}", whole=True)


def _mbox(lines: Iterator[bytes], source: str, *, dated: bool) -> Iterator[Mail | Refusal]:
    number, message = 1, _Message()
    ahead = _Ahead(lines)
    whole = blank = True  # of the piece before: did it end its line, was the line empty
    for piece in ahead:
        if whole and _parts(piece, blank and not dated):
            yield message.taken(f"{source}:{number}")
            number, message = number + 1, _Message()
        else:
            message.add(piece[1:] if whole and _QUOTED.match(piece) else piece)
            if message.heading and (length := message.body_length(piece)):
                for counted in ahead.counted(length):
                    message.add(counted)
        blank = whole and piece in (b"\n", b"\r\n")
        whole = piece.endswith(b"\n")
    yield message.taken(f"{source}:{number}")


class _Ahead:
    """Lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._kept: deque[bytes] = deque()
        self._true = True

    def __iter__(self) -> Iterator[bytes]:
        while True:
            if self._kept:
                yield self._kept.popleft()
            elif line := next(self._lines, b""):
                yield line
            else:
                return

    def counted(self, length: int) -> list[bytes]:
        """The lines that make a body of that length, if a message ends there.

        A Content-Length is a claim.  It counts only where the end of the file or an empty
        line and a From_ line follow; else nothing is taken, and the lines part the messages.
        After one false claim none counts: programs that part by it write no false ones, and
        to look ahead for each would take quadratic time.
        """
        if not self._true or length > MAX_MESSAGE:
            return []
        body: list[bytes] = []
        while length > 0 and len(body) < _MAX_AHEAD and (line := next(iter(self), b"")):
            body.append(line)
            length -= len(line)
        after = [line for line in (next(iter(self), b""), next(iter(self), b"")) if line]
        self._true = length == 0 and _ends(after)
        self._kept.extendleft(reversed(after if self._true else body + after))
        return body if self._true else []


def _ends(after: list[bytes]) -> bool:
    """Whether these lines stand behind a message: none, or a From_ line, or an empty one."""
    if after and after[0] in (b"\n", b"\r\n"):
        after = after[1:]
    return not after or after[0].startswith(b"From ")


def _parts(piece: bytes, blank: bool) -> bool:
    return piece.startswith(b"From ") and (blank or _DATED.match(piece) is not None)


class _Message:
    """One message of a mailbox while it is read; forgets its lines once they are too many."""

    def __init__(self) -> None:
        # No list of lines: of short ones it would take twenty times their size.
        self._content = bytearray()
        self._size = 0
        self._last = b""
        self.heading = True  # no empty line yet
        self._length: int | None = None

    @property
    def begun(self) -> bool:
        """Whether it has any line."""
        return self._size > 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        self._last = piece
        if self._size <= MAX_MESSAGE:
            self._content += piece
        else:
            self._content.clear()

    def body_length(self, line: bytes) -> int | None:
        """What Content-Length says, once, when `line` has ended the header section."""
        if line in (b"\n", b"\r\n"):
            self.heading = False
            return self._length
        found = _LENGTH.match(line)
        if found is not None:
            self._length = int(found[1])
        return None

    def taken(self, source: str, *, whole: bool = False) -> Mail | Refusal:
        """The message; its last line, if empty, is not part of it unless it is `whole`."""
        if self._size > MAX_MESSAGE:
            return too_large(source)
        if not whole and self._last in (b"\n", b"\r\n"):
            # It belongs to the next From_ line.
            del self._content[len(self._content) - len(self._last) :]
        return Mail(source, bytes(self._content))
