"""Facts from the DNS: what is published for the domains and addresses that a campaign sends by.

Each group is found out by an `Asking`, which `preflight` has answered.  `ASKINGS` has all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from mailblast import dmarc, reverse, spf
from mailblast.blocklist import Listing, listing
from mailblast.campaign import Campaign
from mailblast.lookup import Asking, Lookup, Mx, Question, one, together
from mailblast.mx import allowed, merged


def sending_addresses(campaign: Campaign) -> tuple[str, ...]:
    """The addresses that mail comes from, as the world sees them; none if not known."""
    if campaign.declared.sending_addresses or campaign.delivery.via != "direct":
        return campaign.declared.sending_addresses
    # An address that is not on the public Internet is translated on the way.
    return tuple(address for address in campaign.delivery.source if allowed(address))


def domains(campaign: Campaign) -> tuple[str, ...]:
    """That of From, and that of the return path."""
    both = (campaign.sender.mailbox.address.domain, campaign.sender.return_path.domain)
    return tuple(dict.fromkeys(both))


@dataclass(frozen=True, slots=True)
class Spf:
    """SPF of the return path's domain: its TXT records, all it includes, and the results
    for the sending addresses."""

    domain: str
    found: Lookup[str]
    survey: spf.Surveyed
    results: Mapping[str, spf.Evaluated]


@dataclass(frozen=True, slots=True)
class DkimKey:
    """What stands in the DNS under the name of the key that signs, and of the second one."""

    name: str
    found: Lookup[str]
    second: "DkimKey | None" = None

    @property
    def each(self) -> tuple["DkimKey", ...]:
        """For each key that signs."""
        return (self, self.second) if self.second else (self,)


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The walks from the domains of From, of the return path, and of the signature.

    `strangers` are domains of other organisations that reports are to go to, each with
    whether it agrees (RFC 9990 §4).
    """

    sender: dmarc.Walk
    return_path: dmarc.Walk
    signer: dmarc.Walk | None
    strangers: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Reverses:
    """Reverse DNS of each sending address."""

    each: tuple[reverse.Reverse, ...]


@dataclass(frozen=True, slots=True)
class EhloName:
    """The addresses of the name that is said in EHLO."""

    name: str
    addresses: Lookup[str]


@dataclass(frozen=True, slots=True)
class Domain:
    """Whether a domain is there, and where mail to it goes."""

    name: str
    soa: Lookup[str]
    mx: Lookup[Mx]
    addresses: Lookup[str]


@dataclass(frozen=True, slots=True)
class Domains:
    """The domains of From, of Reply-To and of the return path, by their names."""

    each: Mapping[str, Domain]


@dataclass(frozen=True, slots=True)
class Transport:
    """What is said of TLS on the way to the domains that mail comes back to, by domain."""

    mta_sts: Mapping[str, Lookup[str]]  # RFC 8461 §3.1
    tls_rpt: Mapping[str, Lookup[str]]  # RFC 8460 §3


@dataclass(frozen=True, slots=True)
class Logo:
    """The BIMI record of From's domain, or of its organisation."""

    name: str
    found: Lookup[str]


@dataclass(frozen=True, slots=True)
class Listings:
    """What the block lists say that the settings name."""

    each: tuple[Listing, ...]


def _spf(campaign: Campaign) -> Asking[Spf]:
    path = campaign.sender.return_path
    helo = campaign.delivery.ehlo or path.domain
    found = yield from one("TXT", path.domain)
    survey = yield from spf.surveyed(path.domain)
    addresses = sending_addresses(campaign)
    results = yield from together(
        tuple(spf.evaluated(ip, path.domain, path.mailbox, helo) for ip in addresses)
    )
    return Spf(path.domain, found, survey, dict(zip(addresses, results, strict=True)))


def _dkim(campaign: Campaign) -> Asking[DkimKey | None]:
    if campaign.dkim is None:
        return None
    names = [f"{key.selector}._domainkey.{key.domain}" for key in campaign.dkim.keys]
    answers = yield tuple(Question("TXT", name) for name in names)
    first, *others = map(DkimKey, names, answers)
    return replace(first, second=others[0]) if others else first


