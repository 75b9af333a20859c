"""The soak: a long list, a receiver in every bad mood there is, and `send` killed again and again.

    python tests/soak.py [MESSAGES [KILLS [relay|direct]]]        make soak

The receiver answers at random: refusals for now and for good at each step, connections closed
or reset at each step and after the dot, 421 in mid-session, garbage, octets one by one, replies
that nobody asked for, silence.  `send` is killed (SIGKILL) at random moments and started again.
In the end nobody may be lost, nobody may have two copies, each kill may have left as many
doubtful messages as there were connections, and the sums have to add up.
"""

import random
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os import kill
from pathlib import Path
from signal import SIGKILL
from typing import Any

from commands import letter, look, the_run, until
from misbehaving import (
    Action,
    Connection,
    Misbehaving,
    close,
    content,
    delay,
    drip,
    garbage,
    in_thread,
    keep,
    reset,
    say,
    several,
)
from postfix import free_port
from ways import DOMAINS, Way, straight
from zygote import Zygote, zygote

CONNECTIONS = 20
# An address that took no connection is passed over for a minute, so that straight to the mail
# hosts one would hold everything up.
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 17)]

# --- The receiver ------------------------------------------------------------------------

GONE: dict[str, Action] = {
    "closed": close,
    "reset": reset,
    "garbage": several(garbage, close),
    "silent": several(delay(0.7), close),
}
LATER: dict[str, Action] = {
    "4yz": say("451 4.3.0 Try again later"),
    "421": several(say("421 4.3.2 Closing"), close),
}
NEVER: dict[str, Action] = {"5yz": say("554 5.3.0 Not here")}


def proper(reply: str) -> dict[str, Action]:
    """A proper reply, in a bad way: octet by octet, or with another that nobody asked for."""
    return {"slow": drip(reply, 0.01), "twice": say(reply, reply)}


def with_content(replies: dict[str, Action]) -> dict[str, Action]:
    """After these replies the content is awaited."""
    return {name: several(action, content) for name, action in replies.items()}


# What may go wrong at each step, and how often anything does.
MOODS: dict[str, tuple[float, dict[str, Action]]] = {
    "connect": (0.01, {**GONE, **LATER, **NEVER, **proper("220 mx.example ESMTP")}),
    "EHLO": (0.01, {**GONE, **LATER, **NEVER}),
    "MAIL": (0.02, {**GONE, **LATER, **NEVER, **proper("250 2.1.0 Ok")}),
    "RCPT": (
        0.02,
        {**GONE, **LATER, **NEVER, "twice": say("250 2.1.5 Ok", "250 2.1.5 Ok")},
    ),
    "DATA": (0.02, {**GONE, **LATER, **NEVER, **with_content(proper("354 Go ahead"))}),
    "dot": (
        0.04,
        {
            **GONE,
            **LATER,
            **NEVER,
            "354": say("354 Go ahead"),
            "taken, closed": several(keep, close),
            "taken, reset": several(keep, reset),
            "taken, garbage": several(keep, garbage, close),
            "taken, slow": several(keep, drip("250 2.0.0 Ok", 0.01)),
            "taken, twice": say("250 2.0.0 Ok", "250 2.0.0 Ok"),
            "taken, 421": several(say("250 2.0.0 Ok"), say("421 4.3.2 Closing"), close),
        },
    ),
    "RSET": (0.05, {**GONE, **LATER}),
    "QUIT": (0.05, {**GONE}),
}
DOUBTS = {*GONE, "354", "taken, closed", "taken, reset", "taken, garbage"}  # at the dot


class _Nothing(bytearray):
    """Keeps nothing of what is added."""

    def __iadd__(self, _more: object) -> "_Nothing":
        return self


@dataclass
class Moody(Misbehaving):
    """A server that does at each step what comes into its mind."""

    dice: random.Random = field(default_factory=random.Random)
    faults: Counter[str] = field(default_factory=Counter)
    doubts: set[str] = field(default_factory=set)  # to whose dots it gave no proper answer
    commands: Any = field(default_factory=lambda: deque(maxlen=10))
    messages: Any = field(default_factory=lambda: deque(maxlen=10))
    record: bytearray = field(default_factory=_Nothing)

    async def _step(self, step: str, connection: Connection) -> None:
        often, moods = MOODS.get(step, (0.0, {}))
        if self.dice.random() >= often:
            await self._properly(step, connection)
            return
        mood = self.dice.choice(list(moods))
        self.faults[f"{step}: {mood}"] += 1
        if step == "dot" and mood in DOUBTS:
            self.doubts.add(connection.recipient)
        await moods[mood](connection)


@contextmanager
def _receiver(via: str, dice: random.Random) -> Iterator[tuple[Moody, Way]]:
    if via == "relay":
        with in_thread(Moody(dice=dice)) as server:
            yield server, Way()
        return
    many: Any = ADDRESSES
    with (
        straight() as way,
        in_thread(Moody(address=many, port=free_port(), dice=dice)) as it,
    ):
        for domain in DOMAINS:
            way.script[f"mx.{domain}", "A"] = "\n".join(ADDRESSES)
        yield it, way


