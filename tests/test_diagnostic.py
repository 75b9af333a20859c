"""Diagnostics: which command a server answered, wherever the words say it."""

import pytest

from mailblast.bounce import diagnostic

DATA = [
    "550 5.7.1 Refused (in reply to end of DATA command)",
    "550 5.7.1 Refused (in reply\n    to end of DATA\n    command)",
    "SMTP error from remote mail server after end of data:",
    "192.0.2.25 failed after I sent the message.",
    "550 550 Unknown user anna@example.net (state 18).",
]
MAIL = [
    "550 5.1.8 Refused (in reply to MAIL FROM command)",
    "550 5.1.8 Refused (in reply to MAIL\n    FROM command)",
    "SMTP error from remote mail server after MAIL FROM:<news@example.com> SIZE=1022:",
    "... while talking to mx.example.net.:\n>>> MAIL From:<news@example.com>\n<<< 553 5.1.8 No",
    "550 550 5.7.1 Access denied (state 13).",
]
RCPT = [
    "550 5.1.1 User unknown (in reply to RCPT TO command)",
    ">>> RCPT To:<anna@example.net>\n<<< 550 5.1.1 User unknown",
    "192.0.2.25 does not like recipient.",
    ">>> DATA\n<<< 554 5.5.1 Error: no valid recipients",
    "542 anna@example.net Rejected",
    "550 550 5.1.1 User unknown (state 14).",
]


@pytest.mark.parametrize("said", DATA + MAIL + RCPT)
def test_the_command_that_was_answered(said: str) -> None:
    """Each is of one command, and of no other."""
    assert diagnostic.after_data(said) is (said in DATA)
    assert diagnostic.to_mail(said) is (said in MAIL)
    assert diagnostic.to_rcpt(said) is (said in RCPT)


def test_a_transcript_of_a_refused_recipient_is_not_of_the_sender() -> None:
    """The commands before it stand in it too."""
    said = ">>> MAIL From:<news@example.com>\n<<< 250 ok\n>>> RCPT To:<anna@example.net>\n<<< 550"

    assert not diagnostic.to_mail(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("550 : User unknown", True),
        ("550 <anna@example.net>: User unknown", False),
        ("550 User unknown", False),
    ],
)
def test_the_filter_of_a_recipient(said: str, expected: bool) -> None:
    """A colon with nobody before it is KDDI's sign of a filter."""
    assert diagnostic.of_filter(said) is expected