def _dmarc(campaign: Campaign) -> Asking[Dmarc]:
    sender, path = (
        campaign.sender.mailbox.address.domain,
        campaign.sender.return_path.domain,
    )
    names = (sender, path, *([campaign.dkim.domain] if campaign.dkim else []))
    walks = yield from together(tuple(dmarc.walk(name) for name in names))
    strangers = yield from _strangers(walks[0])
    return Dmarc(walks[0], walks[1], walks[2] if campaign.dkim else None, strangers)


def _strangers(walk: dmarc.Walk) -> Asking[Mapping[str, bool]]:
    """Who else is to get reports, and whether they agree: their consent is a record."""
    policy = walk.policy
    if policy is None:
        return {}
    others = policy.reports_to
    walks = yield from together(tuple(dmarc.walk(name) for name in others))
    foreign = [w.domain for w in walks if w.organisational != walk.organisational]
    if not foreign:
        return {}
    answers = yield tuple(
        Question("TXT", f"{policy.domain}._report._dmarc.{name}") for name in foreign
    )
    return {
        name: any(dmarc.parse(name, text) for text in found.records)
        for name, found in zip(foreign, answers, strict=True)
    }


def _reverses(campaign: Campaign) -> Asking[Reverses]:
    addresses = sending_addresses(campaign)
    return Reverses((yield from together(tuple(map(reverse.reversed_, addresses)))))


def _ehlo(campaign: Campaign) -> Asking[EhloName | None]:
    name = campaign.delivery.ehlo
    if campaign.delivery.via != "direct" or not name:
        return None
    both = yield (Question("A", name), Question("AAAA", name))
    return EhloName(name, merged(*both))


def _domains(campaign: Campaign) -> Asking[Domains]:
    reply_to = campaign.sender.reply_to
    names = (*domains(campaign), *([reply_to.address.domain] if reply_to else []))
    each = yield from together(tuple(map(_domain, dict.fromkeys(names))))
    return Domains({found.name: found for found in each})


def _domain(name: str) -> Asking[Domain]:
    soa, mx, *both = yield (
        Question("SOA", name),
        Question("MX", name),
        Question("A", name),
        Question("AAAA", name),
    )
    return Domain(name, soa, mx, merged(*both))


def _transport(campaign: Campaign) -> Asking[Transport]:
    names = domains(campaign)
    answers = yield tuple(
        Question("TXT", f"{label}.{name}")
        for label in ("_mta-sts", "_smtp._tls")
        for name in names
    )
    return Transport(
        dict(zip(names, answers[: len(names)], strict=True)),
        dict(zip(names, answers[len(names) :], strict=True)),
    )


def _logo(campaign: Campaign) -> Asking[Logo]:
    walk = yield from dmarc.walk(campaign.sender.mailbox.address.domain)
    names = dict.fromkeys(f"default._bimi.{d}" for d in (walk.domain, walk.organisational))
    answers = yield tuple(Question("TXT", name) for name in names)
    pairs = list(zip(names, answers, strict=True))
    return Logo(*next((pair for pair in pairs if pair[1].records), pairs[0]))


def _listings(campaign: Campaign) -> Asking[Listings | None]:
    addresses, names = sending_addresses(campaign), _named(campaign)
    asked = [(one, ip) for one in campaign.declared.dnsbl for ip in addresses]
    asked += [(one, name) for one in campaign.declared.dnsbl_domains for name in names]
    if not asked:
        return None
    return Listings((yield from together(tuple(listing(*pair) for pair in asked))))


def _named(campaign: Campaign) -> tuple[str, ...]:
    """The domains that a receiver finds in a message."""
    way_out = urlsplit(campaign.unsubscribe.url).hostname
    signer = campaign.dkim.domain if campaign.dkim else ""
    return tuple(dict.fromkeys(filter(None, (*domains(campaign), signer, way_out))))


# Each group, and what finds it out; None is for what such a campaign has not got.
ASKINGS: Mapping[type, Callable[[Campaign], Asking[Any]]] = {
    Spf: _spf,
    DkimKey: _dkim,
    Dmarc: _dmarc,
    Reverses: _reverses,
    EhloName: _ehlo,
    Domains: _domains,
    Transport: _transport,
    Logo: _logo,
    Listings: _listings,
}
