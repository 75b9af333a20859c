"""What is near a pause, kept in the run book: the `warnings` of a run, the last of each kind."""

from collections.abc import Iterable
from typing import Any

from mailblast.breaker import Trip
from mailblast.report import WARNINGS, iso, warnings_of
from mailblast.runbook import RunBook

MOST = 100  # of a run that are kept


def keep_warnings(book: RunBook, run: str, near: Iterable[Trip], at: float) -> None:
    """Write down what is near for a run of this name; `at` is in seconds since 1970."""

    def changed(document: dict[str, Any]) -> dict[str, Any]:
        kept = {(one["destination"], one["reason"]): one for one in warnings_of(document)}
        for one in near:
            entry = {"destination": one.destination, "reason": str(one.fault)}
            kept[one.destination, str(one.fault)] = {
                **entry,
                "why": one.why,
                "at": iso(at) or "",
            }
        return {**document, WARNINGS: list(kept.values())[:MOST]}

    book.change("runs", run, changed)
