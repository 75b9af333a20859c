"""The recipients file: a CSV, read row by row and never whole.

Rule: a bad row is a row with a reason, and reading goes on; a file whose rows cannot be
told apart (bytes that are no text, a quote left open) stops with its name, the line, and
what to do.  A file is as large as it likes; what is held is one row, its size bounded.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TextIO

from mailblast.address import Address, parse
from mailblast.errors import Problem, Problems, Refusal, UserError
from mailblast.header import Columns, columns_of, shown, wrong_with
from mailblast.reason import Reason

MAX_FIELD = 100_000  # characters of a cell; a quote left open swallows no more than this
MAX_ROW = 1_000_000  # characters of a row: a file without line ends is not read into memory
MAX_COLUMNS = 1_000
SEPARATORS = (",", ";", "\t")

csv.field_size_limit(MAX_FIELD)  # there is one limit in the process; nobody needs another


@dataclass(frozen=True, slots=True)
class Row:
    """One data row: its `number` from 1, the `line` of the file where it starts, the cells
    as they came.  A row that cannot be mailed has no address, but a `reason`
    (address-syntax or malformed-row) and a sentence `why`."""

    number: int
    line: int
    cells: tuple[str, ...]
    address: Address | None
    reason: Reason | None
    why: str


class Recipients:
    """The rows of a file, which can be gone through more than once."""

    def __init__(self, source: "Source", separator: str, email: str, naming: str) -> None:
        """`email` is the column of addresses, `naming` how another is named (`wrong_with`)."""
        self.source = source
        self._separator = separator
        self.columns = _columns(source, separator, email, naming)

    def __iter__(self) -> Iterator[Row]:
        """Yield every row that is not blank; raises Problems where the file is damaged."""
        for row, _ in self.with_text():
            yield row

    def with_text(self) -> Iterator[tuple[Row, str]]:
        """The same rows, each with its text as it stands in the file, line end included."""
        email, width = self.columns.email, len(self.columns.names)
        rows = islice(self.source.texts(self._separator), 1, None)
        for number, (line, cells, text) in enumerate(rows, 1):
            if len(cells) != width:
                why = f"{_cells(len(cells))} where the header has {width}"
                row = Row(number, line, tuple(cells), None, Reason.MALFORMED_ROW, why)
                yield row, text
                continue
            found = parse(cells[email])
            if isinstance(found, Refusal):
                why = found.why
                row = Row(number, line, tuple(cells), None, Reason.ADDRESS_SYNTAX, why)
            else:
                row = Row(number, line, tuple(cells), found, None, "")
            yield row, text

    def cells(self) -> Iterator[list[str]]:
        """The cells of every row that is not blank, the header's first; nothing is checked."""
        return (cells for _, cells in self.source.rows(self._separator))

    def header(self) -> str:
        """The text of the header, as it stands in the file."""
        return next(text for _, _, text in self.source.texts(self._separator))


def open_recipients(
    path: Path, *, email: str = "email", encoding: str = "auto", options: bool = False
) -> Recipients:
    """Open a list and read its header.

    `email` names the column of addresses.  `encoding` is a name that Python knows, or
    "auto": UTF-8 or UTF-16, with a byte order mark or without.  With `options` what to do is told
    as options of a command, else as settings of a campaign.  Raises Problems (a
    UserError) for a file that cannot be read and for all that is wrong with the header.
    """
    say_encoding = 'encoding = "latin-1" in [recipients]'
    say_email = 'email = "{}" in [recipients]'
    if options:
        say_encoding, say_email = "--encoding latin-1", "--email {}"
    advice = f"if the file is Latin-1, say {say_encoding}"
    source = open_source(path, encoding, advice)
    return Recipients(source, source.separator(), email, say_email)


# How files begin that are no text, though they may be named so, and what they are.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}


