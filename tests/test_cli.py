"""Every command as a user runs it: a program of its own, with right and with wrong words."""

import csv
import email
import email.policy
import hashlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from commands import PROGRAM, SANDBOX, Ended, environment, letter, ok, relay, run, the_run

from mailblast.signing import verify

PEOPLE = (
    "ann@inbox.example,Ann\n"
    "bo@mail.example,Bo\n"
    "ghost@unknown.example,Ghost\n"
    "no address,Nobody\n"
    "ann@INBOX.example,Ann again\n"
    "back@bounces-postfix.example,Back\n"
)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path) -> Path:
    """Every test in a workspace of its own, whatever lies above it."""
    (tmp_path / "mailblast.toml").touch()
    return tmp_path


def unmarked(where: Path) -> None:
    """Make it a directory of which nobody has said yet that it is a workspace."""
    (where / "mailblast.toml").unlink()
    above = [path for path in where.parents if (path / ".mailblast").exists()]
    assert not above, f"{above} makes a workspace of all that is below; remove it"


def tree(where: Path) -> dict[str, str]:
    """Every file below a directory, with the digest of what is in it."""
    return {
        str(path.relative_to(where)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in where.rglob("*")
        if path.is_file()
    }


def parsed(raw: bytes) -> Any:
    """A message as the standard library reads it."""
    return email.message_from_bytes(raw, policy=email.policy.default)


# --- The first steps ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["letter", "Üben, üben/Brief Nr. 1"])
def test_the_first_five_commands(tmp_path: Path, name: str) -> None:
    """From nothing to a report that adds up, standing in one directory all the time."""
    unmarked(tmp_path)
    written = ok(tmp_path, "init", name)
    assert f"mailblast preview {shlex.quote(name)}" in written.out

    assert "Dear Agnes" in ok(tmp_path, "preview", name).out
    ok(tmp_path, "send", name, "--yes")
    inbox = ".mailblast/sandbox/inbox.mbox"
    counts = ok(tmp_path, "bounces", "import", inbox, "--json").json["counts"]
    found = the_run(tmp_path)

    assert counts == {"bounced": 1, "suppressed": 1}
    assert found["campaign"] == name
    assert found["recipients"] == 8
    assert found["dispositions"] == {
        "accepted": 5, "bounced": 1, "refused": 1, "suppressed": 1
    }  # fmt: skip


def test_the_ledger_is_found_from_anywhere(tmp_path: Path) -> None:
    """Where one stands when the command is run again decides nothing: it is the same run."""
    letter(tmp_path, PEOPLE)
    unmarked(tmp_path)
    ok(tmp_path, "send", "letter", "--yes")

    for where, name in ((tmp_path / "letter", "."), (Path("/"), tmp_path / "letter")):
        assert "Nothing is due" in ok(where, "send", name, "--yes").out
    assert the_run(tmp_path / "letter")["recipients"] == 6


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """A second init changes no file, and says so."""
    ok(tmp_path, "init", "letter")
    (tmp_path / "letter/message.txt").write_text("mine")
    before = tree(tmp_path)
    ended = ok(tmp_path, "init", "letter", status=1)

    assert "nothing was written" in ended.err
    assert tree(tmp_path) == before


# --- preview ------------------------------------------------------------------------------


def test_preview_is_what_the_recipient_gets(tmp_path: Path) -> None:
    """By row, by address in any case, or the first: raw, it is the message, CRLF and all."""
    letter(tmp_path, PEOPLE)
    before = tree(tmp_path)
    for words, name in (
        ((), "Ann"),
        (("--row", 2), "Bo"),
        (("--to", "BO@Mail.example"), "Bo"),
    ):
        raw = ok(tmp_path, "preview", "letter", "--raw", *words).raw
        message = parsed(raw)
        assert message["Subject"] == f"News for {name}"
        assert message.get_body(("plain",)).get_content().startswith(f"Dear {name}\r\n")
        assert raw.count(b"\n") == raw.count(b"\r\n")

    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--row", "7"), "row 7 is not in the list"),
        (("--row", "0"), "0 is not in the range"),
        (("--row", "4"), "row 4 cannot be mailed"),
        (("--row", "x"), "not a valid integer"),
        (("--to", "zed@inbox.example"), "zed@inbox.example is not in the list"),
        (("--row", "1", "--to", "a@b.example"), "not both"),
        (("--html", "page.html"), "no HTML part"),
        (("--html", "/proc/no/page.html"), "no HTML part"),
    ],
)
def test_preview_refuses(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """What cannot be shown is said in a sentence, with status 1."""
    letter(tmp_path, PEOPLE)
    ended = ok(tmp_path, "preview", "letter", *words, status=1)

    assert said in ended.err
    assert not ended.out
    assert not (tmp_path / "page.html").exists()


def test_preview_writes_a_page(tmp_path: Path) -> None:
    """--html gives a page that stands by itself: its images are in it."""
    home = letter(tmp_path, PEOPLE, message_html="<p>Hi {{ name }}<img src='cid:a.png'>")
    (home / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ok(tmp_path, "preview", "letter", "--row", 2, "--html", "page.html")
    page = (tmp_path / "page.html").read_text()

    assert "Hi Bo" in page
    assert "data:image/png;base64," in page
    assert "cid:" not in page


# --- send: the plan -----------------------------------------------------------------------


def test_nobody_there_to_agree(tmp_path: Path) -> None:
    """Without a terminal and without --yes nothing is begun, and the status is 2."""
    letter(tmp_path, PEOPLE)
    before = tree(tmp_path)
    ended = ok(tmp_path, "send", "letter", status=2, given="y\n")

    assert "--yes" in ended.err
    assert tree(tmp_path) == before


def test_dry_run(tmp_path: Path) -> None:
    """A dry run says all that would happen; no run is left of it, and no mail."""
    letter(tmp_path, PEOPLE)
    ended = ok(tmp_path, "send", "letter", "--dry-run")

    for what in (
        "6 rows: 4 queued, 2 invalid",
        "4 messages to 4 destinations",
        "Example Shop <news@shop.example>",
        "practice Internet",
        "at a time",
    ):
        assert what in ended.out
    assert "nothing was sent from here yet" in ok(tmp_path, "report", status=1).err
    assert ok(tmp_path, "report", "--all", "--json").json == {"runs": []}
    assert not (tmp_path / ".mailblast/sandbox").exists()


def at_a_terminal(where: Path, answer: str, *words: str) -> Ended:
    """Run a command with a terminal as its standard input, and answer its question."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *words],
        cwd=where,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as started:
        os.write(ours, answer.encode())
        out, err = started.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return Ended(started.returncode, out, err.decode())


@pytest.mark.parametrize(
    ("answer", "status", "accepted"), [("y\n", 0, 3), ("n\n", 2, 0), ("\n", 2, 0)]
)
def test_somebody_is_asked(tmp_path: Path, answer: str, status: int, accepted: int) -> None:
    """At a terminal the plan is shown, then asked about; only a yes sends."""
    letter(tmp_path, PEOPLE)
    ended = at_a_terminal(tmp_path, answer, "send", "letter")

    assert ended.status == status
    assert "4 messages to 4 destinations" in ended.out
    assert "Send 4 messages? [y/N]" in ended.err
    if accepted:
        assert the_run(tmp_path)["dispositions"]["accepted"] == accepted
    else:
        assert "Nothing was sent." in ended.out
        ok(tmp_path, "report", status=1)


# --- send: what is done -------------------------------------------------------------------


def test_json_is_alone_on_standard_output(tmp_path: Path) -> None:
    """One object in the form of `report --json`; the plan and all else on standard error."""
    letter(tmp_path, PEOPLE)
    ended = ok(tmp_path, "send", "letter", "--yes", "--json")
    found = the_run(tmp_path)

    assert ended.json == found
    assert "4 messages to 4 destinations" in ended.err
    assert {
        "run", "campaign", "started", "ended", "recipients", "dispositions", "reasons",
        "destinations",
    } <= set(found)  # fmt: skip
    assert found["dispositions"] == {"accepted": 3, "refused": 1, "invalid": 2}
    assert found["reasons"] == {
        "address-syntax": 1, "duplicate": 1, "invalid-recipient": 1
    }  # fmt: skip


def test_json_when_there_is_nothing_to_send(tmp_path: Path) -> None:
    """A script that asks for JSON gets one object however the command ends well."""
    letter(tmp_path, PEOPLE)
    first = ok(tmp_path, "send", "letter", "--yes", "--json")
    again = ok(tmp_path, "send", "letter", "--yes", "--json")

    assert again.json == first.json


def test_limit_then_the_rest(tmp_path: Path) -> None:
    """--limit offers so many and no more; the same command goes on; nobody gets it twice."""
    letter(tmp_path, "".join(f"u{n}@inbox.example,N{n}\n" for n in range(7)))
    first = ok(tmp_path, "send", "letter", "--yes", "--limit", 3, status=3)
    assert "Run the same command again" in first.out
    assert the_run(tmp_path)["dispositions"] == {"accepted": 3, "queued": 4}

    ok(tmp_path, "send", "letter", "--yes", "--limit", 3, status=3)
    ok(tmp_path, "send", "letter", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 7}
    for n in range(7):
        story = ok(tmp_path, "show", f"u{n}@inbox.example").out if n in (0, 6) else ""
        assert story.count("  attempted") <= 1


def test_nothing_due(tmp_path: Path) -> None:
    """A run that is settled is not sent again, and says how a new one begins."""
    letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes")
    before = the_run(tmp_path)
    again = ok(tmp_path, "send", "letter", "--yes")

    assert "Nothing is due" in again.out
    assert "--new-run" in again.out
    assert the_run(tmp_path) == before


def test_a_list_without_anybody(tmp_path: Path) -> None:
    """A list with no good row sends nothing, says why row by row, and ends with status 1."""
    letter(tmp_path, "nobody,N\n")

    said = ok(tmp_path, "send", "letter", "--yes", status=1).out
    assert "Nobody in the list" in said
    assert "recipients.csv:2: " in said
    letter(tmp_path, "", name="empty")
    assert "Nobody in the list" in ok(tmp_path, "send", "empty", "--yes", status=1).out


def test_init_settles_the_workspace(tmp_path: Path) -> None:
    """Sent from within the campaign or from above it: one ledger, and an opt-out binds."""
    ok(tmp_path, "init", "letter")
    ok(tmp_path / "letter", "send", ".", "--yes")
    ok(tmp_path, "unsubscribe", "add", "agnes@inbox.example")

    assert not (tmp_path / "letter" / ".mailblast").exists()
    ok(tmp_path, "send", "letter", "--new-run", "--yes")
    shown = ok(tmp_path, "show", "agnes@inbox.example").out
    assert "suppressed (unsubscribed)" in shown


def test_a_look_begins_no_workspace(tmp_path: Path) -> None:
    """Reading commands leave no ledger where there was none."""
    for words in (
        ("report",),
        ("show", "a@b.example"),
        ("unsubscribe", "check", "a@b.example"),
    ):
        assert run(tmp_path, *words).status == 1

    assert not (tmp_path / ".mailblast").exists()


def test_exports_overwrite_nothing(tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    letter(tmp_path, "a@inbox.example,A\nnobody,N\n")
    ok(tmp_path, "send", "letter", "--yes")
    before = (tmp_path / "letter" / "recipients.csv").read_bytes()
    refused = run(tmp_path, "report", "--export", "letter/recipients.csv")

    assert refused.status == 1
    assert "File exists" in refused.err
    assert (tmp_path / "letter" / "recipients.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("message.txt", "Dear", "Hello", "message.txt changed"),
        ("recipients.csv", "Bo", "Bob", "recipients.csv changed"),
        ("campaign.toml", "News for", "Old news for", "[message] subject changed"),
        ("campaign.toml", "news@", "hello@", "[sender] from changed"),
    ],
)
def test_a_changed_campaign(
    tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    """A run does not go on with another content: what changed is named, the status is 2.
    Undone, it goes on; with --new-run the whole list gets the new one."""
    home = letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes", "--limit", 1, status=3)
    text = (home / file).read_text()
    (home / file).write_text(text.replace(old, new))
    refused = ok(tmp_path, "send", "letter", "--yes", status=2)
    assert said in refused.err
    assert "--new-run" in refused.err
    assert the_run(tmp_path)["dispositions"]["queued"] == 3

    if said == "message.txt changed":
        (home / file).write_text(text)
        ok(tmp_path, "send", "letter", "--yes")
        (home / file).write_text(text.replace(old, new))
    ok(tmp_path, "send", "letter", "--yes", "--new-run")
    runs = ok(tmp_path, "report", "--all", "--json").json["runs"]
    assert [one["recipients"] for one in runs] == [6, 6]


def test_the_same_under_another_name(tmp_path: Path) -> None:
    """A campaign and its copy are two, though not a byte in them differs."""
    for name in ("letter", "copy"):
        letter(tmp_path, PEOPLE, name=name)
        ok(tmp_path, "send", name, "--yes")

        assert the_run(tmp_path)["campaign"] == name
        assert "Dear" in ok(tmp_path, "show", "ann@inbox.example", "--raw").out


def test_how_it_goes_out_may_change(tmp_path: Path) -> None:
    """Limits and retries are no content: a run goes on with others."""
    home = letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes", "--limit", 1, status=3)
    with (home / "campaign.toml").open("a") as file:
        file.write('[throttle]\nrate = "100/s"\n')
    ok(tmp_path, "send", "letter", "--yes")

    assert the_run(tmp_path)["dispositions"] == {"accepted": 3, "refused": 1, "invalid": 2}


def test_to_me_counts_nowhere(tmp_path: Path) -> None:
    """Samples go to me alone, and are in no report; the campaign is still all due."""
    out = tmp_path / "out"
    letter(tmp_path, PEOPLE, delivery=f'[delivery]\nvia = "maildir"\nmaildir = "{out}"\n')
    ok(tmp_path, "send", "letter", "--yes", "--to-me", "me@home.example")
    samples = [parsed(path.read_bytes()) for path in out.glob("*.eml")]

    assert 1 <= len(samples) <= 3
    assert {sample["To"] for sample in samples} == {"me@home.example"}
    assert ok(tmp_path, "report", "--all", "--json").json == {"runs": []}
    ok(tmp_path, "report", status=1)
    ok(tmp_path, "send", "letter", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 4, "invalid": 2}
    assert ok(tmp_path, "send", "letter", "--to-me", "me", "--yes", status=1).err


def test_a_rehearsal_touches_nothing_real(tmp_path: Path) -> None:
    """--rehearse goes to the practice Internet whatever the settings say, with an account of
    its own; the real ledger is not touched, and the real run is still to come."""
    out = tmp_path / "out"
    letter(tmp_path, PEOPLE, delivery=f'[delivery]\nvia = "maildir"\nmaildir = "{out}"\n')
    ok(tmp_path, "unsubscribe", "add", "gone@mail.example")
    before = tree(tmp_path)
    ended = ok(tmp_path, "send", "letter", "--rehearse", "--yes")
    after = {
        name: digest
        for name, digest in tree(tmp_path).items()
        if not name.startswith(".mailblast/rehearsal/")
    }

    assert "bounced" in ended.out
    assert the_run(tmp_path, "--rehearsal")["recipients"] == 6
    assert after == before
    assert not out.exists()
    ok(tmp_path, "send", "letter", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 4, "invalid": 2}


def test_a_rehearsal_heeds_the_opt_outs(tmp_path: Path) -> None:
    """Who is on the workspace's list is suppressed in a rehearsal too, or it would show
    another plan than the real sending."""
    letter(tmp_path, PEOPLE)
    ok(tmp_path, "unsubscribe", "add", "ann@inbox.example")
    ok(tmp_path, "send", "letter", "--rehearse", "--yes")

    assert the_run(tmp_path, "--rehearsal")["dispositions"]["suppressed"] == 1


# --- report and show ----------------------------------------------------------------------


def test_report_words(tmp_path: Path) -> None:
    """The report adds up to the rows of the file, gives reasons, and says what to do next."""
    letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes")
    said = ok(tmp_path, "report").out

    assert re.search(r"all rows +6\b", said)
    for what in ("address-syntax", "duplicate", "invalid-recipient", "--export"):
        assert what in said
    for name in ("letter", "letter/", "./letter"):
        assert ok(tmp_path, "report", name).out == said
    said = ok(tmp_path, "report", "nonsense", status=1).err
    assert "there is no run and no campaign nonsense" in said


def test_rejected_rows_come_back_as_they_came(tmp_path: Path) -> None:
    """--export gives the header and the invalid rows cell by cell with their reason; what a
    spreadsheet would run gets a quote in front, and JSON has it raw."""
    home = letter(tmp_path, "")
    (home / "recipients.csv").write_text(
        'Email; First Name ;name\nann@inbox.example;Ann;x\n=HYPERLINK("http://e");"a;b";Ö\n'
        'bo;"two\nlines";@SUM(1)\nshort@inbox.example;y\nANN@inbox.example;-1;+2\n'
        "long@inbox.example;z;1;2\n",
        encoding="utf-8",
    )
    ok(tmp_path, "send", "letter", "--yes")
    assert "5 rows" in ok(tmp_path, "report", "--export", "rejected.csv").out
    with (tmp_path / "rejected.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)

    assert header == ["Email", " First Name ", "name", "reason", "explanation"]
    assert [row[:4] for row in rows] == [
        ['\'=HYPERLINK("http://e")', "a;b", "Ö", "address-syntax"],
        ["bo", "two\nlines", "'@SUM(1)", "address-syntax"],
        ["short@inbox.example", "y", "", "malformed-row"],
        ["ANN@inbox.example", "'-1", "'+2", "duplicate"],
        ["long@inbox.example", "z", "1, 2", "malformed-row"],
    ]
    assert all(row[4] for row in rows)


def test_show(tmp_path: Path) -> None:
    """What happened to one address is told event by event; --raw prints what was sent, also
    when the campaign is gone."""
    home = letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes")
    story = ok(tmp_path, "show", "Ghost@unknown.example").out
    assert "550 5.1.1" in story
    assert "refused" in story
    first = ok(tmp_path, "show", "ann@inbox.example", "--raw")
    shutil.rmtree(home)
    again = ok(tmp_path, "show", "ann@inbox.example", "--raw")

    assert first.raw == again.raw
    assert parsed(first.raw)["Subject"] == "News for Ann"
    assert "their SHA-256 is the ledger's" in again.err
    for wrong, said in (("zed@inbox.example", "is in no run"), ("nonsense", "@")):
        assert said in ok(tmp_path, "show", wrong, status=1).err
    assert ok(tmp_path, "show", "ann@inbox.example", "--run", "x", status=1).err


# --- keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "ed25519-sha256"])
def test_keys_new(tmp_path: Path, algorithm: str) -> None:
    """A key that only its owner can read, and the record with which dkimpy verifies what it
    signs; a second one under the same name is refused, and the first is as it was."""
    home = letter(tmp_path, PEOPLE)
    with (home / "campaign.toml").open("a") as file:
        file.write(f'[dkim]\nselector = "nov26"\nalgorithm = "{algorithm}"\n')
    words = ("keys", "new", "Shop.Example", "--selector", "nov26", "--algorithm", algorithm)
    said = ok(tmp_path, *words).out
    (path,) = (tmp_path / ".mailblast/keys").iterdir()
    key = path.read_bytes()

    assert path.name == "shop.example.nov26.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    record = "".join(re.findall(r'"([^"]*)"', said))
    name = "nov26._domainkey.shop.example"
    assert f"{name}. IN TXT" in said
    signed = ok(tmp_path, "preview", "letter", "--raw").raw
    assert verify(signed, name, record)
    assert not verify(signed.replace(b"Dear", b"Dead"), name, record)
    assert "there is a key already" in ok(tmp_path, *words, status=2).err
    assert path.read_bytes() == key


def test_two_keys(tmp_path: Path) -> None:
    """With ed25519_selector each message is signed twice; what was sent is made again with both;
    without the second key nothing leaves, and the hint is the command that makes it."""
    out = '[delivery]\nvia = "maildir"\nmaildir = "../out"\n'
    home = letter(tmp_path, "ann@inbox.example,Ann\n", delivery=out)
    with (home / "campaign.toml").open("a") as file:
        file.write('[dkim]\nselector = "mb1"\ned25519_selector = "mb2"\n')
    first = ok(tmp_path, "keys", "new", "shop.example").out
    lacking = ok(tmp_path, "send", "letter", "--yes", status=1).err
    command = "keys new shop.example --selector mb2 --algorithm ed25519-sha256"
    assert f"mailblast {command}" in lacking
    second = ok(tmp_path, *command.split()).out
    planned = ok(tmp_path, "send", "letter", "--yes").out

    assert "rsa-sha256, mb1._domainkey.shop.example" in planned
    assert "ed25519-sha256, mb2._domainkey.shop.example" in planned
    (sent,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    shown = ok(tmp_path, "show", "ann@inbox.example", "--raw")
    assert "their SHA-256 is the ledger's" in shown.err
    assert shown.raw.replace(b"\r\n", b"\n") in sent.read_bytes().replace(b"\r\n", b"\n")
    for selector, said in (("mb1", first), ("mb2", second)):
        name = f"{selector}._domainkey.shop.example"
        record = "".join(re.findall(r'"([^"]*)"', said))
        assert verify(shown.raw, name, record)
        assert not verify(shown.raw.replace(b"Dear", b"Dead"), name, record)


def test_practice_makes_both_keys(tmp_path: Path) -> None:
    """The practice Internet asks no DNS, so what is lacking is made."""
    home = letter(tmp_path, "ann@inbox.example,Ann\n")
    with (home / "campaign.toml").open("a") as file:
        file.write('[dkim]\nselector = "mb1"\ned25519_selector = "mb2"\n')
    planned = ok(tmp_path, "send", "letter", "--yes").out

    assert "a practice key was made: shop.example.mb1.pem" in planned
    assert "a practice key was made: shop.example.mb2.pem" in planned
    assert ok(tmp_path, "preview", "letter", "--raw").raw.count(b"DKIM-Signature:") == 2


@pytest.mark.parametrize(
    "words",
    [("../../../x",), ("a b",), ("",), ("shop.example", "--selector", "../../y"),
     ("shop.example", "--algorithm", "md5")],
    ids=str,
)  # fmt: skip
def test_keys_only_for_domains(tmp_path: Path, words: tuple[str, ...]) -> None:
    """What is no domain and no selector makes no file, in no place."""
    (tmp_path / "a/b").mkdir(parents=True)
    ok(tmp_path / "a/b", "keys", "new", *words, status=1)

    assert set(tree(tmp_path)) == {"mailblast.toml"}


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    """A private key readable by others is refused, with the chmod to run; nothing is sent."""
    home = letter(tmp_path, PEOPLE)
    with (home / "campaign.toml").open("a") as file:
        file.write('[dkim]\nselector = "mb1"\n')
    ok(tmp_path, "keys", "new", "shop.example")
    (path,) = (tmp_path / ".mailblast/keys").iterdir()
    path.chmod(0o644)
    ended = ok(tmp_path, "send", "letter", "--yes", status=1)

    assert "chmod 600" in ended.err
    ok(tmp_path, "report", status=1)


# --- bounces ------------------------------------------------------------------------------


def test_bounces_import_twice(tmp_path: Path) -> None:
    """The second import of a mailbox changes nothing, and says so (also in JSON)."""
    letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes")
    inbox = ".mailblast/sandbox/inbox.mbox"
    first = ok(tmp_path, "bounces", "import", inbox)
    before = the_run(tmp_path), ok(tmp_path, "show", "back@bounces-postfix.example").out
    again = ok(tmp_path, "bounces", "import", inbox, inbox, "--json")

    assert "1  bounced" in first.out
    assert again.json["counts"] == {"known": 2}
    assert before == (
        the_run(tmp_path), ok(tmp_path, "show", "back@bounces-postfix.example").out
    )  # fmt: skip
    assert before[0]["dispositions"]["bounced"] == 1
    ok(tmp_path, "unsubscribe", "check", "back@bounces-postfix.example", status=2)


def test_bounces_import_of_what_is_no_mailbox(tmp_path: Path) -> None:
    """A path that is not there, a directory without mail, and a file with noise in it are
    errors.  Nothing changes."""
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "empty").mkdir()
    for name in ("new", "cur", "tmp"):
        (tmp_path / "maildir" / name).mkdir(parents=True)

    assert "no such file" in ok(tmp_path, "bounces", "import", "nowhere", status=1).err
    assert "Maildir" in ok(tmp_path, "bounces", "import", "empty", status=1).err
    ok(tmp_path, "bounces", "import", status=1)
    assert "no mail" in ok(tmp_path, "bounces", "import", "noise", status=1).err
    assert ok(tmp_path, "bounces", "import", "maildir", "--json").json["counts"] == {}
    piped = ok(tmp_path, "bounces", "import", "-", "--json", given="From me\n\nhello\n")
    assert piped.json["counts"] == {"other": 1}


# --- unsubscribe --------------------------------------------------------------------------


def test_the_list_from_end_to_end(tmp_path: Path) -> None:
    """Addresses, a domain and hashes are added, found, given away as hashes, taken in again
    elsewhere, and taken off with a consent only."""
    digest = hashlib.sha256(b"hash@inbox.example").hexdigest()
    (tmp_path / "more.txt").write_text(f"# a list\n@gone.example\n{digest}\n")
    ended = ok(tmp_path, "unsubscribe", "add", "Ann@inbox.example", "--file", "more.txt")
    assert "3 added" in ended.out
    assert "0 added" in ok(tmp_path, "unsubscribe", "add", "ann@inbox.example").out
    for address, status in (
        ("ANN@inbox.example", 2),
        ("x@sub.gone.example", 2),
        ("hash@inbox.example", 2),
        ("bo@inbox.example", 0),
    ):
        ok(tmp_path, "unsubscribe", "check", address, status=status)
    assert len(ok(tmp_path, "unsubscribe", "list").out.splitlines()) == 3

    ok(tmp_path, "unsubscribe", "export", "out.csv")
    given = (tmp_path / "out.csv").read_text()
    assert "ann@" not in given.lower()
    other = tmp_path / "other"
    other.mkdir()
    (other / "mailblast.toml").touch()
    ok(other, "unsubscribe", "import", tmp_path / "out.csv")
    ok(other, "unsubscribe", "check", "ann@inbox.example", status=2)
    ok(other, "unsubscribe", "check", "x@gone.example", status=2)


def test_taken_off_with_consent_only(tmp_path: Path) -> None:
    """Without a consent in words nobody is taken off; with one they are, under their hash
    too, and it is kept."""
    digest = hashlib.sha256(b"ann@inbox.example").hexdigest()
    ok(tmp_path, "unsubscribe", "add", "ann@inbox.example", digest)
    ok(tmp_path, "unsubscribe", "remove", "ann@inbox.example", status=1)
    ok(tmp_path, "unsubscribe", "remove", "ann@inbox.example", "--consent", " ", status=2)
    ok(tmp_path, "unsubscribe", "check", "ann@inbox.example", status=2)
    consent = ("--consent", f"wrote to us on {date.today()}")
    ok(tmp_path, "unsubscribe", "remove", "ANN@inbox.example", *consent)

    assert consent[1] in ok(tmp_path, "unsubscribe", "check", "ann@inbox.example").out
    ended = ok(tmp_path, "unsubscribe", "remove", "bo@inbox.example", *consent, status=1)
    assert "was not on the list" in ended.out


def test_an_opt_out_does_not_wait_for_the_typo_of_another(tmp_path: Path) -> None:
    """Every wrong line is named, all others are added, and the status says that some are not."""
    letter(tmp_path, PEOPLE)
    bad = "email\nann@inbox.example\nnonsense\n*@x.example\n"
    (tmp_path / "bad.csv").write_text(bad)
    ended = ok(tmp_path, "unsubscribe", "import", "bad.csv", status=1)

    assert "1 added, 0 on the list already" in ended.out
    assert "bad.csv:3" in ended.err
    assert "bad.csv:4" in ended.err
    assert "2 entries were NOT added" in ended.err
    mended = bad.replace("*@", "@").replace("nonsense", "bo@inbox.example")
    (tmp_path / "bad.csv").write_text(mended)
    again = ok(tmp_path, "unsubscribe", "import", "bad.csv").out
    assert "2 added, 1 on the list already" in again
    both = ("unsubscribe", "add", "nonsense", "cy@inbox.example")
    assert "1 added" in ok(tmp_path, *both, status=1).out

    (tmp_path / "names.txt").write_text("Somebody\n" * 30)  # the wrong file
    wrong = ok(tmp_path, "unsubscribe", "import", "names.txt", status=1)
    assert "30 entries were NOT added" in wrong.err
    assert wrong.err.count("names.txt:") == 20
    assert wrong.out == ""
    ok(tmp_path, "unsubscribe", "add", status=1)
    ok(tmp_path, "unsubscribe", "add", "--file", "nowhere.txt", status=1)
    ok(tmp_path, "unsubscribe", "check", "nonsense", status=1)


def test_no_list_revives_anyone(tmp_path: Path) -> None:
    """Who has opted out stays out, whatever list comes later: of recipients or of opt-outs."""
    home = letter(tmp_path, PEOPLE)
    ok(tmp_path, "unsubscribe", "add", "ann@inbox.example", "--reason", "wrote to us")
    (home / "recipients.csv").write_text(
        "email,name,status\nann@inbox.example,A,subscribed\nbo@mail.example,B,new\n"
    )
    ok(tmp_path, "send", "letter", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 1, "suppressed": 1}
    (tmp_path / "list.csv").write_text("email,reason\nann@inbox.example,active\n")
    ok(tmp_path, "unsubscribe", "import", "list.csv")
    ok(tmp_path, "send", "letter", "--yes", "--new-run")

    assert the_run(tmp_path)["dispositions"] == {"accepted": 1, "suppressed": 1}


def started(where: Path, *words: str) -> "subprocess.Popen[bytes]":
    """A command that is left running."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=where,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def wait_for_some(where: Path) -> None:
    """Wait until a run has had something accepted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended = run(where, "report", "--json")
        if ended.status == 0 and ended.json["runs"][0]["dispositions"].get("accepted"):
            return
    raise AssertionError("nothing is accepted")


def test_an_opt_out_binds_a_run_in_progress(tmp_path: Path) -> None:
    """Who unsubscribes while the campaign goes out does not get it."""
    rows = "".join(f"u{n:02}@inbox.example,N\n" for n in range(44))
    letter(tmp_path, rows, delivery=SANDBOX + '[throttle]\nrate = "4/s"\n')
    with started(tmp_path, "send", "letter", "--yes") as sending:
        wait_for_some(tmp_path)
        ok(tmp_path, "unsubscribe", "add", "u43@inbox.example", "u40@inbox.example")
        assert sending.poll() is None, "the run was over too early"
        _, err = sending.communicate(timeout=60)

    assert sending.returncode == 0, err
    found = the_run(tmp_path)
    assert found["dispositions"] == {"accepted": 42, "suppressed": 2}
    assert found["reasons"] == {"unsubscribed": 2}


def test_an_opt_out_between_two_sendings(tmp_path: Path) -> None:
    """Who has unsubscribed since the list was read is left out, and nobody else with them."""
    letter(tmp_path, "".join(f"u{n:03}@inbox.example,N\n" for n in range(200)))
    ok(tmp_path, "send", "letter", "--yes", "--limit", 1, status=3)
    ok(tmp_path, "unsubscribe", "add", "u010@inbox.example", "u111@inbox.example")
    ok(tmp_path, "send", "letter", "--yes")

    assert the_run(tmp_path)["dispositions"] == {"accepted": 198, "suppressed": 2}


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C lets what is on its way finish, says how to go on, and ends with 3; then the
    same command settles it, each once.  Meanwhile a second send is refused."""
    rows = "".join(f"u{n:02}@inbox.example,N\n" for n in range(90))
    letter(tmp_path, rows, delivery=SANDBOX + '[throttle]\nrate = "4/s"\n')
    with started(tmp_path, "send", "letter", "--yes") as sending:
        wait_for_some(tmp_path)
        second = ok(tmp_path, "send", "letter", "--yes", status=2)
        sending.send_signal(signal.SIGINT)
        out, err = sending.communicate(timeout=30)

    assert "another `mailblast send` is at work" in second.err
    assert sending.returncode == 3, err
    assert b"Run the same command again" in out
    before = the_run(tmp_path)["dispositions"]
    assert set(before) == {"accepted", "queued"}
    (tmp_path / "letter/campaign.toml").write_text(
        (tmp_path / "letter/campaign.toml").read_text().replace("4/s", "unlimited")
    )
    ok(tmp_path, "send", "letter", "--yes")
    assert the_run(tmp_path)["dispositions"] == {"accepted": 90}


# --- Nonsense -----------------------------------------------------------------------------


def test_usage(tmp_path: Path) -> None:
    """What is no command and no option ends with 1 and, where it can, with a proposal."""
    letter(tmp_path, PEOPLE)
    assert "Did you mean 'send'" in ok(tmp_path, "sned", status=1).err
    assert "--limit" in ok(tmp_path, "send", "letter", "--limt", 3, status=1).err
    ok(tmp_path, "send", "letter", "--limit", 0, status=1)
    ok(tmp_path, "send", status=1)
    ok(tmp_path, "send", "nowhere", "--yes", status=1)
    ok(tmp_path, "send", "letter/campaign.toml", "--yes", status=1)
    ok(tmp_path, "send", "letter", "--yes", "--to-me", "a@x.example, b@y.example", status=1)
    assert ok(tmp_path, "--help", program=PROGRAM).out
    assert ok(tmp_path, "--version", program=PROGRAM).out
    ok(tmp_path, "show", os.fsdecode(b"\xff@x.example"), status=1)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"campaign_toml": None}, "campaign.toml"),
        ({"campaign_toml": "[sender\n"}, "campaign.toml:1"),
        ({"campaign_toml": "\x00\x01"}, "campaign.toml"),
        ({"message_txt": None}, "message"),
        ({"message_txt": "{{ nme }}"}, "nme"),
        ({"message_txt": "{% for %}"}, "message.txt:1"),
        ({"recipients_csv": None}, "recipients.csv"),
        ({"recipients_csv": ""}, "recipients.csv"),
        ({"recipients_csv": "name\nAnn\n"}, "recipients.csv:1"),
        ({"recipients_csv": b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 50}, "recipients.csv"),
        ({"recipients_csv": b"email,name\nx@y.example,\xe9\n"}, "latin-1"),
        ({"recipients_csv": 'email,name\nx@y.example,"Ann\n'}, "recipients.csv:2"),
        ({"suppression_txt": "ann@inbox.example\nnonsense\n"}, "suppression.txt:2"),
    ],
)
def test_a_campaign_that_is_none(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    """What is wrong is named with its file and line; nothing is sent, and no run is left."""
    home = letter(tmp_path, PEOPLE)
    for name, content in files.items():
        path = home / ".".join(name.rsplit("_", 1))
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = ok(tmp_path, "send", "letter", "--yes", status=1)

    assert said in ended.err
    assert "nothing was sent from here yet" in ok(tmp_path, "report", status=1).err


def test_an_opt_out_in_the_wrong_directory(tmp_path: Path) -> None:
    """It would bind nobody there: it is refused, and no workspace comes about."""
    unmarked(tmp_path)
    ended = ok(tmp_path, "unsubscribe", "add", "a@x.example", status=1)

    assert "there is no workspace" in ended.err
    assert not (tmp_path / ".mailblast").exists()
    (tmp_path / "mailblast.toml").touch()
    assert "1 added" in ok(tmp_path, "unsubscribe", "add", "a@x.example").out


def test_a_commercial_campaign_without_an_address(tmp_path: Path) -> None:
    """The law asks for a postal address: without, status 4 and the section; nothing leaves."""
    home = letter(tmp_path, PEOPLE, delivery=relay(9, 1))
    toml = (home / "campaign.toml").read_text()
    (home / "campaign.toml").write_text(re.sub(r"postal_address.*\n", "", toml))
    ended = ok(tmp_path, "send", "letter", "--yes", status=4)

    assert "7704" in ended.err
    ok(tmp_path, "report", status=1)


def without_rights() -> tuple[str, ...]:
    """The program, bound by file modes even when root runs the tests."""
    if os.geteuid() != 0:
        return PROGRAM
    drop = "-dac_override,-dac_read_search"
    return ("setpriv", "--bounding-set", drop, "--inh-caps", drop, *PROGRAM)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("letter", 0o000),
        ("letter/recipients.csv", 0o000),
        ("letter/message.txt", 0o000),
        ("letter/campaign.toml", 0o000),
        (".", 0o500),
        (".mailblast", 0o000),
        (".mailblast/ledger.db", 0o400),
        (".mailblast/secret.key", 0o000),
    ],
)
def test_what_may_not_be_read_or_written(tmp_path: Path, path: str, mode: int) -> None:
    """An unreadable directory, a read-only workspace: a sentence with the path, status 1."""
    letter(tmp_path, PEOPLE)
    program = without_rights()
    if path.startswith(".mailblast"):
        ok(tmp_path, "send", "letter", "--dry-run")
    target = tmp_path / path
    before = target.stat().st_mode
    target.chmod(mode)
    try:
        ended = ok(tmp_path, "send", "letter", "--yes", status=1, program=program)
        report = run(tmp_path, "report", program=program)
    finally:
        target.chmod(before)

    assert target.name in ended.err or str(target) in ended.err
    assert report.status == 1


