"""How a session begins: connect, greet, encrypt, authenticate; by aiosmtplib.

Rules: to a relay, a certificate is always verified, host name included (RFC 3207 §4, RFC 8314
§5.3).  The password goes out only after that, and into no error text.  To the mail hosts of
the world it is verified where somebody demands it, and nowhere is there clear text when TLS
was asked for.  Whatever aiosmtplib, ssl or the system raise becomes `ConnectionFailed`.
"""

import asyncio
import binascii
import os
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, cast

import aiosmtplib
from aiosmtplib import SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol

from mailblast.certificate import dane
from mailblast.errors import ConnectionFailed, EncryptionFailed
from mailblast.lookup import Tlsa
from mailblast.smtp.protocol import Conversation, Extensions
from mailblast.smtp.reply import ReplyReader, printable

CLOSED = "the server closed the connection"

TlsError, CertificateError = ssl.SSLError, ssl.SSLCertVerificationError

# Seconds for a TCP connection to one address of many (Postfix: smtp_connect_timeout).
CONNECT = 30.0

# How a session is protected; docs of `Server`.
Security = Literal["none", "tls", "starttls", "opportunistic", "encrypted", "dane"]


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to connect to, and how.

    `security` is

    - "tls" (from the first byte) or "starttls": encrypted, and the certificate verified,
    - "dane": STARTTLS, and the certificate is one of `tlsa` (RFC 7672),
    - "encrypted": STARTTLS, whatever the certificate,
    - "opportunistic": the same if it is offered, else clear text (RFC 7435),
    - "none": clear text.

    Without `username` there is no AUTH.  `ca_file` replaces the system's certificate
    authorities.  `ehlo` is our name, by default this machine's; `source` the local address
    to send from.  `address` is the IP address to connect to, by default whatever the name
    resolves to.
    """

    host: str
    port: int
    security: Security = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    ehlo: str = ""
    ca_file: Path | None = None
    source: str = ""
    address: str = ""
    tlsa: tuple[Tlsa, ...] = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def open_connection(
    server: Server, limit: float
) -> tuple[asyncio.Transport, Conversation]:
    """Everything up to the first MAIL, by aiosmtplib; its errors end here."""
    smtp, step = None, _REACHING
    try:
        smtp = await _client(server, limit)
        await smtp.connect()
        await _greet(smtp)
        if _wants_starttls(smtp, server):
            step = _ENCRYPTING
            await _start_tls(smtp, server)
            step = _REACHING
            await smtp.ehlo()
        if server.username:
            step = _LOGGING_IN
            _check_secrecy(smtp, server)
            await smtp.login(server.username, server.password)
        return _take_over(smtp, server)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        failure = _failure(error, server, limit, step)
    except BaseException:
        _abort(smtp)
        raise
    _abort(smtp)
    # Outside of the handler: the library's error may quote what the server echoed, and must
    # not travel along as the context of ours.
    raise failure


# The steps, each by the fields of `Server` that it hangs on.
_Step = tuple[str, ...]
_REACHING: _Step = ("host", "port", "security")
_ENCRYPTING: _Step = ("port", "security")
_LOGGING_IN: _Step = ("username", "password")


async def _greet(smtp: aiosmtplib.SMTP) -> None:
    """EHLO, or HELO with a server that does not know the word (RFC 5321 §3.2)."""
    try:
        await smtp.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code not in (500, 502):
            raise
        await smtp.helo()


async def _client(server: Server, limit: float) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        **await _where(server),
        local_hostname=server.ehlo or None,
        timeout=limit,
        use_tls=server.security == "tls",
        start_tls=False,  # `_start_tls` does it: aiosmtplib would pass over injected bytes
        tls_context=_tls_context(server),
    )


async def _where(server: Server) -> dict[str, Any]:
    """What aiosmtplib is to connect to: a name, or a socket that is connected already."""
    if server.address:
        return {"sock": await _connect(server)}
    source = (server.source, 0) if server.source else None
    return {"hostname": server.host, "port": server.port, "source_address": source}


async def _connect(server: Server) -> socket.socket:
    """A connection to `address`, and to nothing that its name might resolve to by now."""
    v6 = ip_address(server.address).version == 6
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if server.source:
            sock.bind((server.source, 0))
        async with asyncio.timeout(CONNECT):
            target = (server.address, server.port)
            await asyncio.get_running_loop().sock_connect(sock, target)
    except TimeoutError as error:
        sock.close()
        raise OSError(f"no connection within {CONNECT:g} s") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _tls_context(server: Server) -> ssl.SSLContext | None:
    if server.security == "none":
        return None
    return verifying(server.ca_file) if server.security in _VERIFIED else _unverifying()


_VERIFIED = ("tls", "starttls")

_REFUSED = 535  # authentication credentials invalid (RFC 4954 §6)


@lru_cache(maxsize=16)
def verifying(ca_file: Path | None) -> ssl.SSLContext:
    """Certificate and host name verified, TLS 1.2 or newer; made once, it takes 20 ms."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        what = f"cannot read the certificate authorities in {ca_file}: {sentence(error)}"
        raise ConnectionFailed(what, permanent=True, about=("ca_file",)) from None


@lru_cache(maxsize=1)
def _unverifying() -> ssl.SSLContext:
    """For those of whom nothing is known: any certificate, TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wants_starttls(smtp: aiosmtplib.SMTP, server: Server) -> bool:
    """Whether STARTTLS comes next; raises where it must and cannot."""
    if server.security in ("none", "tls"):
        return False
    if smtp.supports_extension("starttls"):
        return True
    if server.security == "opportunistic":
        return False
    # To a relay a downgrade is for good (RFC 3207 §4.1); `direct` knows better of others.
    what = f"{server} does not offer STARTTLS"
    raise EncryptionFailed(what, permanent=True, about=_ENCRYPTING)


async def _start_tls(smtp: aiosmtplib.SMTP, server: Server) -> None:
    """Upgrade, or fail: the session does not fall back to clear text (RFC 3207 §4.1)."""
    tap = _Tap(smtp)
    await smtp.starttls(server_hostname=server.host)
    if tap.injected:
        what = f"{server} or someone between us sent data before TLS began"
        raise ConnectionFailed(what, permanent=True)
    if server.security == "dane" and not _published(smtp, server):
        what = f"{server}: the certificate is none of those that DANE publishes"
        raise EncryptionFailed(what)


def _published(smtp: aiosmtplib.SMTP, server: Server) -> bool:
    tls = smtp.get_transport_info("ssl_object")
    return dane.verified(server.tlsa, _chain(tls), server.host, time.time())


def _chain(tls: Any) -> list[bytes]:
    """The certificates as the server showed them, DER, its own first."""
    # Public since Python 3.13, and there before that.
    shown = getattr(tls, "get_unverified_chain", None) or tls._sslobj.get_unverified_chain  # noqa: SLF001
    chain = shown() or []
    return [one if isinstance(one, bytes) else one.public_bytes(_DER) for one in chain]


_DER = 2  # _ssl.ENCODING_DER


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
        raise ConnectionFailed(what, permanent=True, about=_ENCRYPTING)


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


def _failure(
    error: BaseException, server: Server, limit: float, step: _Step
) -> ConnectionFailed:
    """Our error for any of aiosmtplib's, ssl's or the system's, in this step."""
    failed = EncryptionFailed if step is _ENCRYPTING else ConnectionFailed
    certificate = _certificate_error(error)
    if certificate is not None:
        why = getattr(certificate, "verify_message", str(certificate))
        what = f"{server}: the certificate is not valid: {why}"
        return failed(what, permanent=True, about=("host", "ca_file"))
    if isinstance(error, aiosmtplib.SMTPConnectError) and error.__cause__:
        error = error.__cause__
    # aiosmtplib's code for what is no reply is -1.
    code = max(error.code, 0) if isinstance(error, SMTPResponseException) else 0
    what, permanent = _explain(error, code, limit)
    what = printable(
        without_password(what.strip(), server.username, server.password)
    ).replace("\n", " ")
    about = step if code // 100 != 4 else ()  # "not now" is not about a setting
    return failed(f"{server}: {what}", permanent=permanent, code=code, about=about)


def _explain(error: BaseException, code: int, limit: float) -> tuple[str, bool]:
    """What happened, and whether trying again changes nothing."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            # Any other code says nothing of the password (RFC 4954 §4, §6).
            refused = code == _REFUSED
            what = "the password was refused:" if refused else "AUTH was answered with"
            return f"{what} {code} {error.message}", code // 100 != 4
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
        case binascii.Error():
            return "AUTH was answered with a challenge that is none", True
    # A bare SMTPException: AUTH is not offered, or no method that we know.
    return str(error), True


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def without_password(text: str, username: str, password: str) -> str:
    """Servers echo what they do not understand."""
    if not password:
        return text
    plain = f"\0{username}\0{password}"
    for secret in (plain, password):
        encoded = b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")
        text = text.replace(encoded, "[password]")
    return text.replace(password, "[password]")


def expiry(certificate: Mapping[str, Any]) -> float:
    """When a certificate ends, as `getpeercert` tells it; in seconds since 1970."""
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))


def sentence(error: BaseException) -> str:
    """What went wrong, in the system's own words, without its numbers and Python's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error) or "closed"
        return f"TLS failed: {reason.replace('_', ' ').lower()}"
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    if error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error) or CLOSED).lower()
