"""What has become of a run, as sums that add up to the rows of the list.

A 250 is an acceptance, not a delivery: a notice may still come back for days.  So an
`accepted` message becomes `delivered` only when its bounce window has closed in silence.
"""

import csv
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from mailblast.breaker import OPT_OUTS, leaving
from mailblast.campaign.suppression import BOUNCE_WINDOW
from mailblast.disposition import DUE
from mailblast.errors import UserError
from mailblast.event import Disposition, Event, EventKind
from mailblast.header import aligned
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Delivery, Ledger, Pause, Run
from mailblast.reason import Reason
from mailblast.runbook import RunBook

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run in sums.  Times are seconds since 1970."""

    run: Run
    dispositions: dict[Disposition, int]
    reasons: dict[Reason, int]
    destinations: dict[str, dict[Disposition, int]]
    doubtful: tuple[str, ...]  # the addresses, at most LISTED
    open_until: float | None  # when the last bounce window closes
    paused: tuple[Pause, ...] = ()  # its destinations that are paused, or the run
    resting: tuple[Learnt, ...] = ()  # where something is due that has to wait
    marks: Mapping[str, int] = field(default_factory=dict)  # complained, autoreplied, …
    came_back: Mapping[str, int] = field(
        default_factory=dict
    )  # mails, by what came of them
    warnings: tuple[Mapping[str, str], ...] = ()  # what came near a pause, or who leaves
    sending: bool = False  # a `send` of its campaign is at work

    @property
    def rows(self) -> int:
        """The rows of the list."""
        return sum(self.dispositions.values())

    def as_json(self) -> dict[str, Any]:
        """The form of `report --json`."""
        return {
            "run": self.run.run,
            "campaign": self.run.campaign,
            "started": iso(self.run.started),
            "ended": iso(self.run.ended),
            "sending": self.sending,
            "recipients": self.rows,
            "dispositions": _words(self.dispositions),
            "marks": dict(self.marks),
            "came_back": dict(self.came_back),
            "reasons": _words(self.reasons),
            "destinations": {name: _words(one) for name, one in self.destinations.items()},
            "doubtful": list(self.doubtful),
            "open_until": iso(self.open_until),
            "paused": [
                {"destination": one.destination, "reason": one.reason, "why": one.why}
                for one in self.paused
            ],
            "warnings": [dict(one) for one in self.warnings],
            "resting": {one.name: iso(one.rests_until) for one in self.resting},
        }


WARNINGS = "warnings"  # in the document of a run: what came near a pause
LISTED = 1000  # doubtful addresses that are listed; there are no more than connections


def iso(at: float | None) -> str | None:
    """A time as ISO 8601 in UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _words(counts: dict[Any, int]) -> dict[str, int]:
    return {str(name): count for name, count in counts.items()}


def account(ledger: Ledger, run: Run, window: float = BOUNCE_WINDOW) -> RunReport:
    """The sums of a run, from the ledger; `window` is the bounce window in seconds."""
    doubtful = ledger.deliveries.those(run.number, Disposition.DOUBTFUL)
    destinations = ledger.runs.destinations(run.number)
    due = with_due(destinations)
    _, resting = held(ledger, run, due)
    whom = {*destinations, *([""] if due else [])}
    dispositions = ledger.runs.dispositions(run.number)
    marks = ledger.runs.marks(run.number)
    document = RunBook(ledger.directory).get("runs", run.run) or {}
    return RunReport(
        run=run,
        dispositions=dispositions,
        reasons=ledger.runs.reasons(run.number),
        destinations=destinations,
        doubtful=tuple(
            one.mailbox for one, _ in zip(doubtful, range(LISTED), strict=False)
        ),
        open_until=_open_until(ledger, run, window),
        paused=tuple(
            one for one in ledger.pauses.standing(run.number) if one.destination in whom
        ),
        resting=resting,
        marks=marks,
        came_back=ledger.imports.results(run.number),
        warnings=(*warnings_of(document), *_leaving(dispositions, marks)),
        sending=run.state != "ended" and ledger.locked(run.campaign),
    )


def _leaving(
    dispositions: Mapping[Disposition, int], marks: Mapping[str, int]
) -> Iterator[Mapping[str, str]]:
    if why := leaving(dispositions, marks):
        now = iso(time.time()) or ""
        yield {"destination": "", "reason": OPT_OUTS, "why": why, "at": now}


