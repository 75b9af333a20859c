"""mailblast explain: what a refusal means, and what follows."""

from pathlib import Path

import pytest
from commands import ok

KEYS = [
    "code", "status", "text", "provider", "reason", "scope", "permanent", "rest", "pause",
    "rule", "does",
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "550 5.1.1 <bob@example.com>: User unknown",
            ["invalid-recipient, for good; it concerns this recipient", "rule: user-unknown",
             "suppresses the address now"],
        ),
        (
            "421-4.7.28 Gmail has detected an unusual rate 421 4.7.28 of unsolicited mail",
            ["rate-limited, for now; it concerns this destination",
             "rests the destination for 10 minutes, then goes on with one connection"],
        ),
        (
            "554 5.7.1 Service unavailable; blocked using zen.spamhaus.org",
            ["blocked-reputation, for good; it concerns us", "the fault is ours",
             "nobody is suppressed"],
        ),
        (
            "550 5.7.1 Denied",
            ["policy-auth, for good; it concerns us", "pauses the run when three recipients"],
        ),
        (
            "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; not permitted",
            ["policy-auth, for good; it concerns this recipient", "counts against the address"],
        ),
        ("554 what", ["other, for good; it concerns this destination", "rule: none fits"]),
    ],
)  # fmt: skip
def test_it_says_what_it_means_and_what_follows(
    tmp_path: Path, said: str, words: list[str]
) -> None:
    """Reason, whose matter it is, the rule that decided, and the consequence."""
    out = ok(tmp_path, "explain", said).out

    assert [word for word in words if word not in out] == []


def test_the_words_need_no_quotes_and_may_come_out_of_a_log(tmp_path: Path) -> None:
    """A reply typed as it is, and a line of Postfix with the reply in it, mean the same."""
    typed = ok(tmp_path, "explain", "--json", "452", "4.2.2", "mailbox", "full").json
    log = "relay=mx.example.net[192.0.2.25]:25, delay=250, said: 452 4.2.2 mailbox full"

    assert ok(tmp_path, "explain", "--json", log).json == typed
    assert list(typed) == KEYS
    assert (typed["code"], typed["status"], typed["reason"]) == (
        452,
        "4.2.2",
        "mailbox-full",
    )
    assert typed["permanent"] is False


def test_the_provider_decides_what_a_code_means(tmp_path: Path) -> None:
    """5.4.1 alone says nothing; from Exchange Online it is an unknown user."""
    alone = ok(tmp_path, "explain", "--json", "550 5.4.1 Sorry").json
    named = ok(tmp_path, "explain", "--json", "--provider", "m365", "550 5.4.1 Sorry").json

    assert (alone["reason"], alone["rule"]) == ("other", "")
    assert (named["reason"], named["provider"]) == ("invalid-recipient", "m365")
    assert "[suppression] permanent says" in named["does"]


@pytest.mark.parametrize(
    ("said", "lasting", "permanent"),
    [
        ("Mailbox quota exceeded", "mailbox-full; it concerns", None),
        ("5.2.2 <nobody@example.net>: user is over quota", "mailbox-full, for good", True),
        ("#550 4.4.7 QUEUE.Expired; message expired ##", "expired, for now", False),
    ],
)
def test_words_without_a_code_are_explained(
    tmp_path: Path, said: str, lasting: str, permanent: bool | None
) -> None:
    """What a person reads to support on the phone: the reason, and no more than it tells."""
    out = ok(tmp_path, "explain", said).out
    found = ok(tmp_path, "explain", "--json", said).json

    assert lasting in out
    assert "depends on the code" in out
    assert (found["code"], found["permanent"], found["does"]) == (0, permanent, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing was said"),
        (("  ",), "nothing was said"),
        (("thank you",), "no SMTP code of a refusal"),
        (("250 2.1.0 Ok",), "no SMTP code of a refusal"),
        (("550 no", "--provider", "gogle"), "gogle: no provider with rules of its own"),
    ],
)
def test_what_is_no_refusal_is_sent_back_with_an_example(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """Wrong input ends with status 1, says what is wrong, and what would be right."""
    ended = ok(tmp_path, "explain", *words, status=1)

    assert said in ended.err
    assert "for example:" in ended.err or "known: " in ended.err
    assert ended.out == ""


def test_it_begins_no_workspace_and_obeys_no_terminal_codes(tmp_path: Path) -> None:
    """Looking something up leaves nothing behind, and what was said is shown as it is."""
    found = ok(tmp_path, "explain", "--json", "550 \x1b[2J\u202e no").json

    assert "\x1b" not in found["text"]
    assert list(tmp_path.iterdir()) == []
