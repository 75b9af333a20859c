"""An mbox: written, and its lines parted into messages; and its relative, MMDF.

An mbox is read in both of its quotings (mboxo, mboxrd) and with Content-Length in their place
(mboxcl, mboxcl2), with LF or CRLF, and written as mboxrd, the only one that can be undone
exactly.  Form and From_ line: RFC 4155 appendix A.  In MMDF a line of four ^A stands before
and behind each message, and nothing is quoted (mmdf(5)).
"""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mailblast.errors import Refusal
from mailblast.mailbox.mail import MAX_MESSAGE, Mail, too_large

_LONG = 64 * 1024  # octets: a longer line comes in pieces
_EMPTY = (b"\n", b"\r\n")

_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r?\n)", re.IGNORECASE)
# Where many lines are taken at once they end before one of these.
_STOPS = re.compile(rb"\n(?=From |>)")
_HEAD_STOPS = re.compile(rb"\n(?=From |>|\r?\n)")
_QUOTED = re.compile(rb">+From ")
_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
# The date of a From_ line, "Tue Jan  2 15:04" or "Tue, 2 Jan 2024 15:04": such a line parts
# two messages even where a crash took the empty line before it.
_DATED = re.compile(
    rb"From .{0,320}\w{3}(?: \w{3} [ \d]\d|, [ \d]?\d \w{3} \d{4}) \d\d:\d\d"
)
_GOES_ON = re.compile(rb"\n\r?\n" + _DATED.pattern)


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


def beginning(block: bytes) -> bytes:
    """The first octets of a file, without the empty lines that stand before a mailbox."""
    bare = block.lstrip(b"\r\n")
    return bare if begins(bare) else block


def goes_on(block: bytes) -> bool:
    """Whether a file whose beginning was lost or damaged is a mailbox, by its first octets."""
    return _GOES_ON.search(block) is not None


def parted(
    blocks: Iterator[bytes], source: str, *, dated: bool = False
) -> Iterator[Mail | Refusal]:
    """Part a mailbox, which comes in blocks of any size, into its messages; `source:3` is the
    third.

    With `dated` only a From_ line that has a date in it parts: for what may as well be one
    message in which nothing was quoted.
    """
    lines = _Lines(blocks)
    if _is_mmdf(lines.line()):
        yield from _mmdf(lines, source)
    else:
        yield from _mbox(lines, source, dated=dated)


def _is_mmdf(line: bytes) -> bool:
    return line.rstrip(b"\r\n") == b"\x01\x01\x01\x01"


def _mmdf(lines: "_Lines", source: str) -> Iterator[Mail | Refusal]:
    number, message = 1, _Message()
    while piece := lines.line():
        if not _is_mmdf(piece):
            # Some programs write a From_ line at the beginning all the same.
            if message.begun or not piece.startswith(b"From "):
                message.add(piece)
        elif message.begun:
            yield message.taken(f"{source}:{number}", whole=True)
            number, message = number + 1, _Message()
    if message.begun:
        yield message.taken(f"{source}:{number}", whole=True)


def _mbox(lines: "_Lines", source: str, *, dated: bool) -> Iterator[Mail | Refusal]:
    number, message = 1, _Message()
    whole = blank = True  # of the line before: was it ended, was it empty
    while piece := (whole and lines.plain(heading=message.heading)) or lines.line():
        if whole and _parts(piece, blank and not dated):
            yield message.taken(f"{source}:{number}")
            number, message = number + 1, _Message()
        else:
            message.add(piece[1:] if whole and _QUOTED.match(piece) else piece)
            if message.heading and (body := lines.counted(message.body_length(piece))):
                message.add(body)
        blank = whole and _last_line(piece) in _EMPTY
        whole = piece.endswith(b"\n")
    yield message.taken(f"{source}:{number}")


class _Lines:
    """The lines of what comes in blocks: one at a time, or many at once."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._kept = bytearray()
        self._at = 0  # what is before it was taken
        self._true = True

    def _more(self) -> bool:
        """Whether there was another block."""
        block = next(self._blocks, b"")
        del self._kept[: self._at]
        self._at = 0
        self._kept += block
        return bool(block)

    def _take(self, end: int) -> bytes:
        taken = bytes(self._kept[self._at : end])
        self._at = end
        return taken

    def line(self) -> bytes:
        """The next line with its end, or a piece of a long one; nothing at the end."""
        while (end := self._kept.find(b"\n", self._at) + 1) == 0:
            if len(self._kept) - self._at >= _LONG or not self._more():
                end = len(self._kept)
                break
        return self._take(end)

    def plain(self, *, heading: bool) -> bytes:
        """The next lines, where a line begins, up to one that may part or be quoted; in the
        heading up to its end.

        As many as are at hand, which may be none.  To go through a mailbox line by line took a
        quarter of an import.
        """
        if self._kept.startswith((b"From ", b">", b"\n", b"\r\n"), self._at):
            return b""
        found = (_HEAD_STOPS if heading else _STOPS).search(self._kept, self._at)
        end = found.start() if found else self._kept.rfind(b"\n", self._at)
        return self._take(max(self._at, end + 1))

    def counted(self, length: int) -> bytes:
        """As many octets as make a body of that length, if a message ends there.

        A Content-Length is a claim.  It counts only where the end of the file or an empty
        line and a From_ line follow; else nothing is taken, and the lines part the messages.
        After one false claim none counts: programs that part by it write no false ones, and
        to look ahead for each would take quadratic time.
        """
        if not self._true or not 0 < length <= MAX_MESSAGE:
            return b""
        while len(self._kept) - self._at < length + len(b"\r\nFrom ") and self._more():
            pass
        end = self._at + length
        last, after = self._kept[end - 1 : end], bytes(self._kept[end : end + 7])
        self._true = (last == b"\n" or (last != b"" and not after)) and _ends(after)
        return self._take(end) if self._true else b""


def _ends(after: bytes) -> bool:
    """Whether this stands behind a message: nothing, or a From_ line, or an empty one and it."""
    empty = next((one for one in _EMPTY if after.startswith(one)), b"")
    return after == empty or after.startswith(b"From ", len(empty))


def _last_line(piece: bytes) -> bytes:
    return piece[piece.rfind(b"\n", 0, -1) + 1 :]


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
        self._length = 0

    @property
    def begun(self) -> bool:
        """Whether it has any line."""
        return self._size > 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        self._last = _last_line(piece)
        if self._size <= MAX_MESSAGE:
            self._content += piece
        else:
            self._content.clear()

    def body_length(self, lines: bytes) -> int:
        """What Content-Length says, once, when an empty line has ended the header section."""
        if lines in _EMPTY:
            self.heading = False
            return self._length
        if lengths := _LENGTH.findall(b"\n" + lines):
            self._length = int(lengths[-1])
        return 0

    def taken(self, source: str, *, whole: bool = False) -> Mail | Refusal:
        """The message; its last line, if empty, is not part of it unless it is `whole`."""
        if self._size > MAX_MESSAGE:
            return too_large(source)
        if not whole and self._last in _EMPTY:
            # It belongs to the next From_ line.
            del self._content[len(self._content) - len(self._last) :]
        return Mail(source, bytes(self._content))
