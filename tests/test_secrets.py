"""A password is in no output, no file and no list of processes, whatever goes wrong.

Real programs log in to real servers that refuse, break off, echo and cheat; then everything
that was written anywhere is searched for the password, plain and as AUTH encodes it.
"""

import asyncio
import base64
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from commands import PROGRAM, environment, letter, ok, run
from misbehaving import Authority, Connection, close, garbage, reset, running, say

CANARY = "Canary-5ecret?~"
NAME = "news@shop.example"
ENCODED = [
    base64.b64encode(text.encode()).decode().rstrip("=")
    for text in (CANARY, f"\0{NAME}\0{CANARY}")
]
ALL = [CANARY.encode(), *(text.encode() for text in ENCODED)]


def relay(port: int, ca_file: Path, password: str, security: str = "tls") -> str:
    """A relay that is logged in to."""
    return f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "{security}"
username = "{NAME}"
password = {password}
ca_file = "{ca_file}"
connections = 1
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the relay's certificate is from."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def password(tmp_path: Path) -> str:
    """The setting of a password in a file of the user's, outside the workspace."""
    home = tmp_path / "home"
    home.mkdir()
    file = home / "password"
    file.write_text(f"{CANARY}\n")
    file.chmod(0o600)
    return f'{{ file = "{file}" }}'


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory for the campaign and all that comes of it."""
    place = tmp_path / "workspace"
    place.mkdir()
    return place


def told(where: Path, *outputs: bytes | str) -> list[str]:
    """Where the password is found: in what was written, or in a file below `where`."""
    texts = {f"output {n}": _bytes(text) for n, text in enumerate(outputs)}
    texts |= {str(path): path.read_bytes() for path in where.rglob("*") if path.is_file()}
    return [name for name, text in texts.items() if any(one in text for one in ALL)]


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def test_the_search_finds_it(workspace: Path) -> None:
    """A search that finds nothing proves something only if it can find."""
    (workspace / "log").write_text(f"said {ENCODED[1]}")

    assert told(workspace, f"x{CANARY}x") == ["output 0", str(workspace / "log")]


ECHO = f"535 5.7.8 no: {CANARY} {ENCODED[0]} {ENCODED[1]}"
FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    # what goes wrong: the script, the certificate, what is said
    "wrong password, echoed": ({"AUTH": ECHO}, "good", "the password was refused"),
    "not now, echoed": ({"AUTH": [ECHO.replace("535 5", "454 4")]}, "good", ""),
    "closed in AUTH": ({"AUTH": [close]}, "good", ""),
    "reset in AUTH": ({"AUTH": [reset]}, "good", ""),
    "nonsense in AUTH": ({"AUTH": [garbage]}, "good", ""),
    "endless challenge": ({"AUTH": say("334 ")}, "good", "AUTH was answered with 334"),
    "neither yes nor no": (
        {"AUTH": say("250 2.0.0 ok")},
        "good",
        "AUTH was answered with 250",
    ),
    "other host": ({}, "other_host", "certificate is not valid"),
    "expired": ({}, "expired", "certificate is not valid"),
    "self-signed": ({}, "self_signed", "certificate is not valid"),
    "no AUTH": ({"EHLO": "250 mx.example"}, "good", "AUTH"),
    "refused at MAIL": ({"MAIL": "550 5.7.1 no"}, "good", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_tells_it(
    workspace: Path, authority: Authority, password: str, fault: str
) -> None:
    """Whatever the server does with it, we repeat it nowhere."""
    script, certificate, said = FAULTS[fault]
    tls = getattr(authority, certificate)()
    with running(script, tls=tls, wrapped=True) as server:
        letter(
            workspace,
            "a@x.example,A\n",
            delivery=relay(server.port, authority.file, password),
        )
        sent = run(workspace, "send", "letter", "--yes")
        report = run(workspace, "report", "--json")
        story = run(workspace, "show", "a@x.example")

    assert said in sent.err
    outputs = (sent.raw, sent.err, report.raw, report.err, story.raw, story.err)
    assert told(workspace, *outputs) == []


@pytest.mark.parametrize("answer", [close, garbage, "454 4.7.0 later", "220 go"])
def test_no_clear_text(
    workspace: Path, authority: Authority, password: str, answer: Any
) -> None:
    """When STARTTLS fails, the password stays where it is."""
    script = {"STARTTLS": [answer]} if answer != "220 go" else {"EHLO": "250 mx.example"}
    with running(script, tls=authority.unknown_authority()) as server:
        settings = relay(server.port, authority.file, password, "starttls")
        letter(workspace, "a@x.example,A\n", delivery=settings)
        sent = ok(workspace, "send", "letter", "--yes", status=1)

        assert not any(one in bytes(server.record) for one in ALL)
        assert "AUTH" not in server.verbs
    assert told(workspace, sent.raw, sent.err) == []


class Look:
    """An action that holds the session while somebody looks at the processes."""

    def __init__(self) -> None:
        self.reached, self.seen = threading.Event(), threading.Event()

    async def __call__(self, _: Connection) -> None:
        self.reached.set()
        await asyncio.to_thread(self.seen.wait, 30)


@pytest.mark.parametrize("kind", ["file", "command", "env"])
def test_no_list_of_processes_has_it(
    workspace: Path, authority: Authority, password: str, kind: str
) -> None:
    """While it is logged in, neither its command line nor that of a child has it; and unless
    the user put it there, no environment."""
    file = re.findall('"(.*)"', password)[0]
    source = {
        "file": password,
        "command": f'{{ command = "cat {file}" }}',
        "env": '{ env = "BLAST_PASSWORD" }',
    }[kind]
    more = {"BLAST_PASSWORD": CANARY} if kind == "env" else {}
    look = Look()
    with running({"MAIL": [look]}, tls=authority.good(), wrapped=True) as server:
        letter(
            workspace,
            "a@x.example,A\n",
            delivery=relay(server.port, authority.file, source),
        )
        process = subprocess.Popen(
            [*PROGRAM, "send", "letter", "--yes"],
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**more),
        )
        assert look.reached.wait(30)
        found = told(Path("/nowhere"), *about(process.pid, environ=kind != "env"))
        look.seen.set()
        out, err = process.communicate(timeout=30)

    assert found == []
    assert server.verbs.count("AUTH") == 1
    assert told(workspace, out, err) == []


def about(pid: int, *, environ: bool) -> list[bytes]:
    """What everyone can see of a process and its children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [pid, *(int(child) for task in tasks for child in task.read_text().split())]
    names = ("cmdline", "environ") if environ else ("cmdline",)
    return [Path(f"/proc/{one}/{name}").read_bytes() for one in pids for name in names]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read(
    workspace: Path, authority: Authority, password: str, mode: int
) -> None:
    """It is refused with the command that mends it, before any connection."""
    file = Path(re.findall('"(.*)"', password)[0])
    file.chmod(mode)
    with running(tls=authority.good(), wrapped=True) as server:
        letter(
            workspace,
            "a@x.example,A\n",
            delivery=relay(server.port, authority.file, password),
        )
        sent = ok(workspace, "send", "letter", "--yes", status=1)

        assert server.sessions == 0
    assert f"chmod 600 {file}" in sent.err
    assert told(workspace, sent.raw, sent.err) == []


