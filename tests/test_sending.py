"""A campaign to the practice Internet, from the list to the account; and the limits, as the
receiver sees them by its own clock."""

import asyncio
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from commands import PROGRAM, SANDBOX, environment, letter, ok, the_run

import mailblast
from mailblast import Disposition, Ledger, Request, account, deliver, prepared
from mailblast.ledger import Run

# --- Fates --------------------------------------------------------------------------------

# What each domain's character comes to, with the reason if there is one.
FATES = {
    "inbox.example": ("accepted", None),
    "unknown.example": ("refused", "invalid-recipient"),
    "full.example": ("refused", "mailbox-full"),
    "greylist.example": ("accepted", None),
    "defers.example": ("accepted", None),
    "limits.example": ("accepted", None),
    "blocks.example": ("refused", "blocked-reputation"),
    "slow.example": ("accepted", None),
    "bounces-postfix.example": ("accepted", None),
    "bounces-exim.example": ("accepted", None),
    "bounces-exchange.example": ("accepted", None),
    "away.example": ("accepted", None),
    "complains.example": ("accepted", None),
    "unsubscribes.example": ("accepted", None),
}
EACH = 6
BOUNCING = ("bounces-postfix.example", "bounces-exim.example", "bounces-exchange.example")


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace from which a campaign went to every kind of domain."""
    workspace = tmp_path_factory.mktemp("sent")
    rows = [f"u{n}@{domain},N{n}" for n in range(EACH) for domain in FATES]
    rows += ["no address,Nobody", "u0@inbox.example,Again", "u1@inbox.example,short,row"]
    letter(
        workspace,
        "".join(f"{row}\n" for row in rows),
        delivery='[delivery]\nvia = "sandbox"\nretry = ["1 s"]\n'
        '[breaker]\nauthentication = 100\nblocked = "100 %"\n',
        suppression_txt="@slow.example\n",
    )
    with prepared(Request(workspace / "letter")) as plan:
        outcome = deliver(plan)
    assert outcome.settled
    return workspace


def last(ledger: Ledger) -> Run:
    """The run that was made last."""
    return ledger.runs.all()[-1]


@contextmanager
def opened(workspace: Path) -> Iterator[Ledger]:
    """The ledger of a workspace."""
    ledger = Ledger(workspace / ".mailblast")
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.mark.parametrize("domain", FATES)
def test_fates(sent: Path, domain: str) -> None:
    """Every message comes to what the character of its domain is."""
    fate, reason = FATES[domain]
    if domain == "slow.example":
        fate, reason = "suppressed", "listed"
    with opened(sent) as ledger:
        found = [
            one
            for one in ledger.deliveries.those(last(ledger).number)
            if one.domain == domain and one.disposition != "invalid"
        ]

    assert {(str(one.disposition), one.reason and str(one.reason)) for one in found} == {
        (fate, reason)
    }
    assert len(found) == EACH


def test_it_adds_up(sent: Path) -> None:
    """The dispositions are as many as the rows of the file, and so say all the accounts."""
    with opened(sent) as ledger:
        run = last(ledger)
        report = account(ledger, run)
        events = Counter(
            str(event.kind)
            for one in ledger.deliveries.those(run.number)
            for event in ledger.deliveries.history(one.id)
        )
    rows = EACH * len(FATES) + 3

    assert report.rows == rows
    assert report.as_json() == the_run(sent)
    assert report.dispositions[Disposition.INVALID] == 3
    assert report.dispositions[Disposition.SUPPRESSED] == EACH
    assert sum(report.reasons.values()) == rows - report.dispositions[Disposition.ACCEPTED]
    for kind in ("accepted", "refused", "suppressed", "invalid"):
        assert events[kind] == report.dispositions[Disposition(kind)]
    # Everyone who was accepted was attempted once, and nobody else was.
    assert events["attempted"] == events["accepted"]


def test_deferred_were_tried_again(sent: Path) -> None:
    """Before the end of those that were put off stand their deferrals, in the server's words."""
    with opened(sent) as ledger:
        run = last(ledger)
        story = {
            domain: ledger.deliveries.history(
                ledger.deliveries.find(run.number, f"u3@{domain}").id
            )
            for domain in ("defers.example", "full.example", "greylist.example")
        }

    kinds = {domain: [str(event.kind) for event in told] for domain, told in story.items()}
    assert kinds["defers.example"] == ["deferred", "deferred", "attempted", "accepted"]
    assert kinds["full.example"] == ["deferred", "deferred", "refused"]
    assert kinds["greylist.example"][0] == "deferred"
    first = story["defers.example"][0]
    assert (first.code, first.status) == (451, "4.3.0")
    assert "Temporary lookup failure" in first.text


