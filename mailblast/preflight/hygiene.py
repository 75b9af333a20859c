"""Going through the list once for all that there is to know of it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice

from mailblast.campaign import Campaign
from mailblast.check.census import Census, Hygiene
from mailblast.check.survey import Survey
from mailblast.hygiene.generated import Suspicion, suspicions
from mailblast.ledger import Ledger, keys_of
from mailblast.ledger.seen import Seen
from mailblast.preflight.listed import Told, read
from mailblast.provider import Destinations
from mailblast.recipients import Row

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
        for batch in _batches(rows):
            suppressed = _suppressed(batch, ledger, campaign.name)
            for row in batch:
                key = row.address.key if row.address else ""
                first = seen.first(key, row.line) if key else row.line
                census.take(row, first, suppressed.get(key, ""))
        made = list(_made(seen, Destinations.of(campaign)))
    file = campaign.recipients.file.name
    return survey, census.hygiene(file, made, with_ledger=ledger is not None)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _suppressed(batch: Sequence[Row], ledger: Ledger | None, scope: str) -> dict[str, str]:
    if ledger is None:
        return {}
    keys = {row.address.key: keys_of(row.address.key) for row in batch if row.address}
    return ledger.suppressions.standing(keys, scope)


def _made(seen: Seen, table: Destinations) -> Iterator[Suspicion]:
    for domain, addresses in seen.domains():
        public = bool(table.provider_of(domain))
        yield from suspicions(domain, addresses, public=public)
