"""An SMTP server that does what it is told, above all what it should not.

    async with Misbehaving({"RCPT": "550 5.1.1 nobody", "dot": close}) as server:
        …                                       server.port, .commands, .messages, .copies

A script says what to do at a step: `connect EHLO STARTTLS AUTH MAIL RCPT DATA dot RSET
QUIT`.  What it does not name is done properly.  To do is: a reply as text; an action
below, or `several(…)` of them; a list, one for each time that the step comes (then:
properly); or a dict, by the recipient of the transaction.  `running(script)` is the same
server in a thread of its own, for tests that start programs.

Everything received is kept: `commands` (in order, all sessions), `record` (every octet that
came), `messages` (with what became of them), `copies` (messages accepted, per recipient).
"""

import asyncio
import contextlib
import re
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, TypeVar

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Action = Callable[["Connection"], Awaitable[None]]
Script = Mapping[str, Any]

EXTENSIONS = (
    "PIPELINING",
    "SIZE 10485760",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
)
PROPERLY = {
    "connect": "220 mx.example ESMTP",
    "STARTTLS": "220 2.0.0 go ahead",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End data with <CR><LF>.<CR><LF>",
    "dot": "250 2.0.0 Ok: queued",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


class _Over(Exception):
    """This connection is done with."""


@dataclass
class Message:
    """One message whose final dot came."""

    return_path: str
    recipient: str
    content: bytes
    accepted: bool = False


@dataclass
class Connection:
    """One client, as the actions see it."""

    server: "Misbehaving"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    tls: bool = False
    return_path: str = ""
    recipient: str = ""
    valid: bool = False  # the recipient was taken
    said: str = ""
    message: Message | None = None

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def accept(self) -> None:
        """From here on the message is ours, whether or not we manage to say so."""
        if self.valid and self.message is not None and not self.message.accepted:
            self.message.accepted = True
            self.server.copies[self.message.recipient] += 1


# -- actions ------------------------------------------------------------------------------


def say(*replies: str) -> Action:
    """These replies, in one write.  A 2yz to the dot accepts the message."""

    async def act(connection: Connection) -> None:
        connection.said = replies[0]
        if replies[0].startswith("2"):
            connection.accept()
        await connection.write("".join(f"{reply}\r\n" for reply in replies).encode())

    return act


def send(data: bytes) -> Action:
    """These bytes, whatever they are."""

    async def act(connection: Connection) -> None:
        await connection.write(data)

    return act


def several(*actions: Action) -> Action:
    """One after the other."""

    async def act(connection: Connection) -> None:
        for action in actions:
            await action(connection)

    return act


def delay(seconds: float) -> Action:
    """Wait."""

    async def act(_: Connection) -> None:
        await asyncio.sleep(seconds)

    return act


def drip(text: str, every: float) -> Action:
    """A reply, one octet at a time."""

    async def act(connection: Connection) -> None:
        for octet in f"{text}\r\n".encode():
            await connection.write(bytes((octet,)))
            await asyncio.sleep(every)

    return act


def endless(piece: bytes) -> Action:
    """This, again and again, until the client has gone."""

    async def act(connection: Connection) -> None:
        block = piece * (1 + 65_536 // len(piece))
        while True:
            connection.server.flooded += len(block)
            await connection.write(block)

    return act


class Hold:
    """An action that tells when it is reached, and goes on when it may."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.may_go_on = threading.Event()

    async def __call__(self, _: Connection) -> None:
        self.reached.set()
        while not self.may_go_on.is_set():
            await delay(0.01)(_)


async def keep(connection: Connection) -> None:
    """Accept the message, and say nothing yet."""
    connection.accept()


async def silence(connection: Connection) -> None:
    """Say nothing until the client has gone."""
    while data := await connection.reader.read(65_536):
        connection.server.record += data
    raise _Over


async def content(connection: Connection) -> None:
    """Read content up to the dot, then do what the script says of it."""
    await connection.server._content(connection)


async def deaf(connection: Connection) -> None:
    """Read nothing more, but keep the connection."""
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(60)


async def close(_: Connection) -> None:
    """End the connection in order."""
    raise _Over


async def reset(connection: Connection) -> None:
    """End the connection with RST."""
    sock = connection.writer.get_extra_info("socket")
    sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    raise _Over


garbage = send(b"\x00\xff HTTP/1.1 400 Bad Request\r\n")


# -- the server ---------------------------------------------------------------------------


@dataclass
class Misbehaving:
    """The server; an asynchronous context.  `tls` with `wrapped` is TLS from the start."""

    script: Script = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    wrapped: bool = False
    extensions: tuple[str, ...] = EXTENSIONS
    commands: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    copies: Counter[str] = field(default_factory=Counter)
    record: bytearray = field(default_factory=bytearray)
    sessions: int = 0
    flooded: int = 0
    address: str = "127.0.0.1"
    port: int = 0
    _steps: Counter[str] = field(default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> "Misbehaving":
        context = self.tls if self.wrapped else None
        self._server = await asyncio.start_server(
            self._serve, self.address, self.port, ssl=context, limit=1 << 24
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def verbs(self) -> list[str]:
        """The first word of each command."""
        return [command.partition(" ")[0] for command in self.commands]

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        connection = Connection(self, reader, writer, tls=self.wrapped)
        try:
            await self._talk(connection)
        except (_Over, OSError, ValueError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # by `__aexit__`; asyncio.streams would log it as an error
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()
                if writer.get_extra_info("ssl_object") is not None:
                    # A client that aborts never answers our close_notify.
                    writer.transport.abort()

    async def _talk(self, connection: Connection) -> None:
        await self._step("connect", connection)
        while line := await self._line(connection):
            command = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
            self.commands.append(command)
            await self._command(command.partition(" ")[0].upper(), command, connection)

    async def _line(self, connection: Connection) -> bytes:
        line = await connection.reader.readline()
        self.record += line
        return line

    async def _command(self, verb: str, command: str, connection: Connection) -> None:
        if verb == "MAIL":
            connection.return_path = _path(command)
        elif verb == "RCPT":
            connection.recipient = _path(command)
        await self._step(verb, connection)
        if verb in ("MAIL", "RCPT", "RSET"):
            connection.valid = verb == "RCPT" and connection.said.startswith("2")
        if verb == "QUIT":
            raise _Over

    async def _step(self, step: str, connection: Connection) -> None:
        action = self._told(step, connection)
        if action is None:
            await self._properly(step, connection)
        elif isinstance(action, str):
            await say(action)(connection)
            if step == "DATA" and action.startswith("3"):
                await self._content(connection)
        else:
            await action(connection)

    def _told(self, step: str, connection: Connection) -> Any:
        action, key = self.script.get(step), step
        if isinstance(action, Mapping):
            action, key = action.get(connection.recipient), f"{step} {connection.recipient}"
        if isinstance(action, list):
            times = self._steps[key]
            self._steps[key] += 1
            action = action[times] if times < len(action) else None
        return action

    async def _properly(self, step: str, connection: Connection) -> None:
        if step == "EHLO":
            await connection.write(self._ehlo(connection))
        elif step == "DATA" and not connection.valid:
            await say("503 5.5.1 no valid recipients")(connection)
        elif step in PROPERLY:
            await say(PROPERLY[step])(connection)
        else:
            await say("500 5.5.1 unknown command")(connection)
        if step == "STARTTLS":
            await self._start_tls(connection)
        elif step == "DATA" and connection.valid:
            await self._content(connection)

    def _ehlo(self, connection: Connection) -> bytes:
        words = ["mx.example", *self.extensions]
        if self.tls and not connection.tls:
            words.append("STARTTLS")
        if connection.tls or not self.tls:
            words.append("AUTH PLAIN")
        lines = [f"250-{word}\r\n" for word in words[:-1]]
        return "".join([*lines, f"250 {words[-1]}\r\n"]).encode()

    async def _start_tls(self, connection: Connection) -> None:
        assert self.tls is not None
        await connection.writer.start_tls(self.tls)
        connection.tls = True

    async def _content(self, connection: Connection) -> None:
        lines = []
        while (line := await self._line(connection)) != b".\r\n":
            if not line:
                raise _Over
            lines.append(line.removeprefix(b"."))
        path, recipient = connection.return_path, connection.recipient
        connection.message = Message(path, recipient, b"".join(lines))
        self.messages.append(connection.message)
        await self._step("dot", connection)
        connection.message, connection.valid = None, False


def _path(command: str) -> str:
    match = re.search("<(.*?)>", command)
    return match[1] if match else ""


def inject(data: bytes) -> Action:
    """For STARTTLS: 220 and, in the same segment and in clear, `data`; then TLS."""

    async def act(connection: Connection) -> None:
        await connection.write(b"220 2.0.0 go ahead\r\n" + data)
        await connection.server._start_tls(connection)

    return act


Server = TypeVar("Server", bound=AbstractAsyncContextManager[Any])


@contextlib.contextmanager
def in_thread(server: Server) -> Iterator[Server]:
    """Any server that is an asynchronous context, in a thread and a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        ending = server.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(ending, loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def running(
    script: Script | None = None, **settings: Any
) -> AbstractContextManager[Misbehaving]:
    """The server in a thread of its own."""
    return in_thread(Misbehaving(script or {}, **settings))


# -- certificates -------------------------------------------------------------------------


class Authority:
    """A certificate authority, and the good and bad certificates that a server may show."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def good(self, *names: str) -> ssl.SSLContext:
        return _context(self._ca.issue_cert(*(names or ("127.0.0.1", "localhost"))))

    def other_host(self) -> ssl.SSLContext:
        return _context(self._ca.issue_cert("elsewhere.example"))

    def expired(self) -> ssl.SSLContext:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        names = ("127.0.0.1", "localhost")
        return _context(self._ca.issue_cert(*names, not_after=yesterday))

    def unknown_authority(self) -> ssl.SSLContext:
        return _context(trustme.CA().issue_cert("127.0.0.1", "localhost"))

    def self_signed(self) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        file = self.file.with_name("self-signed.pem")
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
