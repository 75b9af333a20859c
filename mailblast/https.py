"""One question to a web server over HTTPS, and its answer, within a time and a size.

The connection goes to an address that was vetted, never to the name, or the host could be any
machine around us.  The certificate must be valid for the name; nothing is followed elsewhere,
and no cookie is kept.

asyncio brings the bytes, so that the time limit is that of the whole; `http.client` reads
them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException, HTTPMessage, HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from mailblast.errors import Refusal
from mailblast.smtp.reply import printable
from mailblast.smtp.session.opening import (
    CertificateError,
    TlsError,
    expiry,
    sentence,
    verifying,
)

SECONDS = 60.0  # for a question and its answer
CONNECT = 10.0  # seconds for a connection to one address, so that the next has some left
HEADER = 16_384  # octets that a response may have beside its body
MAX_BODY = 65_536  # octets; more is refused

T = TypeVar("T")
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Web:
    """How the web is reached: `ca_file` replaces the system's certificate authorities.

    Raises ConnectionFailed when it cannot be read.
    """

    ca_file: Path | None = None
    port: int = 443
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        verifying(self.ca_file)  # a file that cannot be read shows now, not at a question


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: `target` begins with a slash and has the query, if there is one."""

    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    max_body: int = MAX_BODY  # octets of the answer


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes


@dataclass(frozen=True, slots=True)
class Untrusted(Refusal):
    """There is no connection because the certificate is not one for that host."""


@dataclass(frozen=True, slots=True)
class Unreached(Refusal):
    """There is no connection, for whatever reason: the fault may lie on this side."""


async def ask(
    host: str, addresses: Sequence[str], web: Web, question: Question
) -> Response | Refusal:
    """The answer of `host`, from the first of its addresses that gives one."""
    got = await _first(host, addresses, web, partial(_exchange, host, web, question))
    return got if isinstance(got, Refusal) else _response(host, got, question)


async def certified_until(host: str, addresses: Sequence[str], web: Web) -> float | Refusal:
    """When the certificate of `host` ends, in seconds since 1970; nothing else is asked."""
    return await _first(host, addresses, web, _expiry)


async def _first(
    host: str, addresses: Sequence[str], web: Web, act: Callable[[_Streams], Awaitable[T]]
) -> T | Refusal:
    """What comes of `act` on the first address where it comes to something."""
    refusal, reached = Refusal(f"{host} has no address"), False
    try:
        async with asyncio.timeout(web.seconds):
            for address in addresses:
                streams = await _connected(host, address, web)
                if isinstance(streams, Refusal):
                    refusal = streams
                    continue
                reached = True
                try:
                    return await act(streams)
                except OSError as error:
                    refusal = Refusal(f"{host}: {sentence(error)}")
                finally:
                    streams[1].transport.abort()
    except TimeoutError:
        if not reached:
            return Unreached(f"{host}: no connection within {web.seconds:g} s")
        return Refusal(f"{host}: no answer within {web.seconds:g} s")
    return refusal


async def _connected(host: str, address: str, web: Web) -> _Streams | Refusal:
    try:
        async with asyncio.timeout(CONNECT):
            return await asyncio.open_connection(
                address, web.port, ssl=verifying(web.ca_file), server_hostname=host
            )
    except TimeoutError:
        return Unreached(f"{host}: no connection within {CONNECT:g} s")
    except CertificateError as error:
        return Untrusted(f"{host}: {sentence(error)}")
    except TlsError as error:
        return Refusal(f"{host}: {sentence(error)}")
    except OSError as error:
        return Unreached(f"{host}: {sentence(error)}")


async def _exchange(host: str, web: Web, question: Question, streams: _Streams) -> bytes:
    """The response as it came."""
    reader, writer = streams
    writer.write(_request(host, web.port, question))
    return await _read(reader, question.max_body + HEADER)


async def _expiry(streams: _Streams) -> float:
    return expiry(streams[1].get_extra_info("peercert"))


def _request(host: str, port: int, question: Question) -> bytes:
    headers = {
        "Host": host if port == 443 else f"{host}:{port}",
        "User-Agent": "mailblast",
        "Accept": "*/*",
        "Connection": "close",
        **question.headers,
    }
    if question.method == "POST":
        headers["Content-Length"] = str(len(question.body))
    lines = [f"{question.method} {question.target} HTTP/1.1"]
    lines += (f"{name}: {value}" for name, value in headers.items())
    return "\r\n".join((*lines, "", "")).encode("ascii") + question.body


async def _read(reader: asyncio.StreamReader, limit: int) -> bytes:
    got = bytearray()
    while len(got) <= limit and (data := await reader.read(limit)):
        got += data
    return bytes(got)


class _Arrived:
    """As much of a socket as `http.client` asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> BytesIO:
        return BytesIO(self._data)


def _response(host: str, data: bytes, question: Question) -> Response | Refusal:
    if len(data) > question.max_body + HEADER:
        return Refusal(f"{host}: more than {question.max_body + HEADER} octets")
    # `method`: what answers HEAD has a length and no body.
    arrived: Any = _Arrived(data)
    response = HTTPResponse(arrived, method=question.method)
    try:
        response.begin()
        body = response.read()  # all of it: with a length it would not see the rest missing
    except (HTTPException, ValueError, OSError) as error:
        return Refusal(f"{host}: no HTTP: {printable(str(error))[:100]}")
    return Response(response.status, response.headers, body)
