"""`mailblast check` and `mailblast dns` as a user runs them, against real name servers."""

import asyncio
import threading
from contextlib import contextmanager

from commands import SETTINGS, letter, ok
from nameservers import Nameservers, needs_nameservers
from scripted_dns import ScriptedDns, bogus, cname_loop, silence

from mailblast.keys import new_dkim_key
from mailblast.preflight.published import NOT_ASKED

PEOPLE = "ann@inbox.example,Ann\n"
CHECK = '[check]\nsending_addresses = ["192.0.2.1"]\n'
DKIM = '[dkim]\nselector = "mb1"\n'


def settings(
    resolver, check=CHECK, more=DKIM, via='via = "direct"\nehlo = "mail.shop.example"\n'
):
    """The settings of a sender whose DNS this resolver knows."""
    assert "[check]\ndns = false\n" in SETTINGS
    base = SETTINGS.replace("[check]\ndns = false\n", check)
    return f'{base}{more}[delivery]\n{via}resolver = "{resolver}"\nallow_loopback = true\n'


def campaign(workspace, resolver, **changes):
    """A campaign with a key; what is to be published for it."""
    letter(workspace, PEOPLE, campaign_toml=settings(resolver, **changes))
    path = workspace / ".mailblast/keys/shop.example.mb1.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    return new_dkim_key("shop.example", "mb1", "rsa-sha256", path).record


def strings(text):
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


def zones(key):
    """Everything that this sender should have."""
    return {
        "shop.example": f"""\
@ MX 10 mail
@ TXT "v=spf1 ip4:192.0.2.1 -all"
mail A 192.0.2.1
u A 127.0.0.1
mb1._domainkey TXT {strings(key)}
_dmarc TXT "v=DMARC1; p=none; rua=mailto:dmarc@shop.example"
_mta-sts TXT "v=STSv1; id=1"
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@shop.example"
""",
        "2.0.192.in-addr.arpa": "1 PTR mail.shop.example.",
    }


DNS_RULES = (
    "CANSPAM-HEADER-TRUE",
    *("BULK-SPF", "SPF-LOOKUPS", "SPF-SYNTAX", "BULK-DKIM", "DKIM-KEY", "BULK-DMARC"),
    *("BULK-ALIGN", "BULK-ALIGN-BOTH", "DMARC-REJECT-SPFONLY", "BULK-PTR"),
    *("BULK-PTR-GENERIC", "SMTP-EHLO-NAME", "BULK-DOMAIN-SOA", "BULK-REPLYABLE"),
    *("BULK-FROM-IMPERSONATE", "RP-VERP", "RP-ALIGN", "TLS-RPT"),
)


def found(workspace, *words, status=0, **more):
    """The statuses of the rules that ask the DNS, and the evidence of each."""
    seen = ok(workspace, "check", "letter", "--json", *words, status=status, **more).json[
        "findings"
    ]
    return {one["id"]: (one["status"], one["evidence"]) for one in seen}


@needs_nameservers
def test_a_sender_who_has_published_everything(tmp_path):
    """Every rule passes, by answers of a real name server; then `dns` has nothing to add."""
    workspace = tmp_path
    key = campaign(workspace, "127.0.0.1:1")
    with Nameservers(zones(key)) as dns:
        toml = workspace / "letter/campaign.toml"
        toml.write_text(settings(dns.resolver))

        seen = found(workspace)
        assert {rule: seen[rule][0] for rule in DNS_RULES} == dict.fromkeys(
            DNS_RULES, "pass"
        )

        shown = ok(workspace, "dns", "letter").out
        assert "All that is needed is published." in shown
        assert not any(line.startswith(("+", "-")) for line in shown.splitlines())


