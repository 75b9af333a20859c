"""Mail that came back, taken in: into a real ledger, by real processes, twice and at once."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from commands import begin, ended, environment, letter, look, ok, relay, the_run, until
from misbehaving import close, keep, running, several

from mailblast.campaign import Policy
from mailblast.errors import Refusal
from mailblast.judging import Judged
from mailblast.keys import keyring
from mailblast.ledger import Change, Ledger
from mailblast.mailbox import Mail, append_mbox
from mailblast.mailbox import read as read_mailbox
from mailblast.reconcile import Reconcile
from mailblast.tie import LOOSE

AT = 1_700_000_000.0
PEOPLE = [f"{who}@inbox.example" for who in ("ann", "bo", "cy", "di", "ed", "fay", "gus")]
DOUBTFUL = "gus@inbox.example"


@dataclass(frozen=True)
class Sent:
    """A workspace, and what each recipient got from it."""

    where: Path
    got: dict[str, tuple[str, str]]  # by recipient: return path, and the message with LF

    def field(self, who: str, name: str) -> str:
        """A field of the message that somebody got."""
        head = self.got[who][1].partition("\n\n")[0].replace("\n ", " ")
        (value,) = [
            line.partition(": ")[2]
            for line in head.split("\n")
            if line.lower().startswith(f"{name}: ")
        ]
        return value

    def take_in(self, *mails: str, **more: Any) -> Any:
        """Import these mails; the counts."""
        inbox = self.where / "inbox.mbox"
        inbox.unlink(missing_ok=True)
        for mail in mails:
            append_mbox(inbox, mail.encode(), "", AT)
        return ok(self.where, "bounces", "import", "inbox.mbox", "--json", **more).json

    def disposition(self, who: str) -> str:
        """What has become of somebody's message."""
        query = f"SELECT disposition FROM deliveries WHERE mailbox = '{who}'"
        return str(look(self.where, query)[0])

    def kept(self, name: str) -> list[bytes]:
        """What lies in unmatched.mbox or quarantine.mbox."""
        path = self.where / f".mailblast/{name}.mbox"
        found = read_mailbox(path) if path.exists() else ()
        return [mail.content for mail in found if isinstance(mail, Mail)]

    def suppressed(self) -> list[str]:
        """The keys on the suppression list."""
        return look(self.where, "SELECT key FROM suppressions ORDER BY key")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Seven were mailed by a relay; the connection of the last broke after the dot."""
    where = tmp_path_factory.mktemp("sent")
    with running({"dot": {DOUBTFUL: several(keep, close)}}) as server:
        rows = "".join(f"{who},N\n" for who in PEOPLE)
        letter(where, rows, delivery=relay(server.port, 1))
        ok(where, "send", "letter", "--yes", status=3)
        got = {
            each.recipient: (each.return_path, each.content.decode().replace("\r\n", "\n"))
            for each in server.messages
        }
    return Sent(where, got)


@pytest.fixture
def sent(campaign: Sent, tmp_path: Path) -> Sent:
    """A copy of that workspace, to change."""
    return Sent(shutil.copytree(campaign.where, tmp_path / "workspace"), campaign.got)


# --- Mail, as it comes back ----------------------------------------------------------------


def head(sent: Sent, who: str, sender: str, subject: str, more: str = "") -> str:
    path = sent.got[who][0]
    return (
        f"Return-Path: <>\nDelivered-To: {path}\nFrom: {sender}\nTo: {path}\n"
        f"Subject: {subject}\n{more}MIME-Version: 1.0\n"
    )


def notice(sent: Sent, who: str, action: str = "failed", status: str = "5.1.1") -> str:
    """A delivery status notice (RFC 3464)."""
    said = {"5": "550 {} no such user", "4": "452 {} busy", "2": "250 {} Ok"}[status[0]]
    return (
        head(sent, who, "MAILER-DAEMON@mx.example", "Delivery Status Notification")
        + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\n\nWhat became of your message.\n\n--b\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; {who}\n"
        f"Action: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {said.format(status)}\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{sent.got[who][1]}\n--b--\n"
    )


def autoreply(sent: Sent, who: str) -> str:
    """An answering machine (RFC 3834)."""
    more = "Auto-Submitted: auto-replied\n"
    return head(sent, who, who, "Automatic reply: News", more) + "\nI am away.\n"


def complaint(sent: Sent, who: str) -> str:
    """Feedback (RFC 5965) whose reporter has blackened every address."""
    hidden = sent.got[who][1].replace(who, "redacted@isp.example")
    return (
        "Return-Path: <fbl@isp.example>\nFrom: fbl@isp.example\nTo: abuse@shop.example\n"
        "Subject: complaint\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
        "--b\n\nSomebody pressed the button.\n\n--b\nContent-Type: message/feedback-report\n\n"
        "Feedback-Type: abuse\nUser-Agent: FBL/1.0\nVersion: 1\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{hidden}\n--b--\n"
    )


def wish(sent: Sent, who: str, author: str = "") -> str:
    """What a mail program sends when its unsubscribe button is pressed."""
    links = sent.field(who, "list-unsubscribe")
    to = links.partition("<mailto:")[2].partition("?")[0]
    author = author or who
    return f"Return-Path: <{author}>\nFrom: {author}\nTo: {to}\nSubject: unsubscribe\n\n"


def reply(sent: Sent, who: str, author: str = "") -> str:
    """A person's answer, to the address in From."""
    author = author or who
    return (
        f"Return-Path: <{author}>\nFrom: {author}\nTo: news@shop.example\n"
        f"Subject: Re: News\nIn-Reply-To: {sent.field(who, 'message-id')}\n\n"
        "Thank you, that is what I was looking for.\n"
    )


