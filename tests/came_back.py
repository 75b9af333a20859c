"""A workspace from which mail went out and came back, and what others do to its ledger."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from commands import letter, ok

from mailblast.mailbox import Mail, read


def bounced_from(where: Path, count: int = 1) -> Path:
    """Send so many messages that bounce to the practice Internet; nothing is taken in yet."""
    rows = "".join(f"back{n}@bounces-postfix.example,Back\n" for n in range(count))
    letter(where, rows)
    ok(where, "send", "letter", "--yes")
    return where


def bounces_of(workspace: Path) -> list[bytes]:
    """The bounces, as they lie in the practice Internet's inbox."""
    mails = read(workspace / ".mailblast/sandbox/inbox.mbox")
    return [mail.content for mail in mails if isinstance(mail, Mail)]


@contextmanager
def held(workspace: Path) -> Iterator[None]:
    """Somebody else is writing to the ledger, and does not end."""
    path = workspace / ".mailblast/ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
