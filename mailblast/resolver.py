"""Asking the DNS: many questions at once, each answer kept as long as it may be.

Rule: an answer is a value, whatever happens; nothing is raised but cancellation.  The
resolver that is asked does the recursion and, if it can, the DNSSEC validation; of its word
on that (the AD flag) only a trusted one's counts: anybody on the way could set it.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import dns.asyncresolver
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from mailblast.errors import UserError
from mailblast.lookup import Asking, Failure, Kind, Lookup, Mx, Question, Tlsa
from mailblast.mx import merged

AT_ONCE = 100  # questions on their way
KEPT = 50_000  # answers
MAX_RECORDS = 100  # of one answer
# Seconds that an answer is kept, whatever its TTL says: RFC 8767 §4 caps at 7 days, RFC 2308
# §5 suggests 1 to 3 hours for what does not exist, §7 at most 5 minutes for a failure.
LEAST, MOST, MOST_ABSENT, FAILED = 5.0, 86_400.0, 3_600.0, 60.0
# Seconds for one question, over all servers and attempts, and for one attempt.
LIFETIME, ATTEMPT = 12.0, 3.0
# Larger answers come in fragments, or over TCP (DNS flag day 2020).
PAYLOAD = 1232

T = TypeVar("T")

_Key = tuple[str, Kind]


class Resolver:
    """Asks `server` ("127.0.0.1:53", "[::1]:53"), or the system's resolvers if it is "".

    They are trusted with DNSSEC when they are on loopback, or `trusted` says so.
    """

    def __init__(self, server: str = "", *, trusted: bool = False) -> None:
        self._resolver = _configured(server)
        self._trusted = trusted or all(
            _is_loopback(str(one)) for one in self._resolver.nameservers
        )
        self._kept: OrderedDict[_Key, tuple[float, Lookup[Any]]] = OrderedDict()
        self._asked: dict[_Key, asyncio.Task[Lookup[Any]]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        # Why, as long as nothing was answered at all, not even that there is nothing.
        self.silent: Failure | None = Failure.TIMEOUT

    async def mx(self, domain: str) -> Lookup[Mx]:
        """The MX records of a domain."""
        return await self._look_up(domain, "MX")

    async def addresses(self, host: str) -> Lookup[str]:
        """The IP addresses of a host, those of IPv4 first."""
        return merged(
            *await asyncio.gather(self._look_up(host, "A"), self._look_up(host, "AAAA"))
        )

    async def texts(self, name: str) -> Lookup[str]:
        """The TXT records under a name, their strings joined."""
        return await self._look_up(name, "TXT")

    async def tlsa(self, host: str, port: int) -> Lookup[Tlsa]:
        """The TLSA records of a service."""
        return await self._look_up(f"_{port}._tcp.{host}", "TLSA")

    async def ask(self, question: Question) -> Lookup[Any]:
        """One question, of any kind."""
        return await self._look_up(question.name, question.kind)

    async def find(self, asking: Asking[T]) -> T:
        """What comes of an `Asking`, its questions being asked."""
        try:
            questions = next(asking)
            while True:
                answers = await asyncio.gather(*map(self.ask, questions))
                questions = asking.send(tuple(answers))
        except StopIteration as end:
            found: T = end.value
            return found

    async def _look_up(self, name: str, kind: Kind) -> Lookup[Any]:
        key = (name.lower(), kind)
        if kept := self._remembered(key):
            return kept
        # Whoever asks the same while it is being asked waits for the same answer, and one
        # who gives up takes it from nobody.
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asked.pop(key))
        return await asyncio.shield(task)

    def _remembered(self, key: _Key) -> Lookup[Any] | None:
        until, found = self._kept.get(key, (0.0, None))
        if until <= time.monotonic():
            return None
        self._kept.move_to_end(key)
        return found

    async def _ask(self, key: _Key) -> Lookup[Any]:
        async with self._at_once:
            found = await _answer(self._resolver, *key)
        if found.failure is None or not found.failure.transient:
            self.silent = None
        elif self.silent:
            self.silent = found.failure
        if not self._trusted:
            found = replace(found, secure=False)
        self._kept[key] = time.monotonic() + found.ttl, found
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found


def _configured(server: str) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not server)
    except dns.resolver.NoResolverConfiguration as error:
        raise UserError(
            "this machine has no DNS resolver configured",
            'name one: [delivery] resolver = "127.0.0.1"',
        ) from error
    if server:
        address, _, port = server.rpartition(":")
        resolver.nameservers, resolver.port = [address.strip("[]")], int(port)
    resolver.lifetime, resolver.timeout = LIFETIME, ATTEMPT
    resolver.use_edns(0, 0, PAYLOAD)
    resolver.flags = dns.flags.RD | dns.flags.AD  # RFC 6840 §5.7: we understand AD
    return resolver


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


async def _answer(
    resolver: dns.asyncresolver.Resolver, name: str, kind: Kind
) -> Lookup[Any]:
    """One question to the servers, and whatever comes of it."""
    try:
        asked = dns.name.from_text(name)
    except dns.exception.DNSException:  # too long, or a dot too many: nobody can own it
        return Lookup(failure=Failure.NXDOMAIN, ttl=MOST_ABSENT)
    try:
        # dnspython keeps its time by the wall clock, which may stand still or jump.
        async with asyncio.timeout(LIFETIME + ATTEMPT):
            answer = await resolver.resolve(
                asked, kind, raise_on_no_answer=False, search=False
            )
            return _records(answer, kind)
    except dns.resolver.NXDOMAIN as error:
        return _absent(error.kwargs["responses"][asked], Failure.NXDOMAIN)
    except dns.resolver.NoNameservers as error:
        return Lookup(failure=_failure(error), ttl=FAILED)
    except (TimeoutError, dns.exception.DNSException, OSError):
        return Lookup(failure=Failure.TIMEOUT, ttl=FAILED)


def _records(answer: dns.resolver.Answer, kind: Kind) -> Lookup[Any]:
    if answer.rrset is None:
        return _absent(answer.response, Failure.NODATA)
    ttl = min(answer.chaining_result.minimum_ttl, MOST)
    return Lookup(
        tuple(map(_READ[kind], list(answer.rrset)[:MAX_RECORDS])),
        secure=_authentic(answer.response),
        ttl=max(LEAST, ttl),
    )


def _absent(response: dns.message.QueryMessage, failure: Failure) -> Lookup[Any]:
    try:
        ttl = min(response.resolve_chaining().minimum_ttl, MOST_ABSENT)
    except dns.exception.DNSException:
        ttl = FAILED
    return Lookup(
        failure=failure, secure=_authentic(response), ttl=max(LEAST, min(ttl, MOST_ABSENT))
    )


def _authentic(response: dns.message.Message) -> bool:
    return bool(response.flags & dns.flags.AD)


def _failure(error: dns.resolver.NoNameservers) -> Failure:
    """Why no server gave an answer: it said so, or it never spoke."""
    responses = [one[4] for one in error.kwargs["errors"] if one[4] is not None]
    if any(_is_bogus(one) for one in responses):
        return Failure.BOGUS
    return Failure.SERVFAIL if responses else Failure.TIMEOUT


def _is_bogus(response: dns.message.Message) -> bool:
    """Whether a resolver says that DNSSEC is what failed (RFC 8914 §4.6–4.13)."""
    return any(5 <= code <= 12 for code in _extended_errors(response))


def _extended_errors(response: dns.message.Message) -> Iterator[int]:
    for option in response.options:
        if isinstance(option, dns.edns.EDEOption):
            yield int(option.code)


def _mx(record: Any) -> Mx:
    return Mx(record.preference, _name(record.exchange))


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""


def _text(record: Any) -> str:
    return b"".join(record.strings).decode("ascii", "backslashreplace")


def _tlsa(record: Any) -> Tlsa:
    return Tlsa(record.usage, record.selector, record.mtype, bytes(record.cert))


def _pointer(record: Any) -> str:
    return _name(record.target)


def _primary(record: Any) -> str:
    return _name(record.mname)


def _address(record: Any) -> str:
    return str(record.address)


_READ: dict[Kind, Callable[[Any], Any]] = {
    "MX": _mx,
    "A": _address,
    "AAAA": _address,
    "TXT": _text,
    "TLSA": _tlsa,
    "PTR": _pointer,
    "SOA": _primary,
}