def test_what_came_back_is_taken_in(sent: Path, tmp_path: Path) -> None:
    """The bounces of three servers find their deliveries; the other mail changes nothing."""
    inbox = sent / ".mailblast/sandbox/inbox.mbox"
    counts = ok(sent, "bounces", "import", inbox, "--json").json["counts"]
    found = the_run(sent)

    assert counts["bounced"] == EACH * len(BOUNCING)
    assert sum(n for name, n in counts.items() if name != "suppressed") == EACH * 6
    assert found["dispositions"]["bounced"] == EACH * len(BOUNCING)
    assert found["recipients"] == EACH * len(FATES) + 3
    for domain in BOUNCING:
        assert found["destinations"][domain] == {"bounced": EACH}
    assert not list(tmp_path.iterdir())


# --- Limits -------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the receiver saw of one destination, by its own clock."""

    mails: list[float] = field(default_factory=list)  # when each MAIL FROM came
    at_once: int = 0
    most_at_once: int = 0
    connections: Counter[int] = field(default_factory=Counter)  # messages of each


class Receiver:
    """A server that accepts everything, a little slowly, and keeps the times.

    Its connections greet after the seconds of `greetings`, in turn.
    """

    def __init__(self, pause: float, greetings: Sequence[float]) -> None:
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.most_connections = self._connections = self._number = 0
        self._pause, self._greetings = pause, greetings
        self.port = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection."""
        self._number += 1
        number, domain, arrived = self._number, "", 0.0
        self._connections += 1
        self.most_connections = max(self.most_connections, self._connections)
        try:
            await asyncio.sleep(self._greetings[number % len(self._greetings)])
            writer.write(b"220 receiver.example ESMTP\r\n")
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"MAIL":
                    arrived = time.monotonic()
                if word == b"RCPT":
                    domain = line.decode().partition("@")[2].partition(">")[0]
                    self._begin(domain, number, arrived)
                if word == b"DATA":
                    writer.write(b"354 go\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    await asyncio.sleep(self._pause)
                    self.seen[domain].at_once -= 1
                writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 2.0.0 Ok\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    def _begin(self, domain: str, number: int, arrived: float) -> None:
        seen = self.seen[domain]
        seen.mails.append(arrived)
        seen.connections[number] += 1
        seen.at_once += 1
        seen.most_at_once = max(seen.most_at_once, seen.at_once)


@contextmanager
def receiving(
    pause: float = 0.0, greetings: Sequence[float] = (0.0,)
) -> Iterator[Receiver]:
    """A receiver in a thread, with a loop of its own."""
    receiver, loop = Receiver(pause, greetings), asyncio.new_event_loop()
    ready = threading.Event()

    async def begin() -> asyncio.Server:
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        receiver.port = server.sockets[0].getsockname()[1]
        ready.set()
        return server

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(begin())
        loop.run_forever()
        server.close()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(server.wait_closed())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def relay(receiver: Receiver, more: str) -> str:
    """[delivery] to this receiver, and more settings."""
    return (
        '[delivery]\nvia = "relay"\nhost = "127.0.0.1"\nsecurity = "none"\n'
        f"port = {receiver.port}\n{more}"
    )


def test_rates_hold(tmp_path: Path) -> None:
    """No span of time sees more messages of a destination than its rate allows, however many
    connections there are; the destinations do not slow each other down."""
    rates = {"ten.example": 10.0, "twenty.example": 20.0}
    counts = {"ten.example": 21, "twenty.example": 41, "free.example": 60}
    rows = [f"u{n}@{name},N\n" for name, count in counts.items() for n in range(count)]
    with receiving() as receiver:
        letter(
            tmp_path,
            "".join(rows),
            delivery=relay(
                receiver,
                'connections = 12\n[throttle]\nrate = "10/s"\nconnections = 5\n'
                '[throttle.destinations."twenty.example"]\nrate = ["1200/min", "30/s"]\n'
                '[throttle.destinations."free.example"]\nrate = "unlimited"\n',
            ),
        )
        ok(tmp_path, "send", "letter", "--yes")
        seen = receiver.seen

    assert {name: len(one.mails) for name, one in seen.items()} == counts
    for name, rate in rates.items():
        times = sorted(seen[name].mails)
        # From the first to the nth: never sooner than the rate says, but for the wire's jitter.
        gaps = [late - early for early, late in zip(times, times[10:], strict=False)]
        assert min(gaps) > 10 / rate - 0.06
        # And it is used: no more than a quarter is wasted.
        assert times[-1] - times[0] < 1.25 * (len(times) - 1) / rate + 0.5
    free = sorted(seen["free.example"].mails)
    assert free[-1] - free[0] < 2.0


def test_a_rate_holds_where_connections_open_at_different_speeds(tmp_path: Path) -> None:
    """What began apart does not arrive together because one connection was slow to greet."""
    rows = "".join(f"u{n}@slow.example,N\n" for n in range(9))
    with receiving(greetings=(0.0, 1.6)) as receiver:
        letter(tmp_path, rows, delivery=relay(receiver, '[throttle]\nrate = "4/s"\n'))
        ok(tmp_path, "send", "letter", "--yes")
        times = sorted(receiver.seen["slow.example"].mails)

    assert len(times) == 9
    assert min(late - early for early, late in pairwise(times)) > 0.25 - 0.06


def test_domains_of_a_provider_share_its_rate(tmp_path: Path) -> None:
    """Two domains that are known to be one provider's are one destination."""
    rows = [
        f"u{n}@{name},N\n" for name in ("gmail.com", "googlemail.com") for n in range(10)
    ]
    with receiving() as receiver:
        letter(
            tmp_path,
            "".join(rows),
            delivery=relay(receiver, '[throttle.destinations.google]\nrate = "10/s"\n'),
        )
        ok(tmp_path, "send", "letter", "--yes")
        seen = receiver.seen

    times = sorted(at for one in seen.values() for at in one.mails)
    assert sorted(seen) == ["gmail.com", "googlemail.com"]
    assert times[-1] - times[0] > 1.9 - 0.06


