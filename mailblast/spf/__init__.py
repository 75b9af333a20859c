"""SPF: whether a domain lets an address send for it (RFC 7208).

    evaluated(ip, domain, …)   check_host(), as a receiver does it
    surveyed(domain)           all that a receiver might have to ask, whatever the address

Rule: told what the DNS answers, asks nobody (`lookup.Asking`).  The limits of §4.6.4 hold, so
that a hostile record costs no more than a bad one.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from re import Match
from typing import Any

from mailblast.errors import Refusal
from mailblast.lookup import Asking, Kind, Lookup, Question
from mailblast.mx import merged
from mailblast.spf.record import MACRO, Directive, Record, parse, records

MAX_LOOKUPS = 10  # terms that make one ask (RFC 7208 §4.6.4)
MAX_VOIDS = 2  # lookups that find nothing
MAX_NAMES = 10  # of one `mx` or `ptr`
MOST_COUNTED = 40  # where a survey ends

IpAddress = IPv4Address | IPv6Address


class Result(StrEnum):
    """What comes of it (RFC 7208 §2.6)."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_MEANING = {
    "+": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result for one address, and which term made it so."""

    result: Result
    why: str


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A record and all that it includes.

    `lookups` and `voids` count as RFC 7208 §4.6.4 does, if nothing matches before the end;
    `included` are the domains whose records belong to it; `faults` make a permerror.
    """

    lookups: int
    voids: int
    included: tuple[str, ...]
    faults: tuple[str, ...]


def evaluated(ip: str, domain: str, sender: str, helo: str) -> Asking[Evaluated]:
    """check_host() for mail from an address; `sender` is the return path (RFC 7208 §4)."""
    address = ip_address(ip)
    mapped = getattr(address, "ipv4_mapped", None)
    asking = _Evaluation(mapped or address, sender, helo)
    try:
        return (yield from asking.check_host(domain.lower()))
    except _Error as stop:
        return Evaluated(stop.result, stop.why)


def surveyed(domain: str) -> Asking[Surveyed]:
    """Go through a record and all that it includes."""
    asking = _Evaluation(None, f"postmaster@{domain}", domain, MOST_COUNTED, MOST_COUNTED)
    try:
        yield from asking.check_host(domain.lower())
    except _Error as stop:
        asking.faults.append(stop.why)
    return Surveyed(
        asking.lookups, asking.voids, tuple(asking.included), tuple(asking.faults)
    )


class _Error(Exception):
    """A temperror or a permerror, which ends all of it."""

    def __init__(self, result: Result, why: str) -> None:
        self.result, self.why = result, why


def _permanent(why: str) -> _Error:
    return _Error(Result.PERMERROR, why)


