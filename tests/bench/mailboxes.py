"""Measure how fast a mailbox is read that is larger than any memory, and in how much.

    python tests/bench/mailboxes.py 10 explain      ten gigabytes of mbox, through a pipe

The mbox is made while it is read: bounces that return a message of 100 kB, a question of a
person here and there.  `bounces explain -` (or `import`, which writes each into the ledger) is
a process of its own; its peak is that which the system tells when it ends (ru_maxrss).
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BOUNCE = (ROOT / "tests/notices/exim.eml").read_bytes()
QUESTION = (ROOT / "tests/notices/question.eml").read_bytes()
RETURNED = (
    b"A line of a message that came back, of seventy-two octets or so, like this\n" * 1400
)


def mbox(octets: int) -> Iterator[bytes]:
    """So much of an mbox, each message another."""
    made = number = 0
    while made < octets:
        content = QUESTION if number % 20 == 19 else BOUNCE + RETURNED
        stamp = b"From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nX-Number: %d\n" % number
        yield stamp + content + b"\n"
        made += len(stamp) + len(content) + 1
        number += 1


def measure(octets: int, *words: str) -> tuple[int, float, int]:
    """How many messages, in how many seconds, with how many octets at the peak."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "mailblast.toml").touch()
        command = [sys.executable, "-m", "mailblast", "bounces", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        begin = [*command[:3], "bounces", "import", os.devnull]
        subprocess.run(
            begin, cwd=directory, env=environment, check=True, capture_output=True
        )
        began, count = time.monotonic(), 0
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin
        with process.stdin as pipe:
            for piece in mbox(octets):
                pipe.write(piece)
                count += 1
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return count, time.monotonic() - began, usage.ru_maxrss * 1024


def main() -> None:
    """Measure a small one and the large one, and print."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    command = sys.argv[2] if len(sys.argv) > 2 else "explain"
    for size in (0.01, gigabytes):
        count, seconds, peak = measure(int(size * 1e9), command, "-", "--json")
        print(
            f"{size:g} GB, {count:,} messages: {seconds:.1f} s, "
            f"{size * 1000 / seconds:.0f} MB and {count / seconds:,.0f} messages a second, "
            f"{peak / 1e6:.0f} MB at the peak"
        )


if __name__ == "__main__":
    main()
