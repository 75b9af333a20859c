"""Suppressing by itself, and taking it back: real runs to a real server, day after day."""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from commands import Ended, begin, ended, letter, look, ok, relay, the_run, until
from misbehaving import Misbehaving, running

from mailblast.mailbox import append_mbox

DAY = 86400.0
UNKNOWN = "550 5.1.1 no such user"
BARE = "550 no"
FULL = "552 5.2.2 mailbox full"
SPAM = "550 5.7.1 message looks like spam"
PEOPLE = ("anna", "bert", "cleo")


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    """It takes everything, until a test says otherwise."""
    with running({}) as found:
        yield found


def campaign(workspace: Path, server: Misbehaving, names: tuple[str, ...] = PEOPLE) -> None:
    """A campaign to these people at inbox.example."""
    rows = "".join(f"{name}@inbox.example,{name}\n" for name in names)
    letter(workspace, rows, delivery=relay(server.port, 2))


def mailed(
    workspace: Path, server: Misbehaving, replies: Mapping[str, str], *, status: int = 0
) -> None:
    """One run, in which these people are answered so at RCPT."""
    server.script = {
        "RCPT": {f"{name}@inbox.example": said for name, said in replies.items()}
    }
    ok(workspace, "send", "letter", "--new-run", "--yes", "--wait", "0", status=status)


def pass_days(workspace: Path, days: float) -> None:
    """Let days go by: all that was recorded so far happened so much earlier."""
    columns = {
        "runs": ("created", "started", "ended"),
        "deliveries": ("settled", "dated"),
        "events": ("at",),
        "suppressions": ("added", "removed"),
        "returned": ("at",),
        "pauses": ("at", "lifted"),
    }
    with closing(sqlite3.connect(workspace / ".mailblast/ledger.db", timeout=30)) as ledger:
        for table, names in columns.items():
            for name in names:
                ledger.execute(f"UPDATE {table} SET {name} = {name} - ?", (days * DAY,))
        ledger.commit()


def suppressed(workspace: Path) -> set[str]:
    """Who is on the list now."""
    query = "SELECT key FROM suppressions WHERE removed IS NULL"
    return {key.partition("@")[0] for key in look(workspace, query)}


def shown(workspace: Path, name: str) -> Any:
    """What `bounces show` says of somebody."""
    return ok(workspace, "bounces", "show", f"{name}@inbox.example", "--json").json


def bounced(
    workspace: Path, server: Misbehaving, names: str, said: str, status: str
) -> Ended:
    """The last messages to these come back: notices to their return paths, imported."""
    inbox = workspace / "came-back.mbox"
    inbox.unlink(missing_ok=True)
    for name in names.split():
        append_mbox(inbox, notice(server, name, said, status).encode(), "", time.time())
    return ok(workspace, "bounces", "import", inbox)


def notice(server: Misbehaving, name: str, said: str, status: str) -> str:
    """That the last message to somebody could not be delivered."""
    theirs = [one for one in server.messages if one.recipient.startswith(f"{name}@")]
    return f"""\
From: MAILER-DAEMON@mx.inbox.example
To: <{theirs[-1].return_path}>
Subject: Undelivered Mail Returned to Sender
Date: {formatdate(time.time())}
Message-ID: <{time.time_ns()}@mx.inbox.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.inbox.example

Final-Recipient: rfc822; {name}@inbox.example
Action: failed
Status: {status}
Diagnostic-Code: smtp; {said}

--b--
"""


# --- Suppressing ----------------------------------------------------------------------------


