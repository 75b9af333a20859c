"""The rules of `mailblast check` for block lists and the marks of certified senders."""

from dataclasses import replace

import pytest
from checking import attested, campaign, facts, findings, says
from told import told

from mailblast.check.published import ASKINGS, Listings

STANDARDS = "standards"
LISTS = campaign(
    declared={
        "sending_addresses": ("192.0.2.1",),
        "dnsbl": ("zen.test",),
    }
)
THERE = "2.0.0.127.zen.test. A 127.0.0.2\n"
SIX = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.zen.test. A 127.0.0.2\n"


def statuses(rule, text, kinds, made=None):
    """The statuses of a rule if this is what the DNS has."""
    made = made or campaign()
    groups = [told(text, ASKINGS[kind](made)) for kind in kinds]
    found = findings(rule, facts(made, *(one for one in groups if one)), STANDARDS)
    return [str(one.status) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (THERE, "pass"),
        (THERE + "1.2.0.192.zen.test. A 127.0.0.4", "fail"),
        ("1.2.0.192.zen.test. A 127.0.0.4", "fail"),
        # RFC 5782 §5: a list without its test entry is none, and its silence is no praise.
        ("", "skip"),
        # What lists answer to whom they do not serve.
        (THERE + "1.2.0.192.zen.test. A 127.255.255.254", "skip"),
        ("2.0.0.127.zen.test. A 127.255.255.252\n", "skip"),
        # A list that has gone, and whose domain was parked.
        ("2.0.0.127.zen.test. A 198.51.100.7\n1.2.0.192.zen.test. A 198.51.100.7", "skip"),
        (THERE + "1.2.0.192.zen.test. A !SERVFAIL", "skip"),
        ("2.0.0.127.zen.test. A !TIMEOUT", "skip"),
    ],
)
def test_block_lists(text, expected):
    """Listed, not listed, or a list whose word does not count."""
    assert statuses("DNS-BLOCKLIST", text, (Listings,), LISTS) == [expected]


def test_what_a_list_says():
    """Its code and its text are the evidence."""
    text = THERE + "1.2.0.192.zen.test. A 127.0.0.4\n"
    text += '1.2.0.192.zen.test. TXT "see https://zen.test/1"'
    told_ = facts(LISTS, told(text, ASKINGS[Listings](LISTS)))

    found = says("DNS-BLOCKLIST", told_, STANDARDS)

    assert found.evidence == "127.0.0.4 see https://zen.test/1"
    assert "192.0.2.1 is on the block list zen.test" in found.message


def test_block_lists_of_ipv6():
    """Nibbles, and a test entry of their own."""
    six = campaign(declared={"sending_addresses": ("2001:db8::1",), "dnsbl": ("zen.test",)})
    name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.test."

    assert statuses("DNS-BLOCKLIST", SIX, (Listings,), six) == ["pass"]
    assert statuses("DNS-BLOCKLIST", THERE, (Listings,), six) == ["skip"]
    assert statuses("DNS-BLOCKLIST", f"{SIX}{name} A 127.0.0.2", (Listings,), six) == [
        "fail"
    ]


def test_block_lists_of_domains():
    """From, return path and unsubscribe links, each domain once."""
    made = campaign(declared={"dnsbl_domains": ("dbl.test",)})
    there = "test.dbl.test. A 127.0.1.2\n"
    listed = "u.shop.example.dbl.test. A 127.0.1.2\n"

    assert statuses("DNS-BLOCKLIST", there, (Listings,), made) == ["pass", "pass"]
    assert statuses("DNS-BLOCKLIST", there + listed, (Listings,), made) == ["pass", "fail"]


def test_no_list_is_asked_that_nobody_named():
    """Which lists to believe is for the user to say."""
    asked = []
    assert told("", ASKINGS[Listings](campaign()), asked) is None
    assert asked == []


def headed(*names):
    made = campaign()
    headers = tuple((name, "x") for name in names)
    return replace(made, message=replace(made.message, headers=headers))


def test_the_mark_of_the_certified():
    """Only a person can say that the CSA has certified the sender."""
    rule, marked = "HDR-CSA", headed("X-CSA-Complaints")
    asked = says(rule, facts(marked), STANDARDS)

    assert says(rule, facts(headed()), STANDARDS).status == "pass"
    assert asked.status == "warn"
    word = attested(rule, asked.digest)
    given = replace(marked, declared=replace(marked.declared, **word))
    assert says(rule, facts(given), STANDARDS).status == "attested"


def test_vouching():
    """VBR-Info is in nobody's interest."""
    assert says("HDR-VBR", facts(headed()), STANDARDS).status == "pass"
    assert says("HDR-VBR", facts(headed("VBR-Info")), STANDARDS).status == "warn"