@needs_nameservers
def test_a_sender_who_has_published_nothing(tmp_path):
    """What is missing fails; `dns` prints it, and what it prints makes every rule pass."""
    campaign(tmp_path, "127.0.0.1:1")
    toml = tmp_path / "letter/campaign.toml"
    empty = {"shop.example": "", "2.0.192.in-addr.arpa": ""}
    with Nameservers(empty) as dns:
        toml.write_text(settings(dns.resolver))
        seen = found(tmp_path, status=4)
        failing = {rule for rule in DNS_RULES if seen[rule][0] == "fail"}
        assert {"BULK-SPF", "BULK-DKIM", "DKIM-KEY", "BULK-PTR", "RP-VERP"} <= failing

        diff = ok(tmp_path, "dns", "letter").out
        assert '+ shop.example. IN TXT "v=spf1 ip4:192.0.2.1 ~all"' in diff
        pasted = ok(tmp_path, "dns", "letter", "--zone").out
    # The commented lines are those of another's zone, or optional: uncommented by hand.
    lines = [line.removeprefix("; ") for line in pasted.splitlines() if ". IN " in line]
    reverse = [line for line in lines if ".arpa." in line]
    ours = [line for line in lines if line not in reverse]
    web = (
        "u A 127.0.0.1"  # of the unsubscribe address, which is the web server's to publish
    )
    full = {
        "shop.example": "\n".join([*ours, web]),
        "2.0.192.in-addr.arpa": "\n".join(reverse),
    }
    with Nameservers(full) as dns:
        toml.write_text(settings(dns.resolver))
        seen = found(tmp_path)
        assert {rule: seen[rule][0] for rule in DNS_RULES} == dict.fromkeys(
            DNS_RULES, "pass"
        )
        assert "All that is needed is published." in ok(tmp_path, "dns", "letter").out


@needs_nameservers
def test_what_is_published_wrong_is_changed(tmp_path):
    """The smallest change: what is good stays, as it is written."""
    key = campaign(tmp_path, "127.0.0.1:1")
    wrong = zones(key)
    wrong["shop.example"] = (
        wrong["shop.example"]
        .replace(
            '"v=spf1 ip4:192.0.2.1 -all"', '"v=spf1 mx:none.example ip4:192.0.2.7 -all"'
        )
        .replace("v=DKIM1; k=rsa; p=", "v=DKIM1; k=rsa; t=y; p=")
    )
    with Nameservers(wrong) as dns:
        (tmp_path / "letter/campaign.toml").write_text(settings(dns.resolver))
        document = ok(tmp_path, "dns", "letter", "--json").json
        (spf,) = [one for one in document["entries"] if one["what"].startswith("SPF")]
        (dkim,) = [one for one in document["entries"] if one["what"] == "DKIM"]

    assert spf["removed"] == ["v=spf1 mx:none.example ip4:192.0.2.7 -all"]
    assert spf["added"] == ["v=spf1 mx:none.example ip4:192.0.2.7 ip4:192.0.2.1 -all"]
    assert dkim["added"] == [key]
    assert "t=y" in dkim["removed"][0]


@needs_nameservers
def test_two_keys(tmp_path):
    """Both are judged, each for itself; `dns` has the record of each."""
    first = campaign(tmp_path, "127.0.0.1:1")
    path = tmp_path / ".mailblast/keys/shop.example.mb2.pem"
    second = new_dkim_key("shop.example", "mb2", "ed25519-sha256", path).record
    toml = tmp_path / "letter/campaign.toml"
    both = f'{DKIM}ed25519_selector = "mb2"\n'
    lacking = zones(first)
    with Nameservers(lacking) as dns:
        toml.write_text(settings(dns.resolver, more=both))
        seen = found(tmp_path, status=4)
        assert [seen[rule][0] for rule in ("DKIM-KEY", "BULK-DKIM")] == ["fail", "fail"]
        assert "mb2._domainkey.shop.example" in seen["BULK-DKIM"][1]
        shown = ok(tmp_path, "dns", "letter").out
        assert f'+ mb2._domainkey.shop.example. IN TXT "{second}"' in shown
        assert "+ mb1._domainkey" not in shown
    complete = {**lacking}
    complete["shop.example"] += f"mb2._domainkey TXT {strings(second)}\n"
    with Nameservers(complete) as dns:
        toml.write_text(settings(dns.resolver, more=both))
        seen = found(tmp_path)
        rules = ("DKIM-KEY", "BULK-DKIM", "CANSPAM-HEADER-TRUE")
        assert [seen[rule][0] for rule in rules] == ["pass", "pass", "pass"]
        assert "All that is needed is published." in ok(tmp_path, "dns", "letter").out


@needs_nameservers
def test_signatures_of_the_zone_that_are_wrong(tmp_path):
    """Receivers that validate see nothing at all: DNSSEC bogus fails."""
    key = campaign(tmp_path, "127.0.0.1:1")
    forged = {"shop.example": ("ip4:192.0.2.1", "ip4:192.0.2.2")}
    with Nameservers(zones(key), forged=forged) as dns:
        (tmp_path / "letter/campaign.toml").write_text(settings(dns.resolver))
        status, evidence = found(tmp_path, status=4)["BULK-SPF"]

    assert status == "fail"
    assert "DNSSEC" in evidence


