"""How a session begins: connect, greet, encrypt, authenticate; by aiosmtplib.

Rules: a certificate is always verified, host name included (RFC 3207 §4, RFC 8314 §5.3).
The password goes out only after that, and into no error text.  Whatever aiosmtplib, ssl or
the system raise becomes `ConnectionFailed`.
"""

import asyncio
import os
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast

import aiosmtplib
from aiosmtplib import SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol

from mailblast.errors import ConnectionFailed
from mailblast.smtp.protocol import Conversation, Extensions
from mailblast.smtp.reply import ReplyReader, printable

CLOSED = "the server closed the connection"


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to connect to, and how.

    `security` is "tls" (from the first byte), "starttls" or "none".  Without `username`
    there is no AUTH.  `ca_file` replaces the system's certificate authorities.  `ehlo` is
    our name, by default this machine's; `source` the local address to send from.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    ehlo: str = ""
    ca_file: Path | None = None
    source: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def open_connection(
    server: Server, limit: float
) -> tuple[asyncio.Transport, Conversation]:
    """Everything up to the first MAIL, by aiosmtplib; its errors end here."""
    smtp = None
    try:
        smtp = _client(server, limit)
        await smtp.connect()
        await smtp.ehlo()
        if server.security == "starttls":
            await _start_tls(smtp, server)
            await smtp.ehlo()
        if server.username:
            _check_secrecy(smtp, server)
            await smtp.login(server.username, server.password)
        return _take_over(smtp, server)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        failure = _failure(error, server, limit)
    except BaseException:
        _abort(smtp)
        raise
    _abort(smtp)
    # Outside of the handler: the library's error may quote what the server echoed, and must
    # not travel along as the context of ours.
    raise failure


def _client(server: Server, limit: float) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        local_hostname=server.ehlo or None,
        source_address=(server.source, 0) if server.source else None,
        timeout=limit,
        use_tls=server.security == "tls",
        start_tls=False,  # `_start_tls` does it: aiosmtplib would pass over injected bytes
        tls_context=None if server.security == "none" else _tls_context(server.ca_file),
    )


@lru_cache(maxsize=16)
def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificate and host name verified, TLS 1.2 or newer; made once, it takes 20 ms."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        what = f"cannot read the certificate authorities in {ca_file}: {sentence(error)}"
        raise ConnectionFailed(what, permanent=True) from None


async def _start_tls(smtp: aiosmtplib.SMTP, server: Server) -> None:
    """Upgrade, or fail: a submission does not fall back to clear text (RFC 3207 §4.1)."""
    if not smtp.supports_extension("starttls"):
        raise ConnectionFailed(f"{server} does not offer STARTTLS", permanent=True)
    tap = _Tap(smtp)
    await smtp.starttls()
    if tap.injected:
        what = f"{server} or someone between us sent data before TLS began"
        raise ConnectionFailed(what, permanent=True)


class _Tap(asyncio.Protocol):
    """Listens in on the answer to STARTTLS.

    Bytes behind the 220 come from whoever sits on the wire.  aiosmtplib discards them,
    which is safe (RFC 3207 §6); but an attack is a reason to stop, not to go on to AUTH.
    """

    def __init__(self, smtp: aiosmtplib.SMTP) -> None:
        transport, self._inner = _connected(smtp)
        self._reader = ReplyReader()
        self._items = 0
        transport.set_protocol(self)

    @property
    def injected(self) -> bool:
        """Whether there was more than one whole reply."""
        return self._items != 1 or self._reader.partial

    def data_received(self, data: bytes) -> None:
        self._items += len(self._reader.feed(data))
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)


def _check_secrecy(smtp: aiosmtplib.SMTP, server: Server) -> None:
    """No password in clear text, except to this very machine (RFC 4954 §4)."""
    if server.security != "none":
        return
    address = peer(_connected(smtp)[0])
    if not (address and ip_address(address).is_loopback):
        what = f"{server}: a password is not sent over an unencrypted connection"
        raise ConnectionFailed(what, permanent=True)


def _take_over(
    smtp: aiosmtplib.SMTP, server: Server
) -> tuple[asyncio.Transport, Conversation]:
    transport, protocol = _connected(smtp)
    if protocol._buffer:  # noqa: SLF001 - there is no public way to see what it holds back
        raise ConnectionFailed(f"{server} sent a reply that nobody asked for")
    return transport, Conversation(Extensions.offered(smtp.esmtp_extensions))


def _connected(smtp: aiosmtplib.SMTP) -> tuple[asyncio.Transport, SMTPProtocol]:
    transport, protocol = smtp.transport, smtp.protocol
    if protocol is None or transport is None or transport.is_closing():
        raise aiosmtplib.SMTPServerDisconnected(CLOSED)
    return cast(asyncio.Transport, transport), protocol


def _abort(smtp: aiosmtplib.SMTP | None) -> None:
    if smtp is not None and smtp.transport is not None:
        cast(asyncio.Transport, smtp.transport).abort()


def peer(transport: asyncio.BaseTransport) -> str:
    """The address of the other side, or "" when the connection is gone."""
    address = transport.get_extra_info("peername")
    return str(address[0]) if address else ""


def _failure(error: BaseException, server: Server, limit: float) -> ConnectionFailed:
    """Our error for any of aiosmtplib's, ssl's or the system's."""
    certificate = _certificate_error(error)
    if certificate is not None:
        why = getattr(certificate, "verify_message", str(certificate))
        what = f"{server}: the certificate is not valid: {why}"
        return ConnectionFailed(what, permanent=True)
    if isinstance(error, aiosmtplib.SMTPConnectError) and error.__cause__:
        error = error.__cause__
    # aiosmtplib's code for what is no reply is -1.
    code = max(error.code, 0) if isinstance(error, SMTPResponseException) else 0
    what, permanent = _explain(error, code, limit)
    what = printable(_without_password(what.strip(), server)).replace("\n", " ")
    return ConnectionFailed(f"{server}: {what}", permanent=permanent, code=code)


def _explain(error: BaseException, code: int, limit: float) -> tuple[str, bool]:
    """What happened, and whether trying again changes nothing."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return f"the password was refused: {code} {error.message}", code // 100 != 4
        case SMTPResponseException():
            return f"{code or 'this is no SMTP:'} {error.message}", False
        case aiosmtplib.SMTPServerDisconnected():
            return CLOSED, False
        case TimeoutError():
            return f"no answer within {limit:g} s", False
        case OSError():
            return sentence(error), False
        case UnicodeError():
            # Its text would quote a password that cannot be encoded.
            return "a name or password has characters that cannot be sent", True
    # A bare SMTPException: AUTH is not offered, or no method that we know.
    return str(error), True


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _without_password(text: str, server: Server) -> str:
    """Servers echo what they do not understand."""
    if not server.password:
        return text
    plain = f"\0{server.username}\0{server.password}"
    for secret in (plain, server.password):
        encoded = b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")
        text = text.replace(encoded, "[password]")
    return text.replace(server.password, "[password]")


def sentence(error: BaseException) -> str:
    """What went wrong, in the system's own words, without its numbers and Python's."""
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error) or "closed"
        return f"TLS failed: {reason.replace('_', ' ').lower()}"
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    if error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error) or CLOSED).lower()