@pytest.mark.parametrize(
    "setting",
    [
        f'"{CANARY}"',
        f'{{ env = "{CANARY}" }}',
        f'{{ plain = "{CANARY}" }}',
        f'["{CANARY}"]',
        f'"""{CANARY}\n"""',
        f'"{CANARY}',
    ],
    ids=["bare", "as a name", "wrong key", "list", "lines", "not closed"],
)
def test_written_into_the_settings(
    workspace: Path, authority: Authority, setting: str
) -> None:
    """Put where it does not belong it is refused, and what is said does not quote it."""
    with running(tls=authority.good(), wrapped=True) as server:
        home = letter(
            workspace,
            "a@x.example,A\n",
            delivery=relay(server.port, authority.file, setting),
        )
        sent = ok(workspace, "send", "letter", "--yes", status=1)

        assert server.sessions == 0
    (home / "campaign.toml").unlink()
    assert told(workspace, sent.raw, sent.err) == []


@pytest.mark.parametrize(
    "code",
    [
        f"import sys; print('{CANARY}'); sys.exit(1)",
        f"import sys; print('{CANARY}', file=sys.stderr); sys.exit(1)",
        f"raise SystemExit('{CANARY}')",
        f"print('{CANARY}' + chr(0))",
        f"import sys; sys.stdout.buffer.write(b'{CANARY}' + bytes([255]))",
    ],
    ids=["status", "standard error", "exit", "NUL", "no UTF-8"],
)
def test_a_command_that_fails(
    tmp_path: Path, workspace: Path, authority: Authority, code: str
) -> None:
    """What the command said, and may hold the password, is not repeated."""
    program = tmp_path / "ask.py"
    program.write_text(code)
    source = f"{{ command = '{sys.executable} {program}' }}"
    with running(tls=authority.good(), wrapped=True) as server:
        letter(
            workspace,
            "a@x.example,A\n",
            delivery=relay(server.port, authority.file, source),
        )
        sent = ok(workspace, "send", "letter", "--yes", status=1)

        assert server.sessions == 0
    assert told(workspace, sent.raw, sent.err) == []


# What stops a sending in the middle, so that a traceback with all its values is printed.
DIES = """
import sys, traceback
from mailblast.send import dispatch
def broken(self, *_): raise ZeroDivisionError
dispatch.Dispatch._account = broken
from mailblast.cli import main
main()
"""


def test_a_fault_of_our_own(
    workspace: Path, authority: Authority, password: str, tmp_path: Path
) -> None:
    """A traceback has no values in it, wherever it is kept."""
    kept = tmp_path / "kept"
    kept.mkdir()
    with running(tls=authority.good(), wrapped=True) as server:
        letter(
            workspace,
            "a@x.example,A\n",
            delivery=relay(server.port, authority.file, password),
        )
        ended = subprocess.run(
            [sys.executable, "-c", DIES, "send", "letter", "--yes"],
            cwd=workspace,
            capture_output=True,
            env=environment(
                TMPDIR=str(kept), PYTHONFAULTHANDLER="1", PYTHONASYNCIODEBUG="1"
            ),
            timeout=60,
            check=False,
        )

    assert ended.returncode == 1
    assert [path.name for path in kept.rglob("*.txt")] == ["traceback.txt"]
    assert told(workspace, ended.stdout, ended.stderr) == []
    assert told(kept) == []
