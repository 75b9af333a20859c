"""What comes back from the practice Internet, as the servers that send such mail write it.

Delivery status notices (RFC 3464, for internationalised addresses RFC 6533) in the manner
of Postfix, Exim and Exchange, an out-of-office reply (RFC 3834), a complaint (ARF,
RFC 5965), and an unsubscribe mail (RFC 2369 §3.2).

Rule: told the time; the same message returned at the same time gives the same bytes.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import unquote

from mailblast.sandbox import notices

# A server returns the head of the message; what a sane head never exceeds.
_HEAD = 64 * 1024
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_MAILTO = re.compile(r"<\s*mailto:([^>?\s]+)(?:\?([^>\s]*))?\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Returned:
    """A message as the recipient's server has it; `at` in seconds since 1970."""

    return_path: str
    recipient: str
    content: bytes
    at: float
    envelope_id: str = ""

    @property
    def domain(self) -> str:
        """The recipient's."""
        return self.recipient.rpartition("@")[2]

    @property
    def sending_domain(self) -> str:
        """The domain of the return path."""
        return self.return_path.rpartition("@")[2]

    @property
    def date(self) -> str:
        """The date in RFC 5322 form."""
        return format_datetime(datetime.fromtimestamp(self.at, UTC))

    @property
    def name(self) -> str:
        """Unique to this return: for queue and message identifiers and boundaries."""
        text = f"{self.recipient} {self.at}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(text + self.content[:_HEAD]).hexdigest()[:12].upper()

    @property
    def head(self) -> str:
        """The header section of the message, without the empty line."""
        head = _END_OF_HEAD.split(self.content[:_HEAD], maxsplit=1)[0]
        return head.decode("utf-8", "surrogateescape").replace("\r\n", "\n")

    @property
    def message_id(self) -> str:
        return self.field("Message-ID")

    @property
    def subject(self) -> str:
        return self.field("Subject")

    def field(self, name: str) -> str:
        """The value of a header field, unfolded; "" when there is none."""
        found = re.search(rf"(?im)^{name}:(.*(?:\n[ \t].*)*)", self.head)
        return " ".join(found[1].split()) if found else ""


@dataclass(frozen=True, slots=True)
class Types:
    """The names of RFC 3464, or those of RFC 6533 for an internationalised address."""

    charset: str
    address: str
    status: str
    headers: str
    message: str


_PLAIN = Types(
    "us-ascii",
    "rfc822",
    "message/delivery-status",
    "text/rfc822-headers",
    "message/rfc822",
)
_GLOBAL = Types(
    "utf-8",
    "utf-8",
    "message/global-delivery-status",
    "message/global-headers",
    "message/global",
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail that comes back: its envelope sender ("" for the null path) and its bytes."""

    sender: str
    content: bytes


def write(kind: str, mail: Returned) -> Notice | None:
    """Write what comes back; `kind` is one of `WRITERS`.

    None when there is nowhere to send it: the null return path (RFC 5321 §4.5.5), or no
    mailto in List-Unsubscribe.
    """
    return WRITERS[kind](mail) if mail.return_path else None


def _notice(form: str, mail: Returned, sender: str = "", **words: str) -> Notice:
    types = _PLAIN if mail.recipient.isascii() else _GLOBAL
    text = form.format(mail=mail, types=types, sender=sender, **words)
    return Notice(sender, text.encode("utf-8", "surrogateescape"))


def _postfix(mail: Returned) -> Notice:
    host = f"mx.{mail.domain}"
    said = f"550 5.1.1 <{mail.recipient}>: Recipient address rejected: User unknown"
    envid = f"Original-Envelope-Id: {mail.envelope_id}\n" if mail.envelope_id else ""
    boundary = f"{mail.name}.{int(mail.at)}/{host}"
    return _notice(
        notices.POSTFIX, mail, host=host, said=said, envid=envid, boundary=boundary
    )


def _exim(mail: Returned) -> Notice:
    """Exim: Action before Final-Recipient, Status 5.0.0 whatever the server said."""
    boundary = f"{int(mail.at)}-eximdsn-{int(mail.name, 16) % 10**9}"
    return _notice(notices.EXIM, mail, host=f"mail.{mail.domain}", boundary=boundary)


def _exchange(mail: Returned) -> Notice:
    """Exchange: HTML for people, no space after the type, the subject quoted."""
    host = f"EX01.corp.{mail.domain}"
    said = (
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; "
        "Recipient not found by SMTP address lookup"
    )
    boundary = f"_{mail.name}_{host}_"
    return _notice(notices.EXCHANGE, mail, host=host, said=said, boundary=boundary)


def _out_of_office(mail: Returned) -> Notice:
    """RFC 3834 §3: to the return path, from the null path, naming what it answers."""
    return _notice(notices.OUT_OF_OFFICE, mail)


def _complaint(mail: Returned) -> Notice:
    """Somebody pressed "this is spam".  The recipient is struck out, as is usual."""
    host, boundary = f"fbl.{mail.domain}", f"=_arf_{mail.name}"
    return _notice(
        notices.COMPLAINT, mail, f"feedback@{host}", host=host, boundary=boundary
    )


def _unsubscribe(mail: Returned) -> Notice | None:
    """What a mail program sends when its unsubscribe button is pressed: the mailto."""
    found = _MAILTO.search(mail.field("List-Unsubscribe"))
    if found is None:
        return None
    to, fields = unquote(found[1]), _fields(found[2] or "")
    subject, body = fields.get("subject", "unsubscribe"), fields.get("body", "")
    if len(f"{to} {subject}".splitlines()) > 1:
        return None  # a mail program would not let a link write headers
    return _notice(
        notices.UNSUBSCRIBE, mail, mail.recipient, to=to, subject=subject, body=body
    )


def _fields(query: str) -> dict[str, str]:
    """RFC 6068 §2: the fields of a mailto.  A plus is a plus there, hence not parse_qsl."""
    parts = (pair.partition("=") for pair in query.split("&"))
    return {unquote(name).lower(): unquote(value) for name, _, value in parts}


WRITERS: Mapping[str, Callable[[Returned], Notice | None]] = {
    "postfix": _postfix,
    "exim": _exim,
    "exchange": _exchange,
    "out-of-office": _out_of_office,
    "complaint": _complaint,
    "unsubscribe": _unsubscribe,
}
