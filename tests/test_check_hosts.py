"""The rules of `mailblast check` for names: reverse DNS, EHLO, SOA and MX."""

import pytest
from checking import campaign, facts, findings
from told import told

from mailblast.address import parse, parse_mailbox
from mailblast.check.published import ASKINGS, Domains, EhloName, Reverses
from mailblast.reverse import generic

BULK = "bulk-senders"
IP, IP6 = "192.0.2.1", "2001:db8::1"
POINTER = "1.2.0.192.in-addr.arpa. PTR mail.shop.example.\n"
BACK = "mail.shop.example. A 192.0.2.1\n"
POINTER6 = (
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR {}\n"
)


def statuses(rule, text, made=None, pack=BULK):
    """The statuses of a rule if this is what the DNS has."""
    made = made or campaign(declared={"sending_addresses": (IP,)})
    groups = [told(text, ASKINGS[kind](made)) for kind in (Reverses, EhloName, Domains)]
    found = findings(rule, facts(made, *(one for one in groups if one)), pack)
    return [str(one.status) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POINTER + BACK, "pass"),
        (POINTER + "mail.shop.example. A 192.0.2.2", "fail"),
        (POINTER, "fail"),
        ("", "fail"),
        ("1.2.0.192.in-addr.arpa. PTR x.example.\n" + POINTER + BACK, "pass"),
        ("1.2.0.192.in-addr.arpa. PTR !SERVFAIL", "warn"),
        ("1.2.0.192.in-addr.arpa. PTR !TIMEOUT", "skip"),
        (POINTER + "mail.shop.example. A !SERVFAIL", "skip"),
    ],
)
def test_reverse_dns_is_confirmed(text, expected):
    """A name, and the name leads back to the address."""
    assert statuses("BULK-PTR", text) == [expected]


def test_each_address_has_its_name():
    """Also that of IPv6, however it is written."""
    both = campaign(declared={"sending_addresses": (IP, IP6)})
    six = POINTER6.format("mail.shop.example.") + "mail.shop.example. AAAA 2001:DB8:0::1\n"

    assert statuses("BULK-PTR", POINTER + BACK, both) == ["pass", "fail"]
    assert statuses("BULK-PTR", POINTER + BACK + six, both) == ["pass", "pass"]


def test_a_relays_address_is_not_known():
    """Unless somebody says it."""
    relay = {"via": "relay", "host": "smtp.relay.example"}
    known = campaign(delivery=relay, declared={"sending_addresses": (IP,)})

    assert statuses("BULK-PTR", POINTER + BACK, campaign(delivery=relay)) == ["skip"]
    assert statuses("BULK-PTR", POINTER + BACK, known) == ["pass"]


def test_the_sources_of_direct_delivery_count():
    """Those on the public Internet: others are translated on the way."""
    own = campaign(delivery={"source": ("10.0.0.1", "8.8.8.8")})
    text = "8.8.8.8.in-addr.arpa. PTR mail.shop.example.\nmail.shop.example. A 8.8.8.8"

    assert statuses("BULK-PTR", text, own) == ["pass"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mail.shop.example", "pass"),
        ("shop.example", "pass"),
        ("1-2-0-192.isp.example", "warn"),
        ("mail.isp.test", "warn"),
    ],
)
def test_reverse_dns_is_your_own(name, expected):
    """The name is below your domain, and none of those that providers count through."""
    text = f"1.2.0.192.in-addr.arpa. PTR {name}."

    assert statuses("BULK-PTR-GENERIC", text) == [expected]


def test_without_a_name_there_is_none_to_judge():
    """That is for BULK-PTR to say."""
    assert statuses("BULK-PTR-GENERIC", "") == ["skip"]


