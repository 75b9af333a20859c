"""The names of what sends, and the domains that mail comes back to: reverse DNS, EHLO, SOA, MX."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from mailblast.check.answers import unanswered
from mailblast.check.envelope import NO_ADDRESS
from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.published import (
    Domain,
    Domains,
    EhloName,
    Reverses,
    domains,
    sending_addresses,
)
from mailblast.lookup import Failure
from mailblast.reverse import generic

_NO_REPLY = re.compile(r"(?:no|do[-_.]?not)[-_.]?reply", re.IGNORECASE)


def confirmed(facts: Facts) -> Iterator[Verdict]:
    """BULK-PTR: each sending address has a name that leads back to it."""
    reverses = facts.of(Reverses).each
    if not reverses:
        yield skipped(NO_ADDRESS)
    for one in reverses:
        kind = "AAAA" if ":" in one.ip else "A"
        names = ", ".join(one.names)
        if one.failure and one.failure.transient:
            yield unanswered(f"PTR of {one.ip}", one.failure, ip=one.ip, kind=kind)
        elif one.confirmed:
            yield passed(f"{one.ip} is {one.confirmed[0]}, and back")
        elif one.unknown:
            yield skipped(f"{one.ip} is {names}, whose addresses got no answer")
        else:
            seen = f"{names} does not lead back" if names else "no PTR"
            yield failed(f"{one.ip}: {seen}", ip=one.ip, kind=kind)


def looks_own(facts: Facts) -> Iterator[Verdict]:
    """BULK-PTR-GENERIC: the name is one of yours, not one of an end-user line."""
    named = [(one, one.names[0]) for one in facts.of(Reverses).each if one.names]
    if not named:
        yield skipped("no sending address with a name is known")
    ours = domains(facts.campaign)
    for one, name in named:
        if part := generic(name, one.ip):
            problem = f'looks like an end-user line ("{part}")'
            yield warned(f"{one.ip} is {name}", name=name, problem=problem)
        elif not any(_related(name, domain) for domain in ours):
            yield warned(f"{one.ip} is {name}", name=name, problem="is not of your domain")
        else:
            yield passed(f"{one.ip} is {name}")


def _related(name: str, domain: str) -> bool:
    """Whether a host is within a domain, or beside it below the same parent."""
    parent = domain.partition(".")[2]
    wider = parent if "." in parent else domain
    return name == domain or name.endswith((f".{domain}", f".{wider}"))


def ehlo(facts: Facts) -> Verdict:
    """SMTP-EHLO-NAME: the name in EHLO is there, and is that of a sending address."""
    if facts.campaign.delivery.via != "direct":
        via = facts.campaign.delivery.via
        return skipped(f'via = "{via}": the name in EHLO that receivers see is not ours')
    found = facts.of(EhloName)
    addresses = found.addresses
    if addresses.failure and addresses.failure.transient:
        return unanswered(found.name, addresses.failure, name=found.name)
    if addresses.failure:
        problem = str(addresses.failure)
        return failed(f"{found.name} {problem}", name=found.name, problem=problem)
    seen = f"{found.name} is {', '.join(addresses.records)}"
    ours = {ip_address(one) for one in sending_addresses(facts.campaign)}
    if not ours:
        return skipped(f"{seen}; {NO_ADDRESS}")
    theirs = {ip_address(one) for one in addresses.records}
    if not ours & theirs:
        problem = f"leads to {addresses.records[0]}, which is no sending address"
        return failed(seen, name=found.name, problem=problem)
    pointed = {name for one in facts.of(Reverses).each for name in one.names}
    if pointed and found.name not in pointed:
        problem = f"is not what reverse DNS says ({', '.join(sorted(pointed))})"
        return warned(seen, name=found.name, problem=problem)
    return passed(seen)


def exist(facts: Facts) -> Iterator[Verdict]:
    """BULK-DOMAIN-SOA: From's domain and the return path's are there and take mail."""
    found = facts.of(Domains).each
    for name in domains(facts.campaign):
        yield _exists(found[name])


def _exists(domain: Domain) -> Verdict:
    name, soa = domain.name, domain.soa.failure
    if soa and soa.transient:
        if soa is Failure.TIMEOUT:
            return unanswered(f"SOA of {name}", soa)
        return failed(f"SOA of {name}", domain=name, problem=str(soa))
    if soa is Failure.NXDOMAIN:
        return failed(f"SOA of {name}", domain=name, problem=str(soa))
    if _null_mx(domain):
        return failed("MX 0 .", domain=name, problem="publishes a null MX (RFC 7505)")
    if domain.mx.failure is Failure.NODATA and domain.addresses.failure in (
        Failure.NODATA,
        Failure.NXDOMAIN,
    ):
        problem = "has neither an MX nor an address"
        return failed(f"MX, A and AAAA of {name}", domain=name, problem=problem)
    if domain.mx.failure and domain.mx.failure.transient:
        return unanswered(f"MX of {name}", domain.mx.failure, domain=name)
    return passed(f"{name} exists and has {'an MX' if domain.mx.records else 'an address'}")


def _null_mx(domain: Domain) -> bool:
    return [record.host for record in domain.mx.records] == [""]


def takes_bounces(facts: Facts) -> Verdict:
    """RP-VERP: what comes back arrives somewhere."""
    domain = facts.of(Domains).each[facts.campaign.sender.return_path.domain]
    if domain.mx.failure and domain.mx.failure.transient:
        return unanswered(f"MX of {domain.name}", domain.mx.failure, domain=domain.name)
    if domain.mx.records and not _null_mx(domain):
        hosts = ", ".join(record.host for record in domain.mx.records)
        return passed(f"{domain.name}: MX {hosts}")
    if (
        _null_mx(domain)
        or domain.mx.failure is Failure.NXDOMAIN
        or domain.addresses.failure
    ):
        return failed(f"MX of {domain.name}", domain=domain.name)
    return warned(
        f"{domain.name} has no MX; its address {domain.addresses.records[0]} stands in",
        domain=domain.name,
    )


def replyable(facts: Facts) -> Verdict:
    """BULK-REPLYABLE: who answers is heard."""
    sender = facts.campaign.sender
    address = (sender.reply_to or sender.mailbox).address
    if _NO_REPLY.search(address.mailbox.rpartition("@")[0]):
        return warned("its name says so", address=address.mailbox)
    domain = facts.of(Domains).each[address.domain]
    if domain.mx.failure and domain.mx.failure.transient:
        failure = domain.mx.failure
        return unanswered(f"MX of {domain.name}", failure, address=address.mailbox)
    if _null_mx(domain) or (not domain.mx.records and domain.addresses.failure):
        return failed(f"{domain.name} takes no mail", address=address.mailbox)
    return passed(f"{domain.name} takes mail")


CHECKS: dict[str, Check] = {
    "BULK-PTR": confirmed,
    "BULK-PTR-GENERIC": looks_own,
    "SMTP-EHLO-NAME": ehlo,
    "BULK-DOMAIN-SOA": exist,
    "RP-VERP": takes_bounces,
    "BULK-REPLYABLE": replyable,
}
