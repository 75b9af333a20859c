"""Rules that `check` does not look at, because mailblast keeps them by itself: here is the proof,
where no other test has it whole.
"""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from commands import letter, look, ok, relay, the_run
from letters import campaign, composed, composer
from misbehaving import EXTENSIONS, running

from mailblast.campaign import Limits
from mailblast.disposition import judge
from mailblast.runbook import RunBook
from mailblast.smtp.protocol import Conversation, Envelope, Extensions
from mailblast.smtp.reply import parse
from mailblast.suppression.policy import against
from mailblast.throttle import Throttle

PEOPLE = "ann@inbox.example,Ann\nbo@inbox.example,Bo\n"


# --- Opt-outs -----------------------------------------------------------------------------------


def test_an_opt_out_binds_every_campaign(tmp_path: Path) -> None:
    """CANSPAM-OPTOUT-SCOPE: it is said to the sender, and not to a list; what one campaign
    leaves out of itself binds that one alone."""
    for name in ("letter", "other"):
        letter(tmp_path, PEOPLE + "cy@inbox.example,Cy\n", name=name)
    (tmp_path / "letter/suppression.txt").write_text("bo@inbox.example\n")
    ok(tmp_path, "unsubscribe", "add", "Ann@Inbox.example")

    ok(tmp_path, "send", "letter", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 1, "suppressed": 2}
    ok(tmp_path, "send", "other", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 2, "suppressed": 1}


def test_only_a_later_consent_revives(tmp_path: Path) -> None:
    """CANSPAM-OPTOUT-PERMANENT: one of a day before the opt-out, or of none, or of a day to
    come, does not."""
    (tmp_path / "mailblast.toml").touch()
    ok(tmp_path, "unsubscribe", "add", "ann@inbox.example")
    today = date.today()
    for said in (
        "they wrote to us",
        f"a form on {today - timedelta(1)}",
        f"a form on {today + timedelta(2)}",
        "a form on 2026-99-99",
    ):
        words = ("unsubscribe", "remove", "ann@inbox.example", "--consent", said)
        assert f"form on …, {today}" in ok(tmp_path, *words, status=2).err
    ok(tmp_path, "unsubscribe", "check", "ann@inbox.example", status=2)
    consent = f"asked to leave on {today - timedelta(9)}, a form on {today}"
    ok(tmp_path, "unsubscribe", "remove", "ann@inbox.example", "--consent", consent)
    ok(tmp_path, "unsubscribe", "check", "ann@inbox.example")


def test_an_export_in_clear_is_written_down(tmp_path: Path) -> None:
    """CANSPAM-OPTOUT-NOTRANSFER: hashes go out; addresses only on demand, and that is on
    record; a cleaned list has none of them."""
    home = letter(tmp_path, PEOPLE)
    ok(tmp_path, "unsubscribe", "add", "ann@inbox.example")
    ok(tmp_path, "unsubscribe", "export", "hashed.csv")
    assert RunBook(tmp_path / ".mailblast").all("exports") == []
    assert "ann@" not in (tmp_path / "hashed.csv").read_text()

    ok(tmp_path, "unsubscribe", "export", "--for-compliance", "clear.csv")
    assert "ann@inbox.example" in (tmp_path / "clear.csv").read_text()
    (only,) = RunBook(tmp_path / ".mailblast").all("exports")
    assert only["file"] == "clear.csv"
    ok(tmp_path, "list", "clean", home / "recipients.csv", "-o", "clean.csv")
    assert "ann@" not in (tmp_path / "clean.csv").read_text()


# --- The transaction ----------------------------------------------------------------------------


