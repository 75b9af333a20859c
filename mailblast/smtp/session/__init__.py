"""The wire: one SMTP session, opened, used for many messages, and closed.

aiosmtplib opens it (`opening`); then the transport is ours (`wire`), and
`protocol.Conversation` conducts the transactions.  Why not aiosmtplib throughout: it does
not pipeline, it raises on refusals, and it cannot tell a connection lost before DATA from
one lost after the final dot.

    session = await Session.open(server)        ConnectionFailed: nothing was offered
    match await session.offer(envelope, content):
        case Ready():                           the content is with the server
            …                                   make that durable
            answer = await session.commit()     the dot; from here on a break is a doubt
        case Answer() as answer:                it ended before the dot: not accepted
            …

Rule: a break is an answer and never an exception; its phase says what may have happened.
"""

import asyncio

from mailblast.smtp.protocol import (
    READY,
    Answer,
    Conversation,
    Envelope,
    Ready,
    stuffed,
)
from mailblast.smtp.session.opening import Server, open_connection, peer
from mailblast.smtp.session.wire import RFC_5321, TimeLimits, Wire


class Session:
    """A connection that takes messages, one after the other, by one task at a time.

    `host` is the server's name as configured, `peer` its address, `tls` the TLS version in
    use or "", `extensions` what it offered.
    """

    def __init__(
        self,
        server: Server,
        transport: asyncio.Transport,
        conversation: Conversation,
        limits: TimeLimits,
    ) -> None:
        self.host = server.host
        self.peer = peer(transport)
        tls = transport.get_extra_info("ssl_object")
        self.tls: str = tls.version() if tls is not None else ""
        self.extensions = conversation.extensions
        self._conversation = conversation
        self._wire = Wire(transport, conversation, limits)

    @classmethod
    async def open(cls, server: Server, limits: TimeLimits = RFC_5321) -> "Session":
        """Connect, greet, encrypt and authenticate.

        Raises `ConnectionFailed`; `permanent` if the certificate, the password or what the
        server offers is to blame.
        """
        opened = await open_connection(server, limits.greeting)
        return cls(server, *opened, limits)

    @property
    def usable(self) -> bool:
        """Whether another message can be offered now."""
        return not (self._conversation.broken or self._conversation.busy)

    async def offer(self, envelope: Envelope, content: bytes) -> Answer | Ready:
        """Bring one message up to, not including, the final dot.

        `content` is the message as signed: lines ended by CRLF, dots not doubled.  `Ready`
        says that the server has the content and waits; an `Answer` that it is over.
        """
        conversation, wire = self._conversation, self._wire
        wire.send(conversation.offer(envelope, content))
        await wire.settled()
        if conversation.ready:
            await wire.send_content(stuffed(content))
        return READY if conversation.ready else conversation.answer

    async def commit(self) -> Answer:
        """Send the final dot of the message that is `Ready`, and await its fate."""
        conversation, wire = self._conversation, self._wire
        # While content waits in our own buffers, a break is no doubt yet: let it go first.
        await wire.drained()
        if conversation.busy:
            wire.send(conversation.dot())
        await wire.settled()
        return conversation.answer

    async def quit(self) -> None:
        """Take leave and close.  Never fails, never takes long."""
        if self.usable:
            await self._wire.quit()
        self.close()

    def close(self) -> None:
        """Close at once.  A message that was offered and not committed is not accepted."""
        self._wire.lost("we closed the connection")


__all__ = ["RFC_5321", "Server", "Session", "TimeLimits"]
