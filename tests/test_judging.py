"""What a mail says of its delivery: by kind and tie, the result, the events, the opt-outs."""

from dataclasses import replace

import pytest

from mailblast.bounce import Kind, Notice, Report
from mailblast.errors import Refusal
from mailblast.event import EventKind
from mailblast.judging import judged
from mailblast.reason import Meaning, Reason, Scope
from mailblast.tie import LOOSE, By, Fault, Read, Sent, Tie

NOW = 1_700_000_000.0
SENT = Sent(7, "run", "Anna@example.net", "anna@example.net", NOW - 60, True, False)
STRONG = Tie(By.RETURN_PATH, SENT)
WEAK = Tie(By.ADDRESS, SENT)
FORGED = Tie(By.RETURN_PATH, None, Fault.FORGED)
EXPIRED = Tie(By.RETURN_PATH, SENT, Fault.EXPIRED)
DIGEST = b"d" * 32

DEAD = Meaning(Reason.INVALID_RECIPIENT, Scope.RECIPIENT, "user-unknown")
FULL = Meaning(Reason.MAILBOX_FULL, Scope.RECIPIENT, "full")


def report(action, recipient="anna@example.net", meaning=DEAD, original=""):
    return Report(
        recipient,
        original,
        action,
        "5.1.1",
        550,
        "550 5.1.1 no such\nuser",
        "mx.example.net",
        meaning=meaning if action == "failed" else None,
    )


def bounce(action, **fields):
    return Notice(
        Kind.BOUNCE, (report(action, **fields),), author="mailer-daemon@x.example"
    )


AUTOREPLY = Notice(Kind.AUTOREPLY, author="anna@example.net")
COMPLAINT = Notice(Kind.COMPLAINT, author="fbl@isp.example", feedback="abuse")
WISH = Notice(Kind.UNSUBSCRIBE, author="Anna@Example.net")
REPLY = Notice(Kind.NONE, author="anna@EXAMPLE.net")


def said(notice, tie=STRONG):
    """The result, and the kinds of the events."""
    found = judged(Read(notice), tie, DIGEST, NOW)
    return found.result, [str(fact.kind) for fact in found.facts]


@pytest.mark.parametrize(
    ("notice", "result", "events"),
    [
        (bounce("failed"), "bounced", ["bounced"]),
        (bounce("delivered"), "delivered", ["delivered"]),
        (bounce("delayed"), "delayed", []),
        (bounce("relayed"), "relayed", []),
        (bounce("expanded"), "expanded", []),
        (Notice(Kind.BOUNCE), "unmatched", []),
        (COMPLAINT, "complained", ["complained"]),
        (replace(COMPLAINT, feedback="fraud"), "complained", ["complained"]),
        (replace(COMPLAINT, feedback="auth-failure"), "feedback", []),
        (replace(COMPLAINT, feedback="not-spam"), "feedback", []),
        (AUTOREPLY, "autoreplied", ["autoreplied"]),
        (replace(AUTOREPLY, departed=True), "departed", ["autoreplied"]),
        (Notice(Kind.CHALLENGE), "challenge", []),
        (Notice(Kind.REPORT), "report", []),
        (WISH, "unsubscribed", ["unsubscribed"]),
        (REPLY, "replied", ["delivered"]),
        (replace(REPLY, author="mailer-daemon@example.net"), "unmatched", []),
        (replace(REPLY, author=""), "unmatched", []),
        (Refusal("more than 100 parts"), "unreadable", []),
    ],
)
def test_what_is_proven(notice, result, events):
    """Each kind of mail, tied to its delivery for certain."""
    assert said(notice) == (result, events)


@pytest.mark.parametrize(
    ("tie", "result"),
    [(LOOSE, "unmatched"), (WEAK, "weak"), (FORGED, "forged"), (EXPIRED, "expired")],
)
@pytest.mark.parametrize(
    "notice",
    [
        *(bounce("failed"), bounce("delivered"), COMPLAINT, AUTOREPLY),
        replace(AUTOREPLY, departed=True),
    ],
)
def test_what_is_not_proven_changes_nothing(notice, tie, result):
    """Without a strong tie a mail has no event and suppresses nobody, and has its name."""
    found = judged(Read(notice), tie, DIGEST, NOW)

    assert (found.result, found.facts, found.wishes) == (result, (), ())


@pytest.mark.parametrize(
    ("tie", "result"), [(LOOSE, "other"), (WEAK, "replied"), (FORGED, "other")]
)
def test_people_are_left_alone(tie, result):
    """A person's mail that nothing ties for certain is for people, and proves nothing."""
    assert said(REPLY, tie) == (result, [])


@pytest.mark.parametrize("tie", [LOOSE, WEAK, FORGED, EXPIRED])
def test_a_wish_to_leave_is_honoured_whoever_sends_it(tie):
    """Tied or not, whoever writes gets no more; nothing is said of anybody's delivery."""
    found = judged(Read(replace(WISH, author="Bo@Example.org")), tie, DIGEST, NOW)

    assert (found.result, found.facts) == ("unsubscribed", ())
    assert [entry.key for entry in found.wishes] == ["bo@example.org"]
    assert {entry.reason for entry in found.wishes} == {Reason.UNSUBSCRIBED}


