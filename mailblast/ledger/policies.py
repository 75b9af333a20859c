"""MTA-STS policies, kept for as long as they say: over runs, and whoever is on the wire.

Rule: what a domain asked for holds until it expires or another policy was fetched.  That a
fetch fails, or the TXT record is gone, changes nothing: an attacker could bring about both
(RFC 8461 §3.3, §10.2).
"""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from mailblast.ledger.database import Database
from mailblast.ledger.tables import policies


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy as it was fetched, the id that was in the TXT record then, and until when it
    holds, in seconds since 1970."""

    domain: str
    id: str
    text: str
    until: float


class Policies:
    """Keeps the last policy of each domain."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, domain: str, at: float) -> Kept | None:
        """The policy of a domain that holds at this time."""
        query = select(policies).where(policies.c.domain == domain, policies.c.until > at)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return Kept(**row._asdict()) if row else None

    def keep(self, kept: Kept) -> None:
        """Keep a policy in place of the one before."""
        values = {
            "domain": kept.domain,
            "id": kept.id,
            "text": kept.text,
            "until": kept.until,
        }
        with self._database.writing() as connection:
            connection.execute(delete(policies).where(policies.c.domain == kept.domain))
            connection.execute(insert(policies).values(values))
