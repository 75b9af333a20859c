"""Destinations that rest, and what is paused: real processes, and a server that says so."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from commands import PROGRAM, environment, letter, ok, the_run
from misbehaving import Connection, Misbehaving, running, say

from mailblast import Request, deliver, prepared
from mailblast.breaker import Fault
from mailblast.event import Disposition
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger, Pause
from mailblast.runbook import RunBook
from mailblast.terminal.words import paused
from mailblast.throttle import Throttle

SLOWER = "421 4.7.0 too many messages from you, slow down"
UNAUTHENTICATED = (
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated"
)
SPAM = "550 5.7.1 message looks like spam"
MEMBERS_ONLY = "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; not permitted"
UNKNOWN = "550 5.1.1 no such user"


def relay(port: int, more: str = "", *, connections: int = 4) -> str:
    """The settings for a relay on this machine that is not asked again soon."""
    return f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
retry = ["1 h"]
{more}
"""


def rows(*domains: str, count: int = 6) -> str:
    """A list with so many people at each domain, in turn."""
    return "".join(f"r{n}@{domain},N\n" for n in range(count) for domain in domains)


def by_domain(replies: Mapping[str, str]) -> Any:
    """What is said to RCPT, by the recipient's domain; else 250."""

    async def answer(connection: Connection) -> None:
        domain = connection.recipient.partition("@")[2]
        connection.said = replies.get(domain, "250 2.1.5 Ok")
        await connection.write(f"{connection.said}\r\n".encode())

    return answer


def asked(server: Misbehaving, domain: str) -> int:
    """How many messages for this domain the server was offered."""
    return sum(
        command.startswith("RCPT") and f"@{domain}>" in command
        for command in server.commands
    )


def learnt(workspace: Path, name: str) -> Learnt:
    """What the run book has of a destination."""
    document = RunBook(workspace / ".mailblast").get(KIND, name)
    assert document
    return Learnt.from_document(document)


def rest_for(workspace: Path, name: str, seconds: float) -> None:
    """Shorten a rest in the run book, which people may edit."""
    until = datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()
    RunBook(workspace / ".mailblast").put(KIND, name, {"rests_until": until})


# --- Rests --------------------------------------------------------------------------------


def test_slower_rests_one_destination(tmp_path: Path) -> None:
    """Who asks for less is left alone, the others get their mail; what waits is still due,
    and the last line says until when."""
    with running({"RCPT": by_domain({"slow.example": SLOWER})}) as server:
        letter(
            tmp_path,
            rows("slow.example", "fast.example", count=40),
            delivery=relay(server.port),
        )
        ended = ok(tmp_path, "send", "letter", "--yes", "--wait", "1 s", status=3)
        asked_once = asked(server, "slow.example")

        assert (
            "1 at a time; rested 1 time, the last 5 min; until "
            in ok(tmp_path, "destinations").out
        )
        # The rest outlives the process: the next one offers nothing either.
        again = ok(tmp_path, "send", "letter", "--yes", "--wait", "1 s", status=3)
        assert asked(server, "slow.example") == asked_once

    assert 1 <= asked_once <= 4
    destinations = the_run(tmp_path)["destinations"]
    assert destinations["fast.example"] == {"accepted": 40}
    assert destinations["slow.example"] == {
        "queued": 40 - asked_once,
        "deferred": asked_once,
    }
    until = learnt(tmp_path, "slow.example").rests_until
    assert 200 < until - time.time() <= 300
    said = time.strftime("%Y-%m-%d %H:%M", time.localtime(until))
    says = f"slow.example asked for less and rests until {said}: "
    for one in (ended, again):
        assert one.out.splitlines()[-1].startswith(says)
    assert ok(tmp_path, "report").out.splitlines()[-1].startswith(f"{says}421 4.7.0 ")
    assert ok(tmp_path, "show", "r39@slow.example").out.splitlines()[-1].startswith(says)
    assert "rests" not in ok(tmp_path, "show", "r39@fast.example").out
    assert the_run(tmp_path)["resting"].keys() == {"slow.example"}
    planned = " ".join(ok(tmp_path, "plan", "letter").out.split())
    assert f"It waits for slow.example: its rest, until {said}; then " in planned


