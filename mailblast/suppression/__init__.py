"""Who must not be mailed: how an entry is written, and under which keys an address stands.

Lists are exchanged as hashes, so that they disclose nobody; the hash is taken of the
address in lower case, as everyone does.  Rule: what is no entry is a Problem with its line,
never dropped in silence: an opt-out that is not read is mail against the law
(15 U.S.C. 7704(a)(4)).
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailblast.address import Address
from mailblast.address import parse as parse_address
from mailblast.errors import Problem, Refusal
from mailblast.header import column_name
from mailblast.reason import Reason
from mailblast.recipients import Source, open_source

MAX_REASON = 200  # characters kept of a reason in a list

_HASH = re.compile(
    r"(?:sha256:)?([0-9a-f]{64})|(?:md5:)?([0-9a-f]{32})", re.IGNORECASE | re.ASCII
)
_COMMENT = re.compile(r"(?:^|\s)#")  # `a#b@c.example` is an address
_ENTRY_COLUMNS = ("email", "e_mail", "address", "hash", "key")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list.

    `reason` is a word of `reason.Reason` or what the list says instead; `note` is what is
    known beyond that, such as the server's answer; `line` is 0 when it is of no file;
    `events` are the numbers of the events that caused it, where we entered it ourselves.
    """

    key: str
    reason: str
    note: str = ""
    line: int = 0
    events: tuple[int, ...] = ()


def parse(text: str) -> str | Refusal:
    """The key of an entry: of an address (`Address.key`), of a domain and all below it
    (`@example.com`), or of a hash (`sha256:…`, `md5:…`, or the bare hex digits)."""
    text = text.strip()
    found = _HASH.fullmatch(text)
    if found:
        sha256, md5 = found.groups()
        return f"sha256:{sha256.lower()}" if sha256 else f"md5:{md5.lower()}"
    if "@" not in text:
        return Refusal('neither an address nor a hash; a domain is written "@example.com"')
    if text.startswith("*@"):  # grammatically an address, and it would suppress nobody
        return Refusal('for a whole domain write "@example.com", without the star')
    address = parse_address(f"x{text}" if text.startswith("@") else text)
    if isinstance(address, Refusal):
        return address
    return f"@{address.domain}" if text.startswith("@") else address.key


def keys(address: Address) -> tuple[str, ...]:
    """Every key under which an address may stand: itself, its domain and those above it,
    its SHA-256 and its MD5."""
    key = address.key.encode()
    labels = address.domain.split(".")
    return (
        address.key,
        *("@" + ".".join(labels[n:]) for n in range(len(labels) - 1)),
        f"sha256:{hashlib.sha256(key).hexdigest()}",
        f"md5:{hashlib.md5(key, usedforsecurity=False).hexdigest()}",
    )


def read(path: Path) -> Iterator[Entry | Problem]:
    """Yield the entries of a list, one at a time, and a Problem for each that is none.

    A .csv has its entries in the column `email`, `address` or `hash`, else in the first,
    and perhaps a `reason`; any other file has one a line, and comments after #.  Raises
    Problems when the file cannot be read.
    """
    source = open_source(path, "auto", "save it as UTF-8")
    entries = _of_rows(source) if path.suffix.lower() == ".csv" else _of_lines(source)
    for line, text, reason in entries:
        key = parse(text)
        if isinstance(key, Refusal):
            yield Problem(f"{path.name}:{line}", key.why)
        else:
            yield Entry(key, reason or Reason.LISTED.value, line=line)


def _of_lines(source: Source) -> Iterator[tuple[int, str, str]]:
    for number, line in source.lines():
        text = _COMMENT.split(line, 1)[0] if "#" in line else line
        if text and not text.isspace():
            yield number, text, ""


def _of_rows(source: Source) -> Iterator[tuple[int, str, str]]:
    entry, reason = 0, None
    rows = source.rows(source.separator())
    for number, (line, cells) in enumerate(rows):
        if number == 0 and (columns := _header(cells)):
            entry, reason = columns
            continue
        said = cells[reason] if reason is not None and reason < len(cells) else ""
        yield line, cells[entry] if entry < len(cells) else "", said.strip()[:MAX_REASON]


def _header(cells: Sequence[str]) -> tuple[int, int | None] | None:
    """The columns of the entry and of the reason, if this first row is a header: it names
    one of them and does not begin with an entry itself."""
    names = [column_name(cell) for cell in cells]
    entry = next((n for n, name in enumerate(names) if name in _ENTRY_COLUMNS), None)
    reason = names.index("reason") if "reason" in names else None
    if (entry is None and reason is None) or not isinstance(parse(cells[0]), Refusal):
        return None
    return entry or 0, reason
