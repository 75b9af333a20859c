"""A web server for MTA-STS policies that answers as it is told.

async with PolicyHost(context, "127.0.3.20", text=POLICY) as web:
    …                                                web.port, .requests
"""

import asyncio
import ssl
from dataclasses import dataclass, field


@dataclass
class PolicyHost:
    """The server; an asynchronous context.  `response` is sent whole instead of `text`;
    `silent` sends nothing at all."""

    tls: ssl.SSLContext
    address: str
    text: str = ""
    response: bytes = b""
    silent: bool = False
    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def __aenter__(self) -> "PolicyHost":
        self._server = await asyncio.start_server(
            self._serve, self.address, self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.silent:
                await reader.read()
            await self.answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.transport.abort() if self.silent else writer.close()

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        """What is said to a request."""
        writer.write(self.response or ok(self.text))
        await writer.drain()


def ok(text: str, kind: str = "text/plain", status: str = "200 OK") -> bytes:
    """A whole response."""
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