@dataclass(slots=True)
class _Evaluation:
    """One run through a record.  Without an address nothing matches, and all is asked."""

    ip: IpAddress | None
    sender: str
    helo: str
    most_lookups: int = MAX_LOOKUPS
    most_voids: int = MAX_VOIDS
    lookups: int = 0
    voids: int = 0
    included: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def check_host(self, domain: str) -> Asking[Evaluated]:
        if not _is_domain(domain):
            return Evaluated(Result.NONE, f'"{domain}" is no domain')
        (found,) = yield (Question("TXT", domain),)
        if found.failure and found.failure.transient:
            raise _Error(Result.TEMPERROR, f"{domain} {found.failure}")
        texts = records(found.records)
        if not texts:
            return Evaluated(Result.NONE, f"{domain} has no SPF record")
        if len(texts) > 1:
            raise _permanent(f"{domain} has {len(texts)} SPF records")
        record = parse(texts[0])
        if isinstance(record, Refusal):
            raise _permanent(f"{domain}: {record}")
        return (yield from self._applied(record, domain))

    def _applied(self, record: Record, domain: str) -> Asking[Evaluated]:
        for directive in record.directives:
            if (yield from self._matches(directive, domain)):
                result = _MEANING[directive.qualifier]
                return Evaluated(result, f"{directive.text} of {domain}")
        if not record.redirect:
            return Evaluated(Result.NEUTRAL, f"no term of {domain} matches")
        self._count(f"redirect={record.redirect}")
        target = yield from self._expanded(record.redirect, domain)
        self.included.append(target)
        found = yield from self.check_host(target)
        if found.result is Result.NONE:
            raise _permanent(f"redirect={target}: {found.why}")
        return found

    def _count(self, term: str) -> None:
        self.lookups += 1
        if self.lookups > self.most_lookups:
            raise _permanent(f"{term}: more than {self.most_lookups} DNS lookups")

    def _matches(self, directive: Directive, domain: str) -> Asking[bool]:
        mechanism = directive.mechanism
        if mechanism == "all":
            return True
        if mechanism in ("ip4", "ip6"):
            return self._within((directive.target,), directive)
        self._count(directive.text)
        if self.ip is None and "%" in directive.target:
            return False  # it depends on the address what is asked
        target = domain
        if directive.target:
            target = yield from self._expanded(directive.target, domain)
        if mechanism == "include":
            return (yield from self._include(target))
        if mechanism == "a":
            return self._within((yield from self._addresses(target)), directive)
        if mechanism == "mx":
            return self._within((yield from self._mail_hosts(target)), directive)
        if mechanism == "exists":
            # RFC 7208 §5.7: an A record, also for a client of IPv6.
            return bool((yield from self._asked("A", target))) and self.ip is not None
        return (yield from self._pointed(target))

    def _include(self, target: str) -> Asking[bool]:
        self.included.append(target)
        try:
            found = yield from self.check_host(target)
            if found.result is Result.NONE:
                raise _permanent(f"include:{target}: {found.why}")
        except _Error as stop:
            if self.ip is not None or self.lookups > self.most_lookups:
                raise
            self.faults.append(stop.why)  # a survey wants to know the rest as well
            return False
        return self.ip is not None and found.result is Result.PASS

    def _within(self, addresses: tuple[str, ...], directive: Directive) -> bool:
        if self.ip is None:
            return False
        prefix = directive.v4 if self.ip.version == 4 else directive.v6
        return any(
            self.ip in ip_network(f"{one}/{prefix}", strict=False)
            for one in addresses
            if (":" in one) == (self.ip.version == 6)
        )

    def _asked(self, kind: Kind, name: str) -> Asking[tuple[Any, ...]]:
        """Records for a mechanism; none may be found a few times only (§4.6.4)."""
        (found,) = yield (Question(kind, name),)
        return self._records(found, name)

    def _records(self, found: Lookup[Any], name: str) -> tuple[Any, ...]:
        if found.failure and found.failure.transient:
            raise _Error(Result.TEMPERROR, f"{name} {found.failure}")
        if found.failure:
            self.voids += 1
            if self.voids > self.most_voids:
                raise _permanent(f"{name}: more than {self.most_voids} lookups in vain")
        return found.records

    def _addresses(self, name: str) -> Asking[tuple[str, ...]]:
        if self.ip is not None:
            kind: Kind = "A" if self.ip.version == 4 else "AAAA"
            return (yield from self._asked(kind, name))
        both = yield (Question("A", name), Question("AAAA", name))
        return self._records(merged(*both), name)

    def _mail_hosts(self, name: str) -> Asking[tuple[str, ...]]:
        found = yield from self._asked("MX", name)
        if len(found) > MAX_NAMES:
            raise _permanent(f"mx:{name}: more than {MAX_NAMES} mail hosts")
        addresses: list[str] = []
        for record in found:
            if record.host:
                addresses += yield from self._addresses(record.host)
        return tuple(addresses)

    def _pointed(self, target: str) -> Asking[bool]:
        names = yield from self._validated()
        return any(one == target or one.endswith(f".{target}") for one in names)

    def _validated(self) -> Asking[tuple[str, ...]]:
        """The names of the address that lead back to it (§5.5); an error is no match."""
        if self.ip is None:
            return ()
        (found,) = yield (Question("PTR", self.ip.reverse_pointer),)
        names = found.records[:MAX_NAMES]
        kind: Kind = "A" if self.ip.version == 4 else "AAAA"
        back = (yield tuple(Question(kind, name) for name in names)) if names else ()
        return tuple(
            name
            for name, answer in zip(names, back, strict=True)
            if any(ip_address(one) == self.ip for one in answer.records)
        )

    def _expanded(self, text: str, domain: str) -> Asking[str]:
        """A domain-spec, its macros replaced (§7.3), at most 253 characters of it."""
        found = "unknown"
        if "%{p" in text.lower():
            found = next(iter((yield from self._validated())), found)
        name = MACRO.sub(lambda macro: self._value(macro, domain, found), text).lower()
        name = name.removesuffix(".")
        while len(name) > 253 and "." in name:
            name = name.partition(".")[2]
        return name

    def _value(self, macro: Match[str], domain: str, pointed: str) -> str:
        if macro[1]:
            return {"%": "%", "_": " ", "-": "%20"}[macro[1]]
        local, _, host = self.sender.rpartition("@")
        v6 = self.ip is not None and self.ip.version == 6
        value = {
            "s": self.sender,
            "l": local,
            "o": host,
            "d": domain,
            "i": _dotted(self.ip),
            "p": pointed,
            "v": "ip6" if v6 else "in-addr",
            "h": self.helo,
        }[macro[2].lower()]
        parts = [value]
        for delimiter in macro[5] or ".":
            parts = [piece for part in parts for piece in part.split(delimiter)]
        if macro[4]:
            parts.reverse()
        return ".".join(parts[-int(macro[3]) :] if macro[3] else parts)


def _dotted(ip: IpAddress | None) -> str:
    if ip is None or ip.version == 4:
        return str(ip or "")
    return ".".join(ip.exploded.replace(":", ""))


def _is_domain(name: str) -> bool:
    """RFC 7208 §4.3: several labels, none empty, none of more than 63 octets."""
    labels = name.removesuffix(".").split(".")
    return len(labels) > 1 and len(name) <= 253 and all(0 < len(x) <= 63 for x in labels)
