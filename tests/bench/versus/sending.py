"""`mailblast send`, and what its own ledger says of it.

The rate runs from the first `attempted` to the last `accepted`.  A run whose messages were
not all accepted is an error and no figure.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.versus.usage import Program, Usage


@dataclass(frozen=True, slots=True)
class Sending:
    """What a sender did: `count` messages, `rate` a second while it sent."""

    count: int
    rate: float
    usage: Usage

    @property
    def whole_rate(self) -> float:
        """Messages a second from the command to its end."""
        return self.count / self.usage.whole

    @property
    def per_processor_second(self) -> float:
        """Messages for one second of one processor, with all that the program does."""
        return self.count / self.usage.processor


def send(campaign: Path) -> Program:
    """Start the sending."""
    return Program([sys.executable, "-m", "mailblast", "send", campaign, "--yes"])


def of_mailblast(campaign: Path, count: int, _port: int = 0) -> Sending:
    """Send a campaign of `count` rows from beginning to end; the campaign has the port."""
    usage = send(campaign).ended()
    with ledger_of(campaign) as ledger:
        accepted, first, last = ledger.execute(
            "SELECT count(*) FILTER (WHERE kind = 'accepted'), "
            "min(at) FILTER (WHERE kind = 'attempted'), "
            "max(at) FILTER (WHERE kind = 'accepted') FROM events"
        ).fetchone()
    if accepted != count:
        sys.exit(f"mailblast: {accepted} messages of {count} were accepted")
    return Sending(count, count / (last - first), usage)


@contextmanager
def ledger_of(campaign: Path) -> Iterator[sqlite3.Connection]:
    """The ledger of a campaign's workspace, as it lies there."""
    path = campaign.parent / ".mailblast" / "ledger.db"
    with closing(sqlite3.connect(path, timeout=60)) as ledger:
        yield ledger