def test_at_the_door(tmp_path: Path, server: Misbehaving) -> None:
    """An unknown user at once, a bare refusal the second time a day later, a full mailbox
    after a month; a block never."""
    campaign(tmp_path, server, ("anna", "bert", "cleo", "dora"))
    refused = {
        "anna": UNKNOWN,
        "bert": BARE,
        "cleo": FULL,
        "dora": SPAM,
    }
    mailed(tmp_path, server, refused)
    assert suppressed(tmp_path) == {"anna"}
    mailed(tmp_path, server, refused)
    assert suppressed(tmp_path) == {"anna"}, "another run, but the same day"

    pass_days(tmp_path, 16)
    mailed(tmp_path, server, refused)
    assert suppressed(tmp_path) == {"anna", "bert"}
    pass_days(tmp_path, 15)
    mailed(tmp_path, server, refused)
    assert suppressed(tmp_path) == {"anna", "bert", "cleo"}

    pass_days(tmp_path, 30)
    mailed(tmp_path, server, refused)
    assert suppressed(tmp_path) == {"anna", "bert", "cleo"}
    assert {one["against"] for one in shown(tmp_path, "dora")["events"]} == {None}


def test_a_delivery_between(tmp_path: Path, server: Misbehaving) -> None:
    """Whoever took a message meanwhile begins anew."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"bert": BARE})
    pass_days(tmp_path, 2)
    mailed(tmp_path, server, {})
    pass_days(tmp_path, 2)
    mailed(tmp_path, server, {"bert": BARE})

    assert suppressed(tmp_path) == set()
    (count,) = shown(tmp_path, "bert")["counts"]
    assert (count["against"], count["count"], count["suppresses"]) == (
        "permanent",
        1,
        "2 over 24 h",
    )


def test_what_comes_back_counts_with_what_was_refused(
    tmp_path: Path, server: Misbehaving
) -> None:
    """One rule, one history: refused at the door, then bounced."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"bert": BARE})
    pass_days(tmp_path, 2)
    mailed(tmp_path, server, {})
    told = bounced(tmp_path, server, "bert", "550 5.2.1 account disabled", "5.2.1")

    assert suppressed(tmp_path) == {"bert"}
    assert "suppressed" in told.out
    (entry,) = shown(tmp_path, "bert")["entries"]
    events = {one["id"]: one["event"] for one in shown(tmp_path, "bert")["events"]}
    assert [events[number] for number in entry["events"]] == ["refused", "bounced"]
    assert entry["reason"] == "hard-bounce"
    checked = ok(tmp_path, "unsubscribe", "check", "bert@inbox.example", status=2).out
    assert checked.count("because: ") == 2
    assert "refused" in checked
    assert "550 5.2.1 account disabled" in checked


def test_an_import_weeks_later(tmp_path: Path, server: Misbehaving) -> None:
    """What comes back counts when its message was sent: two notices read in one go, of two
    messages a week apart, are a week apart."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {})
    first = list(server.messages)
    pass_days(tmp_path, 7)
    mailed(tmp_path, server, {})
    pass_days(tmp_path, 7)
    last, server.messages = server.messages[len(first) :], first
    bounced(tmp_path, server, "bert", "550 5.2.1 account disabled", "5.2.1")
    assert suppressed(tmp_path) == set()
    server.messages = last
    bounced(tmp_path, server, "bert", "550 5.2.1 account disabled", "5.2.1")

    assert suppressed(tmp_path) == {"bert"}


def test_what_the_workspace_bears(tmp_path: Path, server: Misbehaving) -> None:
    """The settings hold at the door and for what comes back; a wrong one is told."""
    campaign(tmp_path, server)
    settings = tmp_path / "mailblast.toml"
    settings.write_text('[suppression]\nnonexistent = "never"\npermanent = "at once"\n')
    mailed(tmp_path, server, {"anna": UNKNOWN, "bert": BARE})
    assert suppressed(tmp_path) == {"bert"}
    settings.write_text('[suppression]\nnonexistent = "never"\npermanent = "never"\n')
    bounced(tmp_path, server, "cleo", UNKNOWN, "5.1.1")
    assert suppressed(tmp_path) == {"bert"}

    settings.write_text('[suppression]\nfull = "2 over 3 days"\n')
    wrong = ok(tmp_path, "bounces", "import", "came-back.mbox", status=1).err
    assert 'mailblast.toml:2: [suppression] full must be "never", or at least' in wrong


# --- Looking --------------------------------------------------------------------------------


def test_list(tmp_path: Path, server: Misbehaving) -> None:
    """The newest first; by run, by reason, by who is suppressed now; a line each as JSON."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"bert": BARE})
    pass_days(tmp_path, 3)
    mailed(tmp_path, server, {"anna": UNKNOWN, "cleo": FULL})
    (first, second) = look(tmp_path, "SELECT run FROM runs ORDER BY number")

    def names(*words: str) -> list[str]:
        said = ok(tmp_path, "bounces", "list", *words).out
        return [line.split()[2].partition("@")[0] for line in said.splitlines()]

    assert names()[-1] == "bert"
    assert sorted(names("--run", second)) == ["anna", "cleo"]
    assert names("--run", first) == ["bert"]
    assert names("--reason", "mailbox-full") == ["cleo"]
    assert names("--suppressed") == ["anna"]
    assert "known: " in ok(tmp_path, "bounces", "list", "--reason", "x", status=1).err

    lines = ok(tmp_path, "bounces", "list", "--json", "--suppressed").out.splitlines()
    (anna,) = map(json.loads, lines)
    assert anna["address"] == "anna@inbox.example"
    assert (anna["event"], anna["reason"], anna["against"]) == (
        "refused",
        "invalid-recipient",
        "nonexistent",
    )
    assert (anna["code"], anna["status"], anna["suppressed"]) == (550, "5.1.1", True)


