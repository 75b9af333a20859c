"""The commands as a user runs them: a program of its own, in a directory, with what it says."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "mailblast")

SETTINGS = """\
[sender]
from = "Example Shop <news@shop.example>"
postal_address = ["Example Shop Ltd", "Main Road 7", "1234 Town"]
[message]
subject = "News for {{ name }}"
[unsubscribe]
url = "https://u.shop.example/u"
mailto = "leave@shop.example"
"""
SANDBOX = """\
[delivery]
via = "sandbox"
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
    program: tuple[str, ...] = PROGRAM,
) -> Ended:
    """Run `mailblast WORDS` in a directory, `given` on its standard input.

    Whatever it was asked, it must not end in a fault of its own.
    """
    ended = subprocess.run(
        [*program, *map(str, words)],
        cwd=where,
        input=given.encode(),
        capture_output=True,
        env=environment(**env or {}),
        timeout=120,
        check=False,
    )
    err = ended.stderr.decode()
    assert "Traceback" not in err, err
    assert "a fault of mailblast" not in err, err
    assert ended.returncode in (0, 1, 2, 3), (ended.returncode, err)
    return Ended(ended.returncode, ended.stdout, err)


def environment(**more: str) -> dict[str, str]:
    """What a program started by a test finds: a terminal of 200 columns, if it has one."""
    return {**os.environ, "COLUMNS": "200", "PYTHONWARNINGS": "error", **more}


def ok(where: Path, *words: object, status: int = 0, **more: Any) -> Ended:
    """Run a command that must end with this status."""
    ended = run(where, *words, **more)
    assert ended.status == status, ended
    return ended


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
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
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
