"""Where a message goes, and how one gets there.

A `Carrier` knows the way to a domain and opens lines; `send` does not know of which kind
they are.  There is one for each `via`: a relay (the practice Internet is one, on loopback)
and a directory of .eml files here, and delivery straight to the mail hosts of a domain in
`direct`: the only carrier whose host depends on the recipient.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mailblast.errors import ConnectionFailed
from mailblast.mx import Unroutable
from mailblast.smtp.protocol import READY, Answer, Envelope, Phase, Ready
from mailblast.smtp.reply import Reply
from mailblast.smtp.session import Server, Session

__all__ = [
    "Carrier",
    "Directory",
    "Line",
    "Placing",
    "Relay",
    "Route",
    "Unroutable",
]


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one domain.

    `destination` is whose limits count: all domains that share mail hosts are one.  A line
    carries the messages of every route that has its `way`: the same hosts, under the same
    demands on TLS.  `hosts` are names, the most preferred first; empty where the carrier
    has one place for all.
    """

    domain: str
    destination: str
    way: str = ""
    hosts: tuple[str, ...] = ()


class Line(Protocol):
    """Something that takes messages, one after the other: an SMTP session, or a directory.

    `host` is whom it speaks to, `tls` how the line is protected ("" where it is not).
    """

    host: str
    tls: str

    @property
    def usable(self) -> bool:
        """Whether it can take another message now."""

    async def offer(self, envelope: Envelope, content: bytes) -> Answer | Ready:
        """Everything up to the final dot."""

    async def commit(self) -> Answer:
        """The final dot, and its answer."""

    async def quit(self) -> None:
        """Take leave."""

    def close(self) -> None:
        """Break off; nothing that was not committed is accepted."""


class Carrier(Protocol):
    """Knows the ways, and opens lines."""

    async def route(self, domain: str) -> Route | Unroutable:
        """The way to a domain (A-label, lower case).  Never raises."""

    async def open(self, route: Route) -> Line:
        """A new line.  Raises ConnectionFailed."""


Placing = Callable[
    [str], str
]  # the destination that a domain belongs to, by its name alone


class Relay:
    """Every message goes to one server, which carries it on."""

    def __init__(self, server: Server, place: Placing = str) -> None:
        self._server = server
        self._place = place

    async def route(self, domain: str) -> Route | Unroutable:
        """All ways lead through the relay."""
        return Route(domain, self._place(domain))

    async def open(self, _route: Route) -> Line:
        """A session with the server."""
        return await Session.open(self._server)


class Directory:
    """Every message becomes a file, named after its envelope identifier."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def route(self, domain: str) -> Route | Unroutable:
        """All ways lead into the directory."""
        return Route(domain, domain)

    async def open(self, _route: Route) -> Line:
        """A line into the directory, which is made if it is not there."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConnectionFailed(
                f"{self._directory}: {error.strerror}", permanent=True
            ) from error
        return _Files(self._directory)


class _Files:
    def __init__(self, directory: Path) -> None:
        self.host = str(directory)
        self.tls = ""
        self.usable = True
        self._directory = directory
        self._written = self._final = directory

    async def offer(self, envelope: Envelope, content: bytes) -> Answer | Ready:
        # The same for every attempt: a second copy, however it came about, is the same file.
        self._final = self._directory / f"{envelope.envelope_id}.eml"
        self._written = self._final.with_suffix(".new")
        try:
            with self._written.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            return Answer(Phase.CONTENT, None, str(error), open=False)
        return READY

    async def commit(self) -> Answer:
        self._written.rename(self._final)
        return Answer(Phase.DOT, Reply(250, f"written to {self._final.name}"))

    async def quit(self) -> None:
        pass

    def close(self) -> None:
        self._written.unlink(missing_ok=True)