def test_show(tmp_path: Path, server: Misbehaving) -> None:
    """The whole history, what each event counts as, and how far it has come."""
    campaign(tmp_path, server)
    for _ in range(2):
        mailed(tmp_path, server, {"cleo": FULL})
        pass_days(tmp_path, 12)

    told = ok(tmp_path, "bounces", "show", "Cleo@Inbox.example").out
    assert told.count("counts as full: mailbox full") == 2
    assert "2 of 3 mailbox full, over 12 days (30 days at least)" in told
    assert told.endswith("Cleo@Inbox.example is not suppressed.\n")
    assert "127.0.0.1" in told
    assert "552 5.2.2 mailbox full" in told
    nobody = ok(tmp_path, "bounces", "show", "nobody@inbox.example", status=1).err
    assert "in no run" in nobody


# --- Taking it back -------------------------------------------------------------------------


def test_undo(tmp_path: Path, server: Misbehaving) -> None:
    """Whoever was suppressed by mistake is mailed again, and what was before counts no more;
    after it the same rule holds."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"anna": UNKNOWN})
    pass_days(tmp_path, 1)
    told = ok(tmp_path, "bounces", "undo", "Anna@inbox.example").out
    assert "because: " in told
    assert "taken off, and it begins anew" in told
    assert suppressed(tmp_path) == set()
    ok(tmp_path, "bounces", "undo", "anna@inbox.example", status=1)
    assert "counts no more" in ok(tmp_path, "bounces", "show", "anna@inbox.example").out

    pass_days(tmp_path, 1)
    mailed(tmp_path, server, {"anna": BARE})
    assert suppressed(tmp_path) == set(), "the old one counts no more"
    assert server.copies["anna@inbox.example"] == 0
    pass_days(tmp_path, 2)
    mailed(tmp_path, server, {"anna": BARE})
    assert suppressed(tmp_path) == {"anna"}


def test_undo_before_the_notice(tmp_path: Path, server: Misbehaving) -> None:
    """A notice of a message from before the undo, read after it, suppresses nobody."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {})
    bounced(tmp_path, server, "bert", "550 5.1.1 user unknown", "5.1.1")
    assert suppressed(tmp_path) == {"bert"}
    ok(tmp_path, "bounces", "undo", "bert@inbox.example")
    bounced(tmp_path, server, "bert", "550 5.1.1 still user unknown", "5.1.1")

    assert suppressed(tmp_path) == set()


