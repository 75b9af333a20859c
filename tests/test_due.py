"""What is due later: retries, caps of the day, and who goes on with them."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from commands import PROGRAM, environment, letter, ok, run, the_run
from misbehaving import Misbehaving, running

from mailblast import Ledger

LATER = "451 4.3.0 try again later"
SLOWER = "421 4.7.0 too many messages from you, slow down"
DAY = 86_400


def relay(port: int, retry: str, more: str = "") -> str:
    """The settings for a relay on this machine, with the pauses before a retry."""
    return f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "none"
connections = 2
retry = ["{retry}"]
{more}
"""


def rows(*domains: str, count: int = 1) -> str:
    """A list with so many people at each domain, in turn."""
    return "".join(f"r{n}@{domain},N\n" for n in range(count) for domain in domains)


def send(where: Path, *words: str, status: int = 0) -> Any:
    """Send the campaign `letter`, without waiting for what is due later."""
    return ok(where, "send", "letter", "--yes", "--wait", "0 s", *words, status=status)


def dispositions(where: Path) -> Any:
    """What has become of the latest run."""
    return the_run(where)["dispositions"]


def next_tries(where: Path) -> list[tuple[float, float]]:
    """For each delivery, when it was put off last and when it is due again."""
    ledger = Ledger(where / ".mailblast")
    try:
        return [
            (ledger.deliveries.history(one.id)[-1].at, one.due)
            for one in ledger.deliveries.those(ledger.runs.all()[-1].number)
        ]
    finally:
        ledger.close()


# --- Retries ------------------------------------------------------------------------------


def test_what_was_put_off_together_comes_back_one_by_one(tmp_path: Path) -> None:
    """Each pause is up to a tenth longer or shorter."""
    with running({"RCPT": {f"r{n}@a.example": LATER for n in range(20)}}) as server:
        letter(tmp_path, rows("a.example", count=20), delivery=relay(server.port, "1 h"))
        send(tmp_path, status=3)

    pauses = [due - at for at, due in next_tries(tmp_path)]
    assert len({round(pause) for pause in pauses}) > 10
    assert 0.9 * 3600 <= min(pauses) < max(pauses) <= 1.1 * 3600


def test_how_long_it_waits(tmp_path: Path) -> None:
    """Not at all for 0; until what is due within that time is settled for anything else."""
    replies = {f"r0@{name}.example": [LATER] for name in ("a", "b")}
    with running({"RCPT": replies}) as server:
        delivery = relay(server.port, "3 s")
        letter(tmp_path, rows("a.example"), delivery=delivery)
        ended = send(tmp_path, status=3)
        assert dispositions(tmp_path) == {"deferred": 1}
        assert "1 deferred; the next is due at" in ended.out
        ok(tmp_path, "send", "letter", "--yes", "--wait", "1 min")
        assert dispositions(tmp_path) == {"accepted": 1}

        letter(tmp_path, rows("b.example"), delivery=delivery)
        ok(tmp_path, "send", "letter", "--yes", "--new-run")  # ten minutes, by default
        assert dispositions(tmp_path) == {"accepted": 1}
        assert server.copies.total() == 2


@pytest.mark.parametrize("wait", ["soon", "-1 s", "5 parsecs", "", "10", "1 s 2", "9e9 h"])
def test_a_wait_that_is_none(tmp_path: Path, wait: str) -> None:
    """Whoever writes no duration is told how to write one."""
    letter(tmp_path, rows("inbox.example"))
    ended = ok(tmp_path, "send", "letter", "--yes", "--wait", wait, status=1)

    assert "Invalid value for '--wait'" in ended.err
    assert "15 min" in ended.err
    assert not (tmp_path / ".mailblast" / "ledger.db").exists()


def test_given_up_over_processes(tmp_path: Path) -> None:
    """The time until a message is given up counts from its first try, whoever made it."""
    with running({"RCPT": {"r0@a.example": LATER}}) as server:
        delivery = relay(server.port, "1 s", 'give_up_after = "3 s"')
        letter(tmp_path, rows("a.example"), delivery=delivery)
        send(tmp_path, status=3)
        assert dispositions(tmp_path) == {"deferred": 1}
        time.sleep(3)
        send(tmp_path)

    assert dispositions(tmp_path) == {"expired": 1}
    assert ok(tmp_path, "show", "r0@a.example").out.count("451") == 2


