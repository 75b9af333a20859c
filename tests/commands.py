"""The commands as a user runs them: a program of its own, in a directory, with what it says."""

import json
import os
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "mailblast")

# Loads mailblast once and forks at request: a start takes a second of imports, a fork none.
_FORKING = """
import gc, json, os, sys
import uvloop
from mailblast.cli import cli, main
from mailblast.preflight.packs import found
from mailblast.reason import classify
def load(group):  # a command is loaded when it is asked for: here all are, once
    for name in group.list_commands(None):
        one = group.get_command(None, name)
        hasattr(one, "list_commands") and load(one)
load(cli)
found(("can-spam", "bulk-senders")); classify(550, "", "")  # what is read once is read here
gc.collect(); gc.freeze()  # the children do not go through what they share
for line in sys.stdin:
    where, words, env, files = json.loads(line)
    pid = os.fork()
    if not pid:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(env)
        for number, name in enumerate(files):
            os.dup2(os.open(name, os.O_WRONLY if number else os.O_RDONLY), number)
        sys.argv = ["mailblast", *words]
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

SETTINGS = """\
[sender]
from = "Example Shop <news@shop.example>"
postal_address = ["Example Shop Ltd", "Main Road 7", "1234 Town"]
[recipients]
source = "signup"
[attest]
CANSPAM-ADDRESS-FORM = { by = "Ada Lovelace", on = %s, digest = "c738ea21825a5c4e" }
[message]
subject = "News for {{ name }}"
[unsubscribe]
url = "https://u.shop.example/u"
mailto = "leave@shop.example"
[check]
dns = false
""" % (date.today() - timedelta(days=2))
SANDBOX = """\
[delivery]
via = "sandbox"
retry = ["1 s"]
"""


def relay(port: int, connections: int) -> str:
    """The settings for a relay on this machine."""
    return f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
retry = ["1 s"]
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit status, and all that it wrote."""

    status: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.raw.decode()

    @property
    def json(self) -> Any:
        """Standard output, which is exactly one JSON document on one line."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def run(
    where: Path,
    *words: object,
    given: str = "",
    env: Mapping[str, str] | None = None,
    program: tuple[str, ...] = (),
) -> Ended:
    """Run `mailblast WORDS` in a directory, `given` on its standard input.

    A process of its own, forked from one that has mailblast loaded; started from the
    beginning if a `program` is named.  It must not end in a fault of its own.
    """
    start = _started if program else _forked
    ended = start(where, [*program, *map(str, words)], given, environment(**env or {}))
    assert "Traceback" not in ended.err, ended.err
    assert "a fault of mailblast" not in ended.err, ended.err
    assert ended.status in (0, 1, 2, 3, 4), ended
    return ended


def _started(where: Path, words: list[str], given: str, env: dict[str, str]) -> Ended:
    ended = subprocess.run(
        words,
        cwd=where,
        input=given.encode(),
        capture_output=True,
        env=env,
        timeout=120,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr.decode())


def _forked(where: Path, words: list[str], given: str, env: dict[str, str]) -> Ended:
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory) / name for name in ("in", "out", "err")]
        for file in files:
            file.write_text(given if file.name == "in" else "")
        forking = _forking()
        assert forking.stdin
        assert forking.stdout
        forking.stdin.write(
            json.dumps([str(where), words, env, list(map(str, files))]) + "\n"
        )
        forking.stdin.flush()
        assert select.select([forking.stdout], [], [], 120)[0], f"{words} does not end"
        status = int(forking.stdout.readline())
        return Ended(status, files[1].read_bytes(), files[2].read_text())


@cache
def _forking() -> "subprocess.Popen[str]":
    """The process that forks; it ends with ours, when its standard input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", _FORKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def environment(**more: str) -> dict[str, str]:
    """What a program started by a test finds: a terminal of 200 columns, if it has one."""
    return {**os.environ, "COLUMNS": "200", "PYTHONWARNINGS": "error", **more}


def ok(where: Path, *words: object, status: int = 0, **more: Any) -> Ended:
    """Run a command that must end with this status."""
    ended = run(where, *words, **more)
    assert ended.status == status, ended
    return ended


def begin(
    where: Path, *words: str, env: Mapping[str, str] | None = None, **more: Any
) -> "subprocess.Popen[str]":
    """A command that is left running."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=where,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env or {}),
        **more,
    )


def ended(process: "subprocess.Popen[str]", seconds: float = 60) -> tuple[int, str, str]:
    """Its exit status, and what it said; never a traceback."""
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    assert "a fault of mailblast" not in err, err
    return process.returncode, out, err


def until(true: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def look(where: Path, query: str) -> list[Any]:
    """What stands in the ledger."""
    with closing(sqlite3.connect(where / ".mailblast/ledger.db", timeout=30)) as ledger:
        return [row[0] for row in ledger.execute(query)]


def letter(
    workspace: Path,
    rows: str,
    *,
    delivery: str = SANDBOX,
    name: str = "letter",
    **files: str,
) -> Path:
    """Write a campaign into a workspace: a list `email,name`, and `message_html="…"`."""
    home = workspace / name
    (workspace / "mailblast.toml").touch()  # whatever lies above it
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (workspace / "mailblast.toml").touch()  # whatever lies above: the workspace is here
    files = {
        "campaign_toml": SETTINGS + delivery,
        "message_txt": "Dear {{ name }}\n",
        "recipients_csv": "email,name\n" + rows,
        **files,
    }
    for file, content in files.items():
        (home / ".".join(file.rsplit("_", 1))).write_text(content, encoding="utf-8")
    return home


def the_run(where: Path, *words: object) -> Any:
    """The latest run as `report --json` has it; its sums add up."""
    (found,) = ok(where, "report", "--json", *words).json["runs"]
    assert sum(found["dispositions"].values()) == found["recipients"]
    mailable = sum(sum(each.values()) for each in found["destinations"].values())
    assert mailable <= found["recipients"]
    return found