def test_undo_lifts_no_wish(tmp_path: Path, server: Misbehaving) -> None:
    """An opt-out that came after the bounce stands when the bounce is undone; so does what
    was added by hand."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"anna": UNKNOWN, "bert": UNKNOWN})
    ok(tmp_path, "unsubscribe", "add", "anna@inbox.example")
    ok(tmp_path, "unsubscribe", "add", "--reason", "complaint", "bert@inbox.example")
    ok(tmp_path, "unsubscribe", "add", "cleo@inbox.example")

    for name, reason in (("anna", "unsubscribed"), ("bert", "complaint")):
        told = ok(tmp_path, "bounces", "undo", f"{name}@inbox.example").out
        assert f"It stays suppressed: {name}@inbox.example  {reason}" in told
    ok(tmp_path, "bounces", "undo", "cleo@inbox.example", status=1)
    assert suppressed(tmp_path) == {"anna", "bert", "cleo"}
    mailed(tmp_path, server, {}, status=1)
    assert server.copies == {"cleo@inbox.example": 1}, "of the first run"


def test_undo_of_a_domain(tmp_path: Path, server: Misbehaving) -> None:
    """A receiver's error: shown first, then asked; only that domain, only since then, and no
    opt-out."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"anna": UNKNOWN})
    pass_days(tmp_path, 9)
    mailed(tmp_path, server, {"bert": UNKNOWN, "cleo": UNKNOWN})
    ok(tmp_path, "unsubscribe", "add", "cleo@inbox.example", "x@inbox.example")
    since = time.strftime("%Y-%m-%d", time.localtime(time.time() - 5 * DAY))
    words = ("bounces", "undo", "--domain", "Inbox.Example", "--since", since)

    asked = ok(tmp_path, *words, given="n\n", status=2)
    assert "bert@inbox.example  hard-bounce" in asked.out
    assert "anna" not in asked.out
    assert "2 addresses off the list?" in asked.err
    assert suppressed(tmp_path) == {"anna", "bert", "cleo", "x"}

    assert "2 addresses taken off" in ok(tmp_path, *words, "--yes").out
    assert suppressed(tmp_path) == {"anna", "cleo", "x"}
    assert "Nobody at" in ok(tmp_path, *words, "--yes", status=1).out
    other = ("bounces", "undo", "--domain", "box.example", "--since", "2020-01-01", "--yes")
    ok(tmp_path, *other, status=1)
    for wrong in (
        ("bounces", "undo"),
        ("bounces", "undo", "--domain", "inbox.example"),
        ("bounces", "undo", "a@b.example", "--since", since),
    ):
        ok(tmp_path, *wrong, status=1)


def test_no_sample_counts(tmp_path: Path, server: Misbehaving) -> None:
    """Samples are counted nowhere: whoever tries out does not suppress themselves."""
    campaign(tmp_path, server)
    server.script = {"RCPT": {"me@inbox.example": UNKNOWN}}
    ok(tmp_path, "send", "letter", "--to-me", "me@inbox.example", "--yes")

    assert suppressed(tmp_path) == set()


def test_many_leave(tmp_path: Path, server: Misbehaving) -> None:
    """More than 1 % of the recipients opt out or complain: the report says so."""
    campaign(tmp_path, server, tuple(f"r{n}" for n in range(200)))
    mailed(tmp_path, server, {})
    for name in ("r1", "r2"):
        mailed_back(tmp_path, server, name, "complaint")
    assert "Many leave" not in ok(tmp_path, "report").out
    mailed_back(tmp_path, server, "r3", "complaint")

    why = "3 of 200 recipients opted out or complained: 1.5 %, more than 1 %."
    assert f"Many leave: {why}" in ok(tmp_path, "report").out
    told = {one["reason"]: one["why"] for one in the_run(tmp_path)["warnings"]}
    assert told["opt-outs"] == why


# --- Our faults ------------------------------------------------------------------------------

MANY = tuple(f"r{n}" for n in range(20))
UNAUTHENTICATED = (
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated"
)


