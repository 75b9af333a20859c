"""The ledger in bad times: no room, no lock, no patience; and nobody is lost or mailed twice.

The receiver counts; the programs are real ones, started, interrupted and started again.
"""

import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from commands import begin, ended, letter, look, ok, relay, the_run, until
from misbehaving import Hold, Misbehaving, delay, running, say, several
from ways import Way

CONNECTIONS = 2
ACCEPT = say("250 2.0.0 Ok")


def person(number: int) -> str:
    return f"r{number:03}@inbox.example"


def rows(count: int) -> str:
    return "".join(f"{person(number)},N\n" for number in range(count))


def everyone_once(where: Path, server: Misbehaving, count: int) -> dict[str, int]:
    """Nobody has two copies; who has none is doubtful, by address."""
    found = the_run(where)
    doubtful = set(found["doubtful"])

    assert found["recipients"] == count
    for number in range(count):
        copies = server.copies[person(number)]
        assert copies == 1 or (copies == 0 and person(number) in doubtful)
    dispositions: dict[str, int] = found["dispositions"]
    assert set(dispositions) <= {"accepted", "doubtful"}
    return dispositions


# --- No room ------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of sixteen megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def stops_for_want_of_room(where: Path, server: Misbehaving, sending: Any) -> None:
    """The sending ends with a sentence, and no dot went out that is not in the ledger."""
    status, out, err = ended(sending)

    assert status == 1
    assert "make room on the disk" in err
    assert "not offered yet" in out
    assert look(where, "PRAGMA integrity_check") == ["ok"]
    attempted = set(look(where, "SELECT mailbox FROM deliveries WHERE digest IS NOT NULL"))
    assert {message.recipient for message in server.messages} <= attempted
    assert 0 < len(server.messages) < 300


def goes_on(where: Path, server: Misbehaving) -> None:
    """With room again everyone gets it once, but for what was on the way when it ended."""
    sending = begin(where, "send", "letter", "--yes")
    status, _, err = ended(sending)
    found = everyone_once(where, server, 300)

    assert found.get("doubtful", 0) <= CONNECTIONS
    assert status == (3 if "doubtful" in found else 0), err


def fill(path: Path) -> None:
    """Write until there is no more room."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_the_disk_is_full(small_disk: Path, way: Way) -> None:
    """When the disk fills up in mid-run no dot goes out any more; later it goes on."""
    with running({"dot": several(delay(0.01), ACCEPT)}) as server:
        letter(small_disk, rows(300), delivery=way.delivery(server.port, CONNECTIONS))
        sending = begin(small_disk, "send", "letter", "--yes")
        until(lambda: server.copies.total() > 10)
        fill(small_disk / "ballast")
        stops_for_want_of_room(small_disk, server, sending)
        assert ok(small_disk, "report").status == 0

        (small_disk / "ballast").unlink()
        goes_on(small_disk, server)


def test_no_file_may_grow(tmp_path: Path, way: Way) -> None:
    """The same with a limit on the size of files, as a quota sets it."""
    with running() as server:
        letter(tmp_path, rows(300), delivery=way.delivery(server.port, CONNECTIONS))
        most = (700_000, 700_000)
        sending = begin(
            tmp_path,
            "send",
            "letter",
            "--yes",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, most),
        )
        stops_for_want_of_room(tmp_path, server, sending)
        goes_on(tmp_path, server)


# --- Others who write ---------------------------------------------------------------------


def test_locked_for_twenty_seconds(tmp_path: Path, way: Way) -> None:
    """While another program holds the ledger nothing leaves; then both writes are there."""
    with running({"dot": several(delay(0.02), ACCEPT)}) as server:
        letter(tmp_path, rows(40), delivery=way.delivery(server.port, CONNECTIONS))
        sending = begin(tmp_path, "send", "letter", "--yes")
        until(lambda: server.copies)
        file = tmp_path / ".mailblast/ledger.db"
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute(
                "INSERT INTO suppressions (scope, key, reason, note, source, added) "
                f"VALUES ('', '{person(39)}', 'unsubscribed', '', 'test', 1)"
            )
            time.sleep(1)
            before = len(server.messages)
            time.sleep(19)
            assert len(server.messages) == before
            other.execute("COMMIT")
        status, _, err = ended(sending)

    assert status == 0, err
    assert the_run(tmp_path)["dispositions"] == {"accepted": 39, "suppressed": 1}
    assert person(39) not in server.copies
    assert set(server.copies.values()) == {1}


def test_two_sends_at_once(tmp_path: Path, way: Way) -> None:
    """One is refused with a sentence and status 2; nobody gets two copies."""
    with running({"dot": several(delay(0.05), ACCEPT)}) as server:
        letter(tmp_path, rows(60), delivery=way.delivery(server.port, CONNECTIONS))
        both = [begin(tmp_path, "send", "letter", "--yes") for _ in range(2)]
        found = sorted(ended(one) for one in both)

        assert [status for status, _, _ in found] == [0, 2]
        assert "another `mailblast send` is at work on letter" in found[1][2]
        assert everyone_once(tmp_path, server, 60) == {"accepted": 60}


def test_two_first_commands_at_once(tmp_path: Path) -> None:
    """Where there is no ledger yet, two programs make one, and neither's entry is lost."""
    (tmp_path / "mailblast.toml").touch()
    names = [f"r{number}@inbox.example" for number in range(4)]
    for one in [begin(tmp_path, "unsubscribe", "add", name) for name in names]:
        status, _, err = ended(one)
        assert status == 0, err

    listed = ok(tmp_path, "unsubscribe", "list").out
    assert all(name in listed for name in names)


