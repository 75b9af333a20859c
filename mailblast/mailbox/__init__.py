"""Mailboxes: mbox, MMDF, Maildir, MH, one message a file, and directories of all these.

Rule: memory holds one message, never a mailbox.  What is too large becomes a `Refusal` and
the reader goes on.  What it is, is told by the first bytes; only .eml and .emlx go by their
names, and the files of MH.  What gzip or bzip2 compressed is read as if it were not.
"""

import bz2
import codecs
import contextlib
import fcntl
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from mailblast.bounce import Kind, Notice
from mailblast.bounce import read as read_notice
from mailblast.errors import Refusal, UserError
from mailblast.mailbox import mbox
from mailblast.mailbox.mail import MAX_MESSAGE, Mail, too_large
from mailblast.mailbox.mbox import append_all, append_mbox

__all__ = ["MAX_MESSAGE", "STDIN", "Mail", "Reading", "append_all", "append_mbox", "read"]

STDIN = Path("-")

# A line is read in pieces of this size: a file without a line end must not fill the memory.
_PIECE = 64 * 1024

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
# What people give as a mailbox and is none; what they can do.
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "unpack it and give the files in it"),
    b"\xfd7zXZ\0": ("compressed by xz", "give it unpacked: xzcat FILE | mailblast … -"),
    b"(\xb5/\xfd": ("compressed by zstd", "give it unpacked: zstdcat FILE | mailblast … -"),
    b"\xd0\xcf\x11\xe0": ("a file of Outlook's (.msg)", "save the message as .eml"),
    b"!BDN": ("a data file of Outlook's (.pst)", "readpst makes an mbox of it"),
    b"BABYL": ("an Rmail file (Babyl)", "unrmail, of Emacs, makes an mbox of it"),
}

# What an MTA hands over is taken as it is; in a file that somebody named, one of the first lines
# is a field of a header, or it is a notice that somebody copied without.
_HEADED = re.compile(rb"(?:[^\n]*\n){0,50}?(?:[A-Za-z0-9_-]{1,76}[ \t]*:|From )")
_IS_MAIL = "a mail begins with its header (From: …, Subject: …), an mbox with a From_ line"


class Reading:
    """The messages of a source, one by one, and how far the reading has come.

    A `Refusal` says which message was left out and why.  `done` of `total` (None where
    nobody can know) count `unit`: bytes of the file as it lies there, or files.
    """

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self.unit = "mails"
        self.total: int | None = None
        self._taken = 0
        self._file: BinaryIO | None = None
        self._mails = self._opened(path)

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._mails.close()

    def __iter__(self) -> Iterator[Mail | Refusal]:
        return self

    def __next__(self) -> Mail | Refusal:
        mail = next(self._mails)
        self._taken += self.unit == "mails"
        return mail

    @property
    def done(self) -> int:
        """How much of `total` was read."""
        return self._taken if self._file is None else self._file.tell()

    def settled(self, mail: Mail | Refusal, *, used: bool) -> None:
        """Nothing: a mailbox on disk is left as it is."""

    def _opened(self, path: Path) -> Generator[Mail | Refusal, None, None]:
        try:
            if path == STDIN:
                yield from self._stream(sys.stdin.buffer, path)
            elif path.is_dir():
                yield from self._directory(path)
            else:
                with path.open("rb") as handle:
                    yield from self._alone(handle, path)
        except (OSError, EOFError, zlib.error) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(f"{path}: {why}") from error
        finally:
            self._file = None

    def _alone(self, handle: io.BufferedReader, path: Path) -> Iterator[Mail | Refusal]:
        """A file that the user named."""
        for begins, (what, hint) in _FOREIGN.items():
            if handle.peek(len(begins)).startswith(begins):
                raise UserError(f"{path}: this is {what}", hint)
        if _is_message(path):
            yield _single(_unpacked(handle), path)
        else:
            yield from self._stream(handle, path)

    def _stream(self, handle: BinaryIO, path: Path) -> Iterator[Mail | Refusal]:
        """A mailbox, if it begins like one; else one message."""
        size = _complete(handle)
        if size is not None:
            self.unit, self.total, self._file = "bytes", size, handle
        unpacked = _unpacked(handle)
        blocks = _blocks(unpacked, size if unpacked is handle else None)
        first = next(blocks, b"").removeprefix(codecs.BOM_UTF8)
        if not mbox.begins(first):
            first = mbox.beginning(first + next(blocks, b""))
        whole = mbox.begins(first)
        # A pipe may be an MTA's: one message behind a From_ line, and nothing quoted.
        one = path == STDIN and size is None
        if whole or (not one and mbox.goes_on(first)):
            dated = one or not whole
            yield from mbox.parted(chain([first], blocks), str(path), dated=dated)
        elif first:
            mail = _single(unpacked, path, first)
            if path != STDIN and isinstance(mail, Mail) and not _is_mail(mail.content):
                raise UserError(f"{path}: this is no mail: it has no header", _IS_MAIL)
            yield mail
        if self._file is not None:
            self._taken, self._file = handle.tell(), None

    def _directory(self, path: Path) -> Iterator[Mail | Refusal]:
        """Read a Maildir, or every file below that is a mailbox or a message."""
        self.unit = "files"
        self.total = sum(len(files) for _, files, _ in _folders(path))
        found = False
        for folder, files, sure in _folders(path):
            found = found or sure
            for name in files:
                for mail in _entry(folder / name, sure=sure):
                    found = True
                    yield mail
                self._taken += 1
        if not found:
            raise UserError(
                f"{path}: no mail in this directory",
                "give a Maildir, or a directory with mboxes, .eml or .emlx files in it",
            )


