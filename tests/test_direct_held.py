"""Straight to the mail hosts: destinations that are away, that do not exist, that are one."""

import asyncio
from pathlib import Path

import pytest
from commands import letter, ok, the_run
from misbehaving import Connection, close, running, say
from nameservers import Nameservers, needs_nameservers, nobody_comes
from postfix import free_port

pytestmark = needs_nameservers

SHARING = [f"s{n}.example" for n in range(12)]
ZONES = {
    "up.example": "@ MX 10 mx\nmx A 127.0.5.1",
    "down.example": "@ MX 10 a\n@ MX 20 b\na A 127.0.5.2\nb A 127.0.5.3",
    "shut.example": "@ MX 10 mx\nmx A 127.0.5.4",
    "null.example": "@ MX 0 .",
    "forged.example": "@ MX 10 mx\nmx A 127.0.5.1",
    "hosts.example": "mx A 127.0.5.1",
    **dict.fromkeys(SHARING, "@ MX 10 mx.hosts.example."),
}


@pytest.fixture(scope="module")
def dns():
    with Nameservers(ZONES, forged={"forged.example": ("10 mx.", "11 mx.")}) as servers:
        yield servers


def direct(dns: Nameservers, port: int, *more: str, retry: str = "1 h") -> str:
    """[delivery] in this world, and what is to follow it."""
    lines = (
        "[delivery]",
        'via = "direct"',
        'ehlo = "me.shop.example"',
        f"port = {port}",
        f'resolver = "{dns.resolver}"',
        "allow_loopback = true",
        f'retry = ["{retry}"]',
        *more,
    )
    return "\n".join(lines)


def rows(*domains: str, count: int) -> str:
    """A list with so many people at each domain, in turn."""
    return "".join(f"r{n}@{domain},N\n" for n in range(count) for domain in domains)


def test_a_destination_that_is_away(dns, tmp_path: Path) -> None:
    """When none of its hosts can be reached, all that waits for it is put off, with the
    reason; the others get their mail, and nothing is tried until the probe."""
    port = free_port()
    people = rows("up.example", "down.example", "shut.example", count=40)
    with (
        running(address="127.0.5.1", port=port) as up,
        running({"connect": close}, address="127.0.5.4", port=port) as shut,
    ):
        # Due again every second; the probe would be after a minute.
        more = 'give_up_after = "4 s"'
        letter(tmp_path, people, delivery=direct(dns, port, more, retry="1 s"))
        ok(tmp_path, "send", "letter", "--yes")

    assert up.copies.total() == 40
    assert 1 <= shut.sessions <= 10
    assert the_run(tmp_path)["destinations"] == {
        "mx.up.example": {"accepted": 40},
        "a.down.example": {"expired": 40},
        "mx.shut.example": {"expired": 40},
    }
    story = ok(tmp_path, "show", "r39@down.example").out
    assert f"deferred b.down.example:{port}: connection refused" in story
    assert the_run(tmp_path)["reasons"] == {"network-temporary": 80}


def test_put_off_until_later(dns, tmp_path: Path) -> None:
    """What was put off because its destination is away is not tried again before its time."""
    port = free_port()
    with running({"connect": close}, address="127.0.5.4", port=port) as shut:
        letter(tmp_path, rows("shut.example", count=40), delivery=direct(dns, port))
        ended = ok(tmp_path, "send", "letter", "--yes", status=3)
        tried = shut.sessions
        ok(tmp_path, "send", "letter", "--yes", status=3)
        assert shut.sessions == tried

    assert 1 <= tried <= 10
    assert the_run(tmp_path)["dispositions"] == {"deferred": 40}
    assert ended.out.splitlines()[-1].startswith("40 deferred; the next is due at ")


def test_domains_that_take_no_mail(dns, tmp_path: Path) -> None:
    """One that does not exist, or says so, is refused without a connection; one that cannot
    be looked up is put off."""
    port = free_port()
    people = "a@missing.example,A\nb@null.example,B\nc@forged.example,C\n"
    with nobody_comes(("127.0.5.1", port)):
        letter(tmp_path, people, delivery=direct(dns, port))
        ok(tmp_path, "send", "letter", "--yes", status=3)

    assert the_run(tmp_path)["dispositions"] == {"refused": 2, "deferred": 1}
    assert "550" in ok(tmp_path, "show", "a@missing.example").out
    assert "556" in ok(tmp_path, "show", "b@null.example").out
    assert "451" in ok(tmp_path, "show", "c@forged.example").out
    assert ok(tmp_path, "unsubscribe", "list").out == ""


def test_dead_domains_pause_the_run(dns, tmp_path: Path) -> None:
    """A list full of domains that do not exist is as old as one full of dead addresses."""
    port = free_port()
    missing = "".join(f"r@gone{n}.example,N\n" for n in range(30))
    with running(address="127.0.5.1", port=port) as server:
        people = rows("up.example", count=20) + missing + rows("hosts.example", count=1)
        breaker = "[breaker]\nminimum = 10"
        letter(tmp_path, people, delivery=direct(dns, port, breaker))
        ended = ok(tmp_path, "send", "letter", "--yes", status=3)

    assert server.copies.total() <= 20
    last = ended.out.splitlines()[-1]
    assert last.startswith("Paused: ")
    assert "recipients do not exist any more" in last


def test_domains_with_the_same_hosts_are_one(dns, tmp_path: Path) -> None:
    """They share one lane and its limit, and the account counts them together."""
    port = free_port()
    there: set[int] = set()
    most = []

    async def come(connection: Connection) -> None:
        there.add(id(connection))
        most.append(len(there))
        await say("220 mx.hosts.example ESMTP")(connection)

    async def take(connection: Connection) -> None:
        await asyncio.sleep(0.01)
        await say("250 2.0.0 Ok")(connection)

    async def leave(connection: Connection) -> None:
        there.discard(id(connection))
        await say("221 2.0.0 Bye")(connection)

    script = {"connect": come, "dot": take, "QUIT": leave}
    with running(script, address="127.0.5.1", port=port) as server:
        throttle = "[throttle]\nconnections = 2\nmessages_per_connection = 20"
        delivery = direct(dns, port, "connections = 8", throttle)
        letter(tmp_path, rows(*SHARING, count=10), delivery=delivery)
        ok(tmp_path, "send", "letter", "--yes")

    assert server.copies.total() == len(server.copies) == 120
    assert max(most) == 2
    assert the_run(tmp_path)["destinations"] == {"mx.hosts.example": {"accepted": 120}}
