"""Fetching an MTA-STS policy over HTTPS.

Rule (RFC 8461 §3.3): the certificate must be valid for mta-sts.<domain>, nothing is
followed elsewhere, and size and time are bounded.  The connection goes to an address that
was vetted, never to the name, or a policy host could be any machine around us.

asyncio brings the bytes, so that the time limit is that of the whole; `http.client` reads
them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any

from mailblast.errors import Refusal
from mailblast.mtasts import MAX_TEXT
from mailblast.smtp.reply import printable
from mailblast.smtp.session.opening import sentence, verifying

SECONDS = 60.0  # for the whole fetch (RFC 8461 §3.3)
CONNECT = 10.0  # seconds for a connection to one address, so that the next has some left
MAX_RESPONSE = MAX_TEXT + 16_384  # with a header
PATH = "/.well-known/mta-sts.txt"


@dataclass(frozen=True, slots=True)
class Web:
    """How the web is reached: `ca_file` replaces the system's certificate authorities.

    Raises ConnectionFailed when it cannot be read.
    """

    ca_file: Path | None = None
    port: int = 443
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        verifying(self.ca_file)  # a file that cannot be read shows now, not at a policy


async def fetch(host: str, addresses: Sequence[str], web: Web) -> str | Refusal:
    """The text of the policy at `host`, from the first of its addresses that answers."""
    refusal = Refusal(f"{host} has no address")
    try:
        async with asyncio.timeout(web.seconds):
            for address in addresses:
                got = await _get(host, address, web)
                if not isinstance(got, Refusal):
                    return _text(host, got)
                refusal = got
    except TimeoutError:
        return Refusal(f"{host}: no answer within {web.seconds:g} s")
    return refusal


async def _get(host: str, address: str, web: Web) -> bytes | Refusal:
    """The response, as it came; a Refusal if no connection came about."""
    try:
        async with asyncio.timeout(CONNECT):
            reader, writer = await asyncio.open_connection(
                address, web.port, ssl=verifying(web.ca_file), server_hostname=host
            )
    except TimeoutError:
        return Refusal(f"{host}: no connection within {CONNECT:g} s")
    except OSError as error:
        return Refusal(f"{host}: {sentence(error)}")
    try:
        writer.write(_request(host))
        got = await _read(reader)
    except OSError as error:
        return Refusal(f"{host}: {sentence(error)}")
    finally:
        writer.transport.abort()
    return got


def _request(host: str) -> bytes:
    lines = (
        f"GET {PATH} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: mailblast",
        "Accept: text/plain",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


async def _read(reader: asyncio.StreamReader) -> bytes:
    got = bytearray()
    while len(got) <= MAX_RESPONSE and (data := await reader.read(MAX_RESPONSE)):
        got += data
    return bytes(got)


class _Arrived:
    """As much of a socket as `http.client` asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> BytesIO:
        return BytesIO(self._data)


def _text(host: str, data: bytes) -> str | Refusal:
    """The body, if it is a policy's: 200, text/plain, not too long."""
    if len(data) > MAX_RESPONSE:
        return Refusal(f"{host}: more than {MAX_RESPONSE} octets")
    response = HTTPResponse(_Arrived(data))  # type: ignore[arg-type]  # all that it uses
    try:
        response.begin()
        body = response.read()  # all of it: with a length it would not see the rest missing
    except (HTTPException, ValueError, OSError) as error:
        return Refusal(f"{host}: no HTTP: {printable(str(error))[:100]}")
    if response.status != 200:
        return Refusal(f"{host}: status {response.status}")
    if response.headers.get_content_type() != "text/plain":
        return Refusal(f"{host}: the policy is no text/plain")
    return body.decode("ascii", "backslashreplace")