def altered(mail: str, number: int = 1) -> str:
    """The same mail with one more field: another digest, the same proof."""
    return f"X-Copy: {number}\n{mail}"


# --- Events --------------------------------------------------------------------------------


def test_every_kind_makes_its_event(sent: Sent) -> None:
    """Seven kinds of mail: each moves its delivery, leaves its mark, and is accounted for."""
    ann, bo, cy, di, ed, fay, gus = PEOPLE
    found = sent.take_in(
        notice(sent, ann),
        autoreply(sent, bo),
        complaint(sent, cy),
        wish(sent, di),
        notice(sent, ed, "delivered", "2.1.5"),
        notice(sent, fay, "delayed", "4.2.2"),
        reply(sent, gus),
    )
    run = the_run(sent.where)

    assert found["counts"] == {
        "bounced": 1, "autoreplied": 1, "complained": 1, "unsubscribed": 1, "delivered": 1,
        "delayed": 1, "replied": 1, "suppressed": 3,
    }  # fmt: skip
    assert found["kinds"] == {
        "bounce": 3, "autoreply": 1, "complaint": 1, "unsubscribe": 1, "none": 1
    }  # fmt: skip
    assert found["tied"] == {"return-path": 4, "link": 2, "message-id": 1}
    assert run["dispositions"] == {"bounced": 1, "delivered": 5, "accepted": 1}
    assert run["marks"] == {"autoreplied": 1, "complained": 1, "unsubscribed": 1}
    assert sum(run["came_back"].values()) == 7
    assert sent.suppressed() == [ann, cy, di]
    assert sent.kept("unmatched") == sent.kept("quarantine") == []


def test_what_is_told(sent: Sent) -> None:
    """On the screen: what came of the mail, the marks, and in `show` what changed nothing."""
    ann, bo, cy, *_ = PEOPLE
    inbox = sent.where / "inbox.mbox"
    for mail in (autoreply(sent, ann), notice(sent, bo, "delayed", "4.2.2")):
        append_mbox(inbox, mail.encode(), "", AT)
    told = ok(sent.where, "bounces", "import", "inbox.mbox").out
    report = ok(sent.where, "report").out
    narrow = ok(sent.where, "report", env={"COLUMNS": "40"}).out

    assert "1  autoreplied: a machine answered, so it was delivered" in told
    assert "1  delayed: the server still tries" in told
    assert "read as: 1 autoreply, 1 bounce" in told
    assert "tied by: 2 return-path" in told
    assert "1 autoreplied: a machine answered" in report
    assert "What came back: 1 autoreplied, 1 delayed." in report
    assert "1 autoreplied" in narrow
    assert "autoreplied: a machine answered" in ok(sent.where, "show", ann).out
    shown = ok(sent.where, "show", bo).out
    assert "Came back too, and changed nothing here:" in shown
    assert "tied by return-path: delayed 4.2.2 452 4.2.2 busy" in shown
    assert "came back" not in ok(sent.where, "show", cy).out.lower()


