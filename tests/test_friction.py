"""What users stumbled over: wrong input, pasted hints, an address that nobody knows."""

import re
import shlex
import signal
import subprocess
import time

import pytest
from commands import PROGRAM, begin, ended, environment, letter, ok, relay, the_run
from misbehaving import Hold, running, say, several

from mailblast.quantity import counted

MAILDIR = '[delivery]\nvia = "maildir"\nmaildir = "../out"\n'


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2000, "2,000 rows")]
)
def test_a_count_and_its_noun(count, said):
    """One is not many."""
    assert counted(count, "row") == said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", b"email,name\nann@inbox.example,Ann\n" * 100),
        ("site.csv", b"email,site\nann@inbox.example,https://inbox.example\n"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\n"),
        ("letter.txt", b"Dear Ann,\n\nhow are you?\n"),
    ],
)
def test_a_file_that_is_no_mail(tmp_path, name, content):
    """It is refused, and nothing is counted; a mail without much of a header is read."""
    letter(tmp_path, "ann@inbox.example,Ann\n", delivery=MAILDIR)
    ok(tmp_path, "send", "letter", "--yes")
    (tmp_path / name).write_bytes(content)
    (tmp_path / "bare.txt").write_bytes(b"Subject: hello\n\nhow are you?\n")

    for words in (("import",), ("explain",)):
        said = ok(tmp_path, "bounces", *words, name, status=1).err
        assert f"{name}: this is no mail" in said
    assert "bare.txt  none" in ok(tmp_path, "bounces", "explain", "bare.txt").out


def test_a_notice_without_its_header(tmp_path):
    """Copied out of a mail reader it says the same."""
    notice = (
        b"This is the mail system at host mx.inbox.example.\n\n"
        b"<ann@inbox.example>: host mx.inbox.example[192.0.2.5] said: 550 5.1.1\n"
        b"    User unknown (in reply to RCPT TO command)\n"
    )
    (tmp_path / "copied.txt").write_bytes(notice)

    said = ok(tmp_path, "bounces", "explain", "copied.txt").out

    assert "copied.txt  bounce" in said
    assert "ann@inbox.example  failed" in said


def test_whether_somebody_is_suppressed_is_said_first(tmp_path):
    """Also of an address in no run, and as JSON."""
    letter(tmp_path, "ann@inbox.example,Ann\n", delivery=MAILDIR)
    ok(tmp_path, "send", "letter", "--yes")
    ok(tmp_path, "unsubscribe", "add", "bo@inbox.example")

    ann = ok(tmp_path, "show", "ann@inbox.example")
    bo = ok(tmp_path, "show", "bo@inbox.example", status=1)
    told = ok(tmp_path, "show", "ann@inbox.example", "--json").json
    other = ok(tmp_path, "show", "bo@inbox.example", "--json", status=1).json

    assert ann.out.startswith("ann@inbox.example is not suppressed.\nann@inbox.example  ")
    assert bo.out.startswith("Suppressed: bo@inbox.example  unsubscribed")
    assert "bo@inbox.example is in no run" in bo.err
    assert (told["suppressed"], told["entries"]) == (False, [])
    (story,) = told["runs"]
    assert (story["campaign"], story["row"], story["disposition"]) == (
        "letter",
        1,
        "accepted",
    )
    assert [one["event"] for one in story["events"]] == ["attempted", "accepted"]
    assert (other["suppressed"], other["runs"]) == (True, [])
    assert ok(tmp_path, "show", "ann@inbox.example", "--raw", "--json", status=1).out == ""


def test_a_row_beyond_the_list(tmp_path):
    """How long the list is, is said with it."""
    letter(tmp_path, "ann@inbox.example,Ann\nbo@inbox.example,Bo\n")

    said = ok(tmp_path, "preview", "letter", "--row", "9", status=1).err

    assert "row 9 is not in the list, whose last row is 2" in said


def test_a_ledger_that_is_none(tmp_path):
    """No traceback: what is wrong with which file, and what to do."""
    letter(tmp_path, "ann@inbox.example,Ann\n", delivery=MAILDIR)
    ok(tmp_path, "send", "letter", "--yes")
    for rest in (tmp_path / ".mailblast").glob("ledger.db*"):
        rest.unlink()
    (tmp_path / ".mailblast/ledger.db").write_bytes(b"no database at all " * 500)

    said = ok(tmp_path, "report", status=1).err

    assert "ledger.db: file is not a database\nput a copy of it back" in said


