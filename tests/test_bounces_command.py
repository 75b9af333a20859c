"""`mailblast bounces explain`: what was read from each message, and by which rule."""

import json
from pathlib import Path
from typing import Any

from commands import ok
from test_notices import EXPECTED, MAILS

from mailblast.mailbox import append_mbox

KEYS = ["recipient", "action", "status", "replycode", "reason", "hard", "permanent", "rule"]


def rows(text: str) -> dict[str, Any]:
    """The lines of JSON, by the name of the file."""
    return {Path(str(row["file"])).stem: row for row in map(json.loads, text.splitlines())}


def test_json(tmp_path: Path) -> None:
    """A directory of .eml files gives a line each, with the same keys for each recipient;
    what was not said is null.  No workspace is made."""
    found = rows(ok(tmp_path, "bounces", "explain", str(MAILS), "--json").out)

    assert {name: row["kind"] for name, row in found.items()} == {
        name: expected["kind"] for name, expected in EXPECTED.items()
    }
    assert found["ironport"] == {
        "file": str(MAILS / "ironport.eml"),
        "kind": "bounce",
        "recipients": [
            {
                "recipient": "anna@example.net",
                "action": "failed",
                "status": "5.1.1",
                "replycode": "550",
                "reason": "invalid-recipient",
                "hard": True,
                "permanent": True,
                "rule": "plaintext: the only address; user-unknown",
            }
        ],
    }
    for row in found.values():
        assert all(list(recipient) == KEYS for recipient in row["recipients"])
    assert not list(tmp_path.iterdir())


def test_words(tmp_path: Path) -> None:
    """For people: the source, the kind, the rule, each recipient and what was said."""
    inbox = tmp_path / "inbox.mbox"
    for name in ("qmail", "complaint", "reply"):
        append_mbox(inbox, (MAILS / f"{name}.eml").read_bytes(), "", 1_700_000_000.0)

    told = ok(tmp_path, "bounces", "explain", "inbox.mbox").out

    for line in (
        "inbox.mbox:1  bounce  by: qmail: address at the line start",
        "anna@example.net  failed 5.1.1 550 invalid-recipient (hard)  by: qmail",
        "552 5.2.2 <bert@example.net>... Mailbox full",
        "inbox.mbox:2  complaint (abuse)  by: feedback report",
        "inbox.mbox:3  none  by: nothing fits",
    ):
        assert line in told


def test_a_refusal_goes_on(tmp_path: Path) -> None:
    """A message beyond the bounds is told as a refusal and is of no kind; the next is read."""
    inbox = tmp_path / "inbox.mbox"
    hostile = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 200
    append_mbox(inbox, hostile, "", 1_700_000_000.0)
    append_mbox(inbox, (MAILS / "qmail.eml").read_bytes(), "", 1_700_000_000.0)

    ended = ok(tmp_path, "bounces", "explain", "inbox.mbox", "--json")

    kinds = [json.loads(line)["kind"] for line in ended.out.splitlines()]
    assert kinds == ["none", "bounce"]
    assert "inbox.mbox:1: more than 100 parts" in ended.err


def test_standard_input(tmp_path: Path) -> None:
    """A message on standard input is read as one that lies in a file."""
    given = (MAILS / "qmail.eml").read_text()

    (row,) = ok(tmp_path, "bounces", "explain", "-", "--json", given=given).out.splitlines()

    assert json.loads(row)["kind"] == "bounce"
    assert json.loads(row)["file"] == "-"
