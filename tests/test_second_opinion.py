"""SPF, DKIM and DMARC: what `check` says of a sender is what a receiver would find.

The receiver is rspamd, with the same real name servers; each sender is a domain of its own, for
rspamd remembers keys and records.  dkimpy has its say within `check` (BULK-DKIM).  Left out is
where rspamd is more lenient than RFC 7208: more than ten lookups, and two records.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commands import SETTINGS, letter, ok, run
from nameservers import Nameservers, needs_nameservers
from spamfilters import rspamd

from mailblast.campaign.declared import SpamFilter
from mailblast.keys import new_dkim_key

IP = "192.0.2.1"
DMARC = '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:d@{domain}"'
SPF = '@ TXT "v=spf1 ip4:192.0.2.1 -all"'
# What rspamd says where DMARC is content with one of the two.
ONE = {"DMARC_POLICY_ALLOW", "DMARC_POLICY_ALLOW_WITH_FAILURES"}


class Sender(NamedTuple):
    """What a domain publishes, and what both must say of it.

    `key` is what stands in the place of the key's record, "" for the right one.
    """

    spf: str
    key: str
    dmarc: str
    rules: dict[str, str]
    symbols: set[str]
    beside: str = ""  # the selector of a second key, with Ed25519


GOOD = {"BULK-SPF": "pass", "BULK-DKIM": "pass", "BULK-ALIGN": "pass", "BULK-DMARC": "pass"}
UNSIGNED = {**GOOD, "BULK-DKIM": "fail", "DKIM-KEY": "fail"}
SENDERS = {
    "right": Sender(
        SPF, "", DMARC, GOOD, {"R_SPF_ALLOW", "R_DKIM_ALLOW", "DMARC_POLICY_ALLOW"}
    ),
    "stranger": Sender(  # the key of somebody else is published
        SPF,
        "other",
        DMARC,
        UNSIGNED,
        {"R_SPF_ALLOW", "R_DKIM_REJECT", *ONE},
    ),
    "revoked": Sender(
        SPF,
        'TXT "v=DKIM1; p="',
        DMARC,
        UNSIGNED,
        {"R_SPF_ALLOW", "R_DKIM_PERMFAIL", "DMARC_POLICY_ALLOW"},
    ),
    "keyless": Sender(
        SPF,
        "A 192.0.2.9",
        DMARC,
        UNSIGNED,
        {"R_SPF_ALLOW", "R_DKIM_PERMFAIL", "DMARC_POLICY_ALLOW"},
    ),
    "elsewhere": Sender(  # SPF has another address
        '@ TXT "v=spf1 ip4:192.0.2.7 -all"',
        "",
        DMARC,
        {**GOOD, "BULK-SPF": "fail"},
        {"R_SPF_FAIL", "R_DKIM_ALLOW", *ONE},
    ),
    "unsure": Sender(
        '@ TXT "v=spf1 ip4:192.0.2.7 ~all"',
        "",
        DMARC,
        {**GOOD, "BULK-SPF": "fail"},
        {"R_SPF_SOFTFAIL", "R_DKIM_ALLOW", *ONE},
    ),
    "twice": Sender(
        SPF,
        "",
        DMARC,
        GOOD,
        {"R_SPF_ALLOW", "R_DKIM_ALLOW", "DMARC_POLICY_ALLOW"},
        beside="mb2",
    ),
    "silent": Sender(
        SPF,
        "",
        "",
        {"BULK-SPF": "pass", "BULK-DKIM": "pass", "BULK-DMARC": "warn"},
        {"R_SPF_ALLOW", "R_DKIM_ALLOW", "DMARC_NA"},
    ),
    "lost": Sender(  # neither holds: the message would be refused
        '@ TXT "v=spf1 ip4:192.0.2.7 -all"',
        "other",
        DMARC,
        {"BULK-SPF": "fail", "BULK-DKIM": "fail", "BULK-DMARC": "pass"},
        {"R_SPF_FAIL", "R_DKIM_REJECT", "DMARC_POLICY_REJECT"},
    ),
}


def strings(text: str) -> str:
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


def prepared(workspace: Path, name: str) -> str:
    """A sender's campaign, with its key; the zone that it publishes."""
    sender, domain = SENDERS[name], f"{name}.example"
    new_dkim_key(domain, "other", "rsa-sha256", workspace / "other.pem")
    path = workspace / f".mailblast/keys/{domain}.mb1.pem"
    path.parent.mkdir(parents=True)
    record = new_dkim_key(domain, "mb1", "rsa-sha256", path).record
    if sender.key == "other":
        other = new_dkim_key(domain, "mb1", "rsa-sha256", workspace / "another.pem")
        key = f"TXT {strings(other.record)}"
    else:
        key = sender.key or f"TXT {strings(record)}"
    records = [sender.spf, "@ MX 10 mail", f"mail A {IP}", f"mb1._domainkey {key}"]
    if selector := sender.beside:
        path = path.with_name(f"{domain}.{selector}.pem")
        second = new_dkim_key(domain, selector, "ed25519-sha256", path).record
        records.append(f"{selector}._domainkey TXT {strings(second)}")
    return "\n".join([*records, sender.dmarc.format(domain=domain), ""])


