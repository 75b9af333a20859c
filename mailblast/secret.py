"""Reading a secret: from a variable, from a file that only its owner can read, or from what
a command prints.

Rule: a secret is read when it is needed and kept nowhere; no message of an error and no
traceback has it, or what the command said beside it, in it.
"""

import os
import selectors
import shlex
import stat
import subprocess
import time
from pathlib import Path
from typing import IO, cast

from mailblast.campaign import SecretSource
from mailblast.errors import UserError

MAX_BYTES = 10_000  # an OAuth token takes about two thousand
COMMAND_SECONDS = 30.0  # a password manager that wants to be unlocked first


def private_directory(path: Path) -> Path:
    """Make a directory, and what is missing above it, for its owner alone.

    What mailblast keeps is about people: addresses, names, and what became of their mail.
    """
    for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    return path


def write_secret(path: Path, content: bytes) -> bool:
    """Write a file that only its owner can read; False, and nothing done, if there is one.

    Whole or not at all: a process that is killed meanwhile leaves no half of a key behind,
    and of two that make one at the same moment both go on with the same.
    """
    if path.exists():
        return False
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
    ) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)  # a rename would put aside what is there
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True


def read_secret(source: SecretSource, base: Path) -> str:
    """Return the secret: the first line, without its line end.

    `base` is the directory from which a relative path is seen and the command is run.
    Raises UserError, with what to do.
    """
    if source.kind == "env":
        content = os.environ.get(source.value, "").encode(errors="surrogateescape")
        place = f"the variable {source.value}"
    elif source.kind == "file":
        path = base / source.value
        content, place = _from_file(path), str(path)
    else:
        content, place = _from_command(source.value, base), "what the command prints"
    return _first_line(content, place)


def _first_line(content: bytes, place: str) -> str:
    # `pass show` and its like print the password first and notes after it.
    line = content[: MAX_BYTES + 1].partition(b"\n")[0].removesuffix(b"\r")
    if not line:
        raise UserError(f"no password: {place} is empty or not set")
    if len(line) > MAX_BYTES:
        raise UserError(f"the password in {place} is longer than {MAX_BYTES:,} bytes")
    try:
        secret = line.decode()
    except UnicodeDecodeError:
        # From None: the exception holds the bytes.
        raise UserError(f"the password in {place} is not UTF-8") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in secret):
        raise UserError(f"the password in {place} has a control character in it")
    return secret


def _from_file(path: Path) -> bytes:
    try:
        # NONBLOCK: a named pipe must not hold us up.  The mode is that of the opened file,
        # so nobody can put another in its place between look and read.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UserError(f"{path} is not a file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UserError(
                    f"{path} holds a password and others can get at it "
                    f"(mode {stat.S_IMODE(mode):04o})",
                    f"chmod 600 {shlex.quote(str(path))}",
                )
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _from_command(command: str, base: Path) -> bytes:
    try:
        words = shlex.split(command)
        # What it says on its standard error may be the secret itself: nobody keeps it.
        process = subprocess.Popen(  # noqa: S603  the user's own command, and no shell
            words,
            cwd=base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, ValueError, IndexError) as error:
        why = getattr(error, "strerror", None) or "it is not a command line"
        raise UserError(f"the command for the password cannot be run: {why}") from None
    with process:
        try:
            return _output(process, words[0])
        finally:
            process.kill()


def _output(process: subprocess.Popen[bytes], program: str) -> bytes:
    """What the process prints, once it has ended well."""
    # Not `communicate`: it would take in all that an endless command prints.
    deadline = time.monotonic() + COMMAND_SECONDS
    content = b""
    pipe = cast("IO[bytes]", process.stdout)
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while len(content) <= MAX_BYTES:
            if not ready.select(deadline - time.monotonic()):
                raise UserError(
                    f"{program} gave no password within {COMMAND_SECONDS:.0f} s"
                )
            piece = os.read(pipe.fileno(), MAX_BYTES)
            if not piece:
                break
            content += piece
        else:
            raise UserError(f"{program} prints more than {MAX_BYTES:,} bytes")
    _check_status(process, program, deadline)
    return content


def _check_status(process: subprocess.Popen[bytes], program: str, deadline: float) -> None:
    try:
        status = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise UserError(f"{program} did not end within {COMMAND_SECONDS:.0f} s") from None
    if status:
        raise UserError(
            f"{program} gave no password (exit status {status})",
            "run the command yourself to see why",
        )
