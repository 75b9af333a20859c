"""Complaints: abuse feedback reports (RFC 5965), and mail that only resembles them.

Rule: the type of the feedback is told, not judged: "abuse" is a complaint of the recipient,
"auth-failure" (RFC 6591) and "not-spam" are none, though they come in the same form.  Who
complains is often hidden; then nobody is named, and the returned message must tell.
"""

import re

from mailblast.bounce.message import MAX_ADDRESS, MAX_ID, Message, addresses
from mailblast.bounce.notice import COMPLAINT, Kind, Notice, Report
from mailblast.bounce.parts import Part, fields, text
from mailblast.smtp.reply import printable

REPORT_TYPES = ("message/feedback-report", "message/feedback_report")
MAX_FIELDS = 64 * 1024
MAX_COMPLAINTS = 100

# Who complained: as the reporter names them, the surest first.
_WHO = ("original-rcpt-to", "removal-recipient", "x-hmxmroriginalrecipient")
_HIDDEN = re.compile(r"redacted|^\*+@|^x+@", re.IGNORECASE)
# Microsoft's JMRP before it wrote RFC 5965: a notice with the message and this field in it.
_JMRP_FIELDS = ("x-hmxmroriginalrecipient", "x-jmrp-original-recipient")
_SUBJECT = re.compile(
    r"^(?:complaint about message from\b|e?-?mail feedback report for\b|abuse report\b"
    r"|\[?spam report\b|.{0,60}\babuse report \(feedback loop\))",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"\b(?:abuse (?:report|complaint)|spam complaint|complaint (?:about|regarding|from))\b",
    re.IGNORECASE,
)


def read(message: Message) -> Notice | None:
    """Read a complaint."""
    part = message.part(*REPORT_TYPES)
    if part is not None:
        return _notice(
            message, Part(fields(text(part.decoded(MAX_FIELDS))), b""), "feedback report"
        )
    if message.head.parameter("report-type").lower() == "feedback-report":
        return _notice(message, _scattered(message), "feedback report without its part")
    if any(message.returned_field(name) for name in _JMRP_FIELDS):
        return _notice(message, Part((), b""), "junk mail report")
    if _SUBJECT.search(message.subject) and _WORDS.search(message.explanation):
        return _notice(message, Part((), b""), "words of a complaint")
    return None


def _scattered(message: Message) -> Part:
    """The fields of a report whose boundaries are broken, wherever they stand."""
    body = text(message.head.body[:MAX_FIELDS])
    at = re.search(r"^feedback-type[ ]?:", body, re.IGNORECASE | re.MULTILINE)
    return Part(fields(body[at.start() :].split("\n\n", 1)[0]) if at else (), b"")


def _notice(message: Message, told: Part, rule: str) -> Notice:
    who = [word for name in _WHO for value in told.values(name) for word in _named(value)]
    if not who:
        who = list(message.returned_addresses(*_JMRP_FIELDS)) or list(
            message.returned_addresses("to")
        )
    reports = tuple(
        Report(name, "", "", meaning=COMPLAINT, rule=rule)
        for name in list(dict.fromkeys(who))[:MAX_COMPLAINTS]
    )
    feedback = told.value("feedback-type").strip().lower() or "abuse"
    return Notice(
        Kind.COMPLAINT,
        reports,
        envelope_id=printable(told.value("original-envelope-id"))[:MAX_ID],
        senders=tuple(_named(told.value("original-mail-from"))),
        feedback=printable(feedback)[:40],
        rule=rule,
    )


def _named(value: str) -> list[str]:
    """The addresses in a value, those that were blackened left out."""
    found = (printable(word)[:MAX_ADDRESS] for word in addresses(value))
    return [word for word in found if not _HIDDEN.search(word)]
