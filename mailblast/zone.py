"""What a sender should publish in the DNS, beside what is published now.

    entries(facts)      an `Entry` for each thing that is to stand there
    line(name, …)       one record as a zone file has it (RFC 1035 §5)

Rule: told the facts that `check` is told; asks nobody.  What is published and good stays as it
is, however it is written; what is not gets the smallest change that makes it right.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from mailblast.check.facts import Facts, NotGathered
from mailblast.check.published import (
    DkimKey,
    Dmarc,
    Domain,
    Domains,
    EhloName,
    Reverses,
    Spf,
    Transport,
    domains,
    sending_addresses,
)
from mailblast.check.signature import OwnKey
from mailblast.errors import Refusal
from mailblast.keyrecord import KeyRecord, parse
from mailblast.lookup import Lookup, Mx
from mailblast.spf import Result
from mailblast.spf.record import records

STRING = 255  # octets of one string in a TXT record (RFC 1035 §3.3)


@dataclass(frozen=True, slots=True)
class Entry:
    """The records of one kind under one name, of which some are good.

    `kept` are published and stay, `removed` are published and must go, `added` are missing.
    `unknown` says why it is not known what is published.  An entry that is `optional` is good
    to have; one `elsewhere` stands in the zone of whoever owns the addresses.
    """

    what: str
    name: str
    kind: str
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    unknown: str = ""
    note: str = ""
    optional: bool = False
    elsewhere: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is to be changed, as far as is known."""
        return not self.added and not self.removed and not self.unknown

    @property
    def wanted(self) -> tuple[str, ...]:
        """What stands there in the end."""
        return self.kept + self.added


def line(name: str, kind: str, value: str) -> str:
    """A record as a zone file has it."""
    shown = _quoted(value) if kind == "TXT" else value
    return f"{name}. IN {kind} {shown}"


def _quoted(text: str) -> str:
    pieces = [text[at : at + STRING] for at in range(0, len(text), STRING)] or [""]
    return " ".join(f'"{_escaped(piece)}"' for piece in pieces)


def _escaped(text: str) -> str:
    # A control character would end the line, or the terminal's patience.
    plain = re.sub(r'(["\\])', r"\\\1", text)
    return re.sub(r"[^ -~]", lambda one: f"\\{min(ord(one[0]), 255):03d}", plain)


def entries(facts: Facts) -> tuple[Entry, ...]:
    """All there is to publish, for a campaign that was looked at."""
    found = (
        *_spf(facts),
        *_dkim(facts),
        *_dmarc(facts),
        *_mail_hosts(facts),
        *_own_name(facts),
        *_pointers(facts),
        *_transport(facts),
    )
    return tuple(entry for entry in found if entry.wanted or entry.removed or entry.note)


def _spf(facts: Facts) -> Iterator[Entry]:
    name, what = facts.campaign.sender.return_path.domain, "SPF of the return path"
    terms = _terms(facts)
    fresh = " ".join(["v=spf1", *terms, "~all"])
    note = "" if terms else "say in [check] sending_addresses, or spf_include, who sends"
    try:
        spf = facts.of(Spf)
    except NotGathered as missing:
        added = (fresh,) if terms else ()
        yield Entry(what, name, "TXT", added=added, unknown=str(missing), note=note)
        return
    texts = records(spf.found.records)
    if spf.found.failure and spf.found.failure.transient:
        yield Entry(what, name, "TXT", unknown=str(spf.found.failure), note=note)
    elif not texts:
        yield Entry(what, name, "TXT", added=(fresh,) if terms else (), note=note)
    elif len(texts) == 1 and not (lacking := _lacking(facts, spf)):
        yield Entry(what, name, "TXT", kept=texts, note=note)
    elif len(texts) == 1 and not spf.survey.faults:
        mended = _with(texts[0], lacking)
        yield Entry(what, name, "TXT", removed=texts, added=(mended,))
    else:
        note = note or "the published records cannot be used: what else do they name?"
        added = (fresh,) if terms else ()
        yield Entry(what, name, "TXT", removed=texts, added=added, note=note)


def _terms(facts: Facts) -> list[str]:
    """The mechanisms that let everybody send who is known to."""
    include = facts.campaign.declared.spf_include
    terms = [f"ip{ip_address(ip).version}:{ip}" for ip in sending_addresses(facts.campaign)]
    return terms + ([f"include:{include}"] if include else [])


def _lacking(facts: Facts, spf: Spf) -> list[str]:
    """The mechanisms that the published record would need."""
    wanted = facts.campaign.declared.spf_include
    terms = [
        f"ip{ip_address(ip).version}:{ip}"
        for ip, found in spf.results.items()
        if found.result is not Result.PASS
    ]
    if wanted and wanted not in spf.survey.included:
        terms.append(f"include:{wanted}")
    return terms


def _with(text: str, terms: list[str]) -> str:
    """A record with more mechanisms, in front of its `all` or redirect=."""
    parts = text.split()
    last = next(
        (n for n, part in enumerate(parts) if re.match(r"[+?~-]?all\b|redirect=", part)),
        len(parts),
    )
    return " ".join(parts[:last] + terms + parts[last:])


def _dkim(facts: Facts) -> Iterator[Entry]:
    keys, what = facts.campaign.dkim, "DKIM"
    if keys is None:
        if "BULK-DKIM" not in facts.campaign.declared.attested:
            domain = facts.campaign.sender.mailbox.address.domain
            note = (
                f"there is no [dkim]: mailblast keys new {domain} makes a key, and says how"
            )
            yield Entry(what, f"_domainkey.{domain}", "TXT", note=note)
        return
    for number, key in enumerate(keys.keys):
        name = f"{key.selector}._domainkey.{key.domain}"
        try:
            own = facts.of(OwnKey).each[number]
        except NotGathered as missing:
            yield Entry(what, name, "TXT", note=str(missing))
            continue
        try:
            found = facts.of(DkimKey).each[number].found
        except NotGathered as missing:
            yield Entry(what, name, "TXT", added=(own.record,), unknown=str(missing))
            continue
        yield _key(name, own, found)


def _key(name: str, own: OwnKey, found: Lookup[str]) -> Entry:
    what = "DKIM"
    if found.failure and found.failure.transient:
        unknown = str(found.failure)
        return Entry(what, name, "TXT", added=(own.record,), unknown=unknown)
    good = [text for text in found.records if _is_ours(text, own)]
    kept = tuple(good[:1])
    removed = tuple(text for text in found.records if text not in kept)
    added = () if kept else (own.record,)
    return Entry(what, name, "TXT", kept, removed, added)


def _is_ours(text: str, own: OwnKey) -> bool:
    record = parse(text)
    if isinstance(record, Refusal) or record.revoked:
        return False
    return record.public == own.public and _usable(record)


def _usable(record: KeyRecord) -> bool:
    hashed = not record.hashes or "sha256" in record.hashes
    return hashed and record.for_mail and not record.testing


def _dmarc(facts: Facts) -> Iterator[Entry]:
    domain, what = facts.campaign.sender.mailbox.address.domain, "DMARC"
    fresh = f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"
    note = f"somebody, or a service, has to read dmarc@{domain}"
    name = f"_dmarc.{domain}"
    try:
        walk = facts.of(Dmarc).sender
    except NotGathered as missing:
        yield Entry(what, name, "TXT", added=(fresh,), unknown=str(missing), note=note)
        return
    own = walk.steps[0]
    spoilt = own.misspelt + tuple(r.text for r in own.records if len(own.records) > 1)
    if walk.policy and not spoilt:
        name = f"_dmarc.{walk.policy.domain}"
        yield Entry(what, name, "TXT", kept=(walk.policy.text,))
    elif walk.unknown and not spoilt:
        yield Entry(what, name, "TXT", added=(fresh,), unknown=str(walk.unknown.failure))
    else:
        yield Entry(what, name, "TXT", removed=spoilt, added=(fresh,), note=note)


def _mail_hosts(facts: Facts) -> Iterator[Entry]:
    """Where bounces and answers arrive."""
    bounces = facts.campaign.sender.return_path.domain
    reply_to = facts.campaign.sender.reply_to or facts.campaign.sender.mailbox
    for name in dict.fromkeys((bounces, reply_to.address.domain)):
        what = "where bounces arrive" if name == bounces else "where answers arrive"
        added = (f"10 {facts.campaign.delivery.ehlo}.",) if _direct(facts) else ()
        note = "" if added else "the host that takes mail for this domain"
        try:
            found = facts.of(Domains).each[name]
        except NotGathered as missing:
            yield Entry(what, name, "MX", added=added, unknown=str(missing), note=note)
            continue
        yield _mx(what, found, added, note)


def _direct(facts: Facts) -> bool:
    return facts.campaign.delivery.via == "direct" and bool(facts.campaign.delivery.ehlo)


def _mx(what: str, domain: Domain, added: tuple[str, ...], note: str) -> Entry:
    if domain.mx.failure and domain.mx.failure.transient:
        return Entry(what, domain.name, "MX", unknown=str(domain.mx.failure), note=note)
    hosts = tuple(map(_host, domain.mx.records))
    if hosts and hosts != ("0 .",):
        return Entry(what, domain.name, "MX", kept=hosts)
    return Entry(what, domain.name, "MX", removed=hosts, added=added, note=note)


def _host(record: Mx) -> str:
    return f"{record.preference} {record.host}."


def _own_name(facts: Facts) -> Iterator[Entry]:
    """The addresses of the name in EHLO."""
    if not _direct(facts):
        return
    name, what = facts.campaign.delivery.ehlo, "the name in EHLO"
    try:
        found = facts.of(EhloName).addresses
    except NotGathered as missing:
        found, unknown = Lookup[str](), str(missing)
    else:
        transient = found.failure and found.failure.transient
        unknown = str(found.failure) if transient else ""
    for kind, version in (("A", 4), ("AAAA", 6)):
        ours = [
            x for x in sending_addresses(facts.campaign) if ip_address(x).version == version
        ]
        there = tuple(str(x) for x in found.records if ip_address(x).version == version)
        added = tuple(one for one in ours if one not in there)
        if there or added:
            yield Entry(what, name, kind, kept=there, added=added, unknown=unknown)


def _pointers(facts: Facts) -> Iterator[Entry]:
    """Reverse DNS, which the provider of the addresses has to set."""
    for ip in sending_addresses(facts.campaign):
        what, name = f"reverse DNS of {ip}", ip_address(ip).reverse_pointer
        own = f"{facts.campaign.delivery.ehlo}." if _direct(facts) else ""
        try:
            found = next(one for one in facts.of(Reverses).each if one.ip == ip)
        except NotGathered as missing:
            added, unknown = (own,) if own else (), str(missing)
            yield Entry(what, name, "PTR", added=added, unknown=unknown, elsewhere=True)
            continue
        names = tuple(f"{one}." for one in found.names)
        unknown = str(found.failure) if found.failure and found.failure.transient else ""
        if found.confirmed or not own:
            note = "" if found.confirmed else "a name of yours, which leads back to it"
            yield Entry(
                what, name, "PTR", names, unknown=unknown, note=note, elsewhere=True
            )
        else:
            yield Entry(
                what,
                name,
                "PTR",
                kept=tuple(one for one in names if one == own),
                removed=tuple(one for one in names if one != own),
                added=() if own in names else (own,),
                unknown=unknown,
                note="the provider of the address sets it",
                elsewhere=True,
            )


def _transport(facts: Facts) -> Iterator[Entry]:
    """MTA-STS and TLS-RPT: that mail comes back to you encrypted, and how often it does not."""
    try:
        found = facts.of(Transport)
    except NotGathered:
        return
    for domain in domains(facts.campaign):
        day = f"{facts.today:%Y%m%d}"
        policy = f"needs https://mta-sts.{domain}/.well-known/mta-sts.txt (RFC 8461)"
        yield _optional(
            f"MTA-STS of {domain}",
            f"_mta-sts.{domain}",
            found.mta_sts[domain],
            f"v=STSv1; id={day}",
            policy,
        )
        yield _optional(
            f"TLS-RPT of {domain}",
            f"_smtp._tls.{domain}",
            found.tls_rpt[domain],
            f"v=TLSRPTv1; rua=mailto:tls@{domain}",
            f"somebody, or a service, has to read tls@{domain}",
        )


def _optional(what: str, name: str, found: Lookup[str], fresh: str, note: str) -> Entry:
    version = fresh.partition(";")[0]
    kept = tuple(text for text in found.records if text.startswith(version))
    if kept:
        return Entry(what, name, "TXT", kept=kept, optional=True)
    unknown = str(found.failure) if found.failure and found.failure.transient else ""
    return Entry(what, name, "TXT", (), (), (fresh,), unknown, note, optional=True)
