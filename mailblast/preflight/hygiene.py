"""Going through the list once for all that there is to know of it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import TypeVar

from mailblast.campaign import Campaign
from mailblast.check.census import Census, Hygiene
from mailblast.check.survey import Survey
from mailblast.hygiene.generated import Suspicion, suspicions
from mailblast.ledger import Ledger
from mailblast.ledger.seen import Seen
from mailblast.preflight.listed import Told, read
from mailblast.provider import Destinations
from mailblast.recipients import Row

T = TypeVar("T")

BATCH = 2000  # rows that the ledger is asked about at once


def looked_over(
    campaign: Campaign, ledger: Ledger | None, told: Told
) -> tuple[Survey, Hygiene]:
    """What the rows of a list say, and how healthy they are.

    `ledger` is None where nothing was sent yet.  Raises UserError for a list that cannot be
    read.
    """
    survey, rows = read(campaign, told)
    census = Census()
    with closing(Seen()) as seen:
        for batch in batches(rows):
            suppressed = suppressed_among(batch, ledger, campaign.name)
            against = _bounced_among(batch, ledger)
            for row in batch:
                key = row.address.key if row.address else ""
                first = seen.first(key, row.line) if key else row.line
                census.take(row, first, suppressed.get(key, ""), against.get(key, ""))
        made = list(_made(seen, Destinations.of(campaign)))
    file = campaign.recipients.file.name
    return survey, census.hygiene(file, made, with_ledger=ledger is not None)


def batches(rows: Iterable[T]) -> Iterator[list[T]]:
    """Rows in lists of BATCH; the last may be shorter."""
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def suppressed_among(
    batch: Iterable[Row], ledger: Ledger | None, scope: str
) -> dict[str, str]:
    """Whom of these the suppression list names, by their keys, each with the reason."""
    if ledger is None:
        return {}
    return ledger.suppressions.standing(
        (row.address for row in batch if row.address), scope
    )


def _bounced_among(batch: Iterable[Row], ledger: Ledger | None) -> Mapping[str, str]:
    if ledger is None:
        return {}
    return ledger.history.counting([row.address.key for row in batch if row.address])


def _made(seen: Seen, table: Destinations) -> Iterator[Suspicion]:
    for domain, addresses in seen.domains():
        public = bool(table.provider_of(domain))
        yield from suspicions(domain, addresses, public=public)
