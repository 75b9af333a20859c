"""Secrets: from a variable, a file, a command; and that none is ever repeated."""

import os
import sys
import time
import traceback
from pathlib import Path

import pytest

from mailblast import secret
from mailblast.campaign import SecretSource
from mailblast.errors import UserError
from mailblast.secret import read_secret

CANARY = "canary-7Q-pâss"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the secret that only we can read."""
    path = tmp_path / "password"
    path.write_text(f"{CANARY}\nand a note\n")
    path.chmod(0o600)
    return path


def refusal(source: SecretSource, base: Path) -> UserError:
    """What is said instead; the secret is in no part of it."""
    with pytest.raises(UserError) as caught:
        read_secret(source, base)
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown + str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None
    return caught.value


def python(code: str) -> SecretSource:
    """A command that runs a line of Python."""
    return SecretSource("command", f'{sys.executable} -c "{code}"')


def test_from_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable's value is the secret."""
    monkeypatch.setenv("BLAST_PASSWORD", CANARY)

    assert read_secret(SecretSource("env", "BLAST_PASSWORD"), tmp_path) == CANARY


def test_variable_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is empty or not there is named."""
    said = refusal(SecretSource("env", "BLAST_NOT_SET"), tmp_path)
    assert str(said) == "no password: the variable BLAST_NOT_SET is empty or not set"

    monkeypatch.setenv("BLAST_NOT_SET", "")
    refusal(SecretSource("env", "BLAST_NOT_SET"), tmp_path)


def test_from_a_file(file: Path) -> None:
    """The first line of a file is the secret, the path seen from the base."""
    assert read_secret(SecretSource("file", "password"), file.parent) == CANARY
    assert read_secret(SecretSource("file", str(file)), Path("/")) == CANARY


def test_blanks_belong_to_it(file: Path) -> None:
    """Only the line end goes; a password may end with a blank."""
    file.write_bytes(b" a b \r\n")

    assert read_secret(SecretSource("file", "password"), file.parent) == " a b "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o644, 0o666])
def test_file_that_others_can_get_at(file: Path, mode: int) -> None:
    """A file open to the group or to others is refused with the command that mends it."""
    file.chmod(mode)
    said = refusal(SecretSource("file", "password"), file.parent)

    assert "others can get at it" in str(said)
    assert f"chmod 600 {file}" == said.hint


def test_link_is_judged_by_its_target(file: Path) -> None:
    """A link to a file that others can read is refused too."""
    file.chmod(0o644)
    (file.parent / "link").symlink_to(file)

    refusal(SecretSource("file", "link"), file.parent)


def test_no_file(tmp_path: Path) -> None:
    """What is not there, or is no file, is told; a pipe does not hold us up."""
    assert "No such file" in str(refusal(SecretSource("file", "nothing"), tmp_path))
    assert "Is a directory" in str(refusal(SecretSource("file", "."), tmp_path))
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is not a file" in str(refusal(SecretSource("file", "pipe"), tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\ncanary", "empty"),
        (b"canary\xff", "not UTF-8"),
        (b"canary\x00x", "control character"),
        (b"canary" * 5000, "longer than"),
    ],
    ids=["empty", "first-line-empty", "latin-1", "nul", "long"],
)
def test_bad_secrets(file: Path, content: bytes, said: str) -> None:
    """A secret that no server could take is refused, and not shown."""
    file.write_bytes(content)

    assert said in str(refusal(SecretSource("file", "password"), file.parent))


def test_from_a_command(file: Path) -> None:
    """The first line that a command prints is the secret; it runs in the base directory."""
    assert read_secret(SecretSource("command", "cat password"), file.parent) == CANARY


def test_command_runs_without_a_shell(tmp_path: Path) -> None:
    """What a shell would make of the line is only text here."""
    source = SecretSource("command", "echo '$HOME' ; touch made")

    assert read_secret(source, tmp_path) == "$HOME ; touch made"
    assert list(tmp_path.iterdir()) == []


def test_command_that_fails(file: Path) -> None:
    """A command that fails gives no secret, whatever it printed; its output is dropped."""
    code = "import sys; print('canary'); sys.stderr.write('canary'); sys.exit(3)"
    said = refusal(python(code), file.parent)

    assert "(exit status 3)" in str(said)
    assert "run the command yourself" in said.hint


def test_command_says_nothing_on_our_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it writes to its standard error reaches nobody."""
    code = "import sys; sys.stderr.write('canary'); print('x')"

    assert read_secret(python(code), tmp_path) == "x"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["no-such-program-7q canary", "cat 'canary", "/"])
def test_command_that_cannot_run(tmp_path: Path, command: str) -> None:
    """A program that is not there, or a line that is none, is told without the line."""
    said = refusal(SecretSource("command", command), tmp_path)

    assert str(said).startswith("the command for the password cannot be run: ")


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        # Closes its output and lives on.
        "import os, time; os.close(1); time.sleep(60)",
        # Leaves a child behind that holds the output open.
        "import subprocess; subprocess.Popen(['sleep', '3'])",
    ],
)
def test_command_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A command has its time, and is ended when that is over."""
    monkeypatch.setattr(secret, "COMMAND_SECONDS", 0.5)
    start = time.monotonic()

    assert "within" in str(refusal(python(code), tmp_path))
    assert time.monotonic() - start < 2.5


def test_command_without_end(tmp_path: Path) -> None:
    """A command that prints for ever is ended at once, and fills no memory."""
    start = time.monotonic()

    assert "prints more than" in str(
        refusal(SecretSource("command", "yes canary"), tmp_path)
    )
    assert time.monotonic() - start < 5
