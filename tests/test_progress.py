"""What an import shows while it goes on, and how much memory it takes."""

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.mailboxes import measure
from commands import PROGRAM, environment, letter, ok
from rich.console import Console

from mailblast.mailbox import append_mbox, read
from mailblast.runbook import RunBook
from mailblast.terminal import progress

CONTENT = b"Subject: a question\n\nWhen do you open?\n" * 20


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An mbox of a thousand messages."""
    letter(tmp_path, "")
    path = tmp_path / "inbox.mbox"
    for number in range(1000):
        append_mbox(path, b"X: %d\n" % number + CONTENT, "", 1_700_000_000.0)
    return path


def test_in_a_pipe(inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there are whole lines, now and then, with the share of the file."""
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    with (tmp_path / "told").open("w") as file:
        console = Console(file=file, highlight=False, markup=False)
        for _ in progress.followed(console, read(inbox)):
            pass
    lines = (tmp_path / "told").read_text().splitlines()

    assert len(lines) == 1000
    share = r"reading \S+inbox\.mbox: (\d+) % of 8\d\d\.\d kB, ([\d,]+) mails? \([\d,]+ a second"
    told = [re.fullmatch(rf"{share}, .* left\)", line) for line in lines]
    assert all(told), next(line for line, one in zip(lines, told, strict=True) if not one)
    assert [one[1] for one in told if one][-1] == "100"
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a Maildir the files are counted."""
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    (tmp_path / "cur").mkdir()
    for number in range(4):
        (tmp_path / "cur" / str(number)).write_bytes(CONTENT)
    with (tmp_path / "told").open("w") as file:
        for _ in progress.followed(Console(file=file), read(tmp_path)):
            pass

    assert "50 % of 4 files, 3 mails" in (tmp_path / "told").read_text()


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colours", "NO_COLOR"])
def test_on_a_terminal(inbox: Path, env: dict[str, str]) -> None:
    """One line, which is redrawn and gone in the end; then the sums, and no colour unasked."""
    shown = on_a_terminal(inbox.parent, "bounces", "import", "inbox.mbox", env=env)

    assert "1,000 mails read" in shown
    assert "reading inbox.mbox: " in shown
    assert not re.search(r"\x1b\[(3|4|9)\d", shown)
    assert "\x1b[2K" in shown


def on_a_terminal(where: Path, *words: str, env: dict[str, str]) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=where,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", **env),
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += data
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()


def test_json_is_alone(inbox: Path) -> None:
    """With --json there is one object on standard output, with what the run book has."""
    found = ok(inbox.parent, "bounces", "import", "inbox.mbox", "--json").json
    (entry,) = RunBook(inbox.parent / ".mailblast").all("imports")

    assert found["sources"] == ["inbox.mbox"]
    assert sum(found["counts"].values()) == 1000
    assert entry == {"name": found["started"], **found}
    assert found["started"] < found["ended"]


def test_an_import_that_fails(inbox: Path) -> None:
    """What was taken in before stays, and the run book says that the import did not end."""
    ok(inbox.parent, "bounces", "import", "inbox.mbox", "nowhere.mbox", status=1)
    (entry,) = RunBook(inbox.parent / ".mailblast").all("imports")

    assert sum(entry["counts"].values()) == 1000
    assert entry["ended"] is None


def test_the_run_book_stays_small(tmp_path: Path) -> None:
    """Only the latest of a kind are kept, and a change loses nothing of others."""
    book = RunBook(tmp_path)
    for number in range(20):
        book.put("imports", str(number), {"n": number})
    book.put("imports", "last", {"n": 20})
    book.keep("imports", 3)
    book.change("imports", "last", lambda one: {**one, "more": 1})

    assert [one["n"] for one in book.all("imports")] == [18, 19, 20]
    assert book.get("imports", "last") == {"name": "last", "n": 20, "more": 1}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kB there")
def test_memory_does_not_grow_with_the_mailbox() -> None:
    """The process that reads 60 MB from a pipe takes no more than the one that reads 2."""
    few, _, small = measure(2_000_000, "explain", "-")
    many, _, large = measure(60_000_000, "explain", "-")

    assert many > 20 * few
    assert large < small + 25_000_000