def test_a_wish_from_another_address():
    """Who got it under one address and writes from another wants it at neither."""
    found = judged(Read(replace(WISH, author="Bo@Example.org")), STRONG, DIGEST, NOW)

    assert [entry.key for entry in found.wishes] == ["bo@example.org", "anna@example.net"]
    assert [entry.key for entry in judged(Read(WISH), STRONG, DIGEST, NOW).wishes] == [
        "anna@example.net"
    ]
    nobody = judged(Read(replace(WISH, author="x")), LOOSE, DIGEST, NOW)
    assert (nobody.result, nobody.wishes) == ("unmatched", ())


@pytest.mark.parametrize(
    ("arrived", "counts"),
    [
        (None, NOW),
        (NOW - 60, NOW - 60),
        (STRONG.sent.dated - 1, STRONG.sent.dated),  # before our mail it cannot have come
        (NOW + 60, NOW),
    ],
)
def test_a_wish_counts_from_when_it_came(arrived, counts):
    """However long it lay in a mailbox; and whatever somebody writes there as a date."""
    found = judged(Read(replace(WISH, arrived=arrived)), STRONG, DIGEST, NOW)

    assert [fact.at for fact in found.facts] == [counts]


def test_the_event_of_a_bounce():
    """It has the server's own words, code, status and reason, and the digest of the mail."""
    (fact,) = judged(Read(bounce("failed")), STRONG, DIGEST, NOW).facts

    assert (fact.delivery, fact.kind, fact.at, fact.attempt) == (
        7,
        EventKind.BOUNCED,
        NOW,
        0,
    )
    assert (fact.code, fact.status, fact.host) == (550, "5.1.1", "mx.example.net")
    assert (fact.reason, fact.digest) == (Reason.INVALID_RECIPIENT, DIGEST)
    assert fact.text == "550 5.1.1 no such\nuser"


@pytest.mark.parametrize(
    ("meaning", "hard", "counted"),
    [
        (DEAD, True, "nonexistent"),
        (DEAD, False, "permanent"),
        (replace(DEAD, generic=True), True, "permanent"),
        (FULL, False, "full"),
        (Meaning(Reason.SPAM_CONTENT, Scope.MESSAGE), False, None),
        (Meaning(Reason.POLICY_AUTH, Scope.US), False, None),
    ],
)
def test_what_a_bounce_counts_as(meaning, hard, counted):
    """Only what says for certain that the address does not exist counts as that."""
    told = replace(report("failed", meaning=meaning), hard=hard)
    (fact,) = judged(Read(Notice(Kind.BOUNCE, (told,))), STRONG, DIGEST, NOW).facts

    assert fact.against == counted


@pytest.mark.parametrize(
    ("final", "original", "text", "counted"),
    [
        (
            "anna@example.net",
            "",
            "550 5.1.1 <Anna@example.net>: user unknown",
            "nonexistent",
        ),
        ("", "anna@example.net", "550 5.1.1 user unknown", "nonexistent"),
        ("x@y.example", "", "550 5.1.1 user unknown", "permanent"),
        ("x@y.example", "anna@example.net", "550 5.1.1 user unknown", "permanent"),
        ("anna@example.net", "", "550 5.1.1 <x@y.example>: user unknown", "permanent"),
    ],
)
def test_what_is_said_of_somebody_else(final, original, text, counted):
    """That one of those is gone to whom ours is forwarded is not said of ours."""
    told = replace(
        report("failed", final, meaning=DEAD), hard=True, original=original, text=text
    )
    (fact,) = judged(Read(Notice(Kind.BOUNCE, (told,))), STRONG, DIGEST, NOW).facts

    assert fact.against == counted


def test_what_a_complaint_counts_as():
    """As a complaint; what proves delivery counts against nobody."""
    (complained,) = judged(Read(COMPLAINT), STRONG, DIGEST, NOW).facts
    (answered,) = judged(Read(AUTOREPLY), STRONG, DIGEST, NOW).facts

    assert (complained.against, answered.against) == ("complaint", None)


def test_the_report_on_the_recipient():
    """Of several recipients ours counts; forwarded, the first: one message had one."""
    others = [report("failed", "x@y.example"), report("delivered", "ANNA@example.net")]
    forwarded = [report("failed", "x@y.example"), report("delivered", "z@y.example")]
    aliased = [
        report("failed", "x@y.example"),
        report("delayed", "z@y.example", original="anna@example.net"),
    ]

    assert said(Notice(Kind.BOUNCE, tuple(others)))[0] == "delivered"
    assert said(Notice(Kind.BOUNCE, tuple(forwarded)))[0] == "bounced"
    assert said(Notice(Kind.BOUNCE, tuple(aliased)))[0] == "delayed"