@pytest.mark.parametrize("answer", [notice, autoreply, complaint, wish, reply])
def test_doubtful_no_more(sent: Sent, answer: Callable[[Sent, str], str]) -> None:
    """A bounce ends a doubt, and so does whatever the recipient answers."""
    assert sent.disposition(DOUBTFUL) == "doubtful"
    sent.take_in(answer(sent, DOUBTFUL))

    after = "bounced" if answer is notice else "delivered"
    assert sent.disposition(DOUBTFUL) == after
    ok(sent.where, "send", "letter", "--yes")  # nothing is due, nothing is in doubt


def test_what_is_no_answer(sent: Sent) -> None:
    """A notice in a form that nobody knows comes to the return path too, and proves nothing: it
    is kept until the form is known; nor does a person's mail from another address."""
    unknown = head(sent, DOUBTFUL, "robot@mx.example", "About your message")
    unknown += "\nWe could not find a place for it.\n"
    counts = sent.take_in(unknown, reply(sent, DOUBTFUL, "friend@other.example"))["counts"]

    assert counts == {"unmatched": 1, "other": 1}
    assert sent.disposition(DOUBTFUL) == "doubtful"


def test_a_longer_window(sent: Sent) -> None:
    """What was accepted is not delivered before the workspace's own bounce window has closed."""
    settings = sent.where / "mailblast.toml"
    before = settings.read_text() if settings.exists() else ""
    with closing(sqlite3.connect(sent.where / ".mailblast/ledger.db")) as ledger:
        ledger.execute("UPDATE deliveries SET settled = settled - 5 * 86400")
        ledger.commit()
    settings.write_text(f'{before}\n[suppression]\nbounce_window = "9 days"\n')
    waiting = the_run(sent.where)
    settings.write_text(before)

    assert waiting["dispositions"] == {"accepted": 6, "doubtful": 1}
    assert the_run(sent.where)["dispositions"] == {"delivered": 6, "doubtful": 1}


def test_a_late_bounce(sent: Sent) -> None:
    """After the window has closed in silence, and after an automatic reply: the last final
    word decides, and all of them stay."""
    ann, bo, *_ = PEOPLE
    with closing(sqlite3.connect(sent.where / ".mailblast/ledger.db")) as ledger:
        ledger.execute("UPDATE deliveries SET settled = settled - 5 * 86400")
        ledger.commit()
    sent.take_in(autoreply(sent, bo))
    assert the_run(sent.where)["dispositions"] == {"delivered": 6, "doubtful": 1}
    sent.take_in(notice(sent, ann), notice(sent, bo))

    assert sent.disposition(ann) == sent.disposition(bo) == "bounced"
    assert the_run(sent.where)["marks"] == {"autoreplied": 1}
    sent.take_in(autoreply(sent, ann))
    assert sent.disposition(ann) == "bounced"
    query = (
        "SELECT kind FROM events JOIN deliveries ON deliveries.id = delivery "
        f"WHERE mailbox = '{bo}' ORDER BY events.id"
    )
    assert look(sent.where, query)[-2:] == ["autoreplied", "bounced"]


