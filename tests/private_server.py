"""A server of the tests' own: in a home of its own, in the foreground, gone with its block."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from postfix import until


class PrivateServer:
    """What OpenSMTPD, Sendmail and Dovecot have in common here."""

    def __init__(self, prefix: str) -> None:
        """`prefix` begins the name of its home, which is short: sockets lie in it."""
        self.home = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None

    def _start(
        self, command: Sequence[object], answers: Callable[[], bool], otherwise: str
    ) -> None:
        """Start it, and wait until it `answers`."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until(answers, otherwise)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self) -> str:
        """What it has said."""
        return (self.home / "log").read_text(errors="replace")
