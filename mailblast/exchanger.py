"""Whether mail can reach the exchangers of a domain: the questions behind `mx`."""

from mailblast import mx
from mailblast.lookup import Lookup
from mailblast.mx import Hosts, Unroutable
from mailblast.resolver import Resolver


async def exchangers(
    resolver: Resolver, domain: str, *, allow_loopback: bool = False
) -> Hosts | Unroutable:
    """The mail hosts of a domain (A-labels), or why no mail can reach it.  Never raises."""
    groups = mx.hosts(domain, await resolver.mx(domain))
    if isinstance(groups, Unroutable):
        return groups
    no = await blocked(resolver, domain, groups, allow_loopback=allow_loopback)
    return groups if no is None else no


async def blocked(
    resolver: Resolver, domain: str, groups: Hosts, *, allow_loopback: bool
) -> Unroutable | None:
    """Why nothing may be sent there: no host has an address that is allowed."""
    tried: dict[str, Lookup[str]] = {}
    for group in groups:
        for host in group:
            tried[host] = found = await resolver.addresses(host)
            if any(mx.allowed(one, allow_loopback=allow_loopback) for one in found.records):
                return None
    return mx.unreachable(domain, tried)
