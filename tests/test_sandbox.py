"""The practice Internet over real sockets: every domain does what its character says."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from practice import AT, MESSAGE, SENDER, World, visit

from mailblast.sandbox.characters import MIX, character

# The session


def test_ehlo(tmp_path: Path) -> None:
    """The extensions that bulk mail uses are offered."""

    async def visitor(world: World) -> None:
        async with world.client() as client:
            await client.ehlo()
            offered = {name.upper() for name in client.esmtp_extensions}

        assert offered >= {
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "SIZE",
            "DSN",
            "ENHANCEDSTATUSCODES",
        }

    visit(tmp_path, visitor)


def test_taken_as_sent(tmp_path: Path) -> None:
    """What is accepted is counted, and its bytes are those that were sent."""

    async def visitor(world: World) -> None:
        assert "queued as" in await world.offer("anna@inbox.example")
        assert "queued as" in await world.offer("anna@inbox.example")
        assert "queued as" in await world.offer("bert@nobody-named-it.example")

        received = {"anna@inbox.example": 2, "bert@nobody-named-it.example": 1}
        assert world.internet.received == received
        assert world.internet.latest[-1].content == MESSAGE
        assert world.internet.latest[-1].return_path == SENDER
        assert world.came_back() == []

    visit(tmp_path, visitor)


def test_by_a_client_library(tmp_path: Path) -> None:
    """A client that is not ours delivers."""

    async def visitor(world: World) -> None:
        async with world.client() as client:
            refused, reply = await client.sendmail(SENDER, ["a@mail.example"], MESSAGE)

        assert refused == {}
        assert reply.startswith("2.0.0")

    visit(tmp_path, visitor)


def test_pipelined(tmp_path: Path) -> None:
    """Commands that arrive in one piece are answered one by one, whole messages too."""

    async def visitor(world: World) -> None:
        async with world.wire() as wire:
            envelope = (f"MAIL FROM:<{SENDER}>", "RCPT TO:<a@inbox.example>", "DATA")
            first = await wire.say(*envelope)
            second = await wire.say("Subject: x\r\n\r\n.", *envelope)
            await wire.say(".")

        assert [reply[:3] for reply in first] == ["250", "250", "354"]
        assert [reply[:3] for reply in second] == ["250", "250", "250", "354"]
        assert world.internet.received["a@inbox.example"] == 2

    visit(tmp_path, visitor)


def test_parameters(tmp_path: Path) -> None:
    """The parameters of SIZE, 8BITMIME, SMTPUTF8 and DSN (RFC 3461) are taken."""

    async def visitor(world: World) -> None:
        async with world.wire() as wire:
            mail, rcpt = await wire.say(
                f"MAIL FROM:<{SENDER}> SIZE=9 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=Qq+3D1",
                "RCPT TO:<a@inbox.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@c.test",
            )
            unknown = await wire.say("RCPT TO:<a@inbox.example> COLOUR=red")

        assert mail == "250 2.1.0 Ok"
        assert rcpt == "250 2.1.5 Ok"
        assert unknown[0].startswith("555")

    visit(tmp_path, visitor)


def test_long_parameters(tmp_path: Path) -> None:
    """A MAIL of 600 octets is taken, whoever connected in between."""

    async def visitor(world: World) -> None:
        async with world.wire() as wire, world.wire():
            envid = "Q" * 540
            replies = await wire.say(f"MAIL FROM:<{SENDER}> ENVID={envid}")

        assert replies == ["250 2.1.0 Ok"]

    visit(tmp_path, visitor)


def test_quoted_local_part(tmp_path: Path) -> None:
    """An address that needs the whole grammar is taken."""

    async def visitor(world: World) -> None:
        assert "queued" in await world.offer('"a b"@inbox.example')
        assert list(world.internet.received) == ['"a b"@inbox.example']

    visit(tmp_path, visitor)


def test_stop_ends_sessions(tmp_path: Path) -> None:
    """Stopping closes the sessions that are open, in whatever state they are."""

    async def visitor(world: World) -> None:
        async with world.wire() as idle, world.wire() as busy:
            await busy.say(f"MAIL FROM:<{SENDER}>", "RCPT TO:<a@inbox.example>", "DATA")
            await world.internet.stop()

            assert await idle.reply() == ""
            assert await busy.reply() == ""

    visit(tmp_path, visitor)


# The characters


@pytest.mark.parametrize(
    ("recipient", "replies"),
    [
        ("a@inbox.example", ["250 2.0.0"]),
        ("a@INBOX.example", ["250 2.0.0"]),
        ("a@unknown.example", ["550 5.1.1", "550 5.1.10", "550-5.1.1", "550 5.1.1"]),
        ("a@full.example", ["452 4.2.2", "452 4.2.2", "552 5.2.2", "552 5.2.2"]),
        ("a@defers.example", ["451 4.3.0", "450 4.2.0", "250 2.0.0", "250 2.0.0"]),
        ("a@limits.example", ["421 4.7.0", "250 2.0.0", "250", "250", "250", "421 4.7.0"]),
        ("a@blocks.example", ["554 5.7.1", "554 5.7.1"]),
        ("unknown.user@elsewhere.example", ["550 5.1.1"]),
        ("full@elsewhere.example", ["452 4.2.2"]),
        ("unknown@inbox.example", ["250 2.0.0"]),
    ],
)
def test_replies(tmp_path: Path, recipient: str, replies: list[str]) -> None:
    """Each attempt at an address meets the reply of its character."""

    async def visitor(world: World) -> None:
        for expected in replies:
            reply = await world.offer(recipient)
            assert reply.startswith(expected)

    visit(tmp_path, visitor)


def test_each_address_has_its_own_attempts(tmp_path: Path) -> None:
    """What one address has been through does not help the next."""

    async def visitor(world: World) -> None:
        for _ in range(2):
            await world.offer("a@defers.example")

        assert (await world.offer("b@defers.example")).startswith("451")
        assert (await world.offer("a@defers.example")).startswith("250")

    visit(tmp_path, visitor)


def test_greylisting(tmp_path: Path) -> None:
    """A greylist looks at the clock, not at the number of attempts."""
    now = [AT]

    async def visitor(world: World) -> None:
        for _ in range(3):
            assert (await world.offer("a@greylist.example")).startswith("451 4.7.1")
        now[0] += 1.0
        assert (await world.offer("a@greylist.example")).startswith("250")

    visit(tmp_path, visitor, clock=lambda: now[0])


def test_421_ends_the_session(tmp_path: Path) -> None:
    """After a 421 the server hangs up, and what was pipelined behind it is not answered."""

    async def visitor(world: World) -> None:
        async with world.wire() as wire:
            replies = await wire.say(
                f"MAIL FROM:<{SENDER}>", "RCPT TO:<a@limits.example>", "DATA"
            )

        assert replies[1].startswith("421")
        assert replies[2] == ""
        assert world.internet.replies[421] == 1

    visit(tmp_path, visitor)


def test_slow(tmp_path: Path) -> None:
    """The slow one takes its time at each step, and others do not wait for it."""

    async def visitor(world: World) -> None:
        began = time.monotonic()
        slow = asyncio.create_task(world.offer("a@slow.example"))
        await world.offer("a@inbox.example")
        between = time.monotonic() - began
        await slow

        assert between < 0.3
        assert time.monotonic() - began > 0.55

    visit(tmp_path, visitor)


# A rehearsal


def addresses(number: int) -> Iterator[str]:
    """The addresses of a list of so many."""
    return (f"user{row}@company{row % 977}.test" for row in range(number))


def fate(address: str) -> str:
    """What becomes of an address in a rehearsal."""
    return character(address, realistic=True).name


def test_mix() -> None:
    """A long list meets the fates in their shares, within what chance allows."""
    number = 50_000
    met = Counter(map(fate, addresses(number)))

    for share, who in MIX:
        expected = number * share / 1000
        assert abs(met[who.name] - expected) < 5 * expected**0.5
    assert 0.93 < met["accepts"] / number < 0.95


def test_fate_is_the_address_alone() -> None:
    """An address meets the same fate each time, however it is written."""
    for address in addresses(200):
        assert fate(address) == fate(address.upper())


def test_names_force_nothing_in_a_rehearsal() -> None:
    """Somebody called Fuller is no full mailbox where the list is real; domains stay."""
    fullers = [f"fuller{number}@company.test" for number in range(500)]

    assert Counter(map(fate, fullers))["accepts"] > 400
    assert fate("a@full.example") == "full"


def test_rehearsal_over_the_wire(tmp_path: Path) -> None:
    """A rehearsal refuses and accepts as the hash says."""

    async def visitor(world: World) -> None:
        for name, code in (("unknown", "550"), ("accepts", "250"), ("blocks", "554")):
            recipient = next(a for a in addresses(9999) if fate(a) == name)
            assert (await world.offer(recipient)).startswith(code)

    visit(tmp_path, visitor, realistic=True)