@pytest.mark.parametrize(
    ("by", "change"),
    [
        ("message-id", lambda mail, path: mail.replace(path, "bounces@shop.example")),
        ("message-id", lambda mail, path: mail.replace(path, "x@y.example").replace(
            "In-Reply-To: ", "References: <a@b.example>\n ")),
        ("return-path", lambda mail, path: mail.replace(path, f"prvs=0123456789={path}")),
        ("return-path", lambda mail, path: mail.replace(path, path.upper())),
        ("return-path", lambda mail, path: mail.replace(
            path, '"{}"@{}'.format(*path.split("@")))),
        ("return-path", lambda mail, path: mail.replace(
            path, f"SRS0=HHHH=TT=shop.example={path.split('@')[0]}@forward.example")),
    ],
)  # fmt: skip
def test_an_answer_by_whatever_way(
    sent: Sent, by: str, change: Callable[[str, str], str]
) -> None:
    """An automatic reply to a wrapped return path, or to none of ours: it finds its delivery."""
    ann = PEOPLE[0]
    mail = autoreply(sent, ann).replace(
        "MIME-Version", f"In-Reply-To: {sent.field(ann, 'message-id')}\nMIME-Version"
    )
    found = sent.take_in(change(mail, sent.got[ann][0]))

    assert (found["counts"], found["tied"]) == ({"autoreplied": 1}, {by: 1})
    assert sent.disposition(ann) == "delivered"


# --- Quarantine ------------------------------------------------------------------------------


def test_replayed(sent: Sent) -> None:
    """A genuine notice altered in a byte is another mail with the same proof: what it says
    was said, so nothing changes, and it is kept."""
    ann, bo, cy, *_ = PEOPLE
    mails = [notice(sent, ann, status="4.2.2"), autoreply(sent, bo), complaint(sent, cy)]
    sent.take_in(*mails)
    before, events = the_run(sent.where), look(sent.where, "SELECT count(*) FROM events")
    counts = sent.take_in(*(altered(m, n) for m in mails for n in range(3)))["counts"]

    assert counts == {"replayed": 9}
    assert the_run(sent.where)["dispositions"] == before["dispositions"]
    assert look(sent.where, "SELECT count(*) FROM events") == events
    assert sent.suppressed() == [cy], "by the complaint itself"
    assert len(sent.kept("quarantine")) == 9
    assert "replayed" in ok(sent.where, "show", ann).out


def test_replayed_within_one_import(sent: Sent) -> None:
    """The first says it, the other nineteen say it again."""
    mail = notice(sent, PEOPLE[0])
    counts = sent.take_in(*(altered(mail, n) for n in range(20)))["counts"]

    assert counts == {"bounced": 1, "suppressed": 1, "replayed": 19}


def test_answers_may_be_repeated(sent: Sent) -> None:
    """People write twice, and may ask twice to be let go: also after they had come back."""
    ann, bo, *_ = PEOPLE
    sent.take_in(wish(sent, ann), reply(sent, bo))
    ok(sent.where, "unsubscribe", "remove", ann, "--consent", f"wrote on {date.today()}")
    counts = sent.take_in(altered(wish(sent, ann)), altered(reply(sent, bo)))["counts"]

    assert counts == {"unsubscribed": 1, "suppressed": 1, "replied": 1}
    ok(sent.where, "unsubscribe", "check", ann, status=2)
    assert sent.kept("quarantine") == []


def test_after_four_weeks(sent: Sent) -> None:
    """A bounce may take its time: it is believed for a month."""
    ann, *_ = PEOPLE
    with closing(sqlite3.connect(sent.where / ".mailblast/ledger.db")) as ledger:
        ledger.execute("UPDATE deliveries SET dated = dated - 29 * 86400")
        ledger.commit()

    assert sent.take_in(notice(sent, ann))["counts"] == {"bounced": 1, "suppressed": 1}
    assert sent.disposition(ann) == "bounced"


def test_expired(sent: Sent) -> None:
    """A month later a bounce is not believed any more; a wish to leave still is."""
    ann, bo, cy, *_ = PEOPLE
    with closing(sqlite3.connect(sent.where / ".mailblast/ledger.db")) as ledger:
        ledger.execute("UPDATE deliveries SET dated = dated - 31 * 86400")
        ledger.commit()
    mails = (notice(sent, ann), autoreply(sent, bo), wish(sent, cy))
    counts = sent.take_in(*mails)["counts"]

    assert counts == {"expired": 2, "unsubscribed": 1, "suppressed": 1}
    assert sent.disposition(ann) == "accepted"
    assert len(sent.kept("quarantine")) == 2


