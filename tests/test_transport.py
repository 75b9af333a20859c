"""DNS-MTASTS and TLS-RPT: as they read, then with a real DNS server and a real policy host."""

import asyncio
import os

import pytest
from checking import campaign, facts, findings
from nameservers import Nameservers, needs_nameservers
from scripted_dns import ScriptedDns
from test_check_dns import campaign as letter_with_key
from test_check_dns import found, settings, zones
from told import told
from web import Website, trusted

from mailblast.check.published import ASKINGS, Domains, Transport
from mailblast.check.transport import StsPolicies
from mailblast.errors import Refusal
from mailblast.lookup import Lookup
from mailblast.preflight.behind import policies
from mailblast.preflight.reach import Reach
from mailblast.resolver import Resolver

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the port of HTTPS")

STANDARDS = "standards"
RECORD = '_mta-sts.shop.example. TXT "v=STSv1; id=20261125"\n'
MX = "shop.example. MX 10 mail.shop.example.\n"
POLICY = "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: {age}\n"
GOOD = POLICY.format(mode="enforce", mx="mail.shop.example", age=604_800)


def statuses(rule, text, policy=GOOD):
    """The statuses of a rule if this is what the DNS and the policy host have."""
    made = campaign()
    groups = [told(text, ASKINGS[kind](made)) for kind in (Transport, Domains)]
    texts = StsPolicies({"shop.example": policy})
    return [
        str(one.status) for one in findings(rule, facts(made, *groups, texts), STANDARDS)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RECORD + MX, "pass"),
        ('_mta-sts.shop.example. TXT "v=STSv1"', "fail"),
        ('_mta-sts.shop.example. TXT "v=STSv1; id=1"\n' * 2, "fail"),
        ("", "warn"),
        ("_mta-sts.shop.example. TXT !SERVFAIL", "warn"),
        ("_mta-sts.shop.example. TXT !TIMEOUT", "skip"),
    ],
)
def test_mta_sts(text, expected):
    """One record with an id, for the domains that mail comes back to."""
    assert statuses("DNS-MTASTS", text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('_smtp._tls.shop.example. TXT "v=TLSRPTv1; rua=mailto:t@shop.example"', "pass"),
        ('_smtp._tls.shop.example. TXT "v=TLSRPTv1"', "fail"),
        ('_smtp._tls.shop.example. TXT "v=TLSRPTv1; rua=mailto:t@x.example"\n' * 2, "fail"),
        ("", "warn"),
        ("_smtp._tls.shop.example. TXT !TIMEOUT", "skip"),
    ],
)
def test_tls_rpt(text, expected):
    """One record with an address for reports."""
    assert statuses("TLS-RPT", text) == [expected]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (GOOD, "pass"),
        (GOOD.replace("mail.shop", "*.shop"), "pass"),
        (GOOD.replace("mail.shop", "other.shop"), "fail"),
        (GOOD.replace("enforce", "testing"), "warn"),
        (GOOD.replace("enforce", "testing").replace("mail.shop", "other.shop"), "warn"),
        (GOOD.replace("enforce", "none"), "warn"),
        (GOOD.replace("604800", "3600"), "warn"),
        (GOOD.replace("STSv1", "STSv2"), "fail"),
        ("<!doctype html><title>Not found</title>", "fail"),
        (Refusal("mta-sts.shop.example: status 404"), "fail"),
    ],
)
def test_the_policy(policy, expected):
    """It is there, it is enforced, and it names every mail host."""
    assert statuses("DNS-MTASTS", RECORD + MX, policy) == [expected]


def test_a_policy_that_was_not_fetched_is_no_pass():
    """The record alone says that there is one, and no more."""
    made = campaign()
    (one,) = findings(
        "DNS-MTASTS", facts(made, told(RECORD, ASKINGS[Transport](made))), STANDARDS
    )

    assert one.status == "skip"


@needs_root
def test_policies_are_fetched_from_their_host(tmp_path):
    """Of the domains that have a record, over HTTPS, with a certificate for that name."""
    authority, file = trusted(tmp_path)
    there = {("mta-sts.shop.example", "A"): "127.0.6.2"}
    records = Transport(
        {"shop.example": Lookup(("v=STSv1; id=1",)), "other.example": Lookup(())}, {}
    )

    async def main():
        async with ScriptedDns(there) as dns:
            reach = Reach(Resolver(dns.server), allow_loopback=True, ca_file=file)
            return await policies(records, reach)

    with Website(authority, "127.0.6.2", "mta-sts.shop.example", plain(GOOD), port=443):
        good = asyncio.run(main())
    nobody = asyncio.run(main())

    assert good.each == {"shop.example": GOOD}
    assert isinstance(nobody.each["shop.example"], Refusal)


def plain(text):
    """Answers with a text."""
    return lambda _method, _times: (200, {"Content-Type": "text/plain"}, text)


@needs_root
@needs_nameservers
def test_check_reads_the_policy(tmp_path):
    """Through `mailblast check`: a policy that leaves out the mail host is a failure."""
    key = letter_with_key(tmp_path, "127.0.0.1:1")
    authority, file = trusted(tmp_path)
    zone = zones(key)
    zone["shop.example"] += "mta-sts A 127.0.6.3\n"
    bad = plain(GOOD.replace("mail.shop", "other.shop"))
    site = Website(authority, "127.0.6.3", "mta-sts.shop.example", bad, port=443)
    with Nameservers(zone) as dns, site:
        (tmp_path / "letter/campaign.toml").write_text(settings(dns.resolver))
        seen = found(tmp_path, env={"SSL_CERT_FILE": str(file)})
        quiet = found(tmp_path, "--no-dns")

    assert seen["DNS-MTASTS"] == ("fail", "mx: other.shop.example")
    assert quiet["DNS-MTASTS"][0] == "skip"