def test_after_a_rest_one_at_a_time_then_more(tmp_path: Path) -> None:
    """It begins with one message at a time, and with each window of answers takes more."""
    on_their_way: set[int] = set()
    seen: list[tuple[float, int]] = []  # when a message came, and how many were there then

    async def take(connection: Connection) -> None:
        on_their_way.add(id(connection))
        seen.append((time.time(), len(on_their_way)))
        await asyncio.sleep(0.05)
        on_their_way.discard(id(connection))
        await say("250 2.0.0 Ok")(connection)

    script = {"RCPT": {"r0@slow.example": [SLOWER]}, "dot": take}
    with running(script) as server:
        delivery = relay(server.port)
        letter(tmp_path, rows("slow.example", count=1), delivery=delivery)
        ok(tmp_path, "send", "letter", "--yes", "--wait", "1 s", status=3)
        rest_for(tmp_path, "slow.example", 4)
        until = learnt(tmp_path, "slow.example").rests_until
        people = rows("slow.example", count=40)
        letter(tmp_path, people, delivery=delivery, name="next")
        ok(tmp_path, "send", "next", "--yes")

    assert the_run(tmp_path)["dispositions"] == {"accepted": 40}
    assert seen[0][0] >= until
    together = [count for _, count in seen]
    assert together[0] == 1
    assert max(together) > 1
    assert all(later <= before + 1 for before, later in pairwise(together))


def test_what_waited_is_taken_up_after_the_rest(tmp_path: Path, monkeypatch) -> None:
    """A rest that ends within the time that the process waits is waited for."""
    slower = Throttle.slower  # three seconds for the five minutes of the table of replies
    monkeypatch.setattr(
        Throttle, "slower", lambda self, rest, now: slower(self, rest / 100, now)
    )
    with running({"RCPT": {"r0@slow.example": [SLOWER]}}) as server:
        delivery = relay(server.port).replace("1 h", "1 s")
        letter(tmp_path, rows("slow.example", count=200), delivery=delivery)
        with prepared(Request(tmp_path / "letter", wait=30.0)) as plan:
            outcome = deliver(plan)

    assert outcome.settled
    assert outcome.dispositions == {"accepted": 200}
    assert set(server.copies.values()) == {1}
    assert learnt(tmp_path, "slow.example").rests == 1