@pytest.mark.parametrize("number", [1, 590], ids=["claimed", "not yet claimed"])
def test_an_opt_out_while_it_is_under_way(tmp_path: Path, way: Way, number: int) -> None:
    """Whoever opts out before MAIL FROM is suppressed, and the others get it all the same."""
    hold = Hold()
    with running({"dot": [several(hold, ACCEPT)]}) as server:
        letter(tmp_path, rows(600), delivery=way.delivery(server.port, connections=1))
        sending = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        claimed = look(tmp_path, "SELECT mailbox FROM deliveries WHERE owner IS NOT NULL")
        assert (person(number) in claimed) == (number == 1)
        ok(tmp_path, "unsubscribe", "add", person(number))
        hold.may_go_on.set()
        status, _, err = ended(sending)

    assert status == 0, err
    assert the_run(tmp_path)["dispositions"] == {"accepted": 599, "suppressed": 1}
    assert not any(person(number) in command for command in server.commands)


def test_a_newer_ledger(tmp_path: Path) -> None:
    """What a later version wrote is refused with a sentence, by every command."""
    with running() as server:
        letter(tmp_path, rows(2), delivery=relay(server.port, CONNECTIONS))
        ok(tmp_path, "unsubscribe", "add", "x@inbox.example")
        with closing(sqlite3.connect(tmp_path / ".mailblast/ledger.db")) as ledger, ledger:
            ledger.execute("UPDATE schema SET version = 99")
        for words in (("send", "letter", "--yes"), ("report",)):
            assert "written by a newer mailblast" in ok(tmp_path, *words, status=1).err

    assert not server.commands


def test_half_a_key_is_none(tmp_path: Path) -> None:
    """What a kill left of a key that was being written is in nobody's way."""
    state = tmp_path / ".mailblast"
    state.mkdir(mode=0o700)
    (state / "secret.key.17.new").touch(mode=0o600)
    with running() as server:
        letter(tmp_path, rows(2), delivery=relay(server.port, CONNECTIONS))
        ok(tmp_path, "send", "letter", "--yes")
        assert everyone_once(tmp_path, server, 2) == {"accepted": 2}

    assert (state / "secret.key").stat().st_mode & 0o777 == 0o600


# --- Ctrl-C -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(tmp_path: Path, number: int) -> None:
    """The message under way is finished, the last line says how to go on, the status is 3."""
    hold = Hold()
    with running({"dot": [several(hold, ACCEPT)]}) as server:
        letter(tmp_path, rows(20), delivery=relay(server.port, connections=1))
        sending = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        sending.send_signal(number)
        time.sleep(0.3)
        assert sending.poll() is None
        hold.may_go_on.set()
        status, out, err = ended(sending)

        assert status == 3, err
        assert "19 not offered yet. Run the same command again" in out.splitlines()[-1]
        assert the_run(tmp_path)["dispositions"] == {"accepted": 1, "queued": 19}
        ok(tmp_path, "send", "letter", "--yes")
        assert everyone_once(tmp_path, server, 20) == {"accepted": 20}


def test_ctrl_c_twice(tmp_path: Path) -> None:
    """The second breaks off: what waits for its answer is doubtful, listed, not sent again."""
    hold = Hold()
    with running({"dot": [hold]}) as server:
        letter(tmp_path, rows(20), delivery=relay(server.port, connections=1))
        sending = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        sending.send_signal(signal.SIGINT)
        time.sleep(0.3)
        sending.send_signal(signal.SIGINT)
        status, out, err = ended(sending, 10)

        assert status == 3, err
        assert "1 doubtful" in out
        assert "19 not offered yet. Run the same command again" in out.splitlines()[-1]
        assert the_run(tmp_path)["doubtful"] == [person(0)]
        ok(tmp_path, "send", "letter", "--yes", status=3)
        assert everyone_once(tmp_path, server, 20) == {"accepted": 19, "doubtful": 1}
        ok(tmp_path, "send", "letter", "--yes", "--resend-doubtful")
        assert everyone_once(tmp_path, server, 20) == {"accepted": 20}


def enrolled(where: Path) -> int:
    """How many rows are in the ledger, which may be in the making."""
    try:
        return int(look(where, "SELECT count(*) FROM deliveries")[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_before_anything_is_offered(tmp_path: Path, times: int) -> None:
    """While it reads the list: no traceback, nothing kept, and the next send begins anew."""
    with running() as server:
        letter(tmp_path, rows(60_000), delivery=relay(server.port, CONNECTIONS))
        sending = begin(tmp_path, "send", "letter", "--yes")
        until(lambda: enrolled(tmp_path))
        for _ in range(times):
            sending.send_signal(signal.SIGINT)
        status, _, err = ended(sending)

        assert status in (2, 3), err
        assert not server.commands
        assert look(tmp_path, "SELECT count(*) FROM deliveries") == [0]


def test_only_doubtful_left(tmp_path: Path) -> None:
    """As long as something is doubtful, no send says that all is settled."""
    hold = Hold()
    with running({"dot": [hold]}) as server:
        letter(tmp_path, rows(1), delivery=relay(server.port, connections=1))
        sending = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        sending.kill()
        sending.communicate()
        again = ok(tmp_path, "send", "letter", "--yes", status=3)

    assert "1 doubtful" in again.out
    assert "--resend-doubtful" in again.out
