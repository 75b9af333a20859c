"""Notifications of Amazon SES, sent by mail through SNS: JSON in a text.

Rule: only the documented members are read, each checked for its type.  Form:
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html (2024-06-01).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from mailblast.bounce import verdict
from mailblast.bounce.message import MAX_ADDRESS, MAX_ID, Message
from mailblast.bounce.notice import COMPLAINT, Kind, Notice, Report
from mailblast.bounce.verdict import Finding
from mailblast.smtp.reply import printable

MAX_JSON = 256 * 1024
MAX_RECIPIENTS = 1000

_RULE = "SES notification"
_START = re.compile(r'\s*\{\s*"(?:notificationType|eventType|Type)"\s*:')
# Lines that a mail server broke at 990 octets, the old way: "!", a line end, a space.
_BROKEN = re.compile(r"!?\n ?")
_TYPE = re.compile(r"^\s*[\w-]{1,20}\s*;\s*")
# Type of the notification → action, section, its list of recipients.
_KINDS = {
    "bounce": ("failed", "bounce", "bouncedRecipients"),
    "delivery": ("delivered", "delivery", "recipients"),
    "deliverydelay": ("delayed", "deliveryDelay", "delayedRecipients"),
}


def read(message: Message) -> Notice | None:
    """Read a notification."""
    told = _told(message)
    if told is None:
        return None
    kind = _text(told.get("notificationType") or told.get("eventType")).lower()
    if kind == "complaint":
        return _complaint(told)
    if kind not in _KINDS:
        return None
    reports = tuple(verdict.report(one, _RULE) for one in _findings(told, *_KINDS[kind]))
    senders = (printable(_text(_table(told.get("mail")).get("source")))[:MAX_ADDRESS],)
    return Notice(
        Kind.BOUNCE, reports, message_id=_message_id(told), senders=senders, rule=_RULE
    )


def _told(message: Message) -> dict[str, Any] | None:
    # A notification begins with it: where words go before, a person quotes one.
    if _START.match(message.head.prose(200)) is None:
        return None
    text = _BROKEN.sub("", message.head.prose(MAX_JSON)).lstrip()
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
        if isinstance(found, dict) and isinstance(found.get("Message"), str):
            found = json.loads(found["Message"])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _complaint(told: dict[str, Any]) -> Notice:
    section = _table(told.get("complaint"))
    reports = tuple(
        Report(_address(who), "", "", meaning=COMPLAINT, rule=_RULE)
        for who in _list(section.get("complainedRecipients"))
    )
    feedback = printable(_text(section.get("complaintFeedbackType")) or "abuse")[:40]
    return Notice(
        Kind.COMPLAINT, reports, message_id=_message_id(told), feedback=feedback, rule=_RULE
    )


def _message_id(told: dict[str, Any]) -> str:
    """Ours, which stands among the headers, not the one that SES gives."""
    for header in _list(_table(told.get("mail")).get("headers")):
        if _text(_table(header).get("name")).lower() == "message-id":
            return printable(_text(_table(header).get("value")))[:MAX_ID]
    return ""


def _findings(
    told: dict[str, Any], action: str, section: str, recipients: str
) -> Iterator[Finding]:
    found = _table(told.get(section))
    for who in _list(found.get(recipients)):
        one = _table(who)
        said = _text(one.get("diagnosticCode")) or _text(found.get("smtpResponse"))
        yield Finding(
            _address(who),
            action,
            status=_text(one.get("status")),
            said=_TYPE.sub("", said),
            reporting=_TYPE.sub("", _text(found.get("reportingMTA"))),
        )


def _address(who: object) -> str:
    value = _text(who) or _text(_table(who).get("emailAddress"))
    return printable(value)[:MAX_ADDRESS]


def _text(value: object) -> str:
    return value[:2000] if isinstance(value, str) else ""


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value[:MAX_RECIPIENTS] if isinstance(value, list) else []
