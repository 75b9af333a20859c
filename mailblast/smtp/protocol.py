"""One SMTP connection after EHLO and AUTH, as a state machine without a wire.

Rule: bytes in, bytes out, and one answer for each transaction.  This module reads no clock
and opens nothing; what it is told (`receive`, `lost`) decides alone.

    offer ──▶ [RSET] MAIL RCPT DATA ──▶ Ready ──▶ body, dot ──▶ Answer
                      │    │    │         │            │
                      └────┴────┴─────────┴────────────┴──────▶ Answer

- With PIPELINING the commands go out as one group, else one at a time (RFC 2920 §3.1).  The
  final dot always goes alone: Postfix once lost mail when garbage made the answer to a
  pipelined QUIT the answer to the dot.
- Replies belong to commands by their order.  One that nobody asked for, or bytes that are
  no reply, end the session; a later message must never get an earlier one's answer.
- Before the dot nothing is accepted, whatever is said or breaks.  After it a 2yz is an
  acceptance, a 4yz or 5yz is none, and all else is a doubt (RFC 5321 §4.2.5, RFC 1047).
- After 421 and after any anomaly the session is over.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mailblast.errors import Refusal
from mailblast.smtp.command import Envelope, Extensions, mail, rcpt, stuffed, unsendable
from mailblast.smtp.reply import Reply, ReplyReader

# RFC 5321 §3.8: the service is not available, and the server closes.
CLOSING = 421
DOT = b".\r\n"


class Phase(StrEnum):
    """How far a transaction had come when the answer or the break came."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"
    DOT = "dot"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one transaction came to.

    `reply` is the server's word, or ours with code 0, about the command of `phase`; None
    means that the session broke there.  `open` says whether the session can take another
    message, and `why` why it cannot.
    """

    phase: Phase
    reply: Reply | None
    why: str = ""
    open: bool = True

    @property
    def accepted(self) -> bool:
        """Whether the server took responsibility: a 2yz to the dot, nothing less."""
        return self.phase is Phase.DOT and self.reply is not None and self.reply.positive

    @property
    def doubtful(self) -> bool:
        """Whether both sides may hold the message (RFC 1047)."""
        return self.phase is Phase.DOT and self.reply is None


@dataclass(frozen=True, slots=True)
class Ready:
    """The server waits for the content; only the final dot will make it responsible."""


READY = Ready()


class _Command(StrEnum):
    """What a reply is awaited for, and the phase that it belongs to."""

    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    LONE_DOT = "lone dot"
    DOT = "dot"


_PHASES = {
    _Command.RSET: Phase.MAIL,
    _Command.MAIL: Phase.MAIL,
    _Command.RCPT: Phase.RCPT,
    _Command.DATA: Phase.DATA,
    _Command.LONE_DOT: Phase.DATA,
    _Command.DOT: Phase.DOT,
}


class Conversation:
    """One connection's transactions, one after the other.

    What `offer`, `receive` and `dot` return is to be written at once.  Then either `ready`
    turns true, and the content may go, or `busy` false: the transaction is over and has its
    `answer`.  `broken` is "" while the session can go on, else why it cannot.
    """

    def __init__(self, extensions: Extensions) -> None:
        self.extensions = extensions
        self.broken = ""
        self.ready = False  # the server waits for the content
        self.busy = False  # between offer and answer
        self.replies = 0  # taken so far: whoever keeps the time sees progress by it
        self._reader = ReplyReader()
        self._awaited: deque[_Command] = deque()
        self._unsent: deque[tuple[_Command, bytes]] = deque()
        self._phase = Phase.MAIL
        self._refusal: tuple[Phase, Reply] | None = None
        self._answered: tuple[Phase, Reply | None] = Phase.MAIL, None
        self._left_open = False  # the server holds a MAIL that came to nothing

    # -- what the sender asks -------------------------------------------------------------

    @property
    def answer(self) -> Answer:
        """What the transaction came to, once it is no longer `busy`."""
        return Answer(*self._answered, self.broken, not self.broken)

    @property
    def awaits(self) -> Phase:
        """The phase of the command whose reply is awaited: it has its own time limit."""
        return _PHASES[self._awaited[0]] if self._awaited else self._phase

    def offer(self, envelope: Envelope, content: bytes) -> bytes:
        """Begin a transaction.  `content` is the message as signed, lines ended by CRLF."""
        if self.busy:
            raise RuntimeError("a transaction is under way")
        self.busy, self._phase, self._refusal = True, Phase.MAIL, None
        if self.broken:
            return self._answer(Phase.MAIL, None)
        cannot = unsendable(envelope, content, self.extensions)
        if cannot is not None:
            return self._answer(Phase.MAIL, cannot)
        if self._left_open:
            self._left_open = False
            self._unsent.append((_Command.RSET, b"RSET\r\n"))
        self._unsent.append((_Command.MAIL, mail(envelope, content, self.extensions)))
        self._unsent.append((_Command.RCPT, rcpt(envelope, self.extensions)))
        self._unsent.append((_Command.DATA, b"DATA\r\n"))
        return self._send()

    def dot(self) -> bytes:
        """The final dot.  From here on a break is a doubt."""
        if not self.ready:
            raise RuntimeError("the server does not wait for content")
        self.ready = False
        self._phase = Phase.DOT
        self._awaited.append(_Command.DOT)
        return DOT

    # -- what the wire tells --------------------------------------------------------------

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the server; return what is to be sent now, maybe nothing."""
        out = b""
        for item in self._reader.feed(data):
            if isinstance(item, Refusal):
                self.lost(item.why)
            elif out or not self._awaited:
                # Also what comes on the heels of a reply that we have yet to act upon.
                self.lost(f"a reply that nobody asked for: {item}")
            else:
                out = self._take(item)
            if self.broken:
                return b""
        if self._reader.partial and (out or not self._awaited):
            self.lost("a reply that nobody asked for")
            return b""
        return out

    def lost(self, why: str) -> None:
        """The session is no more: closed, reset, timed out, or no longer speaking SMTP."""
        if self.broken:
            return
        self.broken = why
        self._awaited.clear()
        self._unsent.clear()
        if self.busy:
            # A refusal that was said stands, whatever became of the connection after it.
            self._answer(*(self._refusal or (self._phase, None)))

    # -- the transaction ------------------------------------------------------------------

    def _send(self) -> bytes:
        """What may go out: all with PIPELINING, else the next command."""
        out = b""
        while self._unsent and (self.extensions.pipelining or not self._awaited):
            command, line = self._unsent.popleft()
            self._awaited.append(command)
            out += line
        return out

    def _answer(self, phase: Phase, reply: Reply | None) -> bytes:
        self._unsent.clear()
        self.busy, self.ready = False, False
        self._answered = phase, reply
        return b""

    def _break(self, why: str, phase: Phase, reply: Reply) -> bytes:
        """End the session on a reply that is an answer all the same."""
        self._refusal = self._refusal or (phase, reply)
        self.lost(why)
        return b""

    def _take(self, reply: Reply) -> bytes:
        self.replies += 1
        command = self._awaited.popleft()
        if reply.code == CLOSING:
            return self._break(f"the server is closing: {reply}", _PHASES[command], reply)
        return self._AFTER[command](self, reply)

    def _after_rset(self, reply: Reply) -> bytes:
        if not reply.positive:
            self.lost(f"RSET was answered with {reply}")
            return b""
        return self._send()

    def _after_mail(self, reply: Reply) -> bytes:
        if not reply.positive:
            return self._refused(Phase.MAIL, reply)
        self._left_open = True
        self._phase = Phase.RCPT
        return self._send()

    def _after_rcpt(self, reply: Reply) -> bytes:
        if not reply.positive:
            return self._refused(Phase.RCPT, reply)
        if self._refusal:
            # A recipient without a sender: a lone dot could now deliver an empty message.
            return self._break(f"RCPT after a refused MAIL: {reply}", Phase.RCPT, reply)
        self._phase = Phase.DATA
        return self._send()

    def _refused(self, phase: Phase, reply: Reply) -> bytes:
        """The first refusal is the answer; the replies that remain are swallowed."""
        if reply.intermediate:
            return self._break(f"{phase} was answered with {reply}", phase, reply)
        self._refusal = self._refusal or (phase, reply)
        self._unsent.clear()
        if not self._awaited:
            return self._answer(*self._refusal)
        return b""

    def _after_data(self, reply: Reply) -> bytes:
        if reply.positive:
            return self._break(f"DATA was answered with {reply}", Phase.DATA, reply)
        if not reply.intermediate:
            return self._refused(Phase.DATA, reply)
        self._left_open = False  # whatever follows, the dot ends the transaction
        if self._refusal:
            # RFC 2920 §3.1: DATA was let through though no recipient was.
            self._awaited.append(_Command.LONE_DOT)
            return DOT
        self._phase = Phase.CONTENT
        self.ready = True
        return b""

    def _after_lone_dot(self, reply: Reply) -> bytes:
        if reply.intermediate:
            self.lost(f"the dot was answered with {reply}")
            return b""
        return self._answer(*(self._refusal or (Phase.DATA, reply)))

    def _after_dot(self, reply: Reply) -> bytes:
        if reply.intermediate:
            self.lost(f"the dot was answered with {reply}")
            return b""
        return self._answer(Phase.DOT, reply)

    _AFTER: ClassVar[dict[_Command, Callable[["Conversation", Reply], bytes]]] = {
        _Command.RSET: _after_rset,
        _Command.MAIL: _after_mail,
        _Command.RCPT: _after_rcpt,
        _Command.DATA: _after_data,
        _Command.LONE_DOT: _after_lone_dot,
        _Command.DOT: _after_dot,
    }


__all__ = [
    "CLOSING",
    "READY",
    "Answer",
    "Conversation",
    "Envelope",
    "Extensions",
    "Phase",
    "Ready",
    "stuffed",
]