def test_connections_and_messages_per_connection_hold(tmp_path: Path) -> None:
    """Never more messages of a destination at a time than it may have, never more on one
    connection, never more connections in all."""
    domains = ("one.example", "three.example", "any.example")
    rows = [f"u{n}@{domain},N\n" for n in range(30) for domain in domains]
    with receiving(0.01) as receiver:
        letter(
            tmp_path,
            "".join(rows),
            delivery=relay(
                receiver,
                "connections = 6\n[throttle]\nmessages_per_connection = 100\n"
                '[throttle.destinations."one.example"]\nconnections = 1\n'
                'messages_per_connection = 4\n[throttle.destinations."three.example"]\n'
                "connections = 3\nmessages_per_connection = 7\n",
            ),
        )
        ok(tmp_path, "send", "letter", "--yes")
        seen = receiver.seen

    assert {name: len(one.mails) for name, one in seen.items()} == dict.fromkeys(
        domains, 30
    )
    assert seen["one.example"].most_at_once == 1
    assert 2 <= seen["three.example"].most_at_once <= 3
    assert max(seen["one.example"].connections.values()) <= 4
    assert max(seen["three.example"].connections.values()) <= 7
    assert 2 <= receiver.most_connections <= 6


def test_a_slow_destination_holds_nobody_up(tmp_path: Path) -> None:
    """While one destination waits for its rate, all others are done."""
    rows = [f"u{n}@slow.example,N\n" for n in range(8)]
    rows += [f"u{n}@other{n % 7}.example,N\n" for n in range(140)]
    with receiving() as receiver:
        letter(
            tmp_path,
            "".join(rows),
            delivery=relay(
                receiver, '[throttle.destinations."slow.example"]\nrate = "2/s"\n'
            ),
        )
        ok(tmp_path, "send", "letter", "--yes")
        seen = receiver.seen

    slow = sorted(seen.pop("slow.example").mails)
    others = sorted(at for one in seen.values() for at in one.mails)
    assert len(slow) == 8
    assert slow[-1] - slow[0] > 3.4
    assert others[-1] < slow[4]


