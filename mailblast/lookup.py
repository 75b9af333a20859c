"""What the DNS answers, as plain values: `resolver` asks, the rules judge.

Rule: every record is hostile; whoever reads it bounds it.  Names are as they go over the
wire, in lower case and without the last dot; what is no host name is for `mx` to refuse.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar


class Failure(StrEnum):
    """Why there are no records.  The first two are answers; the others may pass."""

    NXDOMAIN = "does not exist"
    NODATA = "has no such record"
    SERVFAIL = "cannot be looked up: the name servers fail"
    TIMEOUT = "cannot be looked up: no answer came in time"
    BOGUS = "cannot be looked up: its DNSSEC signatures are wrong"

    @property
    def transient(self) -> bool:
        """Whether asking again later may bring another answer."""
        return self not in (Failure.NXDOMAIN, Failure.NODATA)


Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Lookup(Generic[Record]):
    """The records of one kind under one name, or the reason why there are none.

    `secure` says that DNSSEC was validated, by a resolver that we trust (RFC 4035 §3.2.3):
    for a failure of the first two kinds, that the absence was proven.  `ttl` is in seconds.
    """

    records: tuple[Record, ...] = ()
    failure: Failure | None = None
    secure: bool = False
    ttl: float = 0.0


@dataclass(frozen=True, slots=True)
class Mx:
    """One MX record; the host "" stands for the root, "." (RFC 7505 §3)."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


Kind = Literal["MX", "A", "AAAA", "TXT", "TLSA", "PTR", "SOA"]


@dataclass(frozen=True, slots=True)
class Question:
    """What the DNS is asked: one kind of record, under one name."""

    kind: Kind
    name: str


T = TypeVar("T")

# Finding something out in the DNS, by one who knows what to ask and cannot ask it: yields
# questions that may be asked at once, is sent their answers in that order, returns what it
# found.  `resolver` asks; a test answers from a table.
Asking = Generator[tuple[Question, ...], tuple[Lookup[Any], ...], T]


def one(kind: Kind, name: str) -> Asking[Lookup[Any]]:
    """One question."""
    (found,) = yield (Question(kind, name),)
    return found


def together(askings: "tuple[Asking[T], ...]") -> Asking[tuple[T, ...]]:
    """Several at once: in each step all that are not done yet."""
    done: dict[int, T] = {}
    waiting: dict[int, tuple[Question, ...]] = {}
    answers: dict[int, tuple[Lookup[Any], ...]] = {}
    while len(done) < len(askings):
        for number, asking in enumerate(askings):
            if number in done:
                continue
            try:
                told = answers.get(number)
                waiting[number] = next(asking) if told is None else asking.send(told)
            except StopIteration as end:
                done[number] = end.value
                waiting.pop(number, None)
        if waiting:
            found = yield tuple(each for asked in waiting.values() for each in asked)
            rest = iter(found)
            answers = {n: tuple(next(rest) for _ in asked) for n, asked in waiting.items()}
    return tuple(done[number] for number in range(len(askings)))
