"""What an answer means, and what becomes of a delivery."""

import pytest

from mailblast.disposition import (
    DUE,
    TRANSITIONS,
    Outcome,
    address_is_dead,
    after,
    judge,
    unreachable,
)
from mailblast.event import Disposition, EventKind
from mailblast.reason import Reason, Scope, read_rules
from mailblast.smtp.reply import Reply

SETTLED_FOR_GOOD = ("suppressed", "invalid", "refused", "expired")


@pytest.mark.parametrize(
    ("code", "after_dot", "kind"),
    [
        (250, True, "accepted"),
        (251, True, "accepted"),
        (299, True, "accepted"),
        (421, True, "deferred"),
        (452, True, "deferred"),
        (554, True, "refused"),
        (421, False, "deferred"),
        (450, False, "deferred"),
        (550, False, "refused"),
        (250, False, "deferred"),  # in the wrong place it accepts nothing
        (354, False, "deferred"),
    ],
)
def test_the_first_digit_decides(code, after_dot, kind):
    """RFC 5321 §4.2.1: the first digit says what it is, whatever the other two."""
    assert judge(Reply(code, "so"), "", after_dot=after_dot).kind == kind


@pytest.mark.parametrize("reply", [None, Reply(354, "more"), Reply(999, "what")])
def test_after_the_dot_nothing_else_decides(reply):
    """A break or nonsense after the dot is a doubt, and no outcome."""
    assert judge(reply, "closed", after_dot=True) is None


def test_a_break_before_the_dot_leaves_it_with_us():
    """Before the dot nothing was accepted: it is tried again."""
    outcome = judge(None, "the server closed the connection", after_dot=False)

    assert outcome.kind is EventKind.DEFERRED
    assert outcome.reason is Reason.NETWORK_TEMPORARY
    assert "closed" in outcome.text


def test_only_a_clear_word_kills_an_address():
    """Unknown user: yes.  Blocked, full, vague, a bare 550, or for now: no."""
    dead = [
        Reply(550, "5.1.1 user unknown", "5.1.1"),
        Reply(550, "5.4.1 Recipient address rejected: Access denied", "5.4.1"),
        Reply(550, "Requested action not taken: mailbox unavailable"),
        Reply(552, "5.2.2 inbox is out of storage space and inactive", "5.2.2"),
        Reply(550, "5.7.1 blocked using zen.spamhaus.org", "5.7.1"),
        Reply(552, "5.2.2 mailbox full", "5.2.2"),
        Reply(550, "no"),
        Reply(450, "4.1.1 user unknown", "4.1.1"),
    ]

    found = [address_is_dead(judge(reply, "", after_dot=False)) for reply in dead]
    assert found == [True, *[False] * 7]


def test_a_greeting_kills_no_address():
    """What is said before anybody is named says nothing of a recipient."""
    for lasting in (True, False):
        outcome = unreachable("mx: 550 5.1.1 user unknown here", 550, permanent=lasting)
        assert outcome.kind is (EventKind.REFUSED if lasting else EventKind.DEFERRED)
        assert not address_is_dead(outcome)
    silence = unreachable("mx: connection refused", 0, permanent=False)
    assert (silence.kind, silence.reason) == ("deferred", "network-temporary")


@pytest.mark.parametrize(
    "rule",
    [rule for rule in read_rules() if rule.meaning.scope is not Scope.RECIPIENT],
    ids=lambda rule: rule.meaning.rule,
)
def test_what_is_ours_suppresses_nobody(rule):
    """No reply about us, the message or the destination is held against a recipient."""
    outcome = judge(Reply(550, rule.sample), "", after_dot=False)

    assert not address_is_dead(outcome)


def test_an_outcome_carries_what_follows_for_the_destination():
    """Scope, rest and pause come along, and a name for the provider changes them."""
    reply = Reply(421, "4.7.28 Sorry", "4.7.28")
    plain = judge(reply, "", after_dot=False)
    named = judge(reply, "", after_dot=False, provider="google")

    assert (plain.kind, plain.rest, plain.scope) == ("deferred", 0, Scope.DESTINATION)
    assert (named.kind, named.rest, named.reason) == ("deferred", 600, "rate-limited")
    assert not named.pause
    ours = judge(
        Reply(421, "5.7.32 From is not aligned"), "", after_dot=True, provider="google"
    )
    assert (ours.kind, ours.pause, ours.scope) == ("deferred", True, Scope.US)
    assert Outcome(EventKind.ACCEPTED).scope is None


@pytest.mark.parametrize("name", SETTLED_FOR_GOOD)
@pytest.mark.parametrize("kind", EventKind)
def test_what_is_settled_at_the_door_stays(name, kind):
    """Nothing that comes later moves it; the event is kept all the same."""
    assert after(Disposition(name), kind) is Disposition(name)


def test_every_disposition_is_in_the_table():
    """The table is the whole state machine."""
    assert set(TRANSITIONS) == set(Disposition)
    assert {Disposition.QUEUED, Disposition.DEFERRED} == DUE


def test_attempted_is_a_doubt_until_the_answer_comes():
    """The order of events of a message that is accepted and then bounces."""
    history = [
        EventKind.DEFERRED,
        EventKind.ATTEMPTED,
        EventKind.ACCEPTED,
        EventKind.BOUNCED,
    ]
    found, state = [], Disposition.QUEUED
    for kind in history:
        state = after(state, kind)
        found.append(state.value)

    assert found == ["deferred", "doubtful", "accepted", "bounced"]


def test_an_acceptance_needs_an_attempt():
    """Nothing is accepted that was not offered."""
    assert after(Disposition.QUEUED, EventKind.ACCEPTED) is Disposition.QUEUED
    assert after(Disposition.QUEUED, EventKind.BOUNCED) is Disposition.QUEUED