# --- A sender who has got everything wrong ------------------------------------------------

# What `check` says of such a one; the other rules of the DNS have their cases elsewhere.
MISCONFIGURED = {
    "CANSPAM-HEADER-TRUE": "fail",
    "BULK-SPF": "fail",
    "SPF-LOOKUPS": "fail",
    "SPF-SYNTAX": "warn",
    "SPF-HARDFAIL": "warn",
    "BULK-DKIM": "fail",
    "DKIM-KEY": "fail",
    "BULK-DMARC": "warn",
    "BULK-ALIGN": "warn",
    "DMARC-REJECT-SPFONLY": "fail",
    "RP-ALIGN": "warn",
    "BULK-FROM-IMPERSONATE": "fail",
    "BULK-PTR": "fail",
    "BULK-PTR-GENERIC": "warn",
    "SMTP-EHLO-NAME": "fail",
    "BULK-DOMAIN-SOA": "fail",
    "RP-VERP": "fail",
    "BULK-REPLYABLE": "fail",
    "DNS-BLOCKLIST": "fail",
    "DNS-MTASTS": "warn",
    "TLS-RPT": "warn",
    "DNS-BIMI": "fail",
    "HDR-CSA": "warn",
    "HDR-VBR": "warn",
}
# These need a long list, or that one of two is right.
APART = {"BULK-THRESHOLD", "BULK-ALIGN-BOTH"}

WRONG = """\
[sender]
from = "Example Shop <news@shop.example>"
return_path = "bounces@other.example"
postal_address = ["Example Shop Ltd", "Main Road 7", "1234 Town"]
[message]
subject = "News for {{ name }}"
[message.headers]
X-CSA-Complaints = "csa-complaints@eco.de"
VBR-Info = "md=shop.example; mc=all; mv=vouch.example"
[unsubscribe]
url = "https://u.shop.example/u"
[dkim]
domain = "d.shop.example"
selector = "mb1"
[check]
sending_addresses = ["192.0.2.1"]
dnsbl = ["zen.example"]
[delivery]
via = "direct"
ehlo = "mail.shop.example"
"""
OLD_KEY = (
    "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4"
    "p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
)
WRONG_ZONE = {
    ("other.example", "TXT"): f'"v=spf1 ptr {"a:mx.other.example " * 10}-all"',
    ("mx.other.example", "A"): "198.51.100.1",
    ("mb1._domainkey.d.shop.example", "TXT"): f'"{OLD_KEY}"',
    ("_dmarc.shop.example", "TXT"): '"v=DMARC1; p=reject; adkim=s"',
    ("1.2.0.192.in-addr.arpa", "PTR"): "adsl-192-0-2-1.isp.example.",
    ("shop.example", "SOA"): "ns.shop.example. h.shop.example. 1 2 3 4 5",
    ("shop.example", "MX"): "0 .",
    (
        "default._bimi.shop.example",
        "TXT",
    ): '"v=BIMI1; l=http://shop.example/l.svg; a=https://shop.example/v.pem"',
    ("2.0.0.127.zen.example", "A"): "127.0.0.2",
    ("1.2.0.192.zen.example", "A"): "127.0.0.4",
}


def test_a_sender_with_every_fault(tmp_path):
    """Exactly those rules that are broken, and no other of the DNS."""
    with scripted(WRONG_ZONE) as dns:
        toml = WRONG + f'resolver = "{dns.server}"\n'
        letter(tmp_path, PEOPLE, campaign_toml=toml)
        path = tmp_path / ".mailblast/keys/d.shop.example.mb1.pem"
        path.parent.mkdir(parents=True)
        new_dkim_key("d.shop.example", "mb1", "rsa-sha256", path)
        words = (
            "check",
            "letter",
            "--json",
            "--pack",
            "can-spam",
            "--pack",
            "bulk-senders",
            "--pack",
            "standards",
        )
        findings = ok(tmp_path, *words, status=4).json["findings"]

    wrong = {
        one["id"]: one["status"] for one in findings if one["status"] in ("fail", "warn")
    }
    assert {rule: wrong.get(rule) for rule in MISCONFIGURED} == MISCONFIGURED
    assert APART.isdisjoint(wrong)


# --- Servers that answer as they should not -----------------------------------------------