def test_a_name_in_the_way(tmp_path: Path) -> None:
    """A file called .mailblast, a directory where a file should be: told, not raised."""
    letter(tmp_path, PEOPLE)
    (tmp_path / ".mailblast").touch()
    ok(tmp_path, "send", "letter", "--yes", status=1)
    ok(tmp_path, "unsubscribe", "list", status=1)
    (tmp_path / ".mailblast").unlink()
    (tmp_path / ".mailblast/ledger.db").mkdir(parents=True)
    assert "ledger.db" in ok(tmp_path, "send", "letter", "--yes", status=1).err
    shutil.rmtree(tmp_path / ".mailblast")
    (tmp_path / ".mailblast").mkdir()
    (tmp_path / ".mailblast/ledger.db").write_bytes(b"no database" * 1000)
    assert "ledger.db" in ok(tmp_path, "report", status=1).err


# --- The screen ---------------------------------------------------------------------------


def test_a_narrow_terminal(tmp_path: Path) -> None:
    """At forty columns nothing is cut off in the middle of a word that matters."""
    letter(tmp_path, PEOPLE)
    narrow = {"COLUMNS": "40"}
    sent = ok(tmp_path, "send", "letter", "--yes", env=narrow).out
    report = ok(tmp_path, "report", env=narrow).out

    for word in ("accepted", "refused", "invalid", "6"):
        assert word in sent
    for word in ("accepted", "refused", "invalid", "address-syntax", "unknown.example"):
        assert word in report.replace("\n", "")
    assert "…" not in report