def warnings_of(document: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    """What came near a pause, from the document of a run, which anybody may have edited."""
    found = document.get(WARNINGS)
    return tuple(
        one
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in _OF_A_WARNING)
    )


_OF_A_WARNING = ("destination", "reason", "why", "at")

OUTAGES = "outages"  # of the way out, in the document of a run


class Outage(NamedTuple):
    """When nobody could leave by the unsubscribe endpoint, in ISO 8601; `ended` is "" while it
    lasts, and where the run stopped before its end."""

    began: str
    ended: str
    why: str


def outages_of(document: Mapping[str, Any]) -> list[Outage]:
    """The outages of the way out, from the document of a run, which anybody may have edited."""
    found = document.get(OUTAGES)
    return [
        Outage(*(one[name] for name in Outage._fields))
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in Outage._fields)
    ]


def with_due(destinations: Mapping[str, Mapping[Disposition, int]]) -> set[str]:
    """The destinations for which something is still due."""
    return {name for name, has in destinations.items() if not DUE.isdisjoint(has)}


def held(
    ledger: Ledger, run: Run, destinations: Collection[str]
) -> tuple[tuple[Pause, ...], tuple[Learnt, ...]]:
    """What holds the mail of a run for these destinations: pauses, and rests."""
    if not destinations:
        return (), ()
    pauses = ledger.pauses.standing(run.number)
    learnt = map(Learnt.from_document, RunBook(ledger.directory).all(KIND))
    now = time.time()
    return (
        tuple(one for one in pauses if one.destination in ("", *destinations)),
        tuple(one for one in learnt if one.name in destinations and one.rests_until > now),
    )


def _open_until(ledger: Ledger, run: Run, window: float) -> float | None:
    last = ledger.deliveries.last_accepted(run.number)
    return None if last is None else last + window


def close_windows(ledger: Ledger, now: float, window: float = BOUNCE_WINDOW) -> int:
    """Turn `accepted` into `delivered` where the bounce window has closed; says how many."""
    closed = 0
    while batch := ledger.deliveries.accepted_before(now - window, most=1000):
        ledger.deliveries.record([Event(one, EventKind.DELIVERED, now) for one in batch])
        closed += len(batch)
    return closed


def chosen(ledger: Ledger, name: str | None) -> list[Run]:
    """The run of this name, the latest of the campaign of this name, or the latest of all.

    Raises UserError if there is none.
    """
    if name is None:
        found = ledger.runs.all()[-1:]
    else:
        campaign = name.removeprefix("./").rstrip("/")
        one = ledger.runs.find(name) or ledger.runs.latest(campaign)
        found = [one] if one else []
    if not found:
        nothing = "nothing was sent from here yet"
        what = f"there is no run and no campaign {name}" if name else nothing
        raise UserError(what, "mailblast report --all lists the runs" if name else "")
    return found


def export_rejected(ledger: Ledger, run: Run, path: Path) -> int:
    """Write the rows that were not mailed as they came, with the reason; says how many.

    A cell that a spreadsheet would run as a formula gets a quote in front.
    """
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*map(harmless, run.header), "reason", "explanation"])
        count = 0
        for row, why in rejected(ledger, run):
            cells = aligned(row.cells, len(run.header))
            writer.writerow([*map(harmless, cells), row.reason, harmless(why)])
            count += 1
    return count


def rejected(ledger: Ledger, run: Run) -> Iterator[tuple[Delivery, str]]:
    """The rows of a run that cannot be mailed, each with a sentence that says why."""
    for one in ledger.deliveries.those(run.number, Disposition.INVALID):
        last = ledger.deliveries.history(one.id)[-1:]
        yield one, last[0].text if last else ""


def story(
    ledger: Ledger, key: str, run: Run | None
) -> Iterator[tuple[Run, Delivery, list[Event]]]:
    """What happened to an address: in one run, or in all of them, the oldest first."""
    for one in [run] if run else ledger.runs.all():
        delivery = ledger.deliveries.find(one.number, key)
        if delivery is not None:
            yield one, delivery, ledger.deliveries.history(delivery.id)


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