def test_hints_can_be_pasted(tmp_path):
    """Also where the campaign's name has a blank in it; after a rehearsal they lead to it."""
    letter(tmp_path, "ann@inbox.example,Ann\nbad,Bad\n", delivery=MAILDIR)
    (tmp_path / "letter").rename(tmp_path / "my letter")

    said = ok(tmp_path, "send", "my letter", "--rehearse", "--yes").out
    hint = next(line for line in said.splitlines() if "--export" in line)
    command = shlex.split(hint.partition(": mailblast ")[2])

    ok(tmp_path, *command)
    assert "bad" in (tmp_path / "rejected.csv").read_text()


def test_hints_lead_there_from_here(tmp_path):
    """Wherever one stands: the way to the campaign is from there."""
    letter(tmp_path, "ann@inbox.example,Ann\nbo@inbox.example,Bo\n", delivery=MAILDIR)
    ok(tmp_path, "send", "letter", "--yes", "--limit", "1", status=3)

    said = ok(tmp_path / "letter", "report").out
    hint = next(line for line in said.splitlines() if "still due" in line)
    ok(tmp_path / "letter", *shlex.split(hint.partition(": mailblast ")[2]), "--yes")

    assert the_run(tmp_path)["dispositions"] == {"accepted": 2}


def test_a_rehearsal_leads_to_nothing_real(tmp_path):
    """No hint after a rehearsal would send mail, or ask the ledger of real sendings."""
    rows = "".join(f"ann{n}@blocks.example,Ann\n" for n in range(30))
    letter(tmp_path, f"{rows}ann@inbox.example,Ann\nbad,Bad\n", delivery=MAILDIR)

    unrehearsed = ok(tmp_path, "report", "--rehearsal", status=1).err
    said = ok(tmp_path, "send", "letter", "--rehearse", "--yes", status=3).out
    later = ok(tmp_path, "report", "--rehearsal").out
    unknown = ok(tmp_path, "show", "cy@inbox.example", "--rehearsal", status=1).err

    assert "blocks.example is paused" in said
    for line in (said + later + unknown + unrehearsed).splitlines():
        assert "mailblast send" not in line or "--rehearse" in line
        assert line.count("mailblast report") <= line.count("--rehearsal")


def settings_of_a_relay(port: int, security: str) -> str:
    return (
        f'[delivery]\nvia = "relay"\nhost = "127.0.0.1"\nport = {port}\n'
        f'security = "{security}"\nusername = "ann"\npassword = {{ env = "PASSWORD" }}\n'
    )


@pytest.mark.parametrize(
    ("security", "script", "what", "settings"),
    [
        ("starttls", {}, "does not offer STARTTLS", "port and security"),
        ("none", {"AUTH": "535 5.7.8 no"}, "password was refused", "username and password"),
        ("none", {"AUTH": "250 Ok"}, "answered with 250 Ok", "username and password"),
    ],
)
def test_a_relay_that_is_none(tmp_path, security, script, what, settings):
    """The last lines say what stopped it, by which settings it can be mended, and go on."""
    with running(script) as server:
        where = settings_of_a_relay(server.port, security)
        letter(tmp_path, "ann@inbox.example,Ann\n", delivery=where)
        ended = ok(tmp_path, "send", "letter", "--yes", status=1, env={"PASSWORD": "x"})

    *_, error, hint = ended.err.splitlines()
    assert what in error
    assert f"look at {settings} in [delivery]" in hint
    assert hint.endswith("then run the same command again")
    assert "Mend what stopped it, which is told below" in ended.out


def test_report_while_it_is_sent(tmp_path):
    """What waits for the answer to its last dot is no broken connection."""
    hold = Hold()
    with running({"dot": [several(hold, say("250 2.0.0 Ok"))]}) as server:
        letter(tmp_path, "ann@inbox.example,Ann\n", delivery=relay(server.port, 1))
        sending = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        during = ok(tmp_path, "report")
        known = ok(tmp_path, "report", "--json").json["runs"][0]["sending"]
        hold.may_go_on.set()
        assert ended(sending)[0] == 0

    assert "It is being sent: what is doubtful waits for the answer" in during.out
    assert "--resend-doubtful" not in during.out
    assert known is True
    assert ok(tmp_path, "report", "--json").json["runs"][0]["sending"] is False


