"""What servers say, and what we take it for."""

import tomllib
from importlib.resources import files

import pytest

from mailblast.reason import Reason, Scope, classify
from mailblast.smtp.reply import parse

RULES = tomllib.loads(files("mailblast").joinpath("replies.toml").read_text())["rule"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["sample"][:40])
def test_the_sample_of_a_rule_is_read_as_it_says(rule):
    """Each rule has a sample, and no rule above takes it for something else."""
    reply = parse([rule["sample"].encode()])

    assert classify(reply.code, reply.status, reply.text) == rule["reason"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "550 5.1.1 The email account that you tried to reach does not exist",
            "invalid-recipient",
        ),
        (
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found",
            "invalid-recipient",
        ),
        ("552 1 Requested mail action aborted, mailbox not found", "invalid-recipient"),
        (
            "450 4.2.1 The user you are trying to contact is receiving mail too quickly",
            "rate-limited",
        ),
        (
            "550 5.7.26 This mail is unauthenticated, which poses a security risk",
            "policy-auth",
        ),
        (
            "550 5.7.1 messages from [192.0.2.1] weren't sent; block list (S3140)",
            "blocked-reputation",
        ),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "rate-limited"),
        (
            "452 4.2.2 The email account that you tried to reach is over quota",
            "mailbox-full",
        ),
        ("450 4.1.1 Recipient address rejected: unverified address", "network-temporary"),
        ("554 no", "other"),
    ],
)
def test_words_come_before_codes(said, reason):
    """The true reason is in the text; codes are reused by everyone in their own way."""
    reply = parse([said.encode()])

    assert classify(reply.code, reply.status, reply.text) == reason


def test_only_the_recipient_can_be_at_fault_for_the_recipient():
    """What we or the network did wrong never has the scope that may suppress."""
    ours = {Reason.BLOCKED_REPUTATION, Reason.POLICY_AUTH, Reason.RELAY_DENIED}

    assert {reason.scope for reason in ours} == {Scope.US}
    assert Reason.SPAM_CONTENT.scope is Scope.MESSAGE
    assert Reason.NETWORK_TEMPORARY.scope is Scope.DESTINATION
    assert Reason.INVALID_RECIPIENT.scope is Scope.RECIPIENT


def test_a_long_text_is_judged_quickly():
    """However long and hostile the text, only its beginning is looked at."""
    assert classify(550, "", "a" * 10_000_000) is Reason.OTHER
