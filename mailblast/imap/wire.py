"""One IMAP session: opened, encrypted, logged in, and every answer bounded.

Rules: nothing is read without an end: not a line, not a literal, not an answer, not for
longer than its time.  The certificate is verified, host name included, before a password
goes out (RFC 8314 §5.3), and no error has a password in it.  What imaplib, ssl or the system
raise comes out as `UserError`.
"""

import imaplib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from mailblast.errors import UserError
from mailblast.imap.address import Address
from mailblast.smtp.reply import printable
from mailblast.smtp.session.opening import sentence, verifying, without_password

_P = ParamSpec("_P")
_T = TypeVar("_T")

CONNECT = 30.0  # seconds for a connection
SECONDS = 120.0  # for an answer, beside the time that its octets take
SLOWEST = 10_000  # octets a second, for a large one
MAX_ANSWER = 4 * 1024 * 1024  # octets, beside the messages that were asked for
MAX_LINE = 1024 * 1024
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in.  `starttls`: whether an imap:// address demands STARTTLS."""

    password: str = field(repr=False)
    ca_file: Path | None = None
    starttls: bool = True
    seconds: float = SECONDS


class Wire(imaplib.IMAP4):
    """imaplib on a connection with bounds; `allow` sets them, before each command."""

    def __init__(self, address: Address, context: Any, seconds: float) -> None:
        self._address, self._context = address, context
        self._seconds = seconds
        self._buffer = bytearray()
        self.allow()
        super().__init__(address.host, address.port)

    def allow(self, octets: int = 0, expected: int = 0) -> None:
        """The next answer may have so many octets of messages, and time for those expected."""
        self._left = octets + MAX_ANSWER
        self._until = time.monotonic() + self._seconds + expected / SLOWEST

    # What imaplib's documentation says may be overridden.

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        """Connect, and begin TLS if it is to begin at once."""
        self.host, self.port = host, port
        limit = timeout or min(CONNECT, self._seconds)
        self.sock = socket.create_connection((host, port), limit)
        if self._address.tls:
            self.encrypt()

    def read(self, size: int) -> bytes:
        """A literal."""
        if size > self._left:
            raise self.abort("the server sends more than it was asked for")
        while len(self._buffer) < size:
            self._receive()
        return self._taken(size)

    def readline(self) -> bytes:
        """A line with its end."""
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if seen > MAX_LINE:
                raise self.abort(f"a line of more than {MAX_LINE} octets")
            self._receive()
        return self._taken(end + 1)

    def send(self, data: Any) -> None:
        """Some octets."""
        self.sock.settimeout(self._rest())
        self.sock.sendall(data)

    def shutdown(self) -> None:
        """The end, without a word."""
        self.sock.close()

    def encrypt(self) -> None:
        """Go on under TLS.  What came before it did not come from the server."""
        if self._buffer:
            raise self.abort("the server or someone between us sent data before TLS began")
        try:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
        except BaseException:
            self.sock.close()
            raise

    def _rest(self) -> float:
        rest = self._until - time.monotonic()
        if rest <= 0:
            raise TimeoutError
        return rest

    def _receive(self) -> None:
        self.sock.settimeout(self._rest())
        data = self.sock.recv(_PIECE)
        if not data:
            raise self.abort("the server closed the connection")
        self._left -= len(data)
        if self._left < 0:
            raise self.abort("the server sends more than it was asked for")
        self._buffer += data

    def _taken(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class Session:
    """Commands of a session, and the capabilities of its server."""

    def __init__(self, wire: Wire, address: Address, login: Login) -> None:
        self._wire, self._address, self._login = wire, address, login
        self.capabilities: frozenset[str] = frozenset()

    def ask(
        self, name: str, *words: Any, octets: int = 0, expected: int = 0
    ) -> tuple[bool, list[Any]]:
        """One command of imaplib's: whether it succeeded, and the data that it is about.

        What fails brings the text of the failure instead.  `octets` and `expected` are those
        of `Wire.allow`.
        """
        wire = self._wire
        wire.allow(octets, expected)
        wire.untagged_responses.clear()  # what nobody asked for would pile up
        status, data = getattr(wire, name)(*words)
        return status == "OK", [one for one in data if one is not None]

    def close(self) -> None:
        """Hang up."""
        self._wire.shutdown()

    def told(self, name: str) -> bytes:
        """What the last answer said under this name (EXISTS, UIDVALIDITY …), or b""."""
        found: Any = self._wire.response(name)[1]
        return found[-1] if found and isinstance(found[-1], bytes) else b""

    def text(self, data: list[Any]) -> str:
        """The text of a failure."""
        words = b" ".join(one for one in data if isinstance(one, bytes))
        return fit(words.decode("utf-8", "replace"), self._address, self._login)

    def learn(self) -> None:
        """Ask what the server can."""
        _, data = self.ask("capability")
        words = b" ".join(one for one in data if isinstance(one, bytes))
        self.capabilities = frozenset(words.decode("ascii", "replace").upper().split())


def telling(
    address: Address,
    login: Login,
    act: Callable[_P, _T],
    *words: _P.args,
    **more: _P.kwargs,
) -> _T:
    """What `act` returns.  Whatever goes wrong in it is raised as a `UserError`."""
    try:
        return act(*words, **more)
    except imaplib.IMAP4.error as error:
        failure = str(error)
    except TimeoutError:
        failure = f"no answer within {login.seconds:g} s"
    except UnicodeEncodeError:
        # Its text would quote a password that cannot be encoded.
        failure = "a name or password has characters that cannot be sent"
    except OSError as error:
        failure = sentence(error)
    except (ValueError, LookupError):
        failure = "this is no IMAP"  # imaplib trips over what is not
    # Outside of the handlers: imaplib's error may quote what the server echoed, and must not
    # travel along as the context of ours.
    raise UserError(
        f"{address}: {fit(failure, address, login)}",
        "what was taken in before is recorded; the same command goes on from there",
    )


def fit(said: str, address: Address, login: Login) -> str:
    """What a server said, fit for a line, without the password that it may have echoed."""
    said = printable(without_password(said, address.user, login.password))
    return said.replace("\n", " ")[:300]


def opened(address: Address, login: Login) -> Session:
    """A session that is logged in.  Raises what `telling` tells."""
    wire = Wire(address, verifying(login.ca_file), login.seconds)
    try:
        session = Session(wire, address, login)
        if not address.tls:
            _protect(session, wire, login)
        session.learn()
        if wire.state == "NONAUTH":  # PREAUTH: it knows us
            _log_in(session, address, login)
            session.learn()
    except BaseException:
        wire.shutdown()
        raise
    return session


def _protect(session: Session, wire: Wire, login: Login) -> None:
    """STARTTLS, or fail: no password in clear text but to this very machine."""
    if not login.starttls:
        if not ip_address(wire.sock.getpeername()[0]).is_loopback:
            raise wire.error("a password is not sent over an unencrypted connection")
        return
    # A greeting of PREAUTH, forged, would keep us from asking (CVE-2020-12398).
    if wire.state != "NONAUTH" or not session.ask("xatom", "STARTTLS")[0]:
        raise wire.error("the server does not offer STARTTLS")
    wire.encrypt()


def _log_in(session: Session, address: Address, login: Login) -> None:
    if "AUTH=PLAIN" in session.capabilities:
        plain = f"\0{address.user}\0{login.password}".encode()
        # Said once: a server that asks again gets the end of the conversation.
        answers = iter([plain])
        way: tuple[Any, ...] = ("authenticate", "PLAIN", lambda _: next(answers, None))
    elif "LOGINDISABLED" not in session.capabilities:
        way = ("login", _quoted(address.user), login.password)
    else:
        raise imaplib.IMAP4.error("the server offers no way to log in that is known here")
    try:
        session.ask(*way)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise imaplib.IMAP4.error(f"the password was refused: {error}") from None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
