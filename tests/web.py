"""An unsubscribe endpoint on loopback that behaves as it is told, over real TLS.

    with Website(authority, "127.0.6.1", name="u.shop.example") as site:
        site.url                        its address, for [unsubscribe] url
        site.seen                       what was asked: (method, path, content type, body)

`answers` are functions of (method, how often it was asked with it) to (status, headers, page).
`Rude` is one that does not speak HTTP, or not as it should.
"""

import asyncio
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from policy_host import PolicyHost

PAGE = """<!doctype html><title>Leave</title><h1>Unsubscribe?</h1>
<form method="post"><button>Unsubscribe from all mail</button></form>"""


def trusted(directory: Path) -> tuple[trustme.CA, Path]:
    """An authority, and the file that has it."""
    authority, file = trustme.CA(), directory / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return authority, file


def certified(authority: trustme.CA, name: str, **certificate: Any) -> ssl.SSLContext:
    """What a server of this name shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **certificate).configure_cert(context)
    return context


Answered = tuple[int, Mapping[str, str], str]
Answer = Callable[[str, int], Answered]


def good(method: str, _: int) -> Answered:
    """As RFC 8058 has it: a page for GET, and a POST that is enough."""
    return (
        200,
        {"Content-Type": "text/html; charset=utf-8"},
        PAGE if method != "POST" else "Gone.",
    )


def page(html: str, status: int = 200, **headers: str) -> Answer:
    """The same with another page for GET."""

    def answer(method: str, times: int) -> Answered:
        if method == "POST":
            return good(method, times)
        return status, {"Content-Type": "text/html", **headers}, html

    return answer


class Website:
    """The server; a context."""

    def __init__(
        self,
        authority: trustme.CA,
        address: str,
        name: str = "u.shop.example",
        answer: Answer = good,
        port: int = 0,
        **certificate: Any,
    ) -> None:
        context = certified(authority, name, **certificate)
        self.seen: list[tuple[str, str, str, bytes]] = []
        site = self
        asked: Counter[str] = Counter()

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                kind = self.headers.get_content_type() if length else ""
                site.seen.append((self.command, self.path, kind, self.rfile.read(length)))
                asked[self.command] += 1
                status, headers, text = answer(self.command, asked[self.command])
                self.send_response(status)
                for header, value in headers.items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text.encode())

            do_GET = do_HEAD = do_POST = _serve  # noqa: N815 - what the library calls

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((address, port), Handler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        self.url = f"https://{name}:{self.port}/u"

    def __enter__(self) -> "Website":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def slow(seconds: float) -> Answer:
    """Good, and too late."""

    def answer(method: str, times: int) -> Answered:
        time.sleep(seconds)
        return good(method, times)

    return answer


Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Rude(PolicyHost):
    """A TLS server that reads a request and then does as it is told; an asynchronous context."""

    def __init__(self, authority: trustme.CA, address: str, name: str, act: Act) -> None:
        super().__init__(certified(authority, name), address)
        self._name, self._act = name, act

    @property
    def url(self) -> str:
        """Its address, for [unsubscribe] url."""
        return f"https://{self._name}:{self.port}/u"

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.requests)

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        await self._act(writer)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


async def says_nothing(_: asyncio.StreamWriter) -> None:
    """Closes."""


async def breaks_off(writer: asyncio.StreamWriter) -> None:
    """Resets the connection."""
    writer.transport.abort()


def bursts(data: bytes) -> Act:
    """Says this, and closes."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return act


def drips(data: bytes) -> Act:
    """Says this, and then an octet from time to time, for ever."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    return act


def floods(data: bytes, piece: bytes, told: list[int]) -> Act:
    """Says this, and then a gigabyte; how much of it left goes to `told`."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        sent = 0
        try:
            while sent < 2**30 and not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)  # where nothing is waited for, nobody is heard
                sent += len(piece)
        finally:
            told.append(sent)

    return act
