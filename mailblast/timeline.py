"""How long a campaign will take: gathering what is to be sent, and under which limits.

What is left of a run that `send` would go on with, else what a run of the whole list would mail
(`headcount`).
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.errors import Refusal, UserError
from mailblast.forecast import Forecast, Load, Means, forecast
from mailblast.headcount import Headcount, headcount
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger, Run
from mailblast.preflight.mailable import most_preferred
from mailblast.provider import Destinations
from mailblast.recipients import open_recipients
from mailblast.runbook import RunBook
from mailblast.send.enrol import own_suppressions
from mailblast.send.prepare import used_today
from mailblast.send.request import Told, scope_of, untouched
from mailblast.throttle import Pace, Today

SECONDS = 0.3  # that a message takes on a connection, where nothing is known of it
QUICKEST = 0.001  # seconds: what is on this machine answers in less than can be measured
SPEED = 900  # messages a second that a processor composes, signs and hands over
TOLD_EVERY = 100_000  # rows


@dataclass(frozen=True, slots=True)
class Timeline:
    """A forecast, from `start` (seconds since 1970), and what it takes for granted.

    `run` is the one that is gone on with, None for the whole list, of which `heads` were counted;
    `measured` are the destinations of which the ledger knows how fast they answer.
    """

    campaign: str
    start: float
    run: Run | None
    heads: Headcount | None
    forecast: Forecast
    means: Means
    measured: frozenset[str]


def timeline(
    campaign: Campaign,
    workspace: Path,
    ledger: Ledger | None,
    told: Told,
    *,
    new_run: bool = False,
    all_domains: bool = False,
) -> Timeline:
    """What would happen if it were sent now.

    Raises UserError where nothing is due, for a list that cannot be read, and for one in
    which nobody can be mailed.
    """
    run = None if ledger is None or new_run else _gone_on_with(ledger, campaign, workspace)
    start = time.time()
    heads = None
    domains: Mapping[str, int]
    if ledger is not None and run is not None:
        waiting = ledger.deliveries.waiting(run.number, start)
        domains = {name: count for name, (count, _) in waiting.items() if count}
        _something(domains, f"the run {run.run} has nothing that is due", "--new-run")
    else:
        gone = _gone(campaign, ledger, scope_of(campaign, workspace))
        heads = _listed(campaign, gone, told)
        domains = heads.messages
    before = ledger.runs.placements() if ledger else {}
    counts, table = _placed(campaign, domains, before, told, every=all_domains)
    answered = ledger.history.answering() if ledger else {}
    loads = _loads(counts, table, ledger, answered)
    means = Means(campaign.delivery.connections, SPEED * (os.cpu_count() or 1))
    today = Today.of(start, 0.0)
    found = forecast(loads, means, today)
    measured = frozenset(answered).intersection(counts)
    return Timeline(campaign.name, start, run, heads, found, means, measured)


def _gone_on_with(ledger: Ledger, campaign: Campaign, workspace: Path) -> Run | None:
    run = ledger.runs.latest(scope_of(campaign, workspace))
    return None if run is None or untouched(ledger, run) else run


def _something(domains: Mapping[str, int], what: str, option: str) -> None:
    if not domains:
        raise UserError(what, f"{option} plans a mailing to the whole list")


def _gone(campaign: Campaign, ledger: Ledger | None, scope: str) -> Iterator[str]:
    """The keys of the workspace's suppression list, and of the campaign's own."""
    if ledger is not None:
        yield from ledger.suppressions.keys(scope)
    if campaign.suppression_file is not None:
        for entry in own_suppressions(campaign.suppression_file):
            yield entry.key


def _listed(campaign: Campaign, gone: Iterable[str], told: Told) -> Headcount:
    """Whom a run of the whole list would mail."""
    settings = campaign.recipients
    recipients = open_recipients(
        settings.file, email=settings.email, encoding=settings.encoding
    )
    columns = recipients.columns
    rows = _told_of(islice(recipients.cells(), 1, None), told)
    found = headcount(rows, len(columns.names), columns.email, gone)
    if not found.messages:
        left_out = (
            f"{found.invalid:,} rows are invalid, {found.duplicates:,} duplicates, "
            f"{found.suppressed:,} suppressed"
        )
        raise UserError(
            "nobody in the list can be mailed", f"{settings.file.name}: {left_out}"
        )
    return found


def _told_of(rows: Iterable[list[str]], told: Told) -> Iterator[list[str]]:
    number = 0
    for number, cells in enumerate(rows, 1):
        yield cells
        if number % TOLD_EVERY == 0:
            told("reading the list", number, None)
    told("reading the list", number, number)


def _placed(
    campaign: Campaign,
    domains: Mapping[str, int],
    before: Mapping[str, str],
    told: Told,
    *,
    every: bool,
) -> tuple[dict[str, int], Destinations]:
    """How many messages each destination gets, as far as names and the DNS tell; where the DNS
    is not asked, as it was `before`."""
    table = Destinations.of(campaign)
    hosts: Mapping[str, tuple[str, ...]] = {}
    if campaign.delivery.via == "direct":
        asked = most_preferred(campaign, domains, told, every=every)
        hosts = {} if isinstance(asked, Refusal) else asked
    counts: Counter[str] = Counter()
    for domain, count in domains.items():
        if known := hosts.get(domain):
            placed = table.place(domain, known)
        else:
            placed = table.place_again(domain, before.get(domain, domain))
        counts[placed.destination] += count
    return dict(counts), table


def _loads(
    counts: Mapping[str, int],
    table: Destinations,
    ledger: Ledger | None,
    answered: Mapping[str, float],
) -> list[Load]:
    used = used_today(ledger, table) if ledger else lambda _: 0
    paces = _paces(RunBook(ledger.directory)) if ledger else {}
    return [
        Load(
            name,
            count,
            table.limits(name),
            used(name),
            paces.get(name),
            # A round trip was measured, of the two that a message takes.
            max(2 * answered[name], QUICKEST) if name in answered else SECONDS,
        )
        for name, count in counts.items()
    ]


def _paces(book: RunBook) -> dict[str, Pace]:
    now = time.time()
    learnt = map(Learnt.from_document, book.all(KIND))
    return {
        one.name: Pace(one.window, one.rest, one.rests_until - now)
        for one in learnt
        if one.name and one.rest
    }
