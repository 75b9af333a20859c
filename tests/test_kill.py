"""kill -9 at any moment: nobody is lost, nobody gets it twice, every doubt is listed.

The receiver counts the copies of each recipient.  A message is accepted there when its final
dot has come, whatever the sender learns of it: that is the worst case.
"""

import asyncio
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import suppress

import pytest
from commands import letter, ok, relay, the_run
from misbehaving import deaf, keep, running, say, several, silence
from zygote import zygote

CONNECTIONS = 3
ROWS = 480  # below what starts worker processes, whose start takes a second


def rows(count):
    return "".join(f"r{n}@d{n % 5}.example,Name {n}\n" for n in range(count))


def check(workspace, server, count):
    """Whatever happened: the sums are right, and what the receiver has is what we say."""
    found = the_run(workspace)
    doubtful = set(found["doubtful"])

    assert found["recipients"] == count
    assert len(doubtful) == found["dispositions"].get("doubtful", 0)
    for number in range(count):
        address = f"r{number}@d{number % 5}.example"
        copies = server.copies[address]
        assert copies <= 1, f"{address} has {copies} copies"
        assert copies == 1 or address in doubtful, f"{address} is lost"
    return found


class Reached:
    """An action that tells when a step is reached, and says nothing from then on."""

    def __init__(self, first=None):
        self.event = threading.Event()
        self.first = first

    async def __call__(self, connection):
        if self.first:
            await self.first(connection)
        self.event.set()
        await silence(connection)


# step of the script, what the server still does there, doubtful afterwards
PHASES = {
    "at connect": ("connect", None, 0),
    "at EHLO": ("EHLO", None, 0),
    "at MAIL": ("MAIL", None, 0),
    "at RCPT": ("RCPT", None, 0),
    "at DATA": ("DATA", None, 0),
    "after the dot, not accepted": ("dot", None, 1),
    "after the dot, accepted, before the 250": ("dot", keep, 1),
    "after the 250": ("dot", say("250 2.0.0 Ok"), None),
}


@pytest.mark.parametrize("phase", PHASES)
def test_killed_at_a_phase(tmp_path, way, phase):
    """Killed in one phase, `send` afterwards reaches everyone once, or lists the doubt."""
    step, first, doubtful = PHASES[phase]
    reached = Reached(first)
    with running({step: [reached]}) as server, zygote() as parent:
        letter(tmp_path, rows(4), delivery=way.delivery(server.port, 1))
        pid = parent.start(tmp_path, "send", "letter", "--yes")
        assert reached.event.wait(30)
        os.kill(pid, signal.SIGKILL)
        assert parent.status() == -signal.SIGKILL
        parent.start(tmp_path, "send", "letter", "--yes")
        status = parent.status()
        found = check(tmp_path, server, 4)

        now = found["dispositions"].get("doubtful", 0)
        assert now == doubtful or (doubtful is None and now <= 1)
        assert status == (3 if now else 0)


def test_killed_in_mid_content(tmp_path, way):
    """Killed while the content goes out, before the dot, nothing is in doubt."""
    tell = Tell()
    with (
        running({"DATA": [several(say("354 go ahead"), tell, deaf)]}) as server,
        zygote() as parent,
    ):
        home = letter(tmp_path, rows(2), delivery=way.delivery(server.port, 1))
        (home / "large.bin").write_bytes(random.Random(1).randbytes(4_000_000))
        settings = (home / "campaign.toml").read_text()
        attached = settings.replace("[message]", '[message]\nattachments = ["large.bin"]')
        (home / "campaign.toml").write_text(attached)
        pid = parent.start(tmp_path, "send", "letter", "--yes")
        assert tell.event.wait(30)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        parent.status()

        ok(tmp_path, "send", "letter", "--yes")
        assert "doubtful" not in check(tmp_path, server, 2)["dispositions"]


class Tell:
    """An action that only tells."""

    def __init__(self):
        self.event = threading.Event()

    async def __call__(self, _connection):
        self.event.set()


def test_killed_before_it_sends(tmp_path):
    """Killed while it reads the list or renders it, the next `send` begins anew."""
    with running({}) as server, zygote() as parent:
        letter(tmp_path, rows(30_000), delivery=relay(server.port, CONNECTIONS))
        for seconds in (0.1, 0.4, 0.8, 1.2):
            pid = parent.start(tmp_path, "send", "letter", "--yes")
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
            parent.status()

        ok(tmp_path, "send", "letter", "--dry-run")
        assert server.copies.total() == 0


SEEDS = [("relay" if seed < 8 else "direct", seed) for seed in range(10)]


@pytest.mark.parametrize(("way", "seed"), SEEDS, indirect=["way"])
def test_killed_at_random(tmp_path, way, seed):
    """Killed again and again at random moments, it still reaches everyone once."""
    dice = random.Random(seed)
    kills = doubts = 0
    with running({"dot": delayed}) as server, zygote() as parent:
        letter(tmp_path, rows(ROWS), delivery=way.delivery(server.port, CONNECTIONS))
        while True:
            pid = parent.start(tmp_path, "send", "letter", "--yes")
            a_while(dice, server)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if parent.status() != -signal.SIGKILL:
                break
            kills += 1
            before, doubts = doubts, doubtful(tmp_path)
            assert doubts - before <= CONNECTIONS
        check(tmp_path, server, ROWS)

    assert kills >= 15  # ten seeds: some two hundred in all


def a_while(dice, server):
    """A random time, in which nothing may have been sent yet; or until a few more have it."""
    if dice.random() < 0.5:
        time.sleep(dice.uniform(0.05, 0.7))
        return
    enough = server.copies.total() + dice.randint(1, ROWS // 12)
    late = time.monotonic() + 3
    while server.copies.total() < enough and time.monotonic() < late:
        time.sleep(0.002)


async def delayed(connection):
    """A server that takes a moment on both sides of its acceptance."""
    await asyncio.sleep(0.02)
    await keep(connection)
    await asyncio.sleep(0.02)
    await say("250 2.0.0 Ok")(connection)


def doubtful(workspace):
    """How many deliveries are doubtful now, in the ledger as it lies there."""
    try:
        with sqlite3.connect(workspace / ".mailblast" / "ledger.db", timeout=30) as ledger:
            query = "SELECT count(*) FROM deliveries WHERE disposition = 'doubtful'"
            return ledger.execute(query).fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # not made yet
