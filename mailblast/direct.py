"""Straight to the mail hosts of a domain.

    Direct.route   MX, and the MTA-STS policy: which hosts, under which demands   a `Route`
    Direct.open    the first of them that takes a connection                      a `Session`

Rule: a demand for TLS is never given up for a host that does not meet it; the next host is
tried, and then the message waits (RFC 7672 §2.2, RFC 8461 §5).  Who demands what, the
strongest first: DANE for a host, MTA-STS for a domain, a provider's profile.  Without a
demand a host gets STARTTLS with any certificate, and clear text if that fails (RFC 7435).
"""

import random
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from mailblast import exchanger, mx
from mailblast.certificate import dane
from mailblast.destination import Line, Route
from mailblast.errors import ConnectionFailed, EncryptionFailed, LedgerError
from mailblast.https import Web
from mailblast.ledger import Policies
from mailblast.lookup import Lookup, Tlsa
from mailblast.mtasts import Policy
from mailblast.mtasts.cache import Cache
from mailblast.mx import Hosts, Unroutable
from mailblast.reason import Reason
from mailblast.resolver import Resolver
from mailblast.smtp.session import Server, Session

# Addresses that one call of `open` tries (Postfix: smtp_mx_address_limit).
ATTEMPTS = 5
# Seconds for which an address is passed over that did not take a connection: as long as a
# thousand messages may need that would each wait for it.
REST = 60.0
RESTING = 10_000  # addresses that are remembered
WAYS = 20_000
# RFC 7504 §4: who greets with 521 or 556 takes no mail, today or tomorrow.
NO_MAIL = (521, 556)

PlacingByHosts = Callable[[str, tuple[str, ...]], str]


@dataclass(frozen=True, slots=True)
class Outbound:
    """How we go out: our name, our addresses (at most one of each family), the port of the
    mail hosts and of the policy hosts, whether loopback is open, and whom to trust instead
    of the system's CAs."""

    ehlo: str
    source: tuple[str, ...] = ()
    port: int = 25
    policy_port: int = 443
    allow_loopback: bool = False
    ca_file: Path | None = None

    def source_for(self, address: str) -> str | None:
        """The address to send from to this one: "" is the system's choice, None says that
        we have none of its family."""
        version = ip_address(address).version
        own = (one for one in self.source if ip_address(one).version == version)
        return next(own, None) if self.source else ""


@dataclass(frozen=True, slots=True)
class _Way:
    """What decides whether two domains may share a connection."""

    hosts: Hosts
    secure: bool  # the MX records were validated: DANE counts
    mode: str = ""  # of MTA-STS, where there is such a policy
    listed: tuple[str, ...] = ()  # the hosts that the policy names
    required: bool = False  # TLS, by the provider's profile

    def __str__(self) -> str:
        hosts = ";".join(",".join(group) for group in self.hosts)
        policy = f"{self.mode}:{','.join(self.listed)}"
        return f"{hosts} {policy} dnssec={self.secure:d} tls={self.required:d}"


@dataclass(frozen=True, slots=True)
class _Demand:
    """How one host is spoken to, and on whose word.

    `relaxed` is what may be tried when TLS does not come about; None where nothing may.
    """

    server: Server
    by: str = ""
    relaxed: "_Demand | None" = None

    def told(self, version: str) -> str:
        """How a line is protected, in the words of the ledger."""
        if not version:
            return ""
        verified = self.server.security in ("starttls", "dane")
        word = "verified" if verified else "unverified"
        return f"{version} {word} ({self.by})" if self.by else f"{version} {word}"


