"""The run book: nothing is lost when two write, and nobody's edits are thrown away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mailblast.errors import LedgerError
from mailblast.runbook import RunBook

WRITER = """\
import sys
from pathlib import Path
from mailblast.runbook import RunBook
book = RunBook(Path(sys.argv[1]))
for number in range(60):
    book.put("runs", f"{sys.argv[2]}-{number}", {"by": sys.argv[2]})
    book.put("runs", "shared", {f"{sys.argv[2]}-{number}": number})
"""


def test_two_processes_writing_lose_nothing(tmp_path: Path) -> None:
    """Each entry of both is there, also in the one document that both add to."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name]) for name in ("ann", "bo")]
    assert [one.wait(60) for one in writers] == [0, 0]
    book = RunBook(tmp_path)

    for name in ("ann", "bo"):
        for number in range(60):
            assert book.get("runs", f"{name}-{number}") == {
                "name": f"{name}-{number}",
                "by": name,
            }
    assert len(book.get("runs", "shared") or {}) == 121
    assert not list(tmp_path.glob("*.tmp"))


def test_a_document_grows(tmp_path: Path) -> None:
    """What is put later is added; what stands under the same key is replaced."""
    book = RunBook(tmp_path)
    book.put("runs", "r", {"started": "now", "ended": None})
    book.put("runs", "r", {"ended": "later"})

    assert book.get("runs", "r") == {"name": "r", "started": "now", "ended": "later"}
    assert book.get("imports", "r") is None
    assert book.get("runs", "other") is None


@pytest.mark.parametrize(
    "broken",
    [
        b'{"runs": {"1": {"name":',
        b"\xff\xfe not text",
        b"[1, 2]",
        b'"a word"',
        b'{"runs": 5}',
        b'{"runs": {"one": {"name": "r"}}}',
        b'{"runs": {"1": "a word"}}',
        b"[" * 100_000,
        b"",
    ],
    ids=[
        "cut off",
        "no text",
        "list",
        "string",
        "table",
        "number",
        "document",
        "deep",
        "empty",
    ],
)
def test_a_broken_file_is_kept_aside(tmp_path: Path, broken: bytes) -> None:
    """A book that somebody edited and broke is kept as it is, and a new one begun."""
    (tmp_path / "runs.json").write_bytes(broken)
    book = RunBook(tmp_path)
    book.put("runs", "r", {"via": "relay"})

    assert (tmp_path / "runs.broken.json").read_bytes() == broken
    assert book.get("runs", "r") == {"name": "r", "via": "relay"}


def test_the_second_broken_file_does_not_replace_the_first(tmp_path: Path) -> None:
    """Both are kept."""
    book = RunBook(tmp_path)
    for broken in ("first {", "second {"):
        (tmp_path / "runs.json").write_text(broken)
        assert book.get("runs", "r") is None

    found = {path.read_text() for path in tmp_path.glob("runs.broken*.json")}
    assert found == {"first {", "second {"}


def test_people_can_read_it(tmp_path: Path) -> None:
    """It is JSON with line breaks, names in their own script."""
    RunBook(tmp_path).put("runs", "r", {"from": "Grüße <news@shop.example>"})
    text = (tmp_path / "runs.json").read_text(encoding="utf-8")

    assert "Grüße" in text
    assert text.count("\n") > 3
    assert json.loads(text)["runs"]["1"]["name"] == "r"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_what_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """On a full disk the old book stays whole, and the error names the file."""
    book = RunBook(tmp_path)
    book.put("runs", "r", {"n": 1})
    before = (tmp_path / "runs.json").read_bytes()
    (tmp_path / f"runs.{os.getpid()}.tmp").symlink_to("/dev/full")

    with pytest.raises(LedgerError, match=r"runs\.json: No space left"):
        book.put("runs", "r", {"n": 2})
    assert (tmp_path / "runs.json").read_bytes() == before
