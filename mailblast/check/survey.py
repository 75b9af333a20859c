"""Going through the list once: statistics, and which rows to try out.

It is told row by row and holds no row but the telling ones.  What it holds of consent grows
with how varied the rows are, not with how many there are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeVar

from mailblast.check.facts import Consent, Listed, Seen
from mailblast.header import Columns
from mailblast.recipients import Row

K = TypeVar("K")

# What a row may say in its column `consent`; with blanks or hyphens for the underscores too.
BASES = frozenset({
    "express", "implied_ebr", "implied_inquiry", "implied_published", "soft_opt_in",
    "inferred", "legitimate_interest", "none",
})  # fmt: skip

AUTHORISED = "wireless_authorisation"

_NO = frozenset({"", "0", "no", "n", "false", "none", "-"})


def _word(cell: str) -> str:
    return cell.strip()[:40].casefold().replace(" ", "_").replace("-", "_")


def _day(cell: str) -> str:
    return cell.strip()[:10]


def _yes(cell: str) -> str:
    return "" if cell.strip().casefold() in _NO else "yes"


# The columns that say something of consent, and what of a cell counts.
_READ = {
    "consent": _word,
    "consent_at": _day,
    "consent_expires": _day,
    "consent_withdrawn": _yes,
    "country": _word,
    "double_opt_in_at": _yes,
    "subscriber_type": _word,
    "customer_since": _yes,
    "similar_products": _yes,
    "objection_offered": _yes,
}
COLUMNS = tuple(_READ)
DATES = ("consent_at", "consent_expires")


class Survey:
    """The statistics of a list, as its rows pass by."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        names = columns.names
        self._columns = tuple(name for name in COLUMNS if name in names)
        self._places = tuple((names.index(name), _READ[name]) for name in self._columns)
        self._authorised = names.index(AUTHORISED) if AUTHORISED in names else None
        self._names = names
        self._rows = self._invalid = 0
        self._domains: _Counts[str] = {}
        self._authorisations: Counter[str] = Counter()
        self._consents: _Counts[tuple[str, ...]] = {}
        self._telling = _Telling()

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, counted as they pass."""
        for row in rows:
            self.take(row)
            yield row

    def take(self, row: Row) -> None:
        """Count a row."""
        self._rows += 1
        if row.address is None:
            self._invalid += 1
            return
        cells, domain = row.cells, row.address.domain
        _count(self._domains, domain, row.line)
        _count(
            self._consents, tuple([read(cells[n]) for n, read in self._places]), row.line
        )
        if self._authorised is not None and _yes(cells[self._authorised]):
            self._authorisations[domain] += 1
        self._telling.take(row)

    def domains(self) -> Mapping[str, Seen]:
        """The domains so far."""
        return _seen(self._domains)

    def telling(self) -> Iterator[tuple[str, Row]]:
        """The rows to try out, each with why; no row twice."""
        return self._telling.chosen()

    def listed(self, file: str, digest: str) -> Listed:
        """The statistics so far."""
        consents: dict[Consent, Seen] = {}
        for cells, seen in _seen(self._consents).items():
            consent = _consent(dict(zip(self._columns, cells, strict=True)))
            before = consents.get(consent, Seen(0, seen.line))
            consents[consent] = Seen(before.rows + seen.rows, min(before.line, seen.line))
        return Listed(
            file=file,
            digest=digest,
            columns=self._names,
            rows=self._rows,
            invalid=self._invalid,
            domains=_seen(self._domains),
            authorised=self._authorisations,
            consents=consents,
        )


# How many rows, and the line of the first: a list, since a noun for each row would cost.
_Counts = dict[K, list[int]]


def _count(seen: _Counts[K], key: K, line: int) -> None:
    if before := seen.get(key):
        before[0] += 1
    else:
        seen[key] = [1, line]


def _seen(counts: _Counts[K]) -> dict[K, Seen]:
    return {key: Seen(rows, line) for key, (rows, line) in counts.items()}


class _Telling:
    """The first row, the longest, the emptiest, and one outside ASCII."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Row]] = {}

    def take(self, row: Row) -> None:
        kept, size = self._kept, len("".join(row.cells))
        if not kept:
            kept |= dict.fromkeys(("first row", "longest", "emptiest"), (size, row))
        elif size > kept["longest"][0]:
            kept["longest"] = size, row
        elif size < kept["emptiest"][0]:
            kept["emptiest"] = size, row
        if "not ASCII" not in kept and not "".join(row.cells).isascii():
            kept["not ASCII"] = size, row

    def chosen(self) -> Iterator[tuple[str, Row]]:
        seen: set[int] = set()
        for why, (_, row) in self._kept.items():
            if row.number not in seen:
                seen.add(row.number)
                yield why, row


def _consent(given: Mapping[str, str]) -> Consent:
    said = defaultdict(str, given)
    basis = said["consent"]
    dates = {name: _date(said[name]) for name in DATES}
    return Consent(
        basis=basis if not basis or basis in BASES else "?",
        at=dates["consent_at"],
        expires=dates["consent_expires"],
        withdrawn=bool(said["consent_withdrawn"]),
        country=said["country"].upper(),
        confirmed=bool(said["double_opt_in_at"]),
        corporate=said["subscriber_type"] == "corporate",
        soft_opt_in=all(
            said[name]
            for name in ("customer_since", "similar_products", "objection_offered")
        ),
        odd=next((name for name, found in dates.items() if said[name] and not found), ""),
    )


def _date(text: str) -> date | None:
    """The day of an ISO 8601 date; None for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def lines_of(seen: Sequence[Seen], file: str) -> str:
    """Where rows stand: `recipients.csv:12 and 40 more`."""
    rows, line = sum(one.rows for one in seen), min(one.line for one in seen)
    more = f" and {rows - 1:,} more" if rows > 1 else ""
    return f"{file}:{line}{more}"