class Direct:
    """A carrier.  `place(domain, hosts)` names the destination whose limits count,
    `tls_required(destination)` says whether it is never spoken to in clear text."""

    def __init__(
        self,
        resolver: Resolver,
        policies: Policies,
        outbound: Outbound,
        place: PlacingByHosts = lambda _, hosts: min(hosts),
        tls_required: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._resolver = resolver
        self._outbound = outbound
        self._place = place
        self._tls_required = tls_required
        web = Web(outbound.ca_file, outbound.policy_port)
        self._policies = Cache(resolver, policies, web, self._addresses)
        self._ways: OrderedDict[str, _Way] = OrderedDict()
        self._resting = _Resting()

    # --- The way -------------------------------------------------------------------------

    async def route(self, domain: str) -> Route | Unroutable:
        """The way to a domain.  Never raises."""
        found = await self._resolver.mx(domain)
        groups = mx.hosts(domain, found)
        if isinstance(groups, Unroutable):
            return groups
        blocked = await exchanger.blocked(
            self._resolver,
            domain,
            groups,
            allow_loopback=self._outbound.allow_loopback,
        )
        if blocked is not None:
            return blocked
        try:
            policy = await self._policies.policy(domain)
        except LedgerError as error:  # without knowing what is demanded nothing may leave
            return Unroutable(Reason.SYSTEM_ERROR, str(error), False, 451, "4.3.0")
        hosts = tuple(host for group in groups for host in group)
        destination = self._place(domain, groups[0])
        way = _way(groups, policy, secure=found.secure)
        way = replace(way, required=self._tls_required(destination))
        self._remember(way)
        return Route(domain, destination, str(way), hosts)

    def _allowed(self, found: Lookup[str]) -> list[str]:
        loopback = self._outbound.allow_loopback
        return [one for one in found.records if mx.allowed(one, allow_loopback=loopback)]

    async def _addresses(self, host: str) -> list[str]:
        return self._allowed(await self._resolver.addresses(host))

    def _remember(self, way: _Way) -> None:
        self._ways[str(way)] = way
        self._ways.move_to_end(str(way))
        if len(self._ways) > WAYS:
            self._ways.popitem(last=False)

    # --- The line ------------------------------------------------------------------------

    async def open(self, route: Route) -> Line:
        """A session with the first host that takes one.

        Raises ConnectionFailed with the most telling of what went wrong; `permanent` when
        every host says that it takes no mail.
        """
        way = await self._known(route)
        failures = _Failures(route.domain)
        attempts = 0
        async with aclosing(self._candidates(way, failures)) as candidates:
            async for demand in candidates:
                try:
                    return await _opened(demand)
                except ConnectionFailed as error:
                    self._resting.add(demand.server, error)
                    failures.add(error)
                attempts += 1
                if attempts == ATTEMPTS:
                    break
        raise failures.told()

    async def _candidates(
        self, way: _Way, failures: "_Failures"
    ) -> AsyncGenerator[_Demand]:
        """Every address that is worth a try, in order; why the others are not goes to
        `failures`."""
        for host in mx.in_order(way.hosts, lambda _: random.random()):  # noqa: S311 - load
            found = await self._resolver.addresses(host)
            demand = await self._demand(host, way, found)
            if isinstance(demand, ConnectionFailed):
                failures.add(demand)
                continue
            for server in self._servers(demand.server, found):
                if resting := self._resting.why(server):
                    failures.add(resting)
                else:
                    yield replace(demand, server=server)

    async def _known(self, route: Route) -> _Way:
        """What was found out for this route; found out again if that was long ago."""
        if route.way not in self._ways:
            again = await self.route(route.domain)
            if isinstance(again, Unroutable):
                raise ConnectionFailed(
                    again.why, permanent=again.permanent, code=again.code
                )
            if again.way != route.way:
                raise ConnectionFailed(f"the mail hosts of {route.domain} have changed")
        return self._ways[route.way]

    def _servers(self, server: Server, found: Lookup[str]) -> Iterator[Server]:
        """The server at each of its addresses, those of IPv4 first: receivers judge IPv6
        harder, and a reputation that is split in two is half of one."""
        for address in self._allowed(found):
            source = self._outbound.source_for(address)
            if source is not None:
                yield replace(server, address=address, source=source)

    # --- What is demanded ----------------------------------------------------------------

    async def _demand(
        self, host: str, way: _Way, found: Lookup[str]
    ) -> _Demand | ConnectionFailed:
        """How a host is spoken to; an error where it may not be spoken to at all."""
        out = self._outbound
        server = Server(host, out.port, "opportunistic", ehlo=out.ehlo, ca_file=out.ca_file)
        if way.secure and found.secure:
            published = await self._resolver.tlsa(host, out.port)
            if published.failure is not None and published.failure.transient:
                # RFC 7672 §2.1.3: whoever can suppress the answer could downgrade us.
                return ConnectionFailed(f"TLSA of {host} {published.failure}")
            if published.secure and published.records:
                return _by_dane(server, dane.usable(published.records))
        return _without_dane(server, way)


async def _opened(demand: _Demand) -> Session:
    """A session that meets the demand, or the relaxed one."""
    server, relaxed = demand.server, demand.relaxed
    try:
        session = await Session.open(server)
    except EncryptionFailed as error:
        if relaxed is not None:
            again = replace(server, security=relaxed.server.security)
            return await _opened(replace(relaxed, server=again))
        by = f" ({demand.by})" if demand.by else ""
        raise EncryptionFailed(f"{error}{by}", code=error.code) from None
    session.tls = demand.told(session.tls)
    return session


def _way(groups: Hosts, policy: Policy | None, *, secure: bool) -> _Way:
    if policy is None or policy.mode == "none":
        return _Way(groups, secure)
    listed = (host for group in groups for host in group if policy.lists(host))
    return _Way(groups, secure, policy.mode, tuple(listed))


def _by_dane(server: Server, usable: tuple[Tlsa, ...]) -> _Demand:
    if not usable:
        # RFC 7672 §2.2: that something is published still says that TLS is spoken.
        return _Demand(replace(server, security="encrypted"), "dane")
    return _Demand(replace(server, security="dane", tlsa=usable), "dane")


def _without_dane(server: Server, way: _Way) -> _Demand | ConnectionFailed:
    if way.required:
        usual = _Demand(replace(server, security="encrypted"))
    else:
        usual = _Demand(server, relaxed=_Demand(replace(server, security="none")))
    if not way.mode:
        return usual
    listed = server.host in way.listed
    verified = _Demand(replace(server, security="starttls"), "mta-sts")
    if way.mode == "enforce":
        why = f"{server.host} is not named in the MTA-STS policy"
        return verified if listed else ConnectionFailed(why)
    # Testing: as without a policy, but what it would have come to is on record.
    failed = replace(usual, by="mta-sts testing")
    return replace(verified, relaxed=failed) if listed else failed


class _Resting:
    """The addresses that did not take a connection a moment ago, and why."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[str, str], tuple[float, ConnectionFailed]]
        self._until = OrderedDict()

    def why(self, server: Server) -> ConnectionFailed | None:
        """Why this one is passed over now."""
        until, error = self._until.get(_key(server), (0.0, None))
        return error if until > time.monotonic() else None

    def add(self, server: Server, error: ConnectionFailed) -> None:
        """Pass this one over for a while."""
        self._until[_key(server)] = time.monotonic() + REST, _bare(error)
        self._until.move_to_end(_key(server))
        if len(self._until) > RESTING:
            self._until.popitem(last=False)


def _key(server: Server) -> tuple[str, str]:
    # The same address may be good enough for a domain that demands less.
    return server.address, server.security


def _bare(error: ConnectionFailed) -> ConnectionFailed:
    """The same without the frames and sockets that an exception holds on to."""
    return type(error)(str(error), permanent=error.permanent, code=error.code)


class _Failures:
    """What went wrong on the way to a domain."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._errors: list[ConnectionFailed] = []

    def add(self, error: ConnectionFailed) -> None:
        """One host more that did not take us."""
        self._errors.append(error)

    def told(self) -> ConnectionFailed:
        """The most telling: what a server said, else what was wrong with TLS, else the
        last."""
        if not self._errors:
            return ConnectionFailed(f"{self._domain}: no address that we can send to")
        said = [error for error in self._errors if error.code]
        broken = [error for error in self._errors if isinstance(error, EncryptionFailed)]
        worst = (said or broken or self._errors)[-1]
        return ConnectionFailed(
            str(worst),
            permanent=all(error.code in NO_MAIL for error in self._errors),
            code=worst.code,
        )