def test_one_recipient_a_transaction(tmp_path: Path) -> None:
    """SMTP-RCPT-BATCH, THROTTLE-ONE-DOMAIN, SMTP-CHUNKING: each message has its own MAIL and its
    one RCPT, though domains share a server; and DATA, though BDAT is offered."""
    rows = "".join(
        f"r{n}@{domain},N\n" for n in range(5) for domain in ("gmail.com", "googlemail.com")
    )
    with running({}, extensions=(*EXTENSIONS, "CHUNKING", "BINARYMIME")) as server:
        letter(tmp_path, rows, delivery=relay(server.port, 1))
        ok(tmp_path, "send", "letter", "--yes")
        verbs = [verb for verb in server.verbs if verb in ("MAIL", "RCPT", "DATA", "BDAT")]

    assert verbs == ["MAIL", "RCPT", "DATA"] * 10
    assert set(server.copies.values()) == {1}
    assert len(server.copies) == 10


REFUSALS = [
    "550 5.1.1 no such user",
    "550 no",
    "554 5.7.1 message looks like spam",
    "552 5.3.4 message too large",
    "550 5.7.26 unauthenticated",
]


def test_what_was_refused_for_good_is_not_tried_again(tmp_path: Path) -> None:
    """BULK-NORETRY-5XX: neither by the same command nor by the next, whoever's fault it was;
    what was put off is."""
    said = dict(enumerate(REFUSALS))
    script = {"RCPT": {f"r{n}@inbox.example": reply for n, reply in said.items()}}
    script["RCPT"]["later@inbox.example"] = ["451 4.3.0 later"]
    rows = "".join(f"r{n}@inbox.example,N\n" for n in said) + "later@inbox.example,N\n"
    with running(script) as server:
        letter(tmp_path, rows, delivery=relay(server.port, 1))
        ok(tmp_path, "send", "letter", "--yes")
        ok(tmp_path, "send", "letter", "--yes")
        asked = [line for line in server.commands if line.startswith("RCPT")]

    assert len(asked) == len(said) + 2
    assert sum("later@" in line for line in asked) == 2
    assert the_run(tmp_path)["dispositions"] == {"refused": len(said), "accepted": 1}


def test_the_longest_address_fits_a_command_line() -> None:
    """SMTP-ADDR-LIMITS: with all parameters it is at most 512 octets, and 500 and 28 more for
    ORCPT and NOTIFY (RFC 3461 §5.4)."""
    domain = ".".join(["d" * 60] * 3) + ".example"
    longest = Envelope(
        f"{'b' * 35}+{'t' * 28}@{domain}",
        f"{'+' * (253 - len(domain))}@{domain}",
        envelope_id="t" * 28,
    )
    assert len(longest.recipient) == 254
    everything = Extensions(
        pipelining=True, size_known=True, eightbit=True, smtputf8=True, dsn=True
    )
    mail, rcpt, *_ = Conversation(everything).offer(longest, b"a\r\n").split(b"\r\n")

    assert len(mail) + 2 <= 512
    assert len(rcpt) + 2 <= 512 + 500 + 28


def test_an_address_that_a_server_cannot_take_is_not_blamed() -> None:
    """SMTP-UTF8: without SMTPUTF8 it is refused by us, with 5.6.7, and that counts against
    nobody."""
    conversation = Conversation(Extensions(pipelining=True))
    conversation.offer(Envelope("b@x.example", "jörg@example.net", smtputf8=True), b"a\r\n")
    answer = conversation.answer
    assert answer
    found = judge(answer.reply, "", after_dot=False)

    assert found
    assert (found.kind, found.status) == ("refused", "5.6.7")
    assert against(found) is None


# --- Less, and less often -----------------------------------------------------------------------


@pytest.mark.parametrize("which", ["IP address", "DKIM domain", "SPF domain", "netblock"])
def test_gmail_is_left_alone_for_ten_minutes(which: str) -> None:
    """THROTTLE-GMAIL-4728: after a 4.7.28 nothing for 10 minutes, then one connection; if that
    fails, as long again at least; if it works, one more with each window."""
    said = f"421-4.7.28 Gmail has detected an unusual rate of mail from your {which}."
    reply = parse([said.encode(), b"421 4.7.28 Try again later. - gsmtp"])
    found = judge(reply, "", after_dot=False, provider="google")
    assert found
    assert (found.kind, found.rest) == ("deferred", 600)
    throttle, now = Throttle(Limits(connections=3)), 0.0

    for rest in (600, 1200):
        throttle.slower(found.rest, now)
        assert throttle.not_before() == now + rest
        now += rest
        assert throttle.window == 1
    windows = []
    for _ in range(4):
        windows.append(throttle.window)
        for _ in range(int(throttle.window)):
            throttle.begin(now)
            throttle.answered()
            throttle.end()
    assert windows == [1, 2, 3, 3]