@pytest.mark.parametrize(
    ("name", "ip", "part"),
    [
        ("mail.example.com", IP, ""),
        ("mail1.example.com", IP, ""),
        ("192-0-2-1.example.com", IP, "192-0-2-1"),
        ("host192.0.2.1.example.com", IP, "192.0.2.1"),
        ("1.2.0.192.example.com", IP, "1.2.0.192"),
        ("ip192000002001.example.com", IP, "192000002001"),
        ("292-0-2-1.example.com", IP, ""),
        ("dyn-7.example.com", IP, "dyn"),
        ("adsl.example.com", IP, "adsl"),
        ("dhcp7.example.com", IP, "dhcp"),
        ("poolside.example.com", IP, ""),
        ("clientele.example.com", IP, ""),
        (
            "2001-0db8-0000-0000-0000-0000-0000-0001.example.com",
            IP6,
            "20010db8" + "0" * 23 + "1",
        ),
        ("mail.example.com", IP6, ""),
    ],
)
def test_names_of_end_user_lines(name, ip, part):
    """The address is in the name, or a word of the trade."""
    assert generic(name, ip) == part


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POINTER + BACK, "pass"),
        (BACK, "pass"),
        (BACK + "1.2.0.192.in-addr.arpa. PTR other.shop.example.", "warn"),
        ("mail.shop.example. A 192.0.2.2", "fail"),
        ("", "fail"),
        ("mail.shop.example. A !SERVFAIL\nmail.shop.example. AAAA !SERVFAIL", "warn"),
        ("mail.shop.example. A !TIMEOUT\nmail.shop.example. AAAA !TIMEOUT", "skip"),
    ],
)
def test_the_name_in_ehlo(text, expected):
    """It leads to a sending address, and is what reverse DNS says."""
    assert statuses("SMTP-EHLO-NAME", text) == [expected]


def test_the_name_in_ehlo_without_an_address():
    """It has to be there in any case; a relay has its own."""
    relay = campaign(delivery={"via": "relay", "host": "smtp.relay.example"})

    assert statuses("SMTP-EHLO-NAME", BACK, campaign()) == ["skip"]
    assert statuses("SMTP-EHLO-NAME", "", campaign()) == ["fail"]
    assert statuses("SMTP-EHLO-NAME", "", relay) == ["skip"]


SOA = "shop.example. SOA ns. h. 1 2 3 4 5\n"
MX = "shop.example. MX 10 mail.shop.example.\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOA + MX, "pass"),
        (MX, "pass"),  # a subdomain: no SOA of its own, but it is there
        (SOA + "shop.example. A 192.0.2.1", "pass"),
        (SOA, "fail"),
        (SOA + "shop.example. MX 0 .", "fail"),
        ("", "fail"),
        ("shop.example. SOA !SERVFAIL", "fail"),
        ("shop.example. SOA !BOGUS", "fail"),
        ("shop.example. SOA !TIMEOUT", "skip"),
        (SOA + "shop.example. MX !SERVFAIL", "warn"),
    ],
)
def test_the_domains_exist_and_take_mail(text, expected):
    """There is such a domain, and mail to it goes somewhere."""
    assert statuses("BULK-DOMAIN-SOA", text) == [expected]


def test_the_return_paths_domain_exists_too():
    """Both are looked at, each once."""
    other = campaign(sender={"return_path": parse("b@bounce.shop.example")})
    bounce = "bounce.shop.example. MX 10 mail.shop.example.\n"

    assert statuses("BULK-DOMAIN-SOA", SOA + MX, other) == ["pass", "fail"]
    assert statuses("BULK-DOMAIN-SOA", SOA + MX + bounce, other) == ["pass", "pass"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MX, "pass"),
        ("shop.example. A 192.0.2.1", "warn"),
        (SOA, "fail"),
        ("shop.example. MX 0 .", "fail"),
        ("", "fail"),
        ("shop.example. MX !SERVFAIL", "warn"),
        ("shop.example. MX !TIMEOUT", "skip"),
    ],
)
def test_bounces_arrive(text, expected):
    """The return path's domain has an MX."""
    assert statuses("RP-VERP", text, None, "standards") == [expected]


@pytest.mark.parametrize(
    ("address", "text", "expected"),
    [
        ("news@shop.example", MX, "pass"),
        ("news@shop.example", "shop.example. A 192.0.2.1", "pass"),
        ("no-reply@shop.example", MX, "warn"),
        ("DoNotReply@shop.example", MX, "warn"),
        ("news@shop.example", "shop.example. MX 0 .", "fail"),
        ("news@shop.example", "", "fail"),
        ("news@shop.example", "shop.example. MX !TIMEOUT", "skip"),
    ],
)
def test_who_answers_is_heard(address, text, expected):
    """Reply-To, or From where there is none, takes mail."""
    made = campaign(sender={"reply_to": parse_mailbox(address)})

    assert statuses("BULK-REPLYABLE", text, made) == [expected]