def open_source(path: Path, encoding: str, advice: str) -> "Source":
    """Find the encoding of a file; `advice` is what to do when its bytes are not in it.

    Raises Problems for what cannot be read, or is a workbook.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if what := _NO_TEXT.get(head):
            save = "save it as CSV UTF-8 (in Excel: File, Save As), and name that file"
            raise Problems([Problem(path.name, f"this is {what}, not a CSV file", save)])
        return Source(path, _codec(head, encoding), advice)
    except OSError as error:
        raise Problems([_unreadable(path, error)]) from error


@dataclass(frozen=True, slots=True)
class Source:
    """A text file of any size: where it is, and how its bytes become characters."""

    path: Path
    codec: str
    advice: str

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield each line with its number, from 1; raises Problems."""
        try:
            with self._open() as file:
                lines = _Lines(file)
                for number, line in enumerate(lines, 1):
                    yield number, line
                    lines.room = MAX_ROW
                    lines.taken.clear()
        except (OSError, ValueError) as error:
            raise Problems([self._explain(error)]) from error

    def rows(self, separator: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of each row that is not blank, the header's too, with the number
        of the line where it starts; raises Problems."""
        for start, cells, _ in self.texts(separator):
            yield start, cells

    def texts(self, separator: str) -> Iterator[tuple[int, list[str], str]]:
        """The same, and the text of the row as it stands there, line end included."""
        start = 1
        try:
            with self._open() as file:
                lines = _Lines(file)
                reader = csv.reader(lines, delimiter=separator, strict=True)
                for cells in reader:
                    if len(cells) > 1 or (cells and not cells[0].isspace()):
                        yield start, cells, "".join(lines.taken)
                    start = reader.line_num + 1
                    lines.room = MAX_ROW
                    lines.taken.clear()
        except csv.Error as error:
            raise Problems([self._misquoted(error, separator, start)]) from error
        except (OSError, ValueError) as error:
            raise Problems([self._explain(error)]) from error

    def encoding(self) -> tuple[str, str]:
        """How to write such a file: its codec, and the byte order mark that it begins with."""
        with self.path.open("rb") as file:
            head = file.read(4)
        for codec, mark in _MARKED:
            if self.codec in (codec, "utf-8-sig", "utf-16") and head.startswith(mark):
                return codec, "\ufeff"
        return self.codec.removesuffix("-sig"), ""

    def separator(self) -> str:
        """The one of SEPARATORS that stands most often in the first line, quotes apart."""
        first = next((line for _, line in self.lines() if not line.isspace()), "")
        return max(SEPARATORS, key=re.sub('"[^"]*"', "", first).count)

    def _open(self, errors: str = "strict") -> TextIO:
        # newline="": a line end within quotes is part of the cell, and stays as it came.
        return self.path.open(encoding=self.codec, errors=errors, newline="")

    def _explain(self, error: OSError | ValueError) -> Problem:
        if isinstance(error, _Damage):
            return Problem(f"{self.path.name}:{error.line}", str(error))
        if isinstance(error, UnicodeDecodeError):
            return self._undecodable(error)
        return _unreadable(self.path, error)

    def _undecodable(self, error: UnicodeDecodeError) -> Problem:
        """Where the first byte stands that is no text: the error knows only its place in
        some buffer, so the file is read again up to there."""
        utf8 = self.codec.startswith("utf-8")
        replaced = re.compile("[\udc80-\udcff]" if utf8 else "\ufffd")
        name = self.codec.removesuffix("-sig").upper()
        byte = error.object[error.start]
        with self._open("surrogateescape" if utf8 else "replace") as file:
            for number in count(1):
                line = file.readline(MAX_ROW)
                if found := replaced.search(line):
                    what = f"not {name} (byte 0x{byte:02x} at column {found.start() + 1})"
                    return Problem(f"{self.path.name}:{number}", what, self.advice)
                if not line:
                    break
        return Problem(self.path.name, f"not {name} ({error.reason})", self.advice)

    def _misquoted(self, error: csv.Error, separator: str, start: int) -> Problem:
        """Where the cell begins that spoils the row of line `start`: csv knows only where
        it lost its way, and the quote may have been opened long before."""
        with self._open("replace") as file:
            for _ in range(start - 1):
                file.readline()
            text = file.read(MAX_ROW)
        line = start + len(_LINE_END.findall(text, 0, _first_bad_cell(text, separator)))
        what, hint = next(said for part, said in _MISQUOTED.items() if part in str(error))
        return Problem(f"{self.path.name}:{line}", what, hint)


_LINE_END = re.compile(r"\r\n|\r|\n")
_TWICE = "within quotes a quote is written twice"
_MISQUOTED = {
    "end of data": ("a quote is opened here and never closed", _TWICE),
    "larger than": (
        f"a cell of more than {MAX_FIELD:,} characters",
        "is a quote left open?",
    ),
    "": ("a quote is opened here, and text follows where it closes", _TWICE),
}


def _first_bad_cell(text: str, separator: str) -> int:
    """Where in a row the first cell stands that is not well formed."""
    cell = re.compile(rf'(?:"(?:[^"]|"")*+"|(?!")[^{separator}\r\n]*+){separator}')
    at = 0
    while (found := cell.match(text, at)) and len(found[0]) <= MAX_FIELD:
        at = found.end()
    return at


class _Lines:
    """The lines of a file, none longer than `room`, which the reader of rows renews."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.room = MAX_ROW
        self.taken: list[str] = []  # since the reader of rows emptied it

    def __iter__(self) -> Iterator[str]:
        readline = self._file.readline
        for number in count(1):
            line = readline(self.room + 1)
            if not line:
                return
            self.room -= len(line)
            if self.room < 0:
                raise _Damage(f"a row of more than {MAX_ROW:,} characters", number)
            if "\0" in line:
                raise _Damage("a NUL byte; this is not a text file", number)
            self.taken.append(line)
            yield line


class _Damage(ValueError):
    """The file cannot be a list of rows."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def _codec(head: bytes, encoding: str) -> str:
    """Python's name of the encoding of a file that begins so."""
    if encoding != "auto":
        try:
            "".encode(encoding)
        except (LookupError, ValueError):
            hint = 'known are "auto", "utf-8", "utf-16", "latin-1", "cp1252" and more'
            raise UserError(f'unknown encoding "{shown(encoding)}"; {hint}') from None
        name = codecs.lookup(encoding).name
        return "utf-8-sig" if name == "utf-8" else name
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # A header begins with letters of ASCII, so UTF-16 without a mark shows in its zeros.
    return _ZEROS.get(bytes(map(bool, head)), "utf-8-sig")


_MARKED = (
    ("utf-8", codecs.BOM_UTF8),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
)
_ZEROS = {b"\1\0\1\0": "utf-16-le", b"\0\1\0\1": "utf-16-be"}


def _unreadable(path: Path, error: OSError | ValueError) -> Problem:
    return Problem(
        path.name, f"cannot be read ({getattr(error, 'strerror', None) or error})"
    )


def _columns(source: Source, separator: str, email: str, naming: str) -> Columns:
    where = f"{source.path.name}:1"
    line, header = next(source.rows(separator), (1, []))
    if not header:
        raise Problems(
            [Problem(where, "the file is empty", "its first line names the columns")]
        )
    where = f"{source.path.name}:{line}"
    if len(header) > MAX_COLUMNS:
        raise Problems([Problem(where, f"more than {MAX_COLUMNS:,} columns")])
    if problems := wrong_with(header, where, email, naming):
        raise Problems(problems)
    return columns_of(header, email)


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"
