"""What a program takes: seconds, processor time, memory; of all processes that it starts."""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PAUSE = 0.25  # seconds from one look at its memory to the next


@dataclass(frozen=True, slots=True)
class Usage:
    """`begun` is in seconds since 1970; `whole` and `processor` are seconds.

    `main_mb` is the peak of the process itself; `all_mb` that of it and all it started, in
    which a page that several share counts once.
    """

    begun: float
    whole: float
    processor: float
    main_mb: float
    all_mb: float


class Program:
    """A program that runs, and is looked at until it has ended."""

    def __init__(
        self,
        command: Sequence[object],
        cwd: Path | None = None,
        out: IO[bytes] | None = None,
    ) -> None:
        """Start it.  What it says goes to `out`, or nowhere."""
        self.begun, self._clock = time.time(), time.monotonic()
        self._command = list(map(str, command))
        self._main = self._all = 0.0
        self._process = subprocess.Popen(
            self._command, cwd=cwd, stdout=out or subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ended(self, *, well: tuple[int, ...] = (0,)) -> Usage:
        """Wait for its end, and what it took.  An end with another status ends us too."""
        pid = self._process.pid
        watched = os.pidfd_open(pid)
        while not select.select([watched], [], [], PAUSE)[0]:
            self._look(pid)
        os.close(watched)
        _, status, used = os.wait4(pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode not in well:
            sys.exit(f"{' '.join(self._command)} ended with {self._process.returncode}")
        return Usage(
            begun=self.begun,
            whole=time.monotonic() - self._clock,
            processor=used.ru_utime + used.ru_stime,
            main_mb=self._main,
            all_mb=self._all,
        )

    def _look(self, pid: int) -> None:
        """Its memory now.  The system keeps the peak of one process, but not of several."""
        family = [pid, *_below(pid)]
        together = sum(_mb(one, "smaps_rollup", "Pss") for one in family)
        self._main = max(self._main, _mb(pid, "status", "VmHWM"))
        self._all = max(self._all, together)


def _below(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(path).split()):
            yield child
            yield from _below(child)


def _mb(pid: int, name: str, key: str) -> float:
    found = re.search(
        rf"^{key}:\s+(\d+) kB", _read(Path(f"/proc/{pid}/{name}")), re.MULTILINE
    )
    return int(found[1]) / 1024 if found else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""
