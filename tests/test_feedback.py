"""Complaint loops: the rules BULK-FBL and IN-CFBL, on messages that were really composed."""

import pytest
from checking import attested, campaign, facts, findings, listed, sample, says
from content import changed, composed, instead
from test_authentication import signer, signing

from mailblast.check.facts import Messages, Seen
from mailblast.check.signature import OwnKey

OWN = OwnKey(signer().public, signer().record())


def told(messages, *domains, made=None):
    """A message, and a list with a row at each of these domains."""
    seen = {name: Seen(1, number) for number, name in enumerate(domains, 2)}
    return facts(made or signing(campaign()), messages, listed(domains=seen), OWN)


# --- BULK-FBL -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("letter:news:bulk:exampleshop", "pass"),
        ("letter:exampleshop", "pass"),
        ("::bulk:exampleshop", "pass"),
        ("exampleshop", "fail"),
        ("a:b:c:d:exampleshop", "fail"),
        ("letter:news:bulk:shop", "fail"),
        ("letter:news:bulk:averylongsenderid", "fail"),
        ("letter news:bulk:exampleshop", "fail"),
    ],
)
def test_what_gmail_counts_by(value, expected):
    """Up to three fields and the sender's own name of 5 to 15 characters (GFBL)."""
    headers = (("To", "ann@inbox.example"), ("Feedback-ID", value))

    found = says("BULK-FBL", told(Messages((sample(headers=headers),))), "bulk-senders")
    assert found.status == expected


def test_what_mailblast_writes_can_be_counted():
    """The same for every recipient, and signed; another one, none, or an unsigned one fails."""

    def of(messages):
        return str(says("BULK-FBL", told(messages), "bulk-senders").status)

    assert of(composed()) == "pass"
    assert of(instead("Feedback-ID: ", "X-Feedback: ")) == "fail"
    assert (
        of(changed(lambda content: content.replace(b"feedback-id", b"x-feedback", 1)))
        == "fail"
    )
    first, *others = composed().samples
    name = ("Feedback-ID", "other:news:bulk:exampleshop")
    mine = tuple(one if one[0] != name[0] else name for one in first.headers)
    assert of(Messages((sample(headers=mine), *others))) == "fail"


def test_who_is_enrolled_at_yahoo():
    """Only a person can say that the domain is; nobody is asked who mails nobody there."""
    rule, pack = "BULK-FBL", "bulk-senders"
    for domain in ("yahoo.co.uk", "aol.com"):
        asked = says(rule, told(composed(), domain), pack)
        assert (asked.status, bool(asked.digest)) == ("warn", True)
        assert "shop.example is enrolled in Yahoo's" in asked.message
    assert says(rule, told(composed(), "inbox.example"), pack).status == "pass"

    made = signing(campaign(declared=attested(rule, asked.digest)))
    assert says(rule, told(composed(), "aol.com", made=made), pack).status == "attested"
    mute = signing(campaign(message={"purpose": "transactional"}))
    assert says(rule, told(composed(), "aol.com", made=mute), pack).status == "skip"


# --- IN-CFBL --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "skip"),
        ("fbl@shop.example; report=arf", "pass"),
        ("fbl@in.shop.example;report=xarf", "pass"),
        ("fbl@notshop.example; report=arf", "fail"),
        ("fbl@example; report=arf", "fail"),
        ("fbl@shop.example", "fail"),
        ("fbl@shop.example; report=json", "fail"),
        ("a@shop.example, b@shop.example; report=arf", "fail"),
    ],
)
def test_who_may_complain_to_whom(value, expected):
    """The address is at the domain that signs, or below it, and the field is signed."""
    line = f'[message.headers]\nCFBL-Address = "{value}"\n' if value else ""

    found = says("IN-CFBL", told(composed(settings=line)), "standards")
    assert found.status == expected


def test_an_address_for_complaints_that_counts_for_nobody():
    """Given twice, unsigned, or in a message that nobody signs here."""
    line = '[message.headers]\nCFBL-Address = "fbl@shop.example; report=arf"\n'
    good = composed(settings=line)

    def of(messages, made=None):
        (only,) = findings("IN-CFBL", told(messages, made=made), "standards")
        return only.status

    assert (
        of(changed(lambda content: b"CFBL-Address: a@b.example\r\n" + content, good))
        == "fail"
    )
    assert (
        of(changed(lambda content: content.replace(b"cfbl-address", b"x", 1), good))
        == "fail"
    )
    assert of(good, campaign()) == "fail"
    unkeyed = facts(signing(campaign()), good, listed(), object())
    assert says("IN-CFBL", unkeyed, "standards").status == "skip"
