"""How long a campaign will take: gathering what is to be sent, and under which limits.

What is left of a run that `send` would go on with, else the whole list.  Of the list only the
domains are read, and who is suppressed by address or domain: ten million rows are counted in the
time in which one million could be checked.  Who stands there twice, cannot be mailed or is
suppressed by a hash is therefore counted too.
"""

import os
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from mailblast import suppression
from mailblast.address import Address, parse
from mailblast.campaign import Campaign
from mailblast.errors import Refusal, UserError
from mailblast.forecast import Forecast, Load, Means, forecast
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger, Run
from mailblast.preflight.mailable import most_preferred
from mailblast.provider import Destinations
from mailblast.recipients import open_recipients
from mailblast.runbook import RunBook
from mailblast.send.prepare import Told, scope_of, untouched, used_today
from mailblast.suppression import Entry
from mailblast.throttle import Pace, Today

SECONDS = 0.3  # that a message takes on a connection, where nothing is known of it
QUICKEST = 0.001  # seconds: what is on this machine answers in less than can be measured
SPEED = 900  # messages a second that a processor composes, signs and hands over
TOLD_EVERY = 100_000  # rows


@dataclass(frozen=True, slots=True)
class Timeline:
    """A forecast, from `start` (seconds since 1970), and what it takes for granted.

    `run` is the one that is gone on with, None for the whole list, of which so many rows are
    `suppressed`; `measured` are the destinations of which the ledger knows how fast they answer.
    """

    campaign: str
    start: float
    run: Run | None
    suppressed: int
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
    if ledger is not None and run is not None:
        waiting = ledger.deliveries.waiting(run.number, start)
        domains = {name: count for name, (count, _) in waiting.items() if count}
        suppressed = 0  # they were taken out when the run was begun
        _something(domains, f"the run {run.run} has nothing that is due", "--new-run")
    else:
        domains, suppressed = _listed(campaign, _suppressed(campaign, ledger), told)
    counts, table = _placed(campaign, domains, told, every=all_domains)
    answered = ledger.history.answering() if ledger else {}
    loads = _loads(counts, table, ledger, answered)
    means = Means(campaign.delivery.connections, SPEED * (os.cpu_count() or 1))
    today = Today.of(start, 0.0)
    found = forecast(loads, means, today)
    measured = frozenset(answered).intersection(counts)
    return Timeline(campaign.name, start, run, suppressed, found, means, measured)


def _gone_on_with(ledger: Ledger, campaign: Campaign, workspace: Path) -> Run | None:
    run = ledger.runs.latest(scope_of(campaign, workspace))
    return None if run is None or untouched(ledger, run) else run


def _something(domains: Mapping[str, int], what: str, option: str) -> None:
    if not domains:
        raise UserError(what, f"{option} plans a mailing to the whole list")


def _suppressed(campaign: Campaign, ledger: Ledger | None) -> frozenset[str]:
    """The keys of the workspace's suppression list, and of the campaign's own."""
    kept = (one.key for one in ledger.suppressions.all()) if ledger else ()
    path = campaign.suppression_file
    own = suppression.read(path) if path else ()
    return frozenset(chain(kept, (one.key for one in own if isinstance(one, Entry))))


def _listed(
    campaign: Campaign, gone: Container[str], told: Told
) -> tuple[dict[str, int], int]:
    """How many rows of the list each domain has, without those `gone`; and how many these are."""
    settings = campaign.recipients
    recipients = open_recipients(
        settings.file, email=settings.email, encoding=settings.encoding
    )
    raw: Counter[str] = Counter()
    column, number, suppressed = recipients.columns.email, 0, 0
    for number, cells in enumerate(islice(recipients.cells(), 1, None), 1):
        if len(cells) > column:
            if cells[column].strip().lower() in gone:
                suppressed += 1
            else:
                raw[cells[column].rpartition("@")[2]] += 1
        if number % TOLD_EVERY == 0:
            told("reading the list", number, None)
    told("reading the list", number, number)
    found: Counter[str] = Counter()
    for text, count in raw.items():
        address = parse(f"x@{text}")
        if isinstance(address, Address):
            if any(f"@{domain}" in gone for domain in _with_those_above(address.domain)):
                suppressed += count
            else:
                found[address.domain] += count
    if not found:
        raise UserError("nobody in the list can be mailed", settings.file.name)
    return dict(found), suppressed


def _with_those_above(domain: str) -> Iterator[str]:
    while domain:
        yield domain
        domain = domain.partition(".")[2]


def _placed(
    campaign: Campaign, domains: Mapping[str, int], told: Told, *, every: bool
) -> tuple[dict[str, int], Destinations]:
    """How many messages each destination gets, as far as names and the DNS tell."""
    table = Destinations.of(campaign)
    hosts: Mapping[str, tuple[str, ...]] = {}
    if campaign.delivery.via == "direct":
        asked = most_preferred(campaign, domains, told, every=every)
        hosts = {} if isinstance(asked, Refusal) else asked
    counts: Counter[str] = Counter()
    for domain, count in domains.items():
        placed = table.place(domain, hosts.get(domain, ()))
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
