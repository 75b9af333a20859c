"""One SMTP session of the practice Internet, on aiosmtpd.

aiosmtpd reads command by command from a buffer, so pipelined input needs nothing of ours
but the word in EHLO.  Three things it does not do: it answers 555 to the parameters of
RFC 3461 (RET ENVID NOTIFY ORCPT), folds the case of those it knows, and stays after a 421.
"""

import asyncio
import re
from collections import defaultdict

from aiosmtpd.smtp import SMTP, Envelope

# <a@b> and its parameters, when nothing in it needs the grammar of RFC 5321 §4.1.2: that
# is nearly every address, and the library's full parse takes most of a transaction's time.
_PLAIN = re.compile(r'\s*<([^<>\s"\\:,()\[\]]{0,320})>(?:\s+(.*))?$', re.DOTALL)
_DSN = ("RET", "ENVID", "NOTIFY", "ORCPT")


class DsnEnvelope(Envelope):
    """An envelope with the parameters of RFC 3461, in the case in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.dsn: dict[str, str] = {}


class Session(SMTP):
    """A session that knows RFC 3461 and RFC 5321 §3.8 (a 421 ends it)."""

    # RFC 3461 §5 lengthens MAIL by 107 and RCPT by 500 octets.  The library keeps one table
    # for all sessions and empties it at each connect, so every command gets the same room.
    command_size_limit = 1000
    command_size_limits = defaultdict(lambda: 1000)  # noqa: RUF012  as it is there

    def __init__(self, handler: object, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            handler,
            hostname="mx.practice.example",
            ident="ESMTP practice",
            enable_SMTPUTF8=True,
            loop=loop,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the handler: who stops the server must end its sessions."""
        super().connection_made(transport)
        self.event_handler.sessions.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the handler."""
        super().connection_lost(error)
        self.event_handler.sessions.discard(self)

    async def ended(self) -> None:
        """Close the connection and wait until the session's task is gone."""
        task = self._handler_coroutine
        if self.transport is not None:
            self.transport.close()
        if task is not None:
            await asyncio.wait([task])

    async def push(self, status: str | bytes) -> None:
        """Write a reply; after a 421 hang up (RFC 5321 §3.8)."""
        text = status if isinstance(status, bytes) else status.encode("utf-8", "replace")
        await super().push(text)
        if text.startswith(b"421") and self.transport is not None:
            self.transport.close()

    def _create_envelope(self) -> Envelope:
        return DsnEnvelope()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Part an address from its parameters; the envelope keeps those of RFC 3461."""
        plain = _PLAIN.match(arg)
        if plain is not None:
            address, rest = plain[1] or "<>", plain[2] or ""
        else:
            address, rest = super()._getaddr(arg)
        if not address or not rest:
            return address, rest
        return address, self._without_dsn(rest)

    def _without_dsn(self, parameters: str) -> str:
        envelope, others = self.envelope, []
        for word in parameters.split():
            name, _, value = word.partition("=")
            if value and name.upper() in _DSN and isinstance(envelope, DsnEnvelope):
                envelope.dsn[name.upper()] = value
            else:
                others.append(word)
        return " ".join(others)
