"""The practice Internet: an SMTP server on loopback whose domains have characters.

For the demo, for `send --rehearse` and for the tests: mail goes out by real SMTP, is
refused, put off or accepted, and some of it comes back; nothing leaves the machine.

    characters   what each domain does, as data
    server       one SMTP session (aiosmtpd, which has its only door here)
    postmaster   what comes back: notices in the manner of the servers that write them
"""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailblast.mailbox import append_mbox
from mailblast.sandbox import postmaster
from mailblast.sandbox.characters import Character, Sight, answer, character
from mailblast.sandbox.server import Session

# Enough to look at after a rehearsal; of the others the counts remain.
KEPT = 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was taken: the envelope, and the bytes as they came (dots undone)."""

    return_path: str
    recipient: str
    content: bytes


class PracticeInternet:
    """Every mail server there is, for practice.

    It runs in the caller's event loop.  `inbox` is the mbox to which notices, replies and
    complaints are appended; `clock` tells seconds since 1970; `realistic` gives every
    domain that is not named a fate as a real list meets it.

    `received` counts accepted mail by recipient, `replies` RCPT and final-dot replies by
    code, `latest` are the last few messages accepted.
    """

    def __init__(
        self, inbox: Path, *, clock: Callable[[], float], realistic: bool = False
    ) -> None:
        self.inbox = inbox
        self.received: Counter[str] = Counter()
        self.replies: Counter[int] = Counter()
        self.latest: deque[Accepted] = deque(maxlen=KEPT)
        self._clock = clock
        self._memory = _Memory()
        self._realistic = realistic
        self._handler = _Handler(self)
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Open a port on 127.0.0.1 and return its number."""
        self.inbox.parent.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Session(self._handler, loop), "127.0.0.1", 0
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every session."""
        if self._server is None:
            return
        self._server.close()
        for session in list(self._handler.sessions):
            await session.ended()
        await self._server.wait_closed()
        self._server = None

    def character(self, recipient: str) -> Character:
        """Who answers for this address."""
        return character(recipient, realistic=self._realistic)

    def refusal(self, recipient: str) -> str:
        """What a RCPT to this address is refused with now; "" when it is taken."""
        who = self.character(recipient)
        sight = (
            self._memory.see(who, recipient, self._clock()) if who.remembers else Sight()
        )
        return answer(who, sight).replace("{recipient}", recipient)

    def accept(self, mail: Accepted, envelope_id: str) -> None:
        """Take a message, and write back what its character sends back."""
        self.received[mail.recipient] += 1
        self.latest.append(mail)
        kind = self.character(mail.recipient).sends_back
        if not kind:
            return
        at = self._clock()
        returned = postmaster.Returned(
            mail.return_path, mail.recipient, mail.content, at, envelope_id
        )
        notice = postmaster.write(kind, returned)
        if notice is not None:
            append_mbox(self.inbox, notice.content, notice.sender, at)


class _Memory:
    """Who was named before: of the characters alone whose answer depends on it."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._attempts: Counter[str] = Counter()
        self._turns: Counter[str] = Counter()

    def see(self, who: Character, recipient: str, now: float) -> Sight:
        self._turns[who.name] += 1
        self._attempts[recipient] += 1
        age = now - self._first.setdefault(recipient, now)
        return Sight(self._attempts[recipient], age, self._turns[who.name])


class _Handler:
    """The hooks that aiosmtpd calls; each returns the reply."""

    def __init__(self, internet: PracticeInternet) -> None:
        self.sessions: set[Session] = set()
        self._internet = internet

    async def handle_EHLO(  # noqa: N802  the library's name
        self, _server: Any, session: Any, _envelope: Any, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        ours = ["250-PIPELINING", "250-ENHANCEDSTATUSCODES", "250-DSN"]
        return [*lines[:-1], *ours, lines[-1]]

    async def handle_MAIL(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        reply = self._internet.refusal(address)
        await asyncio.sleep(self._internet.character(address).delay)
        if not reply:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return self._counted(reply or "250 2.1.5 Ok")

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        sender = "" if envelope.mail_from == "<>" else envelope.mail_from
        content: bytes = envelope.content
        for recipient in envelope.rcpt_tos:
            await asyncio.sleep(self._internet.character(recipient).delay)
            mail = Accepted(sender, recipient, content)
            self._internet.accept(mail, envelope.dsn.get("ENVID", ""))
        name = hashlib.sha256(content).hexdigest()[:10].upper()
        return self._counted(f"250 2.0.0 Ok: queued as {name}")

    async def handle_RSET(  # noqa: N802
        self, _server: Any, _session: Any, _envelope: Any
    ) -> str:
        return "250 2.0.0 Ok"

    async def handle_QUIT(  # noqa: N802
        self, _server: Any, _session: Any, _envelope: Any
    ) -> str:
        return "221 2.0.0 Bye"

    def _counted(self, reply: str) -> str:
        self._internet.replies[int(reply[:3])] += 1
        return reply
