"""How a run uses its connections, seen from the server."""

import re
import sys
from pathlib import Path

import pytest
from commands import letter, ok, run, the_run
from misbehaving import Connection, close, delay, running, say, several
from ways import DOMAINS, straight

ROWS = "".join(f"r{n}@inbox.example,N\n" for n in range(6))


def relay(port: int, throttle: str) -> str:
    """A relay with one connection, and limits."""
    return f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "none"
connections = 1
retry = ["1 s"]
[throttle]
{throttle}
"""


def test_a_slow_rate_keeps_its_connection(tmp_path: Path) -> None:
    """Between two messages of a throttled destination the connection is not given back."""
    with running() as server:
        letter(tmp_path, ROWS, delivery=relay(server.port, 'rate = "4/s"'))
        ok(tmp_path, "send", "letter", "--yes")

        assert (server.sessions, server.copies.total()) == (1, 6)


def test_messages_per_connection(tmp_path: Path) -> None:
    """After as many messages as may be it says goodbye and begins a new session."""
    with running() as server:
        letter(tmp_path, ROWS, delivery=relay(server.port, "messages_per_connection = 2"))
        ok(tmp_path, "send", "letter", "--yes")

        assert server.sessions == 3
        assert re.findall("[MQ]", "".join(verb[0] for verb in server.verbs)) == list(
            "MMQ" * 3
        )


def test_more_destinations_than_connections(tmp_path: Path) -> None:
    """Straight to the mail hosts, a connection carries several messages before another
    destination gets its place."""
    rows = "".join(f"r{n}@{domain},N\n" for n in range(20) for domain in DOMAINS)
    with straight() as way, running() as server:
        letter(tmp_path, rows, delivery=way.delivery(server.port, 3))
        ok(tmp_path, "send", "letter", "--yes")

        assert server.copies.total() == 20 * len(DOMAINS)
        assert server.sessions < 5 * len(DOMAINS)


def test_lines_that_break_while_others_use_them(tmp_path: Path) -> None:
    """However often connections have to be opened anew, there are never more to a destination
    than it may have, and nobody waits for one that another destination has."""
    count = 0

    async def break_off(connection: Connection) -> None:
        nonlocal count
        count += 1
        await several(delay(0.005), say("250 2.0.0 Ok"))(connection)
        if count % 7 == 0:
            await close(connection)

    rows = "".join(f"r{n}@{domain},N\n" for n in range(25) for domain in DOMAINS)
    with running({"dot": break_off}) as server:
        settings = relay(server.port, "connections = 1").replace(
            "connections = 1", "connections = 8", 1
        )
        letter(tmp_path, rows, delivery=settings)
        ok(tmp_path, "send", "letter", "--yes")

        assert server.copies.total() == 25 * len(DOMAINS)
        assert set(server.copies.values()) == {1}


@pytest.mark.parametrize("reply", ["421 4.3.2 closing", "451 4.3.0 later"])
def test_put_off_and_tried_again(tmp_path: Path, reply: str) -> None:
    """What was refused for now is tried again by the same command, the others once."""
    with running({"RCPT": {"r3@inbox.example": [reply, reply]}}) as server:
        letter(tmp_path, ROWS, delivery=relay(server.port, ""))
        ok(tmp_path, "send", "letter", "--yes")

        assert the_run(tmp_path)["dispositions"] == {"accepted": 6}
        assert set(server.copies.values()) == {1}
        story = ok(tmp_path, "show", "r3@inbox.example").out
    assert story.count("deferred [127.0.0.1]") == 2


# The same program, with less patience before it tells what it waits for.
IMPATIENT = """
from mailblast.send import dispatch
from mailblast.terminal import progress
dispatch.SILENCE, dispatch.SWEEP, progress.PLAIN_EVERY = 1.0, 0.1, 0.5
from mailblast.cli import main
main()
"""


def test_a_server_that_says_nothing_is_waited_for_in_so_many_words(tmp_path: Path) -> None:
    """It is told that we wait, and for how many answers; when one comes, that it goes on."""
    slow = several(delay(3.0), say("250 2.0.0 Ok"))
    with running({"dot": [slow]}) as server:
        letter(tmp_path, ROWS, delivery=relay(server.port, ""))
        program = (sys.executable, "-c", IMPATIENT)
        told = run(tmp_path, "send", "letter", "--yes", program=program).err

    assert "no answer for 20 s; mailblast waits" in told
    assert "1 awaiting an answer" in told
    assert "doubtful" not in told
    assert "going on" in told.partition("mailblast waits")[2]
    assert the_run(tmp_path)["dispositions"] == {"accepted": 6}
