"""The receiver: Postfix's smtp-sink, which takes every message and throws it away.

Each sender gets one of its own, so that what arrived is counted for it alone.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.versus.machine import WORK, free_port, program, wait_for

PAUSE = 0.01  # seconds from one look to the next
_TAIL = 200  # bytes: its counters are the last thing that it has said


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where it listens (127.0.0.1), and where it writes its counters."""

    port: int
    log: Path

    @property
    def count(self) -> int:
        """How many messages it has taken up to now."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL))
            counts = re.findall(rb"mesg=(\d+)\r", file.read())
        return int(counts[-1]) if counts else 0

    def reached(self, count: int, patience: float = 10.0) -> float:
        """Wait for so many; gives the moment (monotonic).  Ends us if none comes any more,
        or if there are too many.
        """
        before, progress = -1, time.monotonic()
        while (now := self.count) < count:
            if now != before:
                before, progress = now, time.monotonic()
            elif time.monotonic() > progress + patience:
                sys.exit(f"{now} messages have arrived, and not {count}")
            time.sleep(PAUSE)
        if now > count:
            sys.exit(f"{now} messages have arrived, and not {count}")
        return time.monotonic()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver for as long as the block runs."""
    WORK.mkdir(exist_ok=True)
    port = free_port()
    command = [program("smtp-sink"), "-c", f"127.0.0.1:{port}", "1000"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "nobody"]
    log = WORK / f"receiver-{port}.log"
    with log.open("wb") as out:
        sink = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(port)
        yield Receiver(port, log)
    finally:
        sink.kill()
        sink.wait()
        log.unlink()