# --- The sender --------------------------------------------------------------------------


@dataclass
class Soak:
    """What is to be endured, and the figures of it."""

    messages: int
    kills: int
    via: str = "relay"
    seed: int = 1
    killed: int = 0
    connected: int = 0  # connections that were open when it was killed, in all
    by_kills: int = 0  # doubtful because of that
    most_by_a_kill: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    def run(self, where: Path) -> None:
        """Endure it in this directory, and check what came of it."""
        began, dice = time.monotonic(), random.Random(self.seed)
        with _receiver(self.via, dice) as (server, way), zygote() as parent:
            letter(where, self._rows(), delivery=way.delivery(server.port, CONNECTIONS))
            parent.start(where, "send", "letter", "--yes", "--limit", "1")
            assert parent.status() in (0, 3), (where / "log.txt").read_text()
            while self.killed < self.kills and self._one_kill(where, server, parent, dice):
                pass
            self._to_the_end(where, parent)
            self._check(where, server)
        until(lambda: not _left_behind(where))
        self.figures["seconds"] = round(time.monotonic() - began)

    def _rows(self) -> str:
        return "".join(f"{_person(n)},Name {n}\n" for n in range(self.messages))

    def _one_kill(
        self, where: Path, server: Moody, parent: Zygote, dice: random.Random
    ) -> bool:
        """Send, and kill it at a random moment; False when it ended by itself."""
        # Not of all that are due: some have no copy in the end, and the last kill would come
        # too late.
        share = 1.6 * _due(where) / (1 + self.kills - self.killed)
        enough = len(server.copies) + dice.uniform(0, share)
        soon = time.monotonic() + (dice.uniform(0, 1) if dice.random() < 0.3 else 600)
        before = _doubtful(where) | server.doubts
        pid = parent.start(where, "send", "letter", "--yes")
        ended = Path(f"/proc/{pid}/exe")
        while len(server.copies) < enough and time.monotonic() < soon and ended.exists():
            time.sleep(dice.uniform(0.001, 0.02))
        connected = len(server._tasks)
        with suppress(ProcessLookupError):
            kill(pid, SIGKILL)
        if parent.status() != -SIGKILL:
            return False
        until(lambda: not server._tasks)
        doubts = len(_doubtful(where) - before - server.doubts)
        assert doubts <= CONNECTIONS
        self.killed += 1
        self.connected += connected
        self.by_kills += doubts
        self.most_by_a_kill = max(self.most_by_a_kill, doubts)
        return True

    def _to_the_end(self, where: Path, parent: Zygote) -> None:
        """Send until nothing is due any more."""
        for _ in range(10):
            parent.start(where, "send", "letter", "--yes")
            assert parent.status() in (0, 3), (where / "log.txt").read_text()
            if not _due(where):
                return
        raise AssertionError("it does not come to an end")

    def _check(self, where: Path, server: Moody) -> None:
        """Nobody lost, nobody twice, no more doubts than connections, and it adds up."""
        assert max(server.copies.values()) == 1
        assert self.killed >= 0.9 * self.kills  # the last ones may come too late
        assert self.by_kills <= self.connected
        found = the_run(where)
        assert found["recipients"] == self.messages
        assert set(found["dispositions"]) <= {"accepted", "refused", "doubtful"}
        have = set(server.copies)
        accepted, refused, doubtful = (_those(where, word) for word in _WORDS)
        assert accepted <= have <= accepted | doubtful
        assert len(doubtful - server.doubts) == self.by_kills  # no doubt without a cause
        assert not have & refused
        assert len(accepted | refused | doubtful) == self.messages
        self.figures = {
            **found["dispositions"],
            "doubtful by kills": self.by_kills,
            "most doubtful by one kill": self.most_by_a_kill,
            "connections open at the kills": self.connected,
            "kills": self.killed,
            "faults of the receiver": server.faults.total(),
            "kinds of faults": len(server.faults),
            "sessions": server.sessions,
        }


_WORDS = ("accepted", "refused", "doubtful")


def _person(number: int) -> str:
    return f"r{number}@d{number % 10}.example"


def _those(where: Path, disposition: str) -> set[str]:
    query = f"SELECT mailbox FROM deliveries WHERE disposition = '{disposition}'"
    return set(look(where, query))


def _due(where: Path) -> int:
    query = "SELECT count(*) FROM deliveries WHERE disposition IN ('queued', 'deferred')"
    return int(look(where, query)[0])


def _doubtful(where: Path) -> set[str]:
    return _those(where, "doubtful")


def _left_behind(where: Path) -> list[Path]:
    """The processes that are at work in this directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == where:
                found.append(process)
    return found


def main(messages: str = "200000", kills: str = "100", via: str = "relay") -> None:
    """Endure it, and say how it was."""
    soak = Soak(int(messages), int(kills), via)
    with tempfile.TemporaryDirectory() as where:
        soak.run(Path(where).resolve())
    for name, figure in soak.figures.items():
        print(f"{figure:>10,}  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
