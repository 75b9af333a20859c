"""Which addresses of a list have passed by: an index in a temporary file, gone when it closes.

It is no part of the ledger, and lies here because SQLite does.  A list may have ten million
rows; a set of their addresses would take a gigabyte, and hashes alone would drop somebody for
being like somebody else.
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

_CACHE = 32_000  # kB; what is more goes to the file


class Seen:
    """Keys of addresses (`Address.key`), each with the line where it stood first."""

    def __init__(self) -> None:
        # The name "" is a database of our own in a file that SQLite removes by itself.
        self._file = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE}"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute(
            "CREATE TABLE seen (domain TEXT, local TEXT, line INTEGER,"
            " PRIMARY KEY (domain, local)) WITHOUT ROWID"
        )
        self._file.execute("BEGIN")

    def first(self, key: str, line: int) -> int:
        """The line where this address stood first: this line itself, if it is new."""
        local, _, domain = key.rpartition("@")
        if self._file.execute(_ENTER, (domain, local, line)).rowcount:
            return line
        (found,) = self._file.execute(_FIND, (domain, local)).fetchone()
        return int(found)

    def domains(self) -> Iterator[tuple[str, Iterator[tuple[str, int]]]]:
        """Each domain, and its local parts with their lines, in alphabetical order."""
        rows = self._file.execute(_ALL)
        for domain, group in groupby(rows, key=itemgetter(0)):
            yield domain, ((local, line) for _, local, line in group)

    def close(self) -> None:
        """Forget all of it."""
        self._file.close()


_ENTER = "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)"
_FIND = "SELECT line FROM seen WHERE domain = ? AND local = ?"
_ALL = "SELECT domain, local, line FROM seen ORDER BY domain, local"