def on_a_terminal(where: Path, *words: str, **env: str) -> str:
    """All that a command writes on a terminal."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 65536):
                seen.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    status = subprocess.run(
        [*PROGRAM, *words],
        cwd=where,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm-256color", **env),
        timeout=60,
        check=False,
    )
    os.close(theirs)
    reader.join(10)
    os.close(ours)
    assert status.returncode == 0, seen
    return b"".join(seen).decode()


def test_no_color(tmp_path: Path) -> None:
    """On a terminal there are colours, and with NO_COLOR there are none."""
    letter(tmp_path, PEOPLE)
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])(?:;\d+)*m")

    assert colour.search(on_a_terminal(tmp_path, "send", "letter", "--yes"))
    assert not colour.search(on_a_terminal(tmp_path, "report", NO_COLOR="1"))
    assert "\x1b" not in ok(tmp_path, "report").out


def test_what_a_list_says_is_not_obeyed(tmp_path: Path) -> None:
    """Control characters from the list are shown, not sent to the terminal."""
    home = letter(tmp_path, "", message_txt="Dear {{ name }}\x1b[2J\n")
    (home / "recipients.csv").write_text("email,name\nann@inbox.example,Ann\n")

    assert "\x1b[2J" not in ok(tmp_path, "preview", "letter").out


def test_brackets_are_words(tmp_path: Path) -> None:
    """What looks like markup in a subject or a name is shown as it is."""
    home = letter(tmp_path, PEOPLE)
    toml = (home / "campaign.toml").read_text()
    (home / "campaign.toml").write_text(toml.replace("News for", "[Offer] [/] :bell:"))

    assert (
        "[Offer] [/] :bell: {{ name }}" in ok(tmp_path, "send", "letter", "--dry-run").out
    )


@pytest.mark.parametrize(
    "words",
    [("unsubscribe", "list"), ("preview", "letter"), ("report",), ("--help",)],
    ids=" ".join,
)
def test_a_pipe_closed_early(tmp_path: Path, words: tuple[str, ...]) -> None:
    """`| head -1`: no complaint about a reader that has gone."""
    letter(tmp_path, PEOPLE, message_txt="a line of text\n" * 20_000)
    (tmp_path / "many.txt").write_text("".join(f"u{n}@x.example\n" for n in range(3000)))
    ok(tmp_path, "unsubscribe", "import", "many.txt")
    if words == ("report",):
        ok(tmp_path, "send", "letter", "--yes", "--limit", 1, status=3)
    with started(tmp_path, *words) as piped:
        assert piped.stdout
        piped.stdout.close()
        assert piped.stderr
        err = piped.stderr.read()

    assert err == b""
    assert piped.returncode in (0, 1)


@pytest.mark.parametrize(
    "env",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0",
     "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)  # fmt: skip
def test_a_terminal_without_our_letters(tmp_path: Path, env: dict[str, str]) -> None:
    """What the terminal cannot show is shown by its number, and is no error."""
    letter(tmp_path, "ann@inbox.example,Dörte 伟\n")
    said = ok(tmp_path, "preview", "letter", env=env, program=PROGRAM)

    assert "Dear D" in said.raw.decode("ascii", "replace")
    ok(tmp_path, "send", "letter", "--yes", "--json", env=env, program=PROGRAM)


def test_status_3_when_something_is_left(tmp_path: Path) -> None:
    """Deferred beyond what this command waits for: 3, and when to come back."""
    letter(
        tmp_path,
        "late@defers.example,Late\n",
        delivery='[delivery]\nvia = "sandbox"\nretry = ["1 h"]\n',
    )
    ended = ok(tmp_path, "send", "letter", "--yes", status=3)

    assert "1 deferred" in ended.out
    assert the_run(tmp_path)["dispositions"] == {"deferred": 1}
    assert json.dumps(the_run(tmp_path)["reasons"])
    again = ok(tmp_path, "send", "letter", "--yes", status=3)
    assert "deferred" in again.out


def test_a_campaign_that_is_not_there(tmp_path: Path) -> None:
    """It is told which there are, or how one begins."""
    none = ok(tmp_path, "send", "lettr", status=1).err
    assert "There is no campaign here; one begins with: mailblast init lettr" in none
    letter(tmp_path, PEOPLE)
    assert "Did you mean letter/?" in ok(tmp_path, "send", "lettr", status=1).err
    other = ok(tmp_path, "preview", "november", status=1).err
    assert "Directory 'november' does not exist. The campaigns here: letter/" in other


def test_a_page_is_not_written_over_the_template(tmp_path: Path) -> None:
    """A preview may be written again and again, but not over what it is made of."""
    home = letter(tmp_path, PEOPLE, message_html="<p>Dear {{ name }}</p>")
    wrong = ("preview", "letter", "--html", "letter/message.html")
    assert "message.html is the campaign's own" in ok(tmp_path, *wrong, status=1).err
    assert (home / "message.html").read_text() == "<p>Dear {{ name }}</p>"
    for _ in range(2):
        assert (
            "wrote page.html"
            in ok(tmp_path, "preview", "letter", "--html", "page.html").out
        )


def test_nothing_to_list(tmp_path: Path) -> None:
    """An empty list says so to people, and is nothing in a pipe."""
    letter(tmp_path, "nia@inbox.example,Nia\n")
    ok(tmp_path, "send", "letter", "--yes")
    for words in (("unsubscribe", "list"), ("bounces", "list")):
        ended = ok(tmp_path, *words)
        assert (ended.out, ended.err.startswith("Nobody")) == ("", True)
    assert ok(tmp_path, "bounces", "list", "--json").out == ""
