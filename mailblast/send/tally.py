"""What has happened so far in this process, for the screen.

The ledger is the account; this is a copy of its sums, kept so that nobody asks the ledger
twenty times a second.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mailblast.event import Disposition, EventKind

_SETTLED = {
    EventKind.ACCEPTED: Disposition.ACCEPTED,
    EventKind.REFUSED: Disposition.REFUSED,
    EventKind.EXPIRED: Disposition.EXPIRED,
    EventKind.SUPPRESSED: Disposition.SUPPRESSED,
    EventKind.INVALID: Disposition.INVALID,
}


@dataclass(slots=True)
class DestinationTally:
    """One destination: messages not settled yet, and settled in this process."""

    waiting: int = 0
    settled: int = 0


class Tally:
    """Counts by disposition and by destination."""

    def __init__(self, dispositions: Mapping[Disposition, int]) -> None:
        self.rows = sum(dispositions.values())
        self.settled_before = self.rows - sum(
            dispositions.get(name, 0) for name in (Disposition.QUEUED, Disposition.DEFERRED)
        )
        self.dispositions: Counter[Disposition] = Counter(dispositions)
        self.dispositions.pop(Disposition.QUEUED, None)
        self.dispositions.pop(Disposition.DEFERRED, None)
        self.awaiting = 0  # final dots whose answer is not there yet
        self.deferrals = 0
        self.remark = ""  # what goes on that the sums do not show
        self.warnings: list[str] = []  # what came near a pause
        self.destinations: dict[str, DestinationTally] = {}

    @property
    def due(self) -> int:
        """How many rows are not settled: queued, deferred, or just being offered."""
        return self.rows - sum(self.dispositions.values())

    @property
    def settled_now(self) -> int:
        """How many rows this process has settled."""
        return sum(self.dispositions.values()) - self.settled_before

    def waiting(self, destination: str, count: int) -> None:
        """So many messages wait for this destination."""
        self._of(destination).waiting += count

    def taken_up_again(self, doubtful: int) -> None:
        """So many doubtful messages are to be offered once more."""
        self.dispositions[Disposition.DOUBTFUL] -= doubtful

    def offered(self) -> None:
        """A final dot goes out."""
        self.awaiting += 1

    def answered(self, *, doubtful: bool) -> None:
        """The answer to a final dot has come, or none will: then the message is doubtful."""
        self.awaiting -= 1
        self.dispositions[Disposition.DOUBTFUL] += doubtful

    def happened(self, destination: str, kind: EventKind) -> None:
        """A message was settled, or deferred."""
        if kind is EventKind.DEFERRED:
            self.deferrals += 1
            return
        self.dispositions[_SETTLED[kind]] += 1
        one = self._of(destination)
        one.waiting -= 1
        one.settled += 1

    def slowest(self, most: int) -> list[tuple[str, DestinationTally]]:
        """The destinations with the most messages still waiting."""
        waiting = [pair for pair in self.destinations.items() if pair[1].waiting > 0]
        return sorted(waiting, key=lambda pair: -pair[1].waiting)[:most]

    def _of(self, destination: str) -> DestinationTally:
        return self.destinations.setdefault(destination, DestinationTally())
