"""CANSPAM-HEADER-TRUE: whom the header names is who sends, and whom it is to is who gets it."""

from dataclasses import replace

import pytest
from checking import attested, campaign, facts, sample, says
from test_authentication import key_zone, published, signer
from test_content import of

from mailblast.address import parse
from mailblast.campaign import Dkim
from mailblast.check.facts import Messages
from mailblast.check.published import DkimKey
from mailblast.check.signature import OwnKey

RULE = "CANSPAM-HEADER-TRUE"
OURS = key_zone(signer().record())
POLICY = '_dmarc.shop.example. TXT "v=DMARC1; p=none"\n'


def told(text, made, *more):
    return published(text, made, Messages((sample(),)), *more)


def own(key=None):
    """The private key that signs, of which the public half is told."""
    key = key or signer()
    return OwnKey(key.public, key.record())


def signing(domain="shop.example", **changes):
    return replace(campaign(**changes), dkim=Dkim(domain, "mb1", None, "rsa-sha256"))


def elsewhere(domain):
    """A return path at another domain."""
    return {"sender": {"return_path": parse(f"bounces@{domain}")}}


@pytest.mark.parametrize(
    ("text", "changes", "key", "expected"),
    [
        (OURS + POLICY, {}, own(), "pass"),
        # A domain below that of the key, or of its organisation, is proven with it.
        (OURS + POLICY, elsewhere("bounce.shop.example"), own(), "pass"),
        (OURS + POLICY, elsewhere("notshop.example"), own(), "fail"),
        (OURS + POLICY, {"unsubscribe": {"url": "https://u.esp.example/u"}}, own(), "fail"),
        # The key of somebody else, or none, proves nothing.
        (key_zone(signer(1024).record()) + POLICY, {}, own(), "fail"),
        (OURS + POLICY, {}, object(), "fail"),
        ("mb1._domainkey.shop.example. TXT \"v=DKIM1; p=\"\n", {}, own(), "fail"),
        (POLICY, {}, own(), "fail"),
        # No answer is no finding: DKIM-KEY has it.
        ("mb1._domainkey.shop.example. TXT !TIMEOUT\n", {}, own(), "skip"),
        ("mb1._domainkey.shop.example. TXT !SERVFAIL\n", {}, own(), "warn"),
    ],
)  # fmt: skip
def test_every_domain_is_proven(text, changes, key, expected):
    """By the key that is published, for From, return path, signature and unsubscribe link."""
    assert says(RULE, told(text, signing(**changes), key)).status == expected


def test_the_key_of_a_subdomain_speaks_for_the_organisation():
    """Which domain that is, the walk up the tree says (RFC 9989); without one, for itself."""
    text = OURS.replace("shop.example", "mail.shop.example")

    assert (
        says(RULE, told(text + POLICY, signing("mail.shop.example"), own())).status
        == "pass"
    )
    none = "_dmarc.shop.example. TXT !TIMEOUT\n_dmarc.mail.shop.example. TXT !TIMEOUT\n"
    assert (
        says(RULE, told(text + none, signing("mail.shop.example"), own())).status == "fail"
    )


def test_somebody_says_so():
    """What no key proves takes a word, which is of these domains alone."""
    relay = campaign(delivery={"via": "relay", "host": "smtp.relay.example"})
    asked = says(RULE, told(POLICY, relay))
    assert (asked.status, bool(asked.digest)) == ("fail", True)
    assert asked.message.startswith("shop.example in From is not proven to be yours")

    word = attested(RULE, asked.digest)
    given = replace(relay, declared=replace(relay.declared, **word))
    assert says(RULE, told(POLICY, given)).status == "attested"
    moved = replace(given, sender=replace(given.sender, return_path=parse("b@x.example")))
    assert says(RULE, told(POLICY, moved)).status == "fail"


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("ann@inbox.example", "skip"),
        ("ANN@Inbox.example", "skip"),
        ('"Ann, A. <x@y.example>" <ann@inbox.example>', "skip"),
        ("", "fail"),
        ("bo@inbox.example", "fail"),
        ("Ann <bo@inbox.example>", "fail"),
        ("ann@inbox.example, bo@inbox.example", "fail"),
    ],
)
def test_whom_it_is_to(to, expected):
    """To is exactly whom the mail goes to; without the DNS no more is looked at."""
    made = Messages((sample(headers=(("To", to), ("Subject", "News for Ann"))),))

    assert of(made, RULE, "can-spam") == expected


def test_without_the_dns_nobody_is_asked():
    """Nothing fails offline."""
    assert says(RULE, facts(signing(), Messages((sample(),)), own())).status == "skip"
    only = published(OURS, signing(), Messages((sample(),)), kinds=(DkimKey,))
    assert says(RULE, only).status == "skip"