def test_a_new_run_beside_one_that_goes_on(tmp_path):
    """It is said that there is one, before anybody is asked; and how it goes on."""
    with running({"RCPT": [say("451 4.3.0 Try again later"), say("250 Ok")]}) as server:
        later = relay(server.port, 1).replace("1 s", "1 h")
        letter(tmp_path, "ann@inbox.example,Ann\n", delivery=later)
        first = ok(tmp_path, "send", "letter", "--yes", status=3).out
        again = ok(tmp_path, "send", "letter", "--new-run", "--yes").out

    assert "Run the same command again (without --new-run) then." in " ".join(first.split())
    (name,) = re.findall(r"Run +(letter-\S+)", first)
    assert f"{name} is not finished, and goes on without --new-run" in " ".join(
        again.split()
    )
    assert "is not finished" not in first


def test_an_override_outlives_a_run_that_did_not_begin(tmp_path):
    """There was no way to the relay: what was agreed to holds when the run is begun anew."""
    with running({}) as server:
        home = letter(tmp_path, "ann@inbox.example,Ann\n", delivery=relay(server.port, 1))
        toml = home / "campaign.toml"
        text = toml.read_text().replace("CANSPAM-ADDRESS-FORM", "# CANSPAM-ADDRESS-FORM")
        toml.write_text(text.replace('"none"', '"starttls"'))
        word = ("--override", "CANSPAM-ADDRESS-FORM", "--because", "a test")
        ok(tmp_path, "send", "letter", "--yes", status=4)
        ok(tmp_path, "send", "letter", "--yes", *word, status=1)
        toml.write_text(text)
        ok(tmp_path, "send", "letter", "--yes")

    assert the_run(tmp_path)["dispositions"] == {"accepted": 1}


def test_a_run_that_ended_with_a_pause(tmp_path):
    """Of which nothing is due: the last lines say what was wrong, and it refuses nothing."""
    rows = "".join(f"ann{n}@inbox.example,Ann\n" for n in range(200))
    with running({"RCPT": say("550 5.1.1 User unknown")}) as server:
        letter(tmp_path, rows, delivery=relay(server.port, 5))
        said = ok(tmp_path, "send", "letter", "--yes").out
        again = ok(tmp_path, "send", "letter", "--yes").out

    assert "do not exist any more" in said
    assert "Ask where the list is from" in said
    assert "Nothing is due" in again


def test_a_pause_of_somebody_else(tmp_path):
    """A destination that is paused is no matter of a run that has nobody there."""
    blocked = "550 5.7.1 Message refused: it looks like spam"
    rows = "".join(f"ann{n}@mail.example,Ann\n" for n in range(25))
    with running({"RCPT": say(blocked)}) as server:
        letter(tmp_path, rows, delivery=relay(server.port, 1))
        assert (
            "mail.example is paused"
            in ok(tmp_path, "send", "letter", "--yes", status=3).out
        )
    with running({}) as server:
        letter(tmp_path, "bo@inbox.example,Bo\n", delivery=relay(server.port, 1))
        said = ok(tmp_path, "send", "letter", "--new-run", "--yes").out

    assert "Settled." in said
    assert "mail.example" not in said.partition("disposition")[2]


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (b"PK\x03\x04\x14\x00\x06", "this is an Excel workbook", "save it as CSV UTF-8"),
        (b"ann@a.example\nbo@b.example\n", "looks like a row", "name the columns"),
        (b"email|name\nann@a.example|Ann\n", "cells are parted by", "name the columns"),
        (b"sep=;\nemail;name\n", "Excel's sep= line", "take it out"),
        (b"email\nJ\xf6rg@a.example\n", "not UTF-8", "say --encoding latin-1"),
        (b"E-Mail\nann@a.example\n", 'no column "email"', "say --email e_mail"),
    ],
    ids=["workbook", "no header", "separator", "sep", "encoding", "email"],
)
def test_a_file_that_is_no_list(tmp_path, content, what, hint):
    """What it is, and what to do, in the words of the command that was used."""
    (tmp_path / "list.csv").write_bytes(content)

    said = ok(tmp_path, "list", "clean", "list.csv", "-o", "out.csv", status=1).err

    assert what in said
    assert hint in said


def test_ctrl_c_says_a_word(tmp_path):
    """While the list is still being read."""
    rows = "".join(f"ann{n}@inbox.example,Ann\n" for n in range(60_000))
    letter(tmp_path, rows, delivery=MAILDIR)
    process = subprocess.Popen(
        [*PROGRAM, "send", "letter", "--yes"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / ".mailblast/ledger.db").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert said.endswith("Broken off.\n")