@contextmanager
def scripted(script):
    """A scripted name server, beside this thread; its address and what it was asked."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    dns = ScriptedDns(script)

    def do(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    do(dns.__aenter__())
    try:
        yield dns
    finally:
        do(dns.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


LONG = "\n".join(f'"v=verification {n} {"x" * 60}"' for n in range(60))


def test_answers_that_go_wrong(tmp_path):
    """Truncated answers are asked again by TCP; failures and loops end as findings."""
    script = {
        ("shop.example", "TXT"): f'{LONG}\n"v=spf1 ip4:192.0.2.1 -all"',
        ("shop.example", "SOA"): "SERVFAIL",
        ("shop.example", "MX"): "10 mail.shop.example.",
        ("mail.shop.example", "A"): cname_loop,
        ("mail.shop.example", "AAAA"): cname_loop,
        ("mb1._domainkey.shop.example", "TXT"): bogus,
        ("_dmarc.shop.example", "TXT"): '"v=DMARC1; p=none; rua=mailto:d@shop.example"',
    }
    with scripted(script) as dns:
        campaign(tmp_path, dns.server)
        seen = found(tmp_path, status=4)
        asked = {(name, kind, protocol) for name, kind, protocol in dns.asked}

    assert ("shop.example", "TXT", "tcp") in asked
    assert seen["BULK-SPF"][0] == "pass"
    assert seen["BULK-DOMAIN-SOA"][0] == "fail"
    assert seen["DKIM-KEY"][0] == "fail"
    assert seen["BULK-DMARC"][0] == "pass"
    assert seen["SMTP-EHLO-NAME"][0] in ("warn", "skip")
    assert seen["RP-VERP"][0] == "pass"


def test_nobody_answers(tmp_path):
    """Offline, or behind a dead resolver: all is skipped, and it ends."""
    script = dict.fromkeys(
        (("shop.example", kind) for kind in ("TXT", "MX", "SOA")), silence
    )
    with scripted(script) as dns:
        dns.script = _Silent()
        campaign(tmp_path, dns.server)
        seen = found(tmp_path)

    assert {rule: seen[rule][0] for rule in DNS_RULES} == dict.fromkeys(DNS_RULES, "skip")
    assert "the DNS" in seen["BULK-SPF"][1]


class _Silent(dict):
    """A script that never answers."""

    def get(self, *_):
        return silence


def test_no_resolver_at_all(tmp_path):
    """A closed port, or a server that fails every question, is nobody's finding either."""
    with scripted({}) as dns:
        dns.script = _Failing()
        campaign(tmp_path, dns.server)
        seen = found(tmp_path)
    assert {rule: seen[rule][0] for rule in DNS_RULES} == dict.fromkeys(DNS_RULES, "skip")
    assert seen["BULK-SPF"][1] == "the DNS answers nothing: the name servers fail"


class _Failing(dict):
    """A script that fails always."""

    def get(self, *_):
        return "SERVFAIL"


def test_nothing_is_asked_where_nobody_wants_it(tmp_path):
    """With --no-dns, with dns = false, and in practice, no question leaves."""
    with scripted({}) as dns:
        campaign(tmp_path, dns.server)
        seen = found(tmp_path, "--no-dns")
        assert seen["BULK-SPF"] == (
            "skip",
            NOT_ASKED.why,
        )
        toml = tmp_path / "letter/campaign.toml"
        toml.write_text(settings(dns.server, check="[check]\ndns = false\n"))
        assert found(tmp_path)["BULK-SPF"][0] == "skip"
        toml.write_text(settings(dns.server, via='via = "sandbox"\n'))
        assert found(tmp_path)["BULK-SPF"] == ("skip", "practice asks no DNS")
        ok(tmp_path, "send", "letter", "--yes", status=0)
        assert dns.asked == []


def test_send_looks_at_the_dns_too(tmp_path):
    """It refuses what fails, and goes on where nothing answers."""
    with scripted({}) as dns:
        campaign(tmp_path, dns.server)
        refused = ok(tmp_path, "send", "letter", "--yes", status=4)
        assert "BULK-SPF" in refused.err
    with scripted({}) as dns:
        dns.script = _Failing()
        campaign_toml = tmp_path / "letter/campaign.toml"
        campaign_toml.write_text(settings(dns.server))
        gone_on = ok(tmp_path, "send", "letter", "--yes", "--dry-run")
        assert "BULK-SPF" not in gone_on.err + gone_on.out