# --- Taken up again -----------------------------------------------------------------------


def test_limits_add_up_to_the_whole(tmp_path: Path) -> None:
    """Sent in pieces, each message reaches the receiver once, and its date is one."""
    rows = "".join(f"u{n}@d{n % 3}.example,N\n" for n in range(50))
    with receiving() as receiver:
        letter(tmp_path, rows, delivery=relay(receiver, ""))
        for left in (33, 16):
            ok(tmp_path, "send", "letter", "--yes", "--limit", 17, status=3)
            assert the_run(tmp_path)["dispositions"]["queued"] == left
        ok(tmp_path, "send", "letter", "--yes", "--limit", 17)
        copies = sum(len(one.mails) for one in receiver.seen.values())

    assert copies == 50
    assert the_run(tmp_path)["dispositions"] == {"accepted": 50}
    assert len(ok(tmp_path, "report", "--all", "--json").json["runs"]) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_enrolment(tmp_path: Path, how: signal.Signals) -> None:
    """Broken off while the list is read, nothing was sent; the next `send` reads it from the
    beginning, and nobody stands in it twice."""
    count = 16_000
    home = letter(tmp_path, "", delivery=SANDBOX)
    with (home / "recipients.csv").open("w") as file:
        file.write("email,name\n")
        file.writelines(f"u{n}@d{n % 50}.example,N\n" for n in range(count))
    ledger = tmp_path / ".mailblast/ledger.db"
    with subprocess.Popen(
        [*PROGRAM, "send", "letter", "--yes", "--limit", "1"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as sending:
        _wait_for_rows(ledger, 2000)
        sending.send_signal(how)
        _, err = sending.communicate(timeout=60)

    assert b"Traceback" not in err
    assert sending.returncode != 0
    assert "nothing was sent from here yet" in ok(tmp_path, "report", status=1).err
    ok(tmp_path, "send", "letter", "--yes", "--limit", 1, status=3)
    found = the_run(tmp_path)
    assert found["recipients"] == count
    assert found["dispositions"] == {"accepted": 1, "queued": count - 1}
    with closing(sqlite3.connect(ledger)) as base:
        assert base.execute("SELECT count(*) FROM deliveries").fetchone() == (count,)


def _wait_for_rows(ledger: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if ledger.exists() and _rows(ledger) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the list is not read")


def _rows(ledger: Path) -> int:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as base:
        try:
            return int(base.execute("SELECT count(*) FROM deliveries").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_a_larger_list_goes_through_the_workers(tmp_path: Path) -> None:
    """With worker processes it is the same: each once, each with their own message, and all
    of them such that `show` proves their bytes."""
    rows = "".join(f"u{n}@d{n % 5}.example,Name {n}\n" for n in range(1200))
    out = tmp_path / "out"
    letter(tmp_path, rows, delivery=f'[delivery]\nvia = "maildir"\nmaildir = "{out}"\n')
    ok(tmp_path, "send", "letter", "--yes")
    subjects = Counter(
        re.search(rb"^Subject: (.*)\r$", path.read_bytes(), re.MULTILINE)[1].decode()
        for path in out.glob("*.eml")
    )

    assert subjects == Counter(f"News for Name {n}" for n in range(1200))
    assert not list(out.glob("*.new"))
    for n in (0, 777, 1199):
        shown = ok(tmp_path, "show", f"u{n}@d{n % 5}.example", "--raw")
        assert f"Subject: News for Name {n}\r\n".encode() in shown.raw
        assert "their SHA-256 is the ledger's" in shown.err


def test_from_python(tmp_path: Path) -> None:
    """The public interface does what the command does, and says the same."""
    letter(tmp_path, "a@inbox.example,A\nb@unknown.example,B\n")
    with prepared(Request(tmp_path / "letter")) as plan:
        assert plan.due == 2
        outcome: Any = deliver(plan)
        found = account(plan.ledger, outcome.run).as_json()

    assert outcome.settled
    assert found == the_run(tmp_path)
    with pytest.raises(mailblast.Problems):  # noqa: SIM117 - the first stands for itself
        with prepared(Request(tmp_path)):
            pass
