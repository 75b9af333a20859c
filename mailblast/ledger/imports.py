"""Mail that came back, entered once: its events, and the suppressions they cause.

One transaction a mail, with the digest of the mail as its key: two imports of one mailbox,
one after the other or at the same moment, change the ledger once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from mailblast.event import Event
from mailblast.ledger.database import Database
from mailblast.ledger.recording import record
from mailblast.ledger.suppressions import WORKSPACE, enter
from mailblast.ledger.tables import returned
from mailblast.suppression import Entry


@dataclass(frozen=True, slots=True)
class Returned:
    """One mail that came back: its SHA-256, where it lay, and in a word what it was."""

    digest: bytes
    source: str
    result: str


class Imports:
    """Enters mail that came back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, digest: bytes) -> str | None:
        """What this very mail was, if it was entered before; None if it was not."""
        query = select(returned.c.result).where(returned.c.digest == digest)
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def enter(
        self, mail: Returned, at: float, facts: Sequence[Event], entries: Sequence[Entry]
    ) -> bool:
        """Record what the mail says; False, and nothing changed, if it is known already."""
        with self._database.writing() as connection:
            query = select(returned.c.at).where(returned.c.digest == mail.digest)
            if connection.execute(query).first() is not None:
                return False
            values = {"digest": mail.digest, "at": at, "source": mail.source}
            connection.execute(insert(returned).values(**values, result=mail.result))
            record(connection, facts)
            enter(connection, entries, at, mail.source, WORKSPACE)
            return True
