"""An import: mail from some sources taken in, and written down in the run book.

The ledger has what each mail changed; the run book has the import: from where, when, and how
many of what.  Mail that an MTA hands over comes as a process for each message, so those are
one entry a day.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from mailblast import comeback
from mailblast.campaign import Thresholds
from mailblast.comeback import Followed
from mailblast.errors import Refusal
from mailblast.ledger import Ledger
from mailblast.mailbox import Mail
from mailblast.reconcile import LEFT, Reconcile
from mailblast.runbook import RunBook
from mailblast.warned import keep_warnings

KIND = "imports"
SUMS = ("counts", "kinds", "tied")
KEPT = 1000  # imports in the run book, the latest: it is a file that people open


class Source(Protocol):
    """Mails one by one; a context manager, at whose end all are settled.

    `done` of `total` (None where nobody knows) count `unit`: bytes, files or mails.
    `settled` is told of each mail that is durable, and whether anything was made of it.
    """

    source: str
    unit: str
    total: int | None

    @property
    def done(self) -> int: ...
    def __enter__(self) -> Iterable[Mail | Refusal]: ...
    def __exit__(self, failure: Any, *_: Any) -> None: ...
    def __iter__(self) -> Iterator[Mail | Refusal]: ...
    def settled(self, mail: Mail | Refusal, *, used: bool) -> None: ...


Shown = Callable[[Source], Iterable[Mail | Refusal]]


@dataclass(frozen=True, slots=True)
class Intake:
    """What came of an import: its entry in the run book, and what follows from it."""

    entry: dict[str, Any]
    followed: Followed


def take_in(
    ledger: Ledger,
    reconcile: Reconcile,
    thresholds: Thresholds,
    sources: Iterable[Source],
    shown: Shown,
    clock: Callable[[], float],
) -> Intake:
    """Take in all mail of these sources.

    What stops it is raised after it was written down: what was taken in before stays, and
    what follows from that is done.
    """
    entry: dict[str, Any] = {"sources": [], "started": _iso(clock()), "ended": None}
    try:
        for source in sources:
            entry["sources"].append(source.source)

            def settled(mail: Mail | Refusal, result: str, of: Source = source) -> None:
                of.settled(mail, used=result not in LEFT)

            with source:
                reconcile.take_in(shown(source), clock, settled)
        entry["ended"] = _iso(clock())
    finally:
        followed = comeback.follow(ledger, thresholds, reconcile.returns, clock())
        for name in SUMS:
            entry[name] = dict(getattr(reconcile, name))
        entry["paused"] = [
            {"destination": one.destination, "reason": one.reason, "why": one.why}
            for one in followed.paused
        ]
        entry["warnings"] = [one.why for near in followed.near.values() for one in near]
        entry["held"] = {one.domain: one.lifted for one in followed.held}
        book = RunBook(ledger.directory, ledger.patience)
        for run, near in followed.near.items():
            keep_warnings(book, run, near, clock())
        _write(book, entry)
    return Intake(entry, followed)


def _write(book: RunBook, entry: dict[str, Any]) -> None:
    if entry["sources"] != ["-"]:
        book.put(KIND, entry["started"], entry)
        book.keep(KIND, KEPT)
        return
    name = f"{entry['started'][:10]} standard input"
    book.change(KIND, name, lambda day: _added(day, entry))


def _added(day: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    sums = {one: dict(Counter(day.get(one, {})) + Counter(entry[one])) for one in SUMS}
    return {
        **entry,
        **sums,
        "started": day.get("started", entry["started"]),
        "paused": day.get("paused", []) + entry["paused"],
        "warnings": list(dict.fromkeys(day.get("warnings", []) + entry["warnings"])),
        "held": {**day.get("held", {}), **entry["held"]},
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