# --- The signature ------------------------------------------------------------------------------

UNSIGNED = {"DKIM-Signature", "Precedence", "X-Auto-Response-Suppress", "X-Own"}


def test_what_is_signed(tmp_path: Path) -> None:
    """DKIM-HEADERS: every field that a reader or a receiver goes by, and none that is
    changed on the way."""
    own = '[message.headers]\nX-Own = "1"\n'
    own += 'CFBL-Address = "fbl@example.com; report=arf"\n'
    made = campaign(tmp_path, message_txt="Hi\n", message_html="<p>Hi", message=own)
    head = composed(composer(made), "Jo").content.partition(b"\r\n\r\n")[0].decode()
    head = head.replace("\r\n ", " ")
    there = {line.partition(":")[0] for line in head.split("\r\n")}
    signed = re.search(r"\bh=([^;]*);", head)

    assert signed
    names = {name.strip().lower() for name in signed[1].split(":")}
    assert {name.lower() for name in there - UNSIGNED} <= names
    assert {"cfbl-address", "list-id", "feedback-id", "list-unsubscribe-post"} <= names
    assert names.isdisjoint({
        "return-path", "received", "dkim-signature", "authentication-results", "bcc",
    })  # fmt: skip


# --- What comes back ------------------------------------------------------------------------------


def test_nobody_is_answered(tmp_path: Path) -> None:
    """AUTO-NO-REPLY-LOOP: mail that comes in is read, and nothing is ever sent because of it:
    two programs cannot talk to each other for ever."""
    notices = sorted((Path(__file__).parent / "notices").glob("*.eml"))
    with running({}) as server:
        letter(tmp_path, PEOPLE, delivery=relay(server.port, 1))
        ok(tmp_path, "send", "letter", "--yes")
        (tmp_path / "in").mkdir()
        for notice, back in zip(notices, server.messages * len(notices), strict=False):
            mail = notice.read_text("utf-8", "replace")
            mail = mail.replace("bounces+tag@news.example.com", back.return_path)
            (tmp_path / "in" / notice.name).write_text(mail)
        before = len(server.commands)
        counts = ok(tmp_path, "bounces", "import", "in", "--json").json["counts"]

        assert {"autoreplied", "challenge", "unsubscribed", "unmatched"} <= counts.keys()
        assert len(server.commands) == before
        assert server.sessions == 1


def test_one_who_is_there_no_more_stays_on_the_list(tmp_path: Path) -> None:
    """AUTO-LEFT-COMPANY: it was delivered, and what to do about it is for people."""
    mail = (Path(__file__).parent / "notices/left-company.eml").read_text()
    with running({}) as server:
        letter(tmp_path, PEOPLE, delivery=relay(server.port, 1))
        ok(tmp_path, "send", "letter", "--yes")
    (ann,) = [one for one in server.messages if one.recipient.startswith("ann@")]
    mail = mail.replace("bounces+tag@news.example.com", ann.return_path)
    found = ok(tmp_path, "bounces", "import", "-", "--json", given=mail).json

    assert found["counts"] == {"departed": 1}
    assert look(tmp_path, "SELECT disposition FROM deliveries ORDER BY row") == [
        "delivered",
        "accepted",
    ]
    assert ok(tmp_path, "unsubscribe", "list").out == ""
    assert "no longer works here" in (tmp_path / ".mailblast/unmatched.mbox").read_text()
