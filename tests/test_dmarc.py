"""DMARC's walk up the tree, and what follows from it (RFC 9989 §4.10)."""

import pytest
from told import told

from mailblast.dmarc import aligned, parse, steps_of, walk


def walked(text, domain):
    return told(text, walk(domain))


def record(domain, tags):
    return f'_dmarc.{domain}. TXT "v=DMARC1; {tags}"\n'


def test_eight_steps_at_most():
    """§4.10: from a long name the walk goes on at its last seven labels."""
    assert steps_of("a.mail.example.com") == (
        "a.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )
    assert steps_of("a.b.c.d.e.f.g.h.i.j.mail.example.com") == (
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )
    assert len(steps_of("1.2.3.4.5.6.7.8")) == 8


@pytest.mark.parametrize(
    ("text", "domain", "expected"),
    [
        ("", "a.mail.example.com", "a.mail.example.com"),  # nobody says anything
        (record("example.com", "p=none"), "a.mail.example.com", "example.com"),
        # The one with the fewest labels.
        (
            record("mail.example.com", "p=none") + record("example.com", "p=none"),
            "a.mail.example.com",
            "example.com",
        ),
        # psd=n ends the walk there.
        (
            record("mail.example.com", "p=none; psd=n") + record("example.com", "p=none"),
            "a.mail.example.com",
            "mail.example.com",
        ),
        # Below psd=y, by one label.
        (record("com", "p=none; psd=y"), "a.mail.example.com", "example.com"),
        (
            record("gov.uk", "psd=y") + record("a.gov.uk", "p=none"),
            "b.a.gov.uk",
            "a.gov.uk",
        ),
        # Where the walk began, psd=y does not put the domain below itself.
        (record("gov.uk", "p=none; psd=y"), "gov.uk", "gov.uk"),
    ],
)
def test_the_organisational_domain(text, domain, expected):
    """§4.10.2."""
    assert walked(text, domain).organisational == expected


@pytest.mark.parametrize(
    ("text", "domain", "found", "requested"),
    [
        (record("a.example.com", "p=reject"), "a.example.com", "a.example.com", "reject"),
        (record("example.com", "p=reject"), "a.example.com", "example.com", "reject"),
        (
            record("example.com", "p=none; sp=reject"),
            "a.example.com",
            "example.com",
            "reject",
        ),
        (
            record("example.com", "p=reject; sp=none"),
            "example.com",
            "example.com",
            "reject",
        ),
        (record("bank", "p=reject; psd=y"), "a.bank", "bank", "reject"),
        # A missing or unknown p is p=none.
        (
            record("example.com", "rua=mailto:d@example.com"),
            "example.com",
            "example.com",
            "none",
        ),
        (record("example.com", "p=sometimes"), "example.com", "example.com", "none"),
        ("", "example.com", "", ""),
        # Two records are none.
        (
            record("a.example.com", "p=reject") * 2 + record("example.com", "p=quarantine"),
            "a.example.com",
            "example.com",
            "quarantine",
        ),
    ],
)
def test_whose_policy_holds(text, domain, found, requested):
    """§4.10.1: the domain's own, its organisation's, its suffix's."""
    walk_ = walked(text, domain)

    assert (walk_.policy.domain if walk_.policy else "") == found
    assert walk_.requested == requested


def test_a_record_in_between_is_nobodys_policy():
    """Neither the domain's own nor that of its organisation."""
    text = record("b.example.com", "p=reject") + record("example.com", "p=none")

    assert walked(text, "a.b.example.com").policy.domain == "example.com"


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("v=DMARC1", True),
        ("v=DMARC1;", True),
        ("v = DMARC1 ; p=none", True),
        ("v=DMARC1; p", True),
        ("v=dmarc1; p=none", False),
        ("v=DMARC2; p=none", False),
        ("v=DMARC1 p=none", False),
        (" v=DMARC1; p=none", False),
        ("p=none; v=DMARC1", False),
        ("", False),
    ],
)
def test_what_a_record_is(text, there):
    """§4.7: v first, and exactly; what is wrong behind it is overlooked."""
    assert (parse("a.example", text) is not None) == there


def test_alignment():
    """§4.4: relaxed compares organisations, strict the domains themselves."""
    text = record("example.com", "p=none")
    here, below, other = (
        walked(text, n) for n in ("example.com", "a.example.com", "b.test")
    )

    assert aligned(here, below, "relaxed")
    assert not aligned(here, below, "strict")
    assert aligned(below, below, "strict")
    assert not aligned(here, other, "relaxed")


def test_all_steps_are_asked_at_once():
    """The walk is one round of questions."""
    asked = []
    told("", walk("a.b.example.com"), asked)

    assert [one.name for one in asked] == [
        "_dmarc.a.b.example.com",
        "_dmarc.b.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    ]


def test_a_hole_in_the_walk():
    """What was not answered may be a record."""
    assert walked("_dmarc.example.com. TXT !SERVFAIL", "a.example.com").unknown
    assert walked("", "a.example.com").unknown is None
