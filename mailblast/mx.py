"""Which hosts take the mail of a domain, in which order, and at which addresses.

Rule: told what the DNS said, and the order of equals; asks nobody.  The domain decides only
where within the public Internet its mail goes: no record of a stranger's can make this
machine speak to itself or to its neighbours.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import groupby

from mailblast.lookup import Failure, Lookup, Mx
from mailblast.reason import Reason

# The largest providers have five; far more is a mistake, or wants to keep us busy.
MAX_HOSTS = 50
MAX_ADDRESSES = 20  # of one host

# The underscore is in no host name (RFC 952), and in some MX records all the same.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# A last label of digits makes an address, not a name (RFC 1123 §2.1).
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unroutable:
    """Why no way leads to a domain.

    `permanent`: the domain says so itself (it does not exist, or takes no mail), and trying
    again changes nothing.  `code` and `status` are what a server would have answered.
    """

    reason: Reason
    why: str
    permanent: bool
    code: int = 0
    status: str = ""


# The hosts of a domain, the most preferred first, equals together and sorted by name: two
# domains with the same hosts have equal ones.
Hosts = tuple[tuple[str, ...], ...]


def hosts(domain: str, found: Lookup[Mx]) -> Hosts | Unroutable:
    """The mail hosts of a domain, by what was found under its MX (RFC 5321 §5.1).

    Without any MX the domain itself is its host; with MX records that are of no use it is
    not.
    """
    if found.failure is Failure.NODATA:
        return ((domain,),)
    if found.failure is Failure.NXDOMAIN:
        why = f"the domain {domain} does not exist"
        return Unroutable(Reason.DOMAIN_INVALID, why, True, 550, "5.1.2")
    if found.failure is not None:
        return _later(f"{domain} {found.failure}")
    if [record.host for record in found.records] == [""]:
        why = f"{domain} takes no mail (null MX, RFC 7505)"
        return Unroutable(Reason.DOMAIN_INVALID, why, True, 556, "5.1.10")
    return _grouped(found.records) or _nowhere(f"no MX of {domain} is a host name")


def _grouped(records: tuple[Mx, ...]) -> Hosts:
    named = sorted(
        (record.preference, record.host) for record in records if is_host(record.host)
    )
    # A host that is named twice counts where it is preferred more.
    best = {host: preference for preference, host in reversed(named)}
    ordered = sorted((preference, host) for host, preference in best.items())
    groups = groupby(ordered[:MAX_HOSTS], key=lambda one: one[0])
    return tuple(tuple(host for _, host in group) for _, group in groups)


def is_host(name: str) -> bool:
    """Whether it is the name of a host: letters, digits and hyphens, and no IP address."""
    return _HOST.fullmatch(name) is not None


def in_order(groups: Hosts, order: Callable[[str], float]) -> Iterator[str]:
    """The hosts as they are to be tried; `order` gives each a number, which sorts equals.

    A sender has to spread its load over equals by chance (RFC 5321 §5.1), and chance has to
    come from outside.
    """
    for group in groups:
        yield from sorted(group, key=order)


# --- Addresses ----------------------------------------------------------------------------

# What is not globally reachable, by the IANA registries of special-purpose addresses (RFC
# 6890).  Written out, because the `ipaddress` of each Python knows another edition of them.
_LOOPBACK_V4, _LOOPBACK_V6 = ip_network("127.0.0.0/8"), ip_network("::1")
_CLOSED_V4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network: on Linux, this machine
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # shared by the customers of a provider (RFC 6598)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; 169.254.169.254 tells a cloud's secrets
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # 6to4 relays (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_OPEN_V6 = ip_network("2000::/3")  # the only global unicast that was ever given out
_CLOSED_V6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation (RFC 3849)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def allowed(text: str, *, allow_loopback: bool = False) -> bool:
    """Whether mail may go to this IP address; what is no IP address is not allowed.

    `allow_loopback` opens 127.0.0.0/8 and ::1, for rehearsals and tests, and nothing else.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if address in _LOOPBACK_V4 or address in _LOOPBACK_V6:
        return allow_loopback
    if isinstance(address, IPv4Address):
        return _global_v4(address)
    return _global_v6(address)


def _global_v4(address: IPv4Address) -> bool:
    return not any(address in closed for closed in _CLOSED_V4)


def _global_v6(address: IPv6Address) -> bool:
    # An IPv4 address in disguise is judged as what it is.  The mapped ones (::ffff:0:0/96)
    # are in no DNS for a good reason, and fall outside of 2000::/3.
    if address in _NAT64:
        return _global_v4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.scope_id or address not in _OPEN_V6:
        return False
    if address.sixtofour is not None:
        return _global_v4(address.sixtofour)
    return not any(address in closed for closed in _CLOSED_V6)


def merged(first: Lookup[str], second: Lookup[str]) -> Lookup[str]:
    """The addresses of a host: what its A and its AAAA gave, in this order.

    Of two failures the transient one counts: it may hide addresses.
    """
    with_records = [one for one in (first, second) if one.records]
    counted = with_records or [first, second]
    failures = [one.failure for one in (first, second) if one.failure is not None]
    failure = max(failures, key=lambda one: one.transient, default=None)
    return Lookup(
        first.records[:MAX_ADDRESSES] + second.records[:MAX_ADDRESSES],
        None if with_records else failure,
        all(one.secure for one in counted),
        min(one.ttl for one in counted),
    )


def unreachable(domain: str, tried: dict[str, Lookup[str]]) -> Unroutable:
    """Why a domain cannot be reached, none of whose hosts has an address that is allowed.

    `tried` has what was found for each host, in their order.
    """
    for host, found in tried.items():
        if found.failure is not None and found.failure.transient:
            return _later(f"{host} {found.failure}")
    with_records = {host: found for host, found in tried.items() if found.records}
    if with_records:
        host, found = next(iter(with_records.items()))
        return _nowhere(
            f"the mail host {host} of {domain} has no address on the public Internet "
            f"({found.records[0]})"
        )
    if list(tried) == [domain]:
        why = f"{domain} has neither a mail host nor an address"
        return Unroutable(Reason.DOMAIN_INVALID, why, True, 550, "5.1.2")
    return _nowhere(f"no mail host of {domain} has an address")


def _nowhere(why: str) -> Unroutable:
    return Unroutable(Reason.DOMAIN_INVALID, why, True, 550, "5.4.4")


def _later(why: str) -> Unroutable:
    return Unroutable(Reason.NETWORK_TEMPORARY, why, False, 451, "4.4.3")
