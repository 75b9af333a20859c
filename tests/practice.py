"""A way to the practice Internet for the tests: a server, a wire, and what came back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiosmtplib

from mailblast.mailbox import Mail, read
from mailblast.sandbox import PracticeInternet

AT = 1_700_000_000.0
SENDER = "bounces+tag@news.example.com"
MESSAGE = (
    b"From: News <news@news.example.com>\r\n"
    b"To: anna@example.net\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <r1.2@news.example.com>\r\n"
    b"List-Unsubscribe: <https://news.example.com/u/t>,\r\n"
    b" <mailto:leave+tag@news.example.com?subject=unsubscribe>\r\n"
    b"\r\n"
    b"Hello\r\n..and dots\r\n"
)


class Wire:
    """A client that says what it is told to, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def reply(self) -> str:
        """One whole reply; "" when the connection is closed."""
        lines = [await self._reader.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(await self._reader.readline())
        return b"".join(lines).decode().strip()

    async def say(self, *lines: str) -> list[str]:
        """Send all lines at once, as PIPELINING allows; then a reply for each."""
        self._writer.write("".join(line + "\r\n" for line in lines).encode())
        return [await self.reply() for _ in lines]

    async def offer(self, recipient: str, sender: str = SENDER) -> str:
        """Offer a message and return the reply that decided."""
        _, rcpt = await self.say(f"MAIL FROM:<{sender}> SMTPUTF8", f"RCPT TO:<{recipient}>")
        if not rcpt.startswith("250"):
            await self.say("RSET") if not rcpt.startswith("421") else None
            return rcpt
        await self.say("DATA")
        self._writer.write(MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return await self.reply()

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


class World:
    """A practice Internet, the way to it, and what lies in its inbox."""

    def __init__(self, internet: PracticeInternet, port: int) -> None:
        self.internet = internet
        self.port = port

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A session that has said EHLO."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        await wire.reply()
        await wire.say("EHLO client.example")
        yield wire
        await wire.close()

    def client(self) -> aiosmtplib.SMTP:
        """A client that is not ours."""
        return aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, start_tls=False)

    async def offer(self, recipient: str, sender: str = SENDER) -> str:
        """Offer a message in a session of its own."""
        async with self.wire() as wire:
            return await wire.offer(recipient, sender)

    def came_back(self) -> list[bytes]:
        """The messages in the inbox."""
        if not self.internet.inbox.exists():
            return []
        return [
            mail.content for mail in read(self.internet.inbox) if isinstance(mail, Mail)
        ]


def visit(
    directory: Path,
    visitor: Callable[[World], Awaitable[None]],
    *,
    clock: Callable[[], float] = lambda: AT,
    realistic: bool = False,
) -> None:
    """Run a visit to a practice Internet of its own, whose inbox is in the directory."""

    async def stay() -> None:
        inbox = directory / "sandbox" / "inbox.mbox"
        internet = PracticeInternet(inbox, clock=clock, realistic=realistic)
        world = World(internet, await internet.start())
        try:
            await visitor(world)
        finally:
            await internet.stop()

    asyncio.run(stay())