def test_who_opted_out_is_not_tried_again(tmp_path: Path) -> None:
    """The suppression list is asked before every retry, by the process that waits for it."""
    with running({"RCPT": {"r0@a.example": LATER}}) as server:
        letter(tmp_path, rows("a.example"), delivery=relay(server.port, "6 s"))
        process = started(tmp_path, "send", "letter", "--yes")
        try:
            offered(server, 1)
            ok(tmp_path, "unsubscribe", "add", "r0@a.example")
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert [verb for verb in server.verbs if verb == "RCPT"] == ["RCPT"]

    assert dispositions(tmp_path) == {"suppressed": 1}


def started(where: Path, *words: str) -> "subprocess.Popen[bytes]":
    """A command that goes on while the test does."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=where,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def offered(server: Misbehaving, count: int) -> None:
    """Wait until the server was offered so many messages."""
    for _ in range(600):
        if server.verbs.count("RCPT") >= count:
            return
        time.sleep(0.1)
    pytest.fail(f"not offered: {server.verbs}")


# --- Caps ---------------------------------------------------------------------------------


def one_day() -> None:
    """If the day (UTC) is about to end, wait for the next: caps begin anew then."""
    left = DAY - time.time() % DAY
    if left < 40:
        time.sleep(left + 1)


@pytest.mark.parametrize("cap", ['rate = "10/day"', "warmup = {warmup}"])
def test_a_cap_holds_for_all_processes_of_a_day(tmp_path: Path, cap: str) -> None:
    """No calendar day sees more, whoever sends; the plan and the last line say what is left
    for another day, and nobody waits for it."""
    one_day()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    cap = cap.format(warmup=f"{{ start = 10, growth = 2, day-one = {today} }}")
    # One destination of many domains: they share its cap.
    harbour = [f"h{n}.example" for n in range(25)]
    (tmp_path / "destinations.toml").write_text(
        f"[harbour]\ndomains = {harbour}\n{cap}\n".replace("'", '"')
    )
    with running() as server:
        letter(tmp_path, rows(*harbour, "a.example"), delivery=relay(server.port, "1 h"))
        first = send(tmp_path, "--limit", "4", status=3)
        assert server.copies.total() == 4
        second = send(tmp_path, status=3)
        assert server.copies.total() == 11
        third = send(tmp_path, status=3)
        assert server.copies.total() == 11

    assert the_run(tmp_path)["destinations"]["harbour"] == {"accepted": 10, "queued": 15}
    assert "the caps of today (UTC) leave 15 messages for another day" in first.out
    assert "the caps of today (UTC) leave 15 messages for another day" in third.out
    midnight = (time.time() // DAY + 1) * DAY
    said = time.strftime("%Y-%m-%d %H:%M", time.localtime(midnight))
    says = f"harbour has had what today's cap allows; it goes on at {said}."
    assert second.out.splitlines()[-1] == third.out.splitlines()[-1] == says


# --- Limits -------------------------------------------------------------------------------


def test_a_limit_counts_what_was_offered(tmp_path: Path) -> None:
    """What was taken up for a destination that has to rest goes back, and others go."""

    async def slow(connection: Any) -> None:
        connection.said = SLOWER if "@slow." in connection.recipient else "250 Ok"
        await connection.write(f"{connection.said}\r\n".encode())

    with running({"RCPT": slow}) as server:
        people = rows("slow.example", "fast.example", count=40)
        letter(tmp_path, people, delivery=relay(server.port, "1 h"))
        send(tmp_path, "--limit", "30", status=3)

    found = dispositions(tmp_path)
    assert found["queued"] == 50
    assert found["accepted"] + found["deferred"] == 30
    assert 1 <= found["deferred"] <= 2


# --- All that is due ----------------------------------------------------------------------


def test_all_that_is_due(tmp_path: Path) -> None:
    """It goes on with every campaign that has something due; one that fails stops no other,
    and shows in the exit status."""
    late = {f"r0@{name}.example": [LATER] for name in ("one", "two", "three", "four")}
    with running({"RCPT": late}) as server:
        delivery = relay(server.port, "1 s")
        for name in ("one", "two", "three", "four"):
            letter(tmp_path, rows(f"{name}.example"), delivery=delivery, name=name)
            ok(tmp_path, "send", name, "--yes", "--wait", "0", status=3)
        letter(tmp_path, rows("done.example"), delivery=delivery, name="done")
        ok(tmp_path, "send", "done", "--yes")
        (tmp_path / "two" / "message.txt").write_text("Something else\n")
        (tmp_path / "three" / "campaign.toml").write_text("nonsense")
        time.sleep(1.2)
        first = ok(tmp_path, "send", "--all-due", "--json", status=1)
        assert [one["campaign"] for one in first.json["runs"]] == ["one", "four"]
        assert "== two\nthe campaign has changed since the run two-" in first.err
        assert "campaign.toml:1: not TOML" in first.err

        letter(tmp_path, rows("three.example"), delivery=delivery, name="three")
        second = ok(tmp_path, "send", "--all-due", status=2)
        assert "== three" in second.out
        assert "== one" not in second.out

        letter(tmp_path, rows("two.example"), delivery=delivery, name="two")
        ok(tmp_path, "send", "--all-due")
        assert set(server.copies.values()) == {1}
        assert len(server.copies) == 5

    nothing = ok(tmp_path, "send", "--all-due", "--json")
    assert "Nothing is due." in nothing.err
    assert nothing.json == {"runs": []}


def test_what_is_not_due_yet_is_left(tmp_path: Path) -> None:
    """Neither is what was agreed to by nobody, or what has gone."""
    replies = {f"r0@{name}.example": LATER for name in ("a", "b")}
    with running({"RCPT": replies}) as server:
        for name, retry in (("a", "1 h"), ("b", "1 s")):
            delivery = relay(server.port, retry)
            letter(tmp_path, rows(f"{name}.example"), delivery=delivery, name=name)
            ok(tmp_path, "send", name, "--yes", "--wait", "0", status=3)
        (tmp_path / "b").rename(tmp_path / "b.old")
        letter(tmp_path, rows("c.example"), name="c")
        ok(tmp_path, "send", "c", "--dry-run")
        time.sleep(1.2)
        tried = len(server.commands)
        assert "Nothing is due." in ok(tmp_path, "send", "--all-due").out
        assert len(server.commands) == tried


def test_what_a_killed_process_had_claimed_is_due(tmp_path: Path) -> None:
    """After a crash or a reboot it is taken up again by whoever goes on with all."""
    with running() as server:
        throttle = '[throttle]\nrate = "2/s"'
        delivery = relay(server.port, "1 h", throttle)
        letter(tmp_path, rows("a.example", count=3), delivery=delivery)
        process = started(tmp_path, "send", "letter", "--yes")
        try:
            offered(server, 1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        ended = run(tmp_path, "send", "--all-due")
        assert "== letter" in ended.out

    found = dispositions(tmp_path)
    assert found["accepted"] + found.get("doubtful", 0) == 3
    assert set(server.copies.values()) == {1}


def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    """It ends the campaign that is being sent, and begins no other."""
    late = {f"r0@{name}.example": LATER for name in ("one", "two")}
    with running({"RCPT": late}) as server:
        for name in ("one", "two"):
            delivery = relay(server.port, "5 s")
            letter(tmp_path, rows(f"{name}.example"), delivery=delivery, name=name)
            ok(tmp_path, "send", name, "--yes", "--wait", "0", status=3)
        process = started(tmp_path, "send", "--all-due", "--wait", "1 h")
        try:
            offered(server, 3)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 3
        finally:
            process.kill()
        assert not any("two.example" in line for line in server.commands[-3:])


@pytest.mark.parametrize(
    "words",
    [
        ("letter",),
        ("--limit", "3"),
        ("--dry-run",),
        ("--rehearse",),
        ("--new-run",),
        ("--to-me", "a@example.com"),
        ("--resume-paused",),
        ("--resend-doubtful",),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, words: tuple[str, ...]) -> None:
    """All that is due goes on as it stands."""
    letter(tmp_path, rows("inbox.example"))
    ended = ok(tmp_path, "send", "--all-due", *words, status=1)

    assert "--all-due goes on with every campaign as it stands" in ended.err


def test_neither_a_campaign_nor_all(tmp_path: Path) -> None:
    """Something has to be said."""
    (tmp_path / "mailblast.toml").touch()
    ended = ok(tmp_path, "send", "--yes", status=1)

    assert "say which CAMPAIGN, or --all-due" in ended.err