def settings(name: str, resolver: str) -> str:
    base = SETTINGS.replace(
        "[check]\ndns = false\n", f'[check]\nsending_addresses = ["{IP}"]\n'
    ).replace("shop.example", f"{name}.example")
    delivery = f'[delivery]\nvia = "direct"\nehlo = "mail.{name}.example"\n'
    beside = SENDERS[name].beside
    second = f'ed25519_selector = "{beside}"\n' if beside else ""
    return f'{base}[dkim]\nselector = "mb1"\n{second}{delivery}resolver = "{resolver}"\n'


def symbols(where: SpamFilter, name: str, content: bytes) -> dict[str, Any]:
    """What rspamd makes of a message that came from our address, by the names of its symbols."""
    headers = {
        "IP": IP,
        "Helo": f"mail.{name}.example",
        "Hostname": f"mail.{name}.example",
        "From": f"bounces@{name}.example",
        "Rcpt": "ann@inbox.example",
    }
    request = urllib.request.Request(
        f"http://{where.host}:{where.port}/checkv2", content, headers
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.loads(answer.read())["symbols"]
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SpamFilter]]:
    """Every sender, published on real name servers, and a receiver that asks them."""
    home = tmp_path_factory.mktemp("senders")
    zones = {}
    for name in SENDERS:
        (home / name).mkdir()
        zones[f"{name}.example"] = prepared(home / name, name)
    with Nameservers(zones) as dns, rspamd(dns.resolver) as (where, _):
        for name in SENDERS:
            text = settings(name, dns.resolver)
            letter(home / name, "ann@inbox.example,Ann\n", campaign_toml=text)
        yield home, where


@needs_nameservers
@pytest.mark.parametrize("name", SENDERS)
def test_both_say_the_same(world: tuple[Path, SpamFilter], name: str) -> None:
    """`check` before it is sent, and a receiver that has it."""
    home, where = world
    sender = SENDERS[name]
    found = run(home / name, "check", "letter", "--json").json["findings"]
    said = {one["id"]: one["status"] for one in found}
    message = ok(home / name, "preview", "letter", "--raw").raw

    assert {rule: said[rule] for rule in sender.rules} == sender.rules
    seen = symbols(where, name, message)
    families = ("R_SPF_", "R_DKIM_", "DMARC_")
    assert {one for one in seen if one.startswith(families)} == sender.symbols
    if sender.beside:
        keys = {f"{name}.example:s={selector}" for selector in ("mb1", sender.beside)}
        assert set(seen["R_DKIM_ALLOW"]["options"]) == keys