def test_ctrl_c_during_a_rest(tmp_path: Path) -> None:
    """It ends at once, with what is left and status 3."""
    with running({"RCPT": by_domain({"slow.example": SLOWER})}) as server:
        letter(tmp_path, rows("slow.example", count=20), delivery=relay(server.port))
        process = subprocess.Popen(
            [*PROGRAM, "send", "letter", "--yes"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
        )
        try:
            while process.poll() is None and not _rests(tmp_path, "slow.example"):
                time.sleep(0.1)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 3, err
    assert time.monotonic() - began < 30  # the rest is five minutes
    assert "Stopped: " in out


def _rests(workspace: Path, name: str) -> bool:
    book = RunBook(workspace / ".mailblast")
    return book.get(KIND, name) is not None


# --- Pauses -------------------------------------------------------------------------------


def test_authentication_pauses_the_run(tmp_path: Path) -> None:
    """Three refusals for our authentication stop everything until somebody lifts it."""
    refusing = {"auth.example": UNAUTHENTICATED}
    with running({"RCPT": by_domain(refusing)}) as server:
        letter(
            tmp_path,
            rows("auth.example", "fine.example", count=200),
            delivery=relay(server.port, connections=2),
        )
        ended = ok(tmp_path, "send", "letter", "--yes", status=3)
        offered = len(server.commands)
        refused = ok(tmp_path, "send", "letter", "--yes", status=2)
        assert len(server.commands) == offered

        found = the_run(tmp_path)
        assert 3 <= found["dispositions"]["refused"] <= 5
        assert found["dispositions"]["queued"] > 300
        assert ok(tmp_path, "unsubscribe", "list").out == ""

        # Going on counts anew: three more are needed.
        ok(tmp_path, "send", "letter", "--yes", "--resume-paused", status=3)
        assert the_run(tmp_path)["dispositions"]["refused"] >= 6

        refusing.clear()
        ok(tmp_path, "send", "letter", "--yes", "--resume-paused")

    said = "auth.example refuses our authentication: it said so of 3 recipients."
    last = ended.out.splitlines()[-1]
    assert last.startswith(f"Paused: {said} Nobody was suppressed for it. Mend SPF")
    assert last.endswith("mailblast send letter --resume-paused")
    assert said in refused.err
    assert "--resume-paused" in refused.err
    assert the_run(tmp_path)["dispositions"].keys() == {"accepted", "refused"}


def test_who_may_be_suppressed_is_not_denied() -> None:
    """Hard bounces and complaints are of people, some of whom are suppressed for them."""
    for fault in Fault:
        told = paused(Pause(1, "", fault, "why", 0.0), "letter")
        said = "Nobody was suppressed" in told
        assert said is (fault not in (Fault.HARD_BOUNCES, Fault.COMPLAINTS))


def test_rules_of_recipients_pause_nothing(tmp_path: Path) -> None:
    """A group that takes mail of its members only refuses one of us, and not our domain: in the
    process that hears it, and in one that takes the run over."""
    with running({"RCPT": by_domain({"groups.example": MEMBERS_ONLY})}) as server:
        letter(tmp_path, rows("groups.example"), delivery=relay(server.port, connections=2))
        ok(tmp_path, "send", "letter", "--yes")

    assert the_run(tmp_path)["dispositions"] == {"refused": 6}
    with closing(Ledger(tmp_path / ".mailblast")) as ledger:
        (run,) = ledger.runs.all()
        found = list(ledger.runs.verdicts(run.number, 0))
    assert found == [("groups.example", Disposition.REFUSED, None, 6)]


def test_a_block_pauses_its_destination_alone(tmp_path: Path) -> None:
    """Who refuses our mail as spam is not offered more; the others get theirs."""
    with running({"RCPT": by_domain({"blocks.example": SPAM})}) as server:
        letter(
            tmp_path,
            rows("blocks.example", "fine.example", count=200),
            delivery=relay(server.port, connections=2),
        )
        ended = ok(tmp_path, "send", "letter", "--yes", status=3)
        offered = asked(server, "blocks.example")
        again = ok(tmp_path, "send", "letter", "--yes", status=3)
        assert asked(server, "blocks.example") == offered

    found = the_run(tmp_path)["destinations"]
    assert found["fine.example"] == {"accepted": 200}
    assert 20 <= found["blocks.example"]["refused"] <= 22
    for one in (ended, again):
        last = one.out.splitlines()[-1]
        assert last.startswith("blocks.example is paused: ")
        assert "recipients were refused by blocks.example as unwanted" in last
        assert last.endswith("mailblast send letter --resume-paused")
    assert "Paused   blocks.example" in again.out
    # Whoever asks is told, wherever it explains something.
    assert ok(tmp_path, "report").out.splitlines()[-1] == last
    assert ok(tmp_path, "show", "r199@blocks.example").out.splitlines()[-1] == last
    assert "paused" not in ok(tmp_path, "show", "r199@fine.example").out
    assert the_run(tmp_path)["paused"][0]["destination"] == "blocks.example"
    paused = ok(tmp_path, "destinations", "--json").json["paused"]
    assert paused.keys() == {"blocks.example"}
    explained = ok(tmp_path, "destinations", "explain", "blocks.example", "letter").out
    assert "Paused, until mailblast send CAMPAIGN --resume-paused: " in explained


def test_what_is_near_a_pause_is_told(tmp_path: Path) -> None:
    """In a line of its own, once; the report has it, and whoever goes on hears it again."""
    refused = {f"r{n}@inbox.example": UNKNOWN for n in range(0, 200, 40)}
    with running({"RCPT": refused}) as server:
        letter(tmp_path, rows("inbox.example", count=240), delivery=relay(server.port))
        first = ok(tmp_path, "send", "letter", "--yes", "--limit", "220", status=3)
        again = ok(tmp_path, "send", "letter", "--yes")

    (warning,) = the_run(tmp_path)["warnings"]
    assert (warning["destination"], warning["reason"]) == ("", "hard-bounces")
    assert "recipients do not exist any more: 2." in warning["why"]
    for ended in (first, again):
        assert (ended.out + ended.err).count("Near a pause: 5 of 2") == 1
    line = f"Near a pause: {warning['why']}"
    assert line in ok(tmp_path, "report").out
    assert warning["why"] in (tmp_path / ".mailblast/runs.json").read_text()
    assert the_run(tmp_path)["dispositions"] == {"accepted": 235, "refused": 5}


def test_a_pause_is_lifted_by_going_on(tmp_path: Path) -> None:
    """A plan that is not carried out lifts nothing."""
    with running({"RCPT": by_domain({"auth.example": UNAUTHENTICATED})}) as server:
        delivery = relay(server.port, connections=1)
        letter(tmp_path, rows("auth.example", count=9), delivery=delivery)
        ok(tmp_path, "send", "letter", "--yes", status=3)
        plan = ok(tmp_path, "send", "letter", "--resume-paused", "--dry-run")
        assert "Dry run" in plan.out
        ok(tmp_path, "send", "letter", "--yes", status=2)
        assert asked(server, "auth.example") == 3
        ok(tmp_path, "send", "letter", "--yes", "--resume-paused", status=3)
        assert asked(server, "auth.example") == 6


def test_what_an_earlier_process_counted(tmp_path: Path) -> None:
    """A run that goes out in small pieces is one run: its third refusal pauses it."""
    with running({"RCPT": by_domain({"auth.example": UNAUTHENTICATED})}) as server:
        delivery = relay(server.port, connections=1)
        letter(tmp_path, rows("auth.example", count=9), delivery=delivery)
        for _ in range(2):
            ended = ok(tmp_path, "send", "letter", "--yes", "--limit", "1", status=3)
            assert "Paused" not in ended.out
        ended = ok(tmp_path, "send", "letter", "--yes", status=3)
        assert asked(server, "auth.example") == 3
    assert ended.out.splitlines()[-1].startswith("Paused: auth.example refuses")


def test_an_old_list_pauses_the_run(tmp_path: Path) -> None:
    """More than 5 % of 200 addresses that do not exist: the list is at fault."""
    dead = {f"r{n}@list.example": UNKNOWN for n in range(0, 300, 15)}
    with running({"RCPT": dead}) as server:
        delivery = relay(server.port, connections=1)
        letter(tmp_path, rows("list.example", count=300), delivery=delivery)
        # Of 200, 14 are dead; the first process counts 150 of them, the second goes on.
        ended = ok(tmp_path, "send", "letter", "--yes", "--limit", "150", status=3)
        assert "Paused" not in ended.out
        ended = ok(tmp_path, "send", "letter", "--yes", status=3)

    found = the_run(tmp_path)["dispositions"]
    assert found == {"accepted": 186, "refused": 14, "queued": 100}
    last = ended.out.splitlines()[-1]
    assert last.startswith(
        "Paused: 14 of 200 recipients do not exist any more: 7 %, more than 5 %."
    )
    assert "clean it" in last
