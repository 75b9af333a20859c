"""The bytes between a transport and a conversation, and the time that they may take.

Rule: a time limit is that of a whole reply, which a drip of bytes does not extend.
"""

import asyncio
import math
from dataclasses import dataclass

from mailblast.smtp.protocol import Conversation, Phase
from mailblast.smtp.session.opening import CLOSED, sentence

# What is handed to the transport at a time; the limit for a data block is that of a slice.
SLICE = 65_536


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long to wait, in seconds: the minimum values of RFC 5321 §4.5.3.2.

    Shorter ones do harm: who gives up on the dot too early sends a message twice.
    """

    greeting: float = 300  # §4.5.3.2.1; also EHLO, TLS and each step of AUTH
    mail: float = 300  # §4.5.3.2.2
    rcpt: float = 300  # §4.5.3.2.3
    data: float = 120  # §4.5.3.2.4
    block: float = 180  # §4.5.3.2.5
    dot: float = 600  # §4.5.3.2.6
    quit: float = 5  # nothing depends on it

    def of(self, phase: Phase | None) -> float:
        """The limit for the reply that is awaited in `phase`; None stands for QUIT."""
        match phase:
            case Phase.MAIL:
                return self.mail
            case Phase.RCPT:
                return self.rcpt
            case Phase.DATA:
                return self.data
            case Phase.CONTENT:
                return self.block
            case Phase.DOT:
                return self.dot
        return self.quit


RFC_5321 = TimeLimits()


class Wire(asyncio.Protocol):
    """Carries bytes between a transport and a conversation, and keeps the time.

    No streams and no task: one future while somebody waits, and one timer that is moved
    only when it must fire earlier.  A reply that comes in time thus costs no timer at all.
    """

    def __init__(
        self, transport: asyncio.Transport, conversation: Conversation, limits: TimeLimits
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._conversation = conversation
        self._limits = limits
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = math.inf
        self._overdue: Phase | None = None
        transport.set_protocol(self)
        # So that `pause_writing` means: something has not left for the kernel.  Not 0: the
        # TLS transports compare with >= and would pause for nothing, and stay paused.
        transport.set_write_buffer_limits(high=1, low=0)

    # -- asked by the session -------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write now.  Commands are small; only content needs patience."""
        if data:
            self._transport.write(data)

    async def send_content(self, data: bytes) -> None:
        """Write `data` in slices, each when the one before has left.  Stops at a break."""
        view = memoryview(data)
        for start in range(0, len(data), SLICE):
            await self.drained()
            if self._conversation.broken:
                return
            self._transport.write(view[start : start + SLICE])

    async def drained(self) -> None:
        """Wait until all that was written has left, or the session is broken."""
        while self._paused and not self._conversation.broken:
            await self._wait(Phase.CONTENT)
        if self._transport.is_closing():
            # A write has failed, and the loop has yet to say so.
            self.lost("the connection broke")

    async def settled(self) -> None:
        """Wait until the server is ready for the content or the transaction is over."""
        conversation = self._conversation
        while conversation.busy and not conversation.ready:
            await self._wait(conversation.awaits)

    async def quit(self) -> None:
        """Say QUIT, and wait for a word or the end of the connection."""
        self._conversation.lost("we said QUIT")
        self.send(b"QUIT\r\n")
        await self._wait(None)

    def lost(self, why: str) -> None:
        """End the session, at once."""
        self._conversation.lost(why)
        # Not close(): over TLS that waits for the peer, and it would send what is unsent.
        self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    # -- told by the loop -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        conversation = self._conversation
        before = conversation.replies
        self.send(conversation.receive(data))
        if conversation.broken:
            self.lost(conversation.broken)
        elif conversation.ready or not conversation.busy:
            self._wake()
        elif conversation.replies != before:
            # The next reply has its own limit, counted from the one before.
            self._expect(conversation.awaits)

    def eof_received(self) -> None:
        self.lost(CLOSED)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost(sentence(error) if error else CLOSED)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()

    # -- time -----------------------------------------------------------------------------

    async def _wait(self, phase: Phase | None) -> None:
        self._expect(phase)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expect(self, phase: Phase | None) -> None:
        self._overdue = phase
        self._deadline = self._loop.time() + self._limits.of(phase)
        if self._timer is None or self._deadline < self._timer_at:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._timer_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            limit = self._limits.of(self._overdue)
            self.lost(f"nothing came of {self._overdue or 'QUIT'} within {limit:g} s")
