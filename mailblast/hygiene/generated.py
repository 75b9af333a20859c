"""Addresses that look made by a program: user001 to user150, sales@ to abuse@, every spelling
of one name.

Rule: told the addresses of one domain in alphabetical order, once; holds no more of them than
of a company.  At a public provider every spelling of a name is somebody else, and a hundred
people have a year behind theirs.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mailblast.hygiene.role import is_role

RUN = 20  # in a row
ROLE_SHARE = 0.30  # of a domain's addresses, and RUN of them at least
SPELLINGS = 5  # of one name; more are too many
MOST = 20_000  # addresses of a domain among which spellings are sought: more has a provider

_NUMBERED = re.compile(r"(.*?)(\d{1,9})")
_YEARS = range(1900, 2031)
_TWO_NAMES = re.compile(r"([a-z]{2,})[._-]([a-z]{2,})")
_LONGEST = 8  # letters; what is longer is no counter


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why the addresses of a domain look made; `rows` is how many, `line` where one stands."""

    domain: str
    rows: int
    line: int
    why: str


def suspicions(
    domain: str, addresses: Iterable[tuple[str, int]], *, public: bool = False
) -> Iterator[Suspicion]:
    """What looks made in one domain.

    `addresses` are local parts in lower case, each with its line, in order.  `public` says
    that everybody can have a mailbox there.
    """
    seen = _Domain(most=0 if public else MOST)
    for local, line in addresses:
        seen.take(local, line)
    for rows, line, why in seen.found():
        yield Suspicion(domain, rows, line, why)


_Found = tuple[int, int, str]  # rows, line, why


@dataclass(slots=True)
class _Row:
    """Addresses in a row: the first, where it stands, and how many."""

    first: str = ""
    line: int = 0
    last: str = ""
    value: int = -2
    length: int = 0


@dataclass(slots=True)
class _Domain:
    most: int  # addresses among which spellings are sought
    rows: int = 0
    roles: int = 0
    role_line: int = 0
    stem: str = ""
    numbers: dict[int, tuple[str, int]] = field(default_factory=dict)
    letters: dict[int, _Row] = field(default_factory=dict)
    locals: dict[str, int] = field(default_factory=dict)
    runs: list[_Found] = field(default_factory=list)

    def take(self, local: str, line: int) -> None:
        self.rows += 1
        if is_role(f"{local}@"):
            self.roles += 1
            self.role_line = self.role_line or line
        if self.rows <= self.most:
            self.locals[local] = line
        if numbered := _NUMBERED.fullmatch(local):
            self._number(numbered[1], int(numbered[2]), local, line)
        elif len(local) <= _LONGEST and local.isascii() and local.isalpha():
            self._word(local, line)

    def _number(self, stem: str, number: int, local: str, line: int) -> None:
        # In alphabetical order all that begins alike stands together.
        if stem != self.stem or len(self.numbers) >= MOST:
            self._end_of_stem()
            self.stem = stem
        if number not in _YEARS:
            self.numbers.setdefault(number, (local, line))

    def _end_of_stem(self) -> None:
        run = _Row()
        for number in sorted(self.numbers):
            local, line = self.numbers[number]
            run = self._next(run, number, local, line)
        self._end_of_run(run)
        self.numbers.clear()

    def _word(self, local: str, line: int) -> None:
        value = 0
        for letter in local:
            value = value * 26 + ord(letter) - ord("a")
        before = self.letters.get(len(local), _Row())
        self.letters[len(local)] = self._next(before, value, local, line)

    def _next(self, run: _Row, value: int, local: str, line: int) -> _Row:
        if value == run.value + 1:
            run.last, run.value, run.length = local, value, run.length + 1
            return run
        self._end_of_run(run)
        return _Row(local, line, local, value, 1)

    def _end_of_run(self, run: _Row) -> None:
        if run.length >= RUN:
            why = f"{run.length:,} in a row, {run.first} to {run.last}"
            self.runs.append((run.length, run.line, why))

    def found(self) -> Iterator[_Found]:
        self._end_of_stem()
        for run in self.letters.values():
            self._end_of_run(run)
        yield from self.runs
        if self.roles >= RUN and self.roles > ROLE_SHARE * self.rows:
            share = round(100 * self.roles / self.rows)
            yield self.roles, self.role_line, f"{share} % are role accounts"
        if self.rows <= self.most:
            yield from self._spellings()

    def _spellings(self) -> Iterator[_Found]:
        people = {
            tuple(sorted(names.groups()))
            for local in self.locals
            if (names := _TWO_NAMES.fullmatch(local))
        }
        for one, other in sorted(people):
            there = [local for local in _spelt(one, other) if local in self.locals]
            if len(there) > SPELLINGS:
                line = min(self.locals[local] for local in there)
                yield len(there), line, f"{', '.join(there[:3])} … are one name"


def _spelt(one: str, other: str) -> list[str]:
    """The ways to spell a name of two words as a local part, each once."""
    ways = []
    for a, b in ((one, other), (other, one)):
        for first, last in ((a, b), (a[0], b), (a, b[0])):
            ways += [f"{first}{mark}{last}" for mark in ("", ".", "_", "-")]
    return list(dict.fromkeys([*ways, one, other]))
