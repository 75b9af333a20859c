"""A program that an MTA can run, whoever it runs it as.

    with handed_over(directory) as program:
        …                                    `PROGRAM bounces import --workspace … -`

An MTA runs commands as somebody without rights, who may not even reach the directory that
mailblast lies in.  So what it runs here is a script of a few lines: it leaves its arguments
and its input in a directory, and a thread of the test runs the real program with them, from
a directory that is no workspace; its output and its exit status are the script's.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from commands import PROGRAM, environment

_SCRIPT = """\
#!/bin/sh
cd {directory} || exit 1
printf '%s\\n' "$@" > $$.args
cat > $$.stdin
mv $$.args $$.call
while ! [ -e $$.status ]; do sleep 0.05; done
cat $$.output
exit "$(cat $$.status)"
"""


@dataclass
class HandedOver:
    """The program, and what it was given and said: exit status, output, input, in order."""

    path: Path
    calls: list[tuple[int, bytes, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        return str(self.path)

    def statuses(self) -> list[int]:
        """The exit status of every call so far."""
        return [status for status, _, _ in self.calls]

    def answer(self, call: Path) -> None:
        """Run the program for one call."""
        given = call.with_suffix(".stdin").read_bytes()
        ended = subprocess.run(
            [*PROGRAM, *call.read_text().splitlines()],
            cwd="/",
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            timeout=120,
            check=False,
        )
        self.calls.append((ended.returncode, ended.stdout, given))
        for suffix, content in (
            (".output", ended.stdout),
            (".status", b"%d" % ended.returncode),
        ):
            fresh = call.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.chmod(0o644)
            fresh.rename(call.with_suffix(suffix))


@contextmanager
def handed_over(directory: Path) -> Iterator[HandedOver]:
    """The script in this directory, which others can reach, and the thread that answers."""
    calls = directory / "calls"
    calls.mkdir()
    calls.chmod(0o777)
    program = HandedOver(directory / "mailblast")
    program.path.write_text(_SCRIPT.format(directory=calls))
    program.path.chmod(0o755)
    over = threading.Event()

    def answering() -> None:
        while not over.wait(0.02):
            for call in sorted(calls.glob("*.call")):
                program.answer(call)
                call.unlink()

    thread = threading.Thread(target=answering, daemon=True)
    thread.start()
    try:
        yield program
    finally:
        over.set()
        thread.join(120)
