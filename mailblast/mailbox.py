"""Mailboxes on disk: mbox, Maildir, directories of .eml files, one .eml file.

Rule: memory holds one message, never a mailbox.  An mbox is read as a stream; there is no
table of contents.  What is too large becomes a `Refusal` and the reader goes on.

An mbox is read in both of its quotings (mboxo, mboxrd) and with Content-Length in their place
(mboxcl, mboxcl2), with LF or CRLF, compressed by gzip or not, and written as mboxrd, the only
one that can be undone exactly.  Form and From_ line: RFC 4155 appendix A.
"""

import contextlib
import fcntl
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from mailblast.errors import Refusal, UserError

# What large providers let in and out (Gmail 25 MB, Exchange Online 35 MB by default); a
# notice that returns such a message whole is still read.
MAX_MESSAGE = 32 * 1024 * 1024

# A line is read in pieces of this size: a file without a line end must not fill the memory.
_PIECE = 64 * 1024

_GZIP = b"\x1f\x8b"
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,9})\s*$", re.IGNORECASE)
_QUOTED = re.compile(rb">+From ")
_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
# The date of a From_ line, "Tue Jan  2 15:04": such a line parts two messages even where a
# crash took the empty line before it.
_DATED = re.compile(rb"From .{0,320}\w{3} \w{3} [ \d]\d \d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as it lay there; `source` says where: `inbox.mbox:3`, `new/1700.eml`."""

    source: str
    content: bytes


def read(path: Path) -> Iterator[Mail | Refusal]:
    """Yield every message of a mailbox; "-" is standard input.

    A `Refusal` says which message was left out and why.  The order is that of the file, in
    directories that of the names, so that two readings tell the same.  Raises `UserError`
    when the path is not there (at once) or cannot be read (when it comes to that).
    """
    if str(path) != "-" and not path.exists():
        raise UserError(f"{path}: no such file or directory")
    return _opened(path)


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
    with open(descriptor, "ab") as handle:  # noqa: PTH123  a descriptor, no path
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


# Opening


def _opened(path: Path) -> Iterator[Mail | Refusal]:
    try:
        if str(path) == "-":
            yield from _stream(_unpacked(sys.stdin.buffer), "-", None)
        else:
            yield from _directory(path) if path.is_dir() else _file(path)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {why}") from error


def _file(path: Path) -> Iterator[Mail | Refusal]:
    with path.open("rb") as handle:
        if path.suffix.lower() == ".eml":  # one message, whatever its first line is
            yield from _single(handle, b"", str(path))
            return
        size = _complete(handle)
        unpacked = _unpacked(handle)
        yield from _stream(unpacked, str(path), size if unpacked is handle else None)


def _unpacked(handle: BinaryIO) -> BinaryIO:
    """The contents of a compressed file, as a stream; else the file as it is."""
    if not isinstance(handle, io.BufferedReader) or handle.peek(2)[:2] != _GZIP:
        return handle
    return cast(BinaryIO, gzip.GzipFile(fileobj=handle))


def _complete(handle: BinaryIO) -> int | None:
    """The size up to which a file's messages are whole; None of what is no plain file.

    The lock is held for a moment only: whoever takes the messages may write to the very
    mailbox in between, and what is appended meanwhile belongs to the next reading.
    """
    if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
        return None
    with contextlib.suppress(OSError):  # a file system without locks: as it is, then
        fcntl.flock(handle, fcntl.LOCK_SH)
    size = os.fstat(handle.fileno()).st_size
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    return size


def _directory(path: Path) -> Iterator[Mail | Refusal]:
    """Read a Maildir, or a directory of .eml files.

    `cur` is listed after `new` was read: what a mail reader moves meanwhile is found there.
    """
    folders = [folder for folder in (path / "new", path / "cur") if folder.is_dir()]
    if not folders and not any(path.glob("*.[eE][mM][lL]")):
        raise UserError(f"{path}: neither a Maildir nor a directory of .eml files")
    if not folders:
        return _messages(path, ".eml")
    return (mail for folder in folders for mail in _messages(folder, ""))


def _messages(folder: Path, suffix: str) -> Iterator[Mail | Refusal]:
    for path in sorted(folder.iterdir()):
        # Files alone: a FIFO would never end.  Hidden ones are no messages (maildir(5)).
        name = path.name.lower()
        if name.startswith(".") or not name.endswith(suffix) or not path.is_file():
            continue
        try:
            with path.open("rb") as handle:
                yield from _single(handle, b"", str(path))
        except OSError as error:
            yield Refusal(f"{path}: {error.strerror or error}")


# Reading


def _stream(handle: BinaryIO, source: str, size: int | None) -> Iterator[Mail | Refusal]:
    """An mbox, if it begins like one; else one message."""
    lines = _lines(handle, size)
    first = next(lines, b"")
    if first.startswith(b"From "):
        yield from _mbox(lines, source)
    elif first:
        yield from _single(handle, first, source)


def _single(handle: BinaryIO, first: bytes, source: str) -> Iterator[Mail | Refusal]:
    content = first + handle.read(MAX_MESSAGE + 1 - len(first))
    yield _too_large(source) if len(content) > MAX_MESSAGE else Mail(source, content)


def _mbox(lines: Iterator[bytes], source: str) -> Iterator[Mail | Refusal]:
    """Part the lines after the first From_ line into messages."""
    number, message = 1, _Message()
    ahead = _Ahead(lines)
    whole = blank = True  # of the piece before: did it end its line, was the line empty
    for piece in ahead:
        if whole and _parts(piece, blank):
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
        while length > 0 and (line := next(iter(self), b"")):
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
    """One message of an mbox while it is read; forgets its lines once they are too many."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.heading = True  # no empty line yet
        self._length: int | None = None

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= MAX_MESSAGE:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def body_length(self, line: bytes) -> int | None:
        """What Content-Length says, once, when `line` has ended the header section."""
        if line in (b"\n", b"\r\n"):
            self.heading = False
            return self._length
        found = _LENGTH.match(line)
        if found is not None:
            self._length = int(found[1])
        return None

    def taken(self, source: str) -> Mail | Refusal:
        if self._size > MAX_MESSAGE:
            return _too_large(source)
        if self._pieces and self._pieces[-1] in (b"\n", b"\r\n"):
            self._pieces.pop()  # the empty line that belongs to the next From_ line
        return Mail(source, b"".join(self._pieces))


def _too_large(source: str) -> Refusal:
    return Refusal(f"{source}: larger than {MAX_MESSAGE // 1024 // 1024} MB")


def _lines(handle: BinaryIO, size: int | None) -> Iterator[bytes]:
    """Lines with their ends, the long ones in pieces, up to `size` bytes in all."""
    left = size
    while left is None or left > 0:
        piece = handle.readline(_PIECE if left is None else min(_PIECE, left))
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece
