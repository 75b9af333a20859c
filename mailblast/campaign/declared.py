"""What a campaign declares so that `mailblast check` can hold it against the law.

[attest] holds a person's word, with the digest of what it is about; whether that fits is for
`check` to say.  [check] says which policies hold.  The other keys answer what no program can
see: what kind of address it is, where the list comes from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal, TypeGuard

from mailblast.address import Address, parse
from mailblast.campaign import forms, ip
from mailblast.campaign.forms import Form, Key, choice, listed, matching
from mailblast.errors import Refusal

ATTEST = "attest"  # a table whose keys are ids of rules

DEFAULT_PACKS = ("can-spam", "bulk-senders", "standards")

_RULE = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
MAX_CANARY = 100  # characters
_PACK = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Attestation:
    """Somebody's word for a rule."""

    by: str
    on: date
    digest: str


@dataclass(frozen=True, slots=True)
class Declared:
    """What a campaign declares, named as the keys are; `attested` is by the ids of rules."""

    brands: tuple[str, ...]
    on_behalf_of: str | None
    postal_address_kind: Literal["street", "usps-po-box", "cmra"]
    advertisers: tuple[str, ...]
    offer_ends: date | None
    sexually_explicit: bool
    source: (
        Literal["signup", "purchase", "customer", "event", "third-party", "other"] | None
    )
    packs: tuple[str, ...]
    wireless_domains: Path | None
    spam: "SpamFilter | None"
    attested: Mapping[str, Attestation]
    dns: bool
    sending_addresses: tuple[str, ...]
    spf_include: str | None
    dnsbl: tuple[str, ...]
    dnsbl_domains: tuple[str, ...]
    canary: str | Address | None  # a token, or an address whose last link has one


@dataclass(frozen=True, slots=True)
class SpamFilter:
    """A spam filter that runs somewhere: at a host and port, or behind a Unix socket."""

    kind: Literal["rspamd", "spamassassin"]
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind} at {self.path or f'{host}:{self.port}'}"


def rule_name(name: str) -> Refusal | None:
    """Why this is no id of a rule; None when it may be one."""
    return None if _RULE.fullmatch(name) else Refusal("is not the id of a rule")


def _attestation(value: object) -> Attestation | Refusal:
    if not isinstance(value, dict) or set(value) != {"by", "on", "digest"}:
        return ATTESTATION.refuse()
    by, on, digest = forms.TEXT.take(value["by"]), value["on"], value["digest"]
    if isinstance(by, Refusal):
        return Refusal(f"by {by}")
    if not _is_day(on):
        return Refusal(f"on must be {DAY.words}")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return Refusal("digest must be the 16 hex digits that `mailblast check` prints")
    return Attestation(by, on, digest)


def _is_day(value: object) -> TypeGuard[date]:
    # In Python a moment is a date too.
    return isinstance(value, date) and not isinstance(value, datetime)


def _day(value: object) -> date | Refusal:
    return value if _is_day(value) else DAY.refuse()


def _canary(value: object) -> str | Address | Refusal:
    if not isinstance(value, str) or "@" not in value:
        token: str | Refusal = _A_TOKEN.take(value)
        return token
    found = parse(value)
    return Refusal(f"is not an address: {found}") if isinstance(found, Refusal) else found


def _filter(value: object) -> SpamFilter | Refusal:
    found = _FILTER.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return FILTER.refuse()
    kind: Literal["rspamd", "spamassassin"] = (
        "rspamd" if found["kind"] == "rspamd" else "spamassassin"
    )
    if found["path"]:
        return SpamFilter(kind, "", 0, found["path"])
    host = forms.HOST.take(found["host"])
    port = int(found["port"] or FILTER_PORTS[kind])
    if isinstance(host, Refusal) or not 0 < port < 65536:
        return FILTER.refuse()
    return SpamFilter(kind, host, port, "")


_FILTER = re.compile(
    r"(?P<kind>rspamd|spamassassin)://"
    r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?|(?P<path>/[^\s\0]{1,100}))"
)
FILTER_PORTS = {
    "rspamd": 11333,
    "spamassassin": 783,
}  # those that they listen at unless told
_A_TOKEN = matching(
    _TOKEN, "a token (letters, digits and . _ ~ -) or an address", MAX_CANARY
)
CANARY = Form(_A_TOKEN.words, _canary)
FILTER = Form(
    'the place of a spam filter, as "rspamd://127.0.0.1:11333", '
    '"spamassassin://127.0.0.1:783" or "rspamd:///run/rspamd/worker.sock"',
    _filter,
)
DAY = Form("a date without quotation marks, as 2026-11-24", _day)
ATTESTATION = Form('`{ by = "Ada Lovelace", on = 2026-11-24, digest = "…" }`', _attestation)
PACKS = listed(
    matching(_PACK, "the name of a policy pack: small letters, digits and hyphens", 60),
    'a list of policy packs, as ["can-spam", "casl"]',
    least=1,
)

_ZONES = listed(forms.DOMAIN, "a list of domains")

KEYS = (
    Key(
        "sender",
        "brands",
        listed(forms.TEXT, "a list of names"),
        "The names under which you are known: From may carry one of them instead of the "
        "organisation's.",
        [],
    ),
    Key(
        "sender",
        "on_behalf_of",
        forms.TEXT,
        "Whom you send for, if their goods are advertised and not yours: it has to be attested "
        "that their suppression list is imported.",
        otherwise="yourself",
    ),
    Key(
        "sender",
        "postal_address_kind",
        choice("street", "usps-po-box", "cmra"),
        "What kind of address it is: a street address, a PO box registered with USPS, or a "
        "private mailbox at a commercial mail receiving agency (16 CFR 316.2(p)).",
        "street",
    ),
    Key(
        "message",
        "advertisers",
        listed(forms.TEXT, "a list of names"),
        "Whose goods the message advertises, if several persons'; the one of them in `from` is "
        "its sender (16 CFR 316.2(m)).",
        [],
    ),
    Key(
        "message",
        "offer_ends",
        DAY,
        'The last day of the offer, where the subject speaks of one ("today only").',
        otherwise="not declared",
    ),
    Key(
        "message",
        "sexually_explicit",
        forms.FLAG,
        "Whether it is sexually oriented: then it must be labelled so (16 CFR 316.4).",
        False,
    ),
    Key(
        "recipients",
        "source",
        choice("signup", "purchase", "customer", "event", "third-party", "other"),
        "Where the list comes from: its people signed up, bought, are customers, or met you "
        'at an event. "third-party" is a list that was bought, rented or appended; that and '
        '"other" have to be attested.',
        otherwise="not declared",
    ),
    Key(
        "check",
        "packs",
        PACKS,
        "The policy packs that `mailblast check` holds the campaign against.",
        list(DEFAULT_PACKS),
    ),
    Key(
        "check",
        "wireless_domains",
        forms.FILE,
        "The FCC's list of wireless domains, one a line: commercial mail to them needs "
        "express prior authorisation (47 CFR 64.3100).",
        otherwise="not looked at",
    ),
    Key(
        "check",
        "spam",
        FILTER,
        "A spam filter that runs already, to be asked what it thinks of a few messages. If it "
        "runs on another host, these messages leave this machine.",
        otherwise="none is asked",
    ),
    Key(
        "check",
        "dns",
        forms.FLAG,
        "Whether the DNS is asked what is published for your domains and addresses, and the web "
        "what stands behind it. `--no-dns` does without once.",
        True,
    ),
    Key(
        "check",
        "sending_addresses",
        ip.ADDRESSES,
        "The addresses from which your mail reaches the world: yours, or your relay's. "
        'With via = "direct" those in `source` count without being named here.',
        [],
    ),
    Key(
        "check",
        "spf_include",
        forms.DOMAIN,
        "The domain that your relay's operator wants included in your SPF record.",
        otherwise="none",
    ),
    Key(
        "check",
        "dnsbl",
        _ZONES,
        "The block lists that are asked for your sending addresses (RFC 5782), as "
        "zen.spamhaus.org.",
        [],
    ),
    Key(
        "check",
        "dnsbl_domains",
        _ZONES,
        "The block lists that are asked for your domains, as dbl.spamhaus.org.",
        [],
    ),
    Key(
        "check",
        "canary",
        CANARY,
        "Whom the address in [unsubscribe] `url` may unsubscribe when it is tried, by GET and by "
        "POST: a token that stands for nobody, or an address of your own, whose token is that of "
        "the last message to it.",
        otherwise="the address is not tried",
    ),
    Key(
        ATTEST,
        "*",
        ATTESTATION,
        "A person's word for the rule of this id; `mailblast check --attest` writes it.",
        otherwise="nothing is attested",
    ),
)