def read(path: Path) -> Reading:
    """Every message of a mailbox; "-" is standard input.

    The order is that of the file, in directories that of the names, so that two readings
    tell the same.  Raises `UserError` when the path is not there (at once) or cannot be read
    (when it comes to that).
    """
    if path != STDIN and not path.exists():
        raise UserError(f"{path}: no such file or directory")
    return Reading(path)


# Files and directories


def _unpacked(handle: BinaryIO) -> BinaryIO:
    """The contents of a compressed file, as a stream; else the file as it is."""
    if not isinstance(handle, io.BufferedReader):
        return handle
    begins = handle.peek(3)
    if begins.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=handle))
    if begins.startswith(_BZIP2):
        return cast(BinaryIO, bz2.BZ2File(handle))
    return handle


def _complete(handle: BinaryIO) -> int | None:
    """The size up to which a file's messages are whole; None of what is no plain file.

    The lock is held for a moment only: whoever takes the messages may write to the very
    mailbox in between, and what is appended meanwhile belongs to the next reading.
    """
    try:
        descriptor = handle.fileno()
    except OSError:  # standard input that is no file at all
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    with contextlib.suppress(OSError):  # a file system without locks: as it is, then
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    size = os.fstat(descriptor).st_size
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return size


def _folders(top: Path) -> Iterator[tuple[Path, list[str], bool]]:
    """Every folder below a directory, the names of its files, and whether all are messages.

    Of a Maildir these are `new` and `cur`, which is listed after `new` was read: what a mail
    reader moves meanwhile is found there.  Hidden files are no messages (maildir(5)), and
    links to directories are not followed.
    """
    for folder, below, names in os.walk(top):
        here = Path(folder)
        if maildir := [name for name in ("new", "cur") if name in below]:
            for name in maildir:
                inside = [one.name for one in os.scandir(here / name)]
                yield here / name, _shown(inside), True
            below.clear()
        else:
            yield here, _shown(names), False
            below[:] = _shown(below)


def _shown(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _entry(path: Path, *, sure: bool) -> Iterator[Mail | Refusal]:
    """What a file in a directory holds: nothing if it is no mail, unless that is `sure`."""
    try:
        if not path.is_file():  # a FIFO would never end
            return
        with path.open("rb") as handle:
            unpacked = _unpacked(handle)
            if sure or _is_message(path):
                yield _single(unpacked, path)
            elif mbox.begins(first := unpacked.readline(_PIECE)):
                yield from mbox.parted(chain([first], _blocks(unpacked, None)), str(path))
    except (OSError, EOFError, zlib.error) as error:
        yield Refusal(f"{path}: {getattr(error, 'strerror', None) or error}")


# Messages


def _is_mail(content: bytes) -> bool:
    if _HEADED.match(content):
        return True
    notice = read_notice(content)
    return isinstance(notice, Notice) and notice.kind is Kind.BOUNCE


def _is_message(path: Path) -> bool:
    """Whether a file's name says that it is one message, whatever its first line is."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".bz2")
    # A message of an MH folder has but a number for a name (mh-folders(5)).
    return name.endswith((".eml", ".emlx")) or name.isdigit()


def _single(handle: BinaryIO, path: Path, first: bytes = b"") -> Mail | Refusal:
    """One message; its first line may have been read already."""
    most = MAX_MESSAGE
    if ".emlx" in path.suffixes:
        # Apple Mail's: the length in a line of its own, the message, and what Mail knows.
        length = handle.readline(_PIECE).strip()
        if not length.isdigit() or len(length) > 12:
            return Refusal(f"{path}: does not begin with the length of the message")
        content = handle.read(min(int(length), most + 1))
    else:
        content = first + handle.read(most + 1 - len(first))
    return too_large(str(path)) if len(content) > most else Mail(str(path), content)


def _blocks(handle: BinaryIO, size: int | None) -> Iterator[bytes]:
    """A line, and all that follows it block by block, up to `size` bytes in all."""
    left, take = size, handle.readline
    while block := take(_PIECE if left is None else min(_PIECE, left)):
        take = handle.read
        if left is not None:
            left -= len(block)
        yield block