def test_blocks_that_come_back(tmp_path: Path, server: Misbehaving) -> None:
    """More than one in ten given back as spam: nobody is suppressed, the destination is paused
    as at the door, the report says so, and the next run waits for --resume-paused."""
    campaign(tmp_path, server, MANY)
    mailed(tmp_path, server, {})
    near = bounced(tmp_path, server, "r1 r2", SPAM, "5.7.1").out
    assert the_run(tmp_path)["paused"] == []
    said = "2 of 20 recipients were refused by inbox.example as unwanted: 10 %; more than"
    assert f"Near a pause: {said}" in near
    (warning,) = the_run(tmp_path)["warnings"]
    assert (warning["destination"], warning["reason"]) == ("inbox.example", "blocked")
    told = bounced(tmp_path, server, "r3", SPAM, "5.7.1").out

    why = "3 of 20 recipients were refused by inbox.example as unwanted: 15 %, more than 10 %."
    assert why in told
    assert suppressed(tmp_path) == set()
    paused = {"destination": "inbox.example", "reason": "blocked", "why": why}
    assert the_run(tmp_path)["paused"] == [paused]
    assert why in ok(tmp_path, "report").out
    mailed(tmp_path, server, {}, status=3)
    assert len(server.messages) == 20
    ok(tmp_path, "send", "letter", "--yes", "--resume-paused")
    assert len(server.messages) == 40
    bounced(tmp_path, server, "r4", SPAM, "5.7.1")
    assert the_run(tmp_path)["paused"] == [], "counted anew since it was lifted"


def test_our_authentication_that_comes_back(tmp_path: Path, server: Misbehaving) -> None:
    """Three recipients are enough; the run is over, so its destination waits."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {})
    bounced(tmp_path, server, " ".join(PEOPLE), UNAUTHENTICATED, "5.7.26")

    (paused,) = the_run(tmp_path)["paused"]
    assert (paused["destination"], paused["reason"]) == ("inbox.example", "authentication")
    assert suppressed(tmp_path) == set()
    mailed(tmp_path, server, {}, status=3)


def test_a_send_that_is_at_work(tmp_path: Path, server: Misbehaving) -> None:
    """It sees within moments what an import has paused, and sends nothing more there."""
    campaign(tmp_path, server, tuple(f"r{n}" for n in range(600)))
    with (tmp_path / "letter/campaign.toml").open("a") as file:
        file.write('[throttle]\nrate = "10/s"\n[breaker]\nminimum_destination = 20\n')
    sending = begin(tmp_path, "send", "letter", "--yes", "--wait", "0")
    until(lambda: len(server.messages) >= 22)
    bounced(tmp_path, server, " ".join(f"r{n}" for n in range(20)), SPAM, "5.7.1")
    status, out, _ = ended(sending)
    assert status == 3
    assert "inbox.example is paused: " in out
    assert len(server.messages) < 600


# --- A receiver in error ---------------------------------------------------------------------


def test_a_domain_that_knows_nobody(tmp_path: Path, server: Misbehaving) -> None:
    """More than twenty, more than half: held, at the door and for what comes back; said again
    a day later, it is believed; another domain is not concerned."""
    letter(
        tmp_path,
        "".join(f"{name}@inbox.example,N\n" for name in (*MANY, "x", "y", "z")),
        delivery=relay(server.port, 2) + '[breaker]\nhard = "100 %"\n',
    )
    settings = (tmp_path / "mailblast.toml", '[breaker]\nhard = "100 %"\n')
    settings[0].write_text(settings[1])
    unknown = dict.fromkeys((*MANY, "x"), UNKNOWN)
    server.script = {
        "RCPT": {f"{name}@inbox.example": said for name, said in unknown.items()}
    }
    told = ok(tmp_path, "send", "letter", "--yes").out
    assert "inbox.example says of 21 of 23 recipients that they do not exist" in told
    assert suppressed(tmp_path) == set()
    mailed(tmp_path, server, unknown)
    assert suppressed(tmp_path) == set(), "the same day"

    pass_days(tmp_path, 1)
    mailed(tmp_path, server, unknown)
    assert suppressed(tmp_path) == set(unknown)
    bounced(tmp_path, server, "y", UNKNOWN, "5.1.1")
    assert suppressed(tmp_path) == set(unknown), "of this one it is the first time"


def test_a_domain_that_gives_everybody_back(tmp_path: Path, server: Misbehaving) -> None:
    """The same for what was accepted and came back."""
    campaign(tmp_path, server, (*MANY, "x"))
    mailed(tmp_path, server, {})
    bounced(tmp_path, server, " ".join(MANY), UNKNOWN, "5.1.1")
    assert suppressed(tmp_path) == set(MANY)
    told = bounced(tmp_path, server, "x", UNKNOWN, "5.1.1").out

    assert "inbox.example says of 21 of 21 recipients that they do not exist" in told
    assert suppressed(tmp_path) == set()
    shown_now = ok(tmp_path, "bounces", "show", "x@inbox.example").out
    assert "held: 21 of 21 at inbox.example" in shown_now
    pass_days(tmp_path, 1)
    mailed(tmp_path, server, {"x": UNKNOWN})
    assert suppressed(tmp_path) == {"x"}


# --- What proves that it works, and what weighs more ------------------------------------------


def mailed_back(workspace: Path, server: Misbehaving, name: str, kind: str) -> None:
    """An automatic reply, or a complaint, about somebody's last message; imported."""
    theirs = [one for one in server.messages if one.recipient.startswith(f"{name}@")][-1]
    if kind == "reply":
        mail = f"""\
From: {name}@inbox.example
To: <{theirs.return_path}>
Subject: Out of office
Auto-Submitted: auto-replied
Message-ID: <{time.time_ns()}@inbox.example>

I am away.
"""
    else:
        mail = f"""\
From: fbl@inbox.example
To: abuse@shop.example
Subject: complaint
Message-ID: <{time.time_ns()}@inbox.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

An email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Example/1
Version: 1
Original-Mail-From: <{theirs.return_path}>

--b
Content-Type: message/rfc822

Return-Path: <{theirs.return_path}>
{theirs.content.decode()}
--b--
"""
    inbox = workspace / f"{kind}.mbox"
    inbox.unlink(missing_ok=True)
    append_mbox(inbox, mail.encode(), "", time.time())
    ok(workspace, "bounces", "import", inbox)


