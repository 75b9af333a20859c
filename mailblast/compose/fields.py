"""The header of a message: the reference set for bulk mail, in its order.

Rules: RFC 5322 §3.6, RFC 2369 and RFC 8058 (List-Unsubscribe), RFC 2919 (List-Id),
RFC 3834 (Auto-Submitted), and Google's Feedback-ID.  What is the same for all is written
once; a recipient adds To, Subject, Message-ID, List-Unsubscribe and the campaign's own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from mailblast.campaign import Campaign
from mailblast.compose.header import fold, mailbox, refusal, unstructured
from mailblast.errors import Refusal, UserError

Fields = list[tuple[str, bytes]]

ONE_CLICK = b" List-Unsubscribe=One-Click"  # byte-exact, RFC 8058 §3.1
_OURS = frozenset(
    {
        "date", "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "message-id",
        "list-id", "list-unsubscribe", "list-unsubscribe-post", "feedback-id", "precedence",
        "x-auto-response-suppress", "auto-submitted", "mime-version", "content-type",
        "content-transfer-encoding", "content-disposition", "content-id", "dkim-signature",
        "return-path", "received",
    }
)  # fmt: skip
_FIELD_NAME = re.compile(r"[!-9;-~]{1,60}")


@dataclass(frozen=True, slots=True)
class Personal:
    """What differs from one recipient to the next.

    `unsubscribe` has the URIs in the order of preference, `own` the campaign's own fields.
    """

    to: str
    subject: str
    message_id: str
    dated: int
    unsubscribe: tuple[str, ...]
    own: Sequence[tuple[str, str]]

    def refusal(self) -> Refusal | None:
        """Why one of these values may not stand in a header; None when all may."""
        for name, value in (("To", self.to), ("Subject", self.subject), *self.own):
            why = refusal(name, value)
            if why:
                return why
        return None


class Header:
    """The header fields of one campaign's messages."""

    def __init__(self, campaign: Campaign) -> None:
        """Write what is the same for all; UserError for a field that cannot be written."""
        sender, reply_to = campaign.sender.mailbox, campaign.sender.reply_to
        self._from = ("From", mailbox("From", sender.name, sender.address.mailbox))
        self._reply_to: Fields = []
        if reply_to:
            value = mailbox("Reply-To", reply_to.name, reply_to.address.mailbox)
            self._reply_to.append(("Reply-To", value))
        self._list_id = _list_id(campaign)
        self._one_click: Fields = []
        if campaign.unsubscribe.url:
            self._one_click.append(("List-Unsubscribe-Post", ONE_CLICK))
        self._last = _last(campaign)
        for name, _ in campaign.message.headers:
            if not _FIELD_NAME.fullmatch(name) or name.lower() in _OURS:
                raise UserError(
                    f"[message.headers] {name}: mailblast writes this one itself"
                )

    def write(self, person: Personal, content: Fields) -> Fields | Refusal:
        """All fields in their order; `content` are those of the body.

        A Refusal where a value of this recipient's may not stand in a header.
        """
        why = person.refusal()
        if why:
            return why
        links = person.unsubscribe
        return [
            ("Date", _date(person.dated)),
            self._from,
            ("To", b" " + person.to.encode()),  # exactly the envelope recipient
            *self._reply_to,
            ("Subject", unstructured("Subject", person.subject)),
            ("Message-ID", f" {person.message_id}".encode()),
            *self._list_id,
            *([("List-Unsubscribe", list_unsubscribe(links))] if links else []),
            *self._one_click,
            *self._last,
            *content,
            *[(name, unstructured(name, value)) for name, value in person.own],
        ]


@lru_cache(maxsize=256)
def _date(seconds: int) -> bytes:
    """RFC 5322 §3.3, in UTC.  Many messages of one second: written once."""
    return f" {format_datetime(datetime.fromtimestamp(seconds, UTC))}".encode("ascii")


def list_unsubscribe(links: Sequence[str]) -> bytes:
    """The URIs in angle brackets (RFC 2369 §2), folded between them, never encoded."""
    return fold("List-Unsubscribe", ", ".join(f"<{link}>" for link in links))


def slug(text: str, longest: int = 40) -> str:
    """A word of lower-case letters, digits and hyphens for any name."""
    return (
        re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")
        or "campaign"
    )


def _list_id(campaign: Campaign) -> Fields:
    """RFC 2919 §2: a name for people, and an identifier within our domain."""
    wanted = campaign.message.list_id.strip()
    if not wanted and campaign.message.purpose != "commercial":
        return []
    name, _, label = wanted.rpartition("<")
    domain = campaign.sender.mailbox.address.domain
    label = label.rstrip("> ") or f"{slug(campaign.name)}.{domain}"
    display = name.strip().strip('"') or campaign.sender.organisation
    return (
        [("List-Id", mailbox("List-Id", display, label))]
        if display
        else [("List-Id", f" <{label}>".encode())]
    )


def _last(campaign: Campaign) -> Fields:
    commercial = campaign.message.purpose == "commercial"
    fields = [("Feedback-ID", feedback_id(campaign))]
    if commercial:
        fields += [
            ("Precedence", b" bulk"),
            # Never All, DR or NDR: they would have Exchange keep its bounces to itself.
            ("X-Auto-Response-Suppress", b" OOF, AutoReply"),
        ]
    else:
        fields.append(("Auto-Submitted", b" auto-generated"))  # RFC 3834 §5.2
    return [*fields, ("MIME-Version", b" 1.0")]


def feedback_id(campaign: Campaign) -> bytes:
    """`campaign:list:type:sender`: Gmail counts complaints by each, so none is personal.

    The sender's part is 5 to 15 characters and always the same: the domain's letters.
    """
    kind = "bulk" if campaign.message.purpose == "commercial" else "transactional"
    domain = campaign.sender.mailbox.address.domain
    label = campaign.message.list_id.rpartition("<")[2].rstrip("> ") or campaign.name
    sender = re.sub(r"[^a-z0-9]", "", domain.lower())[:15].ljust(5, "0")
    return f" {slug(campaign.name)}:{slug(label)}:{kind}:{sender}".encode()