def test_forged(sent: Sent) -> None:
    """Tags with another MAC or another number, in every kind of mail: nothing changes."""
    ann, bo, *_ = PEOPLE
    mine, theirs = (sent.got[who][0].partition("+")[2][:28] for who in (ann, bo))
    crossed = theirs[:11] + mine[11:]  # bo's number, ann's MAC
    before = the_run(sent.where)
    mails = [each(sent, ann).replace(mine, crossed) for each in (notice, autoreply)]
    counts = sent.take_in(*mails)["counts"]

    assert counts == {"forged": 2}
    assert the_run(sent.where) == before
    assert sent.suppressed() == []
    assert len(sent.kept("quarantine")) == 2


def test_beyond_the_bounds(sent: Sent) -> None:
    """A thousand parts deep, forty thousand parts: kept apart, whatever tag they bring."""
    ann = PEOPLE[0]
    start = head(sent, ann, "mailer-daemon@x.example", "failed")
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(1000)
    )
    wide = "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 40_000
    counts = sent.take_in(start + deep, start + wide, notice(sent, PEOPLE[1]))["counts"]

    assert counts == {"unreadable": 2, "bounced": 1, "suppressed": 1}
    assert sent.disposition(ann) == "accepted"
    assert len(sent.kept("quarantine")) == 2


# --- What is tied to nothing -----------------------------------------------------------------


def strange(number: int, kind: str = "failed") -> str:
    """A notice about somebody whom we did not mail."""
    return (
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: bounces@shop.example\n"
        "Subject: Undelivered\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\n\nIt failed.\n\n--b\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; u{number}@x.example\n"
        f"Action: {kind}\nStatus: 5.1.1\n\n--b--\n"
    )


def test_weak(sent: Sent) -> None:
    """A notice that names whom we mailed, and brings no proof: shown, and nothing else."""
    ann = PEOPLE[0]
    mail = strange(1).replace("u1@x.example", ann.upper())
    found = sent.take_in(mail)

    assert found["counts"] == {"weak": 1}
    assert found["tied"] == {"address": 1}
    assert sent.disposition(ann) == "accepted"
    assert sent.suppressed() == []
    shown = ok(sent.where, "show", ann).out
    assert "weak [inbox.mbox:1] tied by address: failed 5.1.1" in shown
    assert the_run(sent.where)["came_back"] == {"weak": 1}
    assert len(sent.kept("unmatched")) == 1


def test_unmatched_is_kept_once(sent: Sent) -> None:
    """Each mail once, imported again and again; what people should read is left alone."""
    mails = [strange(n) for n in range(3)] + ["From: a@b.example\nSubject: hi\n\nHello\n"]
    first = sent.take_in(*mails)["counts"]
    again = [sent.take_in(*mails)["counts"] for _ in range(2)]

    assert first == {"unmatched": 3, "other": 1}
    assert again == [{"known": 4}, {"known": 4}]
    assert len(sent.kept("unmatched")) == 3


def test_unmatched_is_judged_anew(tmp_path: Path) -> None:
    """What nothing tied may be tied once its form is known; what was judged stays judged."""
    ledger = Ledger(tmp_path / ".mailblast")
    results = []
    for result in ("unmatched", "unmatched", "weak", "delayed", "unmatched", "bounced"):
        change = Change(b"d" * 32, "in:1", "bounce", LOOSE, Judged(result))
        found = ledger.imports.enter([change], AT, Policy(), lambda _: None)
        results += found.taken
    ledger.close()

    assert [taken.result for taken in results] == ["unmatched"] * 3 + ["delayed"] * 3
    assert [taken.new for taken in results] == [True, False, False, True, False, False]
    assert look(tmp_path, "SELECT result FROM returned") == ["delayed"]


