"""`bounces import -`: mail handed over by an MTA, one message a process.

The exit status is all that an MTA goes by: 0, and it forgets the mail; 75 (EX_TEMPFAIL), and
it keeps the mail and tries again; any other, and it sends a bounce to whoever sent the mail.
"""

import os
import re
import resource
import smtplib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from came_back import bounced_from, bounces_of, held
from commands import PROGRAM, environment, look, the_run
from exim import Exim, needs_exim
from handed_over import HandedOver, handed_over
from postfix import OWNER, Postfix, free_port, needs_postfix, until

from mailblast.runbook import RunBook

DOCS = Path(__file__).parents[1] / "docs/bounces.md"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace from which one message went out that bounced; nothing is taken in yet."""
    return bounced_from(tmp_path)


def bounce_of(workspace: Path) -> bytes:
    """The bounce, as it lies in the practice Internet's inbox."""
    (content,) = bounces_of(workspace)
    return content


def returned_to(workspace: Path) -> str:
    """The return path that the bounce was sent to."""
    found = re.search(rb"^To: <?([^>\s]+)", bounce_of(workspace), re.MULTILINE)
    assert found
    return found[1].decode()


def handed(
    workspace: Path, content: bytes, *options: str, where: str = "/", **more: Any
) -> "subprocess.CompletedProcess[bytes]":
    """Run the import as an MTA would, with a message on its standard input."""
    return subprocess.run(
        [*PROGRAM, "bounces", "import", "--workspace", str(workspace), *options, "-"],
        cwd=where,
        input=content,
        capture_output=True,
        env=environment(),
        timeout=120,
        check=False,
        **more,
    )


def bounced(workspace: Path) -> bool:
    """Whether the ledger knows of the bounce."""
    return bool(look(workspace, "SELECT 1 FROM events WHERE kind = 'bounced'"))


# --- The exit status ----------------------------------------------------------------------


def test_taken(workspace: Path) -> None:
    """A bounce is taken in without a word: an MTA would mail the words to somebody."""
    stamped = b"From MAILER-DAEMON  Tue Nov 14 22:13:20 2023\n" + bounce_of(workspace)
    for content in (stamped, bounce_of(workspace)):
        ended = handed(workspace, content)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")

    assert the_run(workspace)["dispositions"] == {"bounced": 1}
    (day,) = RunBook(workspace / ".mailblast").all("imports")
    assert day["name"].endswith(" standard input")
    assert sum(n for one, n in day["counts"].items() if one != "suppressed") == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        bytes(range(256)) * 100,
        b"Subject: a question\n\nWhen do you open?\n",
        b"From a Tue Nov 14 22:13:20 2023\nSubject: x\n\n" + b"x" * 40_000_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 200,
    ],
    ids=["nothing", "a line", "noise", "a question", "too large", "too many parts"],
)
def test_not_understood(workspace: Path, content: bytes) -> None:
    """What is no bounce, or no mail at all, is no fault of the MTA's: it will not get better."""
    ended = handed(workspace, content)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_json_on_request(workspace: Path) -> None:
    """With --json the sums are told all the same."""
    ended = handed(workspace, bounce_of(workspace), "--json")

    assert ended.returncode == 0
    assert b'"bounced": 1' in ended.stdout


def test_the_ledger_is_busy(workspace: Path) -> None:
    """Soon it is told to try again; then it is taken."""
    with held(workspace):
        began = time.monotonic()
        ended = handed(workspace, bounce_of(workspace))
        took = time.monotonic() - began

    assert ended.returncode == os.EX_TEMPFAIL
    assert b"another program holds the ledger" in ended.stderr
    assert took < 45  # not the minute that others wait
    assert not bounced(workspace)
    assert handed(workspace, bounce_of(workspace)).returncode == 0
    assert bounced(workspace)


def test_no_room(workspace: Path) -> None:
    """A full disk passes."""
    ended = handed(
        workspace,
        bounce_of(workspace),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )

    assert ended.returncode == os.EX_TEMPFAIL
    assert b"Traceback" not in ended.stderr
    assert handed(workspace, bounce_of(workspace)).returncode == 0
    assert bounced(workspace)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--workspace", "/nowhere/at/all"), "nothing was sent from here"),
        (("--wrkspace", "/"), "No such option"),
        (("/nowhere/inbox.mbox",), "no such file"),
    ],
)
def test_set_up_wrongly(workspace: Path, options: tuple[str, ...], said: str) -> None:
    """A mistake in the MTA's configuration costs no mail either, and makes no workspace."""
    ended = handed(workspace, bounce_of(workspace), *options)

    assert ended.returncode == os.EX_TEMPFAIL
    assert said in ended.stderr.decode()
    assert not Path("/nowhere").exists()
    assert not bounced(workspace)


def test_an_unquoted_line(workspace: Path) -> None:
    """A From_ line that begins a paragraph does not make two messages of one: local(8) quotes
    nothing."""
    head, _, rest = bounce_of(workspace).partition(b"\n\n")
    content = b"From x  Tue Nov 14 22:13:20 2023\n" + head + b"\n\nFrom us\n\n" + rest

    ended = handed(workspace, content, "--json")

    assert b'"bounced": 1' in ended.stdout
    assert b"other" not in ended.stdout