def test_an_automatic_reply_between(tmp_path: Path, server: Misbehaving) -> None:
    """It proves that the mailbox is there: the refusal before it counts no more."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {"bert": BARE})
    pass_days(tmp_path, 2)
    mailed(tmp_path, server, {})
    mailed_back(tmp_path, server, "bert", "reply")
    assert shown(tmp_path, "bert")["counts"] == []
    pass_days(tmp_path, 2)
    mailed(tmp_path, server, {"bert": BARE})

    assert suppressed(tmp_path) == set()


def test_a_complaint(tmp_path: Path, server: Misbehaving) -> None:
    """At once and for good: no undo lifts it, and a bounce that stands is no reason to leave it
    out."""
    campaign(tmp_path, server)
    mailed(tmp_path, server, {})
    mailed_back(tmp_path, server, "anna", "complaint")
    bounced(tmp_path, server, "bert", UNKNOWN, "5.1.1")
    mailed_back(tmp_path, server, "bert", "complaint")
    assert suppressed(tmp_path) == {"anna", "bert"}

    for name, status in (("anna", 1), ("bert", 0)):
        ok(tmp_path, "bounces", "undo", f"{name}@inbox.example", status=status)
    assert suppressed(tmp_path) == {"anna", "bert"}
    reasons = {one["reason"] for one in shown(tmp_path, "bert")["entries"]}
    assert reasons == {"hard-bounce", "complaint"}
    listed = ok(tmp_path, "bounces", "list", "--reason", "complaint").out
    assert listed.count("complained") == 2
    consent = ("--consent", f"a form on {date.today()}")
    ok(tmp_path, "unsubscribe", "remove", "anna@inbox.example", *consent)
    assert suppressed(tmp_path) == {"bert"}
