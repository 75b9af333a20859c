"""Cleaning a list: what can be mailed goes into a new file as it stands, and what cannot, or
should not, is told with its reason.

Rule: a row that stays is not touched, not by a byte; the order stays.  No file is written over,
and none appears before it is whole.  A row is taken out for what is known of it, never for a
suspicion: an address that looks mistyped or made up stays, and is told.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from mailblast.check.census import Noted
from mailblast.errors import UserError
from mailblast.header import aligned
from mailblast.hygiene.disposable import is_disposable
from mailblast.hygiene.role import is_role
from mailblast.hygiene.typo import meant
from mailblast.ledger import Ledger
from mailblast.ledger.deliveries import suppression_reason
from mailblast.ledger.seen import Seen
from mailblast.ledger.suppressions import WORKSPACE
from mailblast.mx import Unroutable
from mailblast.newfile import new_file
from mailblast.preflight.hygiene import batches, suppressed_among
from mailblast.preflight.mailable import look_up
from mailblast.reason import Reason
from mailblast.recipients import Recipients, Row
from mailblast.report import harmless
from mailblast.resolver import Resolver

TOLD_EVERY = 10_000  # rows

DISPOSABLE, ROLE = "disposable", "role"  # reasons beside those of `Reason`

Told = Callable[[str, int, int | None], None]  # a stage, how far, of how many


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken out beside the invalid, the duplicates and the disposable.

    `ledger` has the suppression list, None where there is none; `dead` the domains that take no
    mail, each with a sentence that says why.
    """

    ledger: Ledger | None = None
    dead: Mapping[str, str] = field(default_factory=dict)
    roles: bool = False


@dataclass(slots=True)
class Cleaned:
    """What became of the rows; `gone` counts them by reason."""

    rows: int = 0
    kept: int = 0
    gone: Counter[str] = field(default_factory=Counter)
    mistyped: Noted = field(default_factory=Noted)  # and kept


def clean(
    recipients: Recipients, out: Path, reasons: Path | None, wanted: Wanted, told: Told
) -> Cleaned:
    """Write the rows that can be mailed to `out`, and the others to `reasons`, with why.

    Raises UserError where one of the two exists, and Problems where the list is damaged; then
    neither is there.
    """
    if reasons is not None and reasons.resolve() == out.resolve():
        raise UserError(f"{out} cannot take both the list and the reasons")
    codec, mark = recipients.source.encoding()
    cleaned = Cleaned()
    with ExitStack() as stack:
        kept = stack.enter_context(new_file(out, codec))
        kept.write(mark + recipients.header())
        write: Callable[[list[object]], object] = _nowhere
        if reasons is not None:
            write = csv.writer(stack.enter_context(new_file(reasons, "utf-8"))).writerow
        header = recipients.columns.header
        write(["line", *map(harmless, header), "reason", "explanation"])
        for row, text, gone in _judged(recipients, wanted):
            cleaned.rows += 1
            if gone is None:
                cleaned.kept += 1
                kept.write(text)
                _note(cleaned, row)
            else:
                cleaned.gone[gone[0]] += 1
                write(_explained(row, gone, len(header)))
            if cleaned.rows % TOLD_EVERY == 0:
                told("cleaning", cleaned.rows, None)
    told("cleaning", cleaned.rows, cleaned.rows)
    return cleaned


def dead_among(recipients: Recipients, resolver: Resolver, told: Told) -> Mapping[str, str]:
    """The domains of a list that take no mail, each with a sentence; goes through it once.

    A domain that gives no answer is not among them: it may answer tomorrow.
    """
    domains: dict[str, None] = {}
    for number, row in enumerate(recipients, 1):
        if row.address:
            domains[row.address.domain] = None
        if number % TOLD_EVERY == 0:
            told("gathering domains", number, None)
    answers = look_up(domains, resolver, told)
    return {
        domain: no.why
        for domain, no in answers.items()
        if isinstance(no, Unroutable) and no.permanent
    }


def _nowhere(_: list[object]) -> None:
    """Nobody wants to know the reasons."""


def _explained(row: Row, gone: tuple[str, str], width: int) -> list[object]:
    cells = aligned(row.cells, width)
    return [row.line, *map(harmless, cells), gone[0], harmless(gone[1])]


def _note(cleaned: Cleaned, row: Row) -> None:
    domain = row.address.domain if row.address else ""
    if right := meant(domain):
        cleaned.mistyped.add(row.line, f"{domain} → {right}")


# --- Which rows -----------------------------------------------------------------------------

_Gone = tuple[str, str]  # the reason, and a sentence


def _judged(
    recipients: Recipients, wanted: Wanted
) -> Iterator[tuple[Row, str, _Gone | None]]:
    with closing(Seen()) as seen:
        for batch in batches(recipients.with_text()):
            rows = [row for row, _ in batch]
            suppressed = suppressed_among(rows, wanted.ledger, WORKSPACE)
            for row, text in batch:
                yield row, text, _why(row, seen, suppressed, wanted)


def _why(
    row: Row, seen: Seen, suppressed: Mapping[str, str], wanted: Wanted
) -> _Gone | None:
    """Why a row goes; None if it stays."""
    address = row.address
    if address is None:
        return row.reason or Reason.OTHER, row.why
    first = seen.first(address.key, row.line)
    if first != row.line:
        return Reason.DUPLICATE, f"the same address as line {first}"
    if entry := suppressed.get(address.key):
        return suppression_reason(entry), f"on the suppression list: {entry}"
    if dead := wanted.dead.get(address.domain):
        return Reason.DOMAIN_INVALID, dead
    # Providers of disposable mail sit on the typing errors in well-known domains: gmial.com.
    if is_disposable(address.domain) and not meant(address.domain):
        return DISPOSABLE, address.domain
    if wanted.roles and is_role(address.mailbox):
        return ROLE, "names a job and no person"
    return None


# --- The files ------------------------------------------------------------------------------
