"""Processes by the hundred: one that has mailblast loaded, and forks a `mailblast` at request.

A start takes a second of imports and a fork none, so that a test can kill hundreds.  What is
forked is a process like any other, killed by the same signal.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SOURCE = """
import json, os, sys
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
for line in sys.stdin:
    where, words, log = json.loads(line)
    pid = os.fork()
    if not pid:
        os.chdir(where)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.dup2(1, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["mailblast", *words]
        main()
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@dataclass
class Zygote:
    """Forks one `mailblast` at a time."""

    process: subprocess.Popen[str]
    running: int = 0  # the command's process number, 0 if none is

    def start(self, where: Path, *words: str) -> int:
        """Begin a command; returns its process number."""
        line = json.dumps([str(where), words, str(where / "log.txt")])
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        self.running = int(self.process.stdout.readline())
        return self.running

    def status(self) -> int:
        """Wait for its end: the exit status, or minus the signal that killed it."""
        status = os.waitstatus_to_exitcode(int(self.process.stdout.readline()))
        self.running = 0
        return status


@contextmanager
def zygote() -> Iterator[Zygote]:
    """The process that forks."""
    command = [sys.executable, "-c", _SOURCE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        forking = Zygote(process)
        try:
            yield forking
        finally:  # a test that fails leaves nothing running
            if forking.running:
                os.kill(forking.running, signal.SIGKILL)
            process.stdin.close()
