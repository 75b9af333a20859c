"""Block lists in the DNS: whether an address or a domain is listed (RFC 5782).

    1.2.0.192.zen.example  A  127.0.0.4     192.0.2.1 is listed
    2.0.0.127.zen.example  A  127.0.0.2     the list is there: it must list this one (§5)

A list that one may not ask says so by an answer from 127.255.255.0/24, or answers nothing at
all: neither is a listing, and silence is no clean record.

Rule: told what the DNS answers, asks nobody (`lookup.Asking`).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from mailblast.lookup import Asking, Failure, Lookup, Question

_LISTED = ip_network("127.0.0.0/8")
# What Spamhaus, SURBL and others answer to whom they do not serve.
_REFUSED = (ip_network("127.255.255.0/24"), ip_network("127.0.1.255/32"))

# Entries that every list has, for addresses and for names (RFC 5782 §5).
_ALWAYS = {4: "127.0.0.2", 6: "::ffff:7f00:2", 0: "test"}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list says of an address or domain.

    `codes` are its answers if it is listed, and `why` the text that stands with them.
    `unusable` says why the list's word does not count, "" if it does.
    """

    blocklist: str
    subject: str
    codes: tuple[str, ...] = ()
    why: str = ""
    unusable: str = ""


def listing(blocklist: str, subject: str) -> Asking[Listing]:
    """Ask a list for an address or a domain, and for the entry that it must have."""
    name = _name(subject, blocklist)
    proof = _name(_ALWAYS[_version(subject)], blocklist)
    found, text, proven = yield (
        Question("A", name),
        Question("TXT", name),
        Question("A", proof),
    )
    if unusable := _unusable(found, proven, subject):
        return Listing(blocklist, subject, unusable=unusable)
    return Listing(blocklist, subject, found.records, "; ".join(text.records)[:300])


def _version(subject: str) -> int:
    try:
        return ip_address(subject).version
    except ValueError:
        return 0


def _name(subject: str, blocklist: str) -> str:
    """RFC 5782 §2.1, §2.2 and §2.4."""
    if not _version(subject):
        return f"{subject}.{blocklist}"
    turned = ip_address(subject).reverse_pointer
    return f"{turned.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{blocklist}"


def _unusable(found: Lookup[str], proven: Lookup[str], subject: str) -> str:
    if found.failure and found.failure.transient:
        return str(found.failure)
    answers = [IPv4Address(one) for one in (*found.records, *proven.records)]
    if refused := [one for one in answers if any(one in net for net in _REFUSED)]:
        return f"it does not serve us ({refused[0]})"
    if odd := [one for one in answers if one not in _LISTED]:
        return f"it answers {odd[0]}, as no block list does"
    if found.records:
        return ""
    if proven.failure in (Failure.NXDOMAIN, Failure.NODATA):
        kind = {4: "of IPv4", 6: "of IPv6", 0: "of a domain"}[_version(subject)]
        return f"it has not even the entry {kind} that every list has (RFC 5782 §5)"
    return str(proven.failure) if proven.failure else ""
