"""Postfix as a relay: what a mail server of one's own does with the same number of messages.

It takes each message over SMTP, keeps it in its queue (with fsync, as it must), and delivers
it to the receiver; nothing is personal and nothing signed.  smtp-source feeds it, which sends
one fixed message over and over and costs next to nothing.
"""

import os
import subprocess
import time

from bench.versus.campaign import CONNECTIONS
from bench.versus.machine import program
from bench.versus.receiver import receiver
from postfix import POSTFIX, Postfix

SIZE = 11_500  # bytes of body: as the letter has
PATIENCE = 120.0  # seconds without any delivery


def of_postfix(count: int) -> float | None:
    """Messages a second, from the first submission to the last delivery.

    None where it cannot be had: a private instance of Postfix needs root.
    """
    if POSTFIX is None or os.geteuid() != 0:
        return None
    with receiver() as sink, Postfix(_settings(sink.port)) as server:
        begun = time.monotonic()
        subprocess.run(_feeding(count, server.port), check=True)
        return count / (sink.reached(count, PATIENCE) - begun)


def _settings(port: int) -> dict[str, str]:
    return {
        "relayhost": f"[127.0.0.1]:{port}",
        # It holds its input back for a second when the queue grows faster than it delivers.
        "in_flow_delay": "0",
        # A test has its queue looked through every second.
        "queue_run_delay": "300s",
    }


def _feeding(count: int, port: int) -> list[str]:
    words = [program("smtp-source"), "-d", "-s", CONNECTIONS, "-m", count, "-l", SIZE,
             "-f", "letters@letters.example.com", "-t", "reader@d0.example.net",
             f"127.0.0.1:{port}"]  # fmt: skip
    return list(map(str, words))