def test_each_is_told_once_it_is_durable(sent: Sent) -> None:
    """Whoever moves or deletes mail hears of each what came of it, also the second time."""
    ann, bo, *_ = PEOPLE
    mails: list[Mail | Refusal] = [
        Mail(str(number), text.encode())
        for number, text in enumerate((notice(sent, ann), strange(1), reply(sent, bo)))
    ]
    mails.append(Refusal("in:4: larger than 32 MB"))
    told: list[tuple[str, str]] = []
    ledger = Ledger(sent.where / ".mailblast")

    def settled(mail: Mail | Refusal, result: str) -> None:
        assert isinstance(mail, Refusal) or look(
            sent.where, f"SELECT count(*) FROM returned WHERE source = '{mail.source}'"
        ) == [1]
        told.append((mail.source if isinstance(mail, Mail) else "", result))

    for _ in range(2):
        Reconcile(ledger, keyring(ledger)).take_in(mails, lambda: time.time(), settled)
    ledger.close()

    once = [("0", "bounced"), ("1", "unmatched"), ("2", "replied"), ("", "unreadable")]
    assert sorted(told) == sorted(once * 2)


def test_standard_input_is_kept(sent: Sent) -> None:
    """A pipe from a server leaves the mail nowhere else: what is for people is kept."""
    given = "From: a@b.example\nSubject: hi\n\nHello\n"
    ended = ok(sent.where, "bounces", "import", "-", "--json", given=given)

    assert ended.json["counts"] == {"other": 1}
    assert [mail.rstrip() for mail in sent.kept("unmatched")] == [given.rstrip().encode()]


def test_a_wish_of_somebody_unknown(sent: Sent) -> None:
    """Who writes that they want no more gets no more, whoever they are; whoever invents a tag
    speaks for themselves alone."""
    ann, bo, *_ = PEOPLE
    plain = "From: Zoe@Other.example\nTo: news@shop.example\nSubject: unsubscribe\n\n"
    forged = wish(sent, ann, "yan@other.example")
    tag = sent.field(ann, "list-unsubscribe").partition("leave+")[2][:37]
    forged = forged.replace(tag, tag[:20] + ("b" if tag[20] != "b" else "c") + tag[21:])
    counts = sent.take_in(plain, forged, wish(sent, bo, "friend@other.example"))["counts"]

    assert counts == {"unsubscribed": 3, "suppressed": 4}
    assert sent.suppressed() == [
        bo, "friend@other.example", "yan@other.example", "zoe@other.example"
    ]  # fmt: skip
    assert the_run(sent.where)["marks"] == {"unsubscribed": 1}


# --- Once, whatever happens ------------------------------------------------------------------


def test_line_ends(sent: Sent) -> None:
    """One mail lies in an mbox with LF and in a Maildir with CRLF: it is the same mail."""
    mail = notice(sent, PEOPLE[0])
    sent.take_in(mail)
    for name in ("new", "cur", "tmp"):
        (sent.where / "Maildir" / name).mkdir(parents=True)
    (sent.where / "Maildir/new/1").write_bytes(mail.replace("\n", "\r\n").encode())
    counts = ok(sent.where, "bounces", "import", "Maildir", "--json").json["counts"]

    assert counts == {"known": 1}


MANY = 1200


def crowd(sent: Sent) -> Path:
    """A large mailbox: of each thing something, and enough for the worker processes."""
    mails = [notice(sent, PEOPLE[0]), autoreply(sent, PEOPLE[1]), wish(sent, PEOPLE[2])]
    mails += [altered(mail, n) for mail in mails[:2] for n in range(100)]
    mails += [strange(n) for n in range(MANY - len(mails))]
    random.Random(4).shuffle(mails)
    inbox = sent.where / "crowd.mbox"
    for mail in mails:
        append_mbox(inbox, mail.encode(), "", AT)
    return inbox


def taken_in_once(sent: Sent, *, exactly: bool = True) -> None:
    """The crowd is in the ledger, and everything of it once."""
    kinds = "('bounced', 'autoreplied', 'unsubscribed')"
    events = look(
        sent.where,
        f"SELECT kind FROM events WHERE kind IN {kinds} ORDER BY kind",
    )
    results = Counter(look(sent.where, "SELECT result FROM returned"))
    unmatched, quarantined = (
        Counter(sent.kept("unmatched")),
        Counter(sent.kept("quarantine")),
    )

    assert events == ["autoreplied", "bounced", "unsubscribed"]
    assert results == {
        "bounced": 1, "autoreplied": 1, "unsubscribed": 1, "replayed": 200,
        "unmatched": MANY - 203,
    }  # fmt: skip
    assert len(unmatched) == MANY - 203
    assert len(quarantined) == 200
    assert not exactly or {*unmatched.values(), *quarantined.values()} == {1}
    assert sent.suppressed() == [PEOPLE[0], PEOPLE[2]]


