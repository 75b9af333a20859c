"""How the list of a campaign becomes the rows of a run."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mailblast import suppression
from mailblast.address import Address
from mailblast.campaign import Campaign
from mailblast.errors import Problem, Problems
from mailblast.ledger import BATCH, Ledger, Run
from mailblast.recipients import Row
from mailblast.suppression import Entry

T = TypeVar("T")

LOOKED_AT = 10_000  # rows among which samples are chosen

Told = Callable[[int], None]


def enrol(ledger: Ledger, run: Run, rows: Iterable[Row], told: Told) -> None:
    """Enter every row of a list; `told` hears how many were entered so far.

    Reading and checking go on in this thread while the one before writes.
    """
    enrolment = ledger.enrolment(run, time.time())
    entered = 0
    with ThreadPoolExecutor(1, thread_name_prefix="enrol") as writer:
        before: Future[None] | None = None
        for batch in in_batches(rows, BATCH):
            if before is not None:
                before.result()
            before = writer.submit(enrolment.enter, batch)
            entered += len(batch)
            told(entered)
        if before is not None:
            before.result()


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def chosen_samples(rows: Iterable[Row], me: Address) -> list[Row]:
    """A few telling rows, addressed to me: the first, the longest and the shortest of the
    first LOOKED_AT."""
    good = [row for row in islice(rows, LOOKED_AT) if row.address is not None]
    if not good:
        return []
    by_length = sorted(good, key=lambda row: sum(map(len, row.cells)))
    picked = {row.number: row for row in (good[0], by_length[-1], by_length[0])}
    return [
        # The key is nobody's: three samples to one address are no duplicates.
        replace(row, address=replace(me, key=f"{number}#{me.key}"))
        for number, row in sorted(picked.items())
    ]


def take_over_suppressions(ledger: Ledger, campaign: Campaign, scope: str) -> int:
    """Enter the campaign's own suppression file; says how many entries were new.

    Raises Problems when a line cannot be read (`own_suppressions`).
    """
    path = campaign.suppression_file
    if path is None:
        return 0
    entries = own_suppressions(path)
    return ledger.suppressions.add(entries, time.time(), path.name, scope)


def own_suppressions(path: Path) -> Iterator[Entry]:
    """The entries of a campaign's suppression file.

    Raises Problems at its end when a line cannot be read: whoever stands there would be mailed.
    """
    problems: list[Problem] = []
    for entry in suppression.read(path):
        if isinstance(entry, Problem):
            problems.append(entry)
        else:
            yield entry
    if problems:
        raise Problems(
            problems[:20], f"correct {path.name}, then run the same command again"
        )
