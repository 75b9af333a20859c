"""What the DNS answers, as plain values: `resolver` asks, the rules judge.

Rule: every record is hostile; whoever reads it bounds it.  Names are as they go over the
wire, in lower case and without the last dot; what is no host name is for `mx` to refuse.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar


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