def test_two_imports_at_once(sent: Sent) -> None:
    """Two processes take in the same mailbox: every mail counts once, and is kept once."""
    crowd(sent)
    both = [begin(sent.where, "bounces", "import", "crowd.mbox", "--json") for _ in "ab"]
    found = [ended(one, 120) for one in both]

    assert [status for status, *_ in found] == [0, 0]
    taken_in_once(sent)
    again = ok(sent.where, "bounces", "import", "crowd.mbox", "--json").json["counts"]
    assert again == {"known": MANY}


def test_killed(sent: Sent) -> None:
    """Killed again and again, then left to finish: nothing is lost, no event is there twice.
    No worker outlives it."""
    inbox = crowd(sent)
    dice = random.Random(7)
    for _ in range(4):
        process = begin(sent.where, "bounces", "import", str(inbox))
        until(lambda p=process: children(p.pid) or p.poll() is not None)
        time.sleep(dice.uniform(0, 0.5))
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(lambda some=workers: not any(map(alive, some)))
    ok(sent.where, "bounces", "import", str(inbox))

    taken_in_once(sent, exactly=False)


def test_ctrl_c(sent: Sent) -> None:
    """It ends at once, and its workers with it; what was taken in stays, the rest is taken in
    by the same command."""
    inbox = crowd(sent)
    process = begin(sent.where, "bounces", "import", str(inbox))
    until(lambda: children(process.pid) or process.poll() is not None)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert workers
    until(lambda: not any(map(alive, workers)))
    ok(sent.where, "bounces", "import", str(inbox))
    taken_in_once(sent, exactly=False)


def test_a_worker_is_killed(sent: Sent) -> None:
    """As when the memory is short: a sentence, status 1, and the same command goes on."""
    inbox = crowd(sent)
    process = begin(sent.where, "bounces", "import", str(inbox))
    until(lambda: children(process.pid) or process.poll() is not None)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    status, _, err = ended(process, 120)

    assert status == 1
    assert "a worker process ended while it read mail" in err
    ok(sent.where, "bounces", "import", str(inbox))
    taken_in_once(sent)


def children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_full_disk(sent: Sent) -> None:
    """What cannot be kept is not called known: the import ends with a sentence, and goes on
    from there when there is room."""
    (sent.where / ".mailblast/unmatched.mbox").symlink_to("/dev/full")
    (sent.where / "inbox.mbox").unlink(missing_ok=True)
    for mail in (strange(1), notice(sent, PEOPLE[0])):
        append_mbox(sent.where / "inbox.mbox", mail.encode(), "", AT)
    failed = ok(sent.where, "bounces", "import", "inbox.mbox", status=1)
    assert "unmatched.mbox: No space left on device" in failed.err
    (sent.where / ".mailblast/unmatched.mbox").unlink()
    counts = ok(sent.where, "bounces", "import", "inbox.mbox", "--json").json["counts"]

    assert counts == {"unmatched": 1, "bounced": 1, "suppressed": 1}


def peak(where: Path, inbox: Path) -> int:
    """The most memory that an import took, in MB."""
    words = [sys.executable, "-m", "mailblast", "bounces", "import", str(inbox)]
    with subprocess.Popen(
        words, cwd=where, env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss // 1024


def test_memory(sent: Sent) -> None:
    """A mailbox ten times as large takes no more memory."""
    sizes = {}
    for count in (100, 1000):
        inbox = sent.where / f"{count}.mbox"
        padding = "x" * 70 + "\n"
        for n in range(count):
            append_mbox(inbox, (strange(n) + padding * 1500).encode(), "", AT)
        sizes[count] = peak(sent.where, inbox)

    assert sizes[1000] < sizes[100] + 60