# --- Real MTAs ----------------------------------------------------------------------------


@pytest.fixture
def program() -> Iterator[HandedOver]:
    """The program as an MTA finds it."""
    with tempfile.TemporaryDirectory(prefix="mbho-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        with handed_over(Path(directory)) as found:
            yield found


def documented(begins: str, program: HandedOver, workspace: Path) -> str:
    """An example of docs/bounces.md, by how it begins, with the paths of this test."""
    text = DOCS.read_text(encoding="utf-8")
    found = re.search(rf"^    {re.escape(begins)}.*\n(?:    .*\n)*", text, re.MULTILINE)
    assert found, begins
    block = re.sub("^    ", "", found[0], flags=re.MULTILINE).strip() + "\n"
    block = block.replace("/usr/local/bin/mailblast", str(program))
    return block.replace("/srv/news", str(workspace)).replace("user=news", "user=nobody")


def hand_in(port: int, recipient: str, content: bytes) -> None:
    """Offer a bounce to a server, from the null path, as it was before it was delivered."""
    content = re.sub(rb"(?m)^(Return-Path|Delivered-To|X-Original-To):.*\n", b"", content)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.sendmail("", [recipient], content.replace(b"\n", b"\r\n"))


def first_put_off_then_taken(
    workspace: Path, program: HandedOver, server: Postfix | Exim
) -> None:
    """While the ledger is held the bounce stays in the queue; then it is taken in, once."""
    try:
        with held(workspace):
            hand_in(server.port, returned_to(workspace), bounce_of(workspace))
            until(lambda: program.calls, "the program was not run", 60)
        until(lambda: 0 in program.statuses(), "the bounce was not taken in", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}:\n{server.log()}\n{program.calls}") from None

    statuses = program.statuses()
    assert statuses[0] == os.EX_TEMPFAIL
    assert set(statuses) == {0, os.EX_TEMPFAIL}
    assert the_run(workspace)["dispositions"] == {"bounced": 1}
    assert all(out == b"" for status, out, _ in program.calls if status == 0)


POSTFIX = {
    "mydestination": "shop.example, mx.home.example",
    "local_recipient_maps": "",
    "virtual_mailbox_domains": "",
    "command_time_limit": "100s",
}


@needs_postfix
def test_an_alias_of_postfix(workspace: Path, program: HandedOver) -> None:
    """An alias, as docs/bounces.md has it: local(8) runs the command."""
    name, _, value = documented("bounces: ", program, workspace).strip().partition(": ")
    aliases = program.path.parent / "aliases"
    archive = program.path.parent / "archive"
    aliases.write_text(f"{name} {value}\narchive {archive}/\n")
    for folder in ("", "new", "cur", "tmp"):
        (archive / folder).mkdir()
        os.chown(archive / folder, OWNER, OWNER)
    settings = POSTFIX | {
        "alias_maps": f"texthash:{aliases}",
        "recipient_bcc_maps": "inline:{bounces@shop.example=archive@mx.home.example}",
    }

    with Postfix(settings) as server:
        first_put_off_then_taken(workspace, program, server)
        log = server.log()
        until(lambda: not server.queued(), "something is left in the queue")

    given = program.calls[0][2]
    assert given.startswith(b"From MAILER-DAEMON")
    assert f"X-Original-To: {returned_to(workspace)}".encode() in given
    assert re.search(r"status=deferred.*another program holds the ledger", log)
    assert "status=bounced" not in log
    assert len(list(archive.glob("new/*"))) == 1


@needs_postfix
def test_a_transport_of_postfix(workspace: Path, program: HandedOver) -> None:
    """A transport of master.cf, as docs/bounces.md has it: pipe(8) runs the command."""
    service = documented("mailblast unix ", program, workspace)
    settings = POSTFIX | {
        "transport_maps": "inline:{bounces@shop.example=mailblast}",
        "mailblast_destination_recipient_limit": "1",
    }

    with Postfix(settings, services=service) as server:
        first_put_off_then_taken(workspace, program, server)
        log = server.log()
        until(lambda: not server.queued(), "something is left in the queue")

    given = program.calls[0][2]
    assert f"Delivered-To: {returned_to(workspace)}".lower().encode() in given.lower()
    assert re.search(r"status=deferred.*another program holds the ledger", log)
    assert "status=bounced" not in log


@needs_exim
def test_a_router_of_exim(workspace: Path, program: HandedOver) -> None:
    """A router and a transport of Exim, as docs/bounces.md has them."""
    router = documented("mailblast_router:", program, workspace)
    transport = documented("mailblast_pipe:", program, workspace).replace(
        "= news", "= nobody"
    )
    server = Exim(
        "shop.example",
        address="127.0.0.1",
        port=free_port(),
        routers=router,
        transports=transport,
    )
    with server:
        first_put_off_then_taken(workspace, program, server)
        log = server.log()

    given = program.calls[0][2]
    assert f"Envelope-to: {returned_to(workspace)}".encode() in given
    assert " ** " not in log
