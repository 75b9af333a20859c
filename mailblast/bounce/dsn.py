"""Delivery status notices: RFC 3464, and RFC 6533 for internationalised addresses.

Rule: the fields decide, never the prose.  Notices break the standard in many ways that do
no harm to their sense; those are read (groups that run together, addresses in angle
brackets, comments, a missing Action).  Where neither Action nor Status says what became of
a recipient, nothing is reported of it.
"""

import re
from collections.abc import Iterator
from itertools import islice

from mailblast.bounce.notice import Notice, Report
from mailblast.bounce.parts import MAX_HEAD, Part, fields, text
from mailblast.errors import Refusal
from mailblast.smtp.reply import printable

STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
RETURNED_TYPES = (
    "message/rfc822",
    "text/rfc822-headers",
    "message/global",
    "message/global-headers",
)
# Other reports may carry a delivery status among what they return; it is not theirs.
OTHER_REPORTS = ("feedback-report", "disposition-notification")

# One message of ours has one recipient; lists and aliases expand it to some more.
MAX_REPORTS = 1000
MAX_STATUS = 512 * 1024
MAX_ADDRESS = 320  # 64 + "@" + 255: RFC 5321 §4.5.3.1
MAX_ADDRESSED = 50
MAX_ID = 1000
MAX_HOST = 255

Group = dict[str, str]

# The fields with which the next recipient may begin.
_STARTS = ("final-recipient", "original-recipient", "action")
_ACTIONS = (  # by their beginnings, as they are met: "Failed", "failure", "deferred (…)"
    ("fail", "failed"),
    ("delay", "delayed"),
    ("defer", "delayed"),
    ("deliver", "delivered"),
    ("relay", "relayed"),
    ("expand", "expanded"),
)
# RFC 3464 §2.3.3 requires an Action; for those who leave it out the class speaks.
_ACTION_OF_CLASS = {"5": "failed", "4": "delayed", "2": "delivered"}

_FIRST_FIELD = re.compile(
    r"^(?:reporting-mta|final-recipient|original-recipient):", re.IGNORECASE | re.MULTILINE
)
_DASHED = re.compile(r"^[ \t]*--", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_CODE = re.compile(r"(?<![\w.@/-])([245][0-5]\d)(?=[ -]|$)")
_TYPED = re.compile(r"\s*[A-Za-z][\w-]{0,39}\s*;\s*")
_TYPED_ADDRESS = re.compile(r"\s*([A-Za-z][\w-]{0,39})\s*[;:]\s*(.*)", re.DOTALL)
_ANGLED = re.compile(r"<([^<>]*)>")
_XTEXT = re.compile(r"\+(2B|3D)")
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
_FOR = re.compile(r"\bfor\s+<?([^\s<>;]{1,320})")

# Where the address stands to which this mail came: first what the last server wrote.
_ADDRESSED = (
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-delivered-to",
    "x-rcpt-to",
    "to",
    "apparently-to",
    "cc",
)
_SEPARATORS = re.compile(r'[\s<>,;:"()\[\]]+')


def read(parts: tuple[Part, ...]) -> Notice | Refusal:
    """Read a notice from the parts of a mail (`parts.read`)."""
    mail = parts[0]
    if mail.parameter("report-type").lower() in OTHER_REPORTS:
        return Refusal("another kind of report")
    status = _delivery_status(parts)
    if not status:
        return Refusal("no part is a delivery status")
    groups = list(islice(_groups(status), MAX_REPORTS + 1))
    if len(groups) > MAX_REPORTS:
        return Refusal(f"the delivery status names more than {MAX_REPORTS} recipients")
    first = groups[0] if groups else {}
    found = (_report(group, first) for group in groups)
    reports = tuple(report for report in found if report.action)
    if not reports:
        return Refusal("the delivery status names no recipient")
    envelope_id = printable(first.get("original-envelope-id", ""))[:MAX_ID]
    return Notice(reports, addressed(mail), _message_id(parts), envelope_id)


def _delivery_status(parts: tuple[Part, ...]) -> str:
    """The text of the delivery status; "" when there is none.

    Where the boundary lines are not those that the head announces, the fields themselves
    are looked for: from the first to the next line with dashes.
    """
    for part in parts:
        if part.type in STATUS_TYPES:
            return text(part.decoded(MAX_STATUS))
    if parts[0].parameter("report-type").lower() != "delivery-status":
        return ""
    body = text(parts[0].body)
    start = _FIRST_FIELD.search(body)
    if start is None:
        return ""
    end = _DASHED.search(body, start.start())
    return body[start.start() : end.start() if end else None][:MAX_STATUS]


def addressed(mail: Part) -> tuple[str, ...]:
    """Every address to which a mail came, the most reliable first, each once."""
    found: dict[str, None] = {}
    for name in _ADDRESSED:
        for value in mail.values(name):
            found.update(dict.fromkeys(_addresses(value)))
    for value in mail.values("received"):
        found.update(dict.fromkeys(word for word in _FOR.findall(value) if "@" in word))
    return tuple(printable(word)[:MAX_ADDRESS] for word in list(found)[:MAX_ADDRESSED])


# Split, not searched for: a search for `\S+@` is quadratic where no "@" follows.
def _addresses(value: str) -> Iterator[str]:
    words = _SEPARATORS.split(value)
    return (word for word in words if "@" in word and len(word) <= MAX_ADDRESS)


def _message_id(parts: tuple[Part, ...]) -> str:
    """That of the returned message; else what the notice says it answers."""
    returned = next((part for part in parts[1:] if part.type in RETURNED_TYPES), None)
    value = ""
    if returned is not None:
        head = _BLANK_LINES.split(text(returned.decoded(MAX_HEAD)).lstrip(), maxsplit=1)[0]
        value = Part(fields(head), b"").value("message-id")
    found = _MESSAGE_ID.search(value or parts[0].value("in-reply-to"))
    return printable(found[0])[:MAX_ID] if found else ""


# Groups


def _groups(status: str) -> Iterator[Group]:
    """Part a delivery status into the fields of each recipient.

    The standard parts them by an empty line.  Some leave it out, some put one where none
    belongs; so a group ends where it is complete and the next one begins, either after an
    empty line or with a field that it has already.  The fields of the whole notice stand
    with the first.
    """
    group: Group = {}
    for block in _BLANK_LINES.split(status):
        found = fields(block)
        if _complete(group) and any(name in _STARTS for name, _ in found):
            yield group
            group = {}
        for name, value in found:
            if name in _STARTS and name in group:
                yield group
                group = {}
            group.setdefault(name, value)
    yield group


def _complete(group: Group) -> bool:
    names = group.keys()
    return bool(names & {"final-recipient", "original-recipient"}) and bool(
        names & {"action", "status"}
    )


def _report(group: Group, first: Group) -> Report:
    original = _address(group.get("original-recipient", ""))
    final = _address(group.get("final-recipient", ""))
    diagnostic = _untyped(group.get("diagnostic-code", ""))
    code = _CODE.search(diagnostic)
    status = _specific(_status(group.get("status", "")), _status(diagnostic))
    mta = group.get("remote-mta") or first.get("reporting-mta", "")
    return Report(
        # An original that is an address beats a final that is none: "LOCAL; user".
        recipient=final if "@" in final or "@" not in original else original,
        original=original,
        action=_action(group.get("action", ""), status),
        status=status,
        code=int(code[1]) if code else 0,
        text=printable(diagnostic),
        mta=printable(_untyped(mta))[:MAX_HOST],
    )


# Values


def _action(value: str, status: str) -> str:
    word = value.strip().lower()
    for beginning, action in _ACTIONS:
        if word.startswith(beginning):
            return action
    return _ACTION_OF_CLASS.get(status[:1], "")


def _status(value: str) -> str:
    found = _STATUS.search(value)
    return found[1] if found else ""


def _specific(status: str, said: str) -> str:
    """The status given, unless the server said more.

    Exim writes 5.0.0 ("other undefined", RFC 3463 §3.1) whatever the server's own code was.
    """
    if not status or (status[1:] == ".0.0" and status[0] == said[:1]):
        return said
    return status


def _untyped(value: str) -> str:
    """A value without its type: "smtp; 550 …", "dns; mx.example"."""
    return _TYPED.sub("", value, count=1) if _TYPED.match(value) else value.strip()


def _address(value: str) -> str:
    """The address in "rfc822; <a@b> (comment)", with its encoding undone.

    xtext (RFC 3461 §4) writes "+" and "=" as +2B and +3D.  Nothing else is undone: where
    nobody encoded, "bob+2024@example.com" must stay what it is.
    """
    typed = _TYPED_ADDRESS.match(value)
    kind, address = (typed[1].lower(), typed[2]) if typed else ("", value)
    angled = _ANGLED.search(address)
    address = angled[1] if angled else address.strip()
    if not address.startswith('"'):
        address = address.split(maxsplit=1)[0] if address else ""
    if kind == "utf-8":
        address = _UNICODE.sub(_character, address)
    address = _XTEXT.sub(lambda match: chr(int(match[1], 16)), address)
    return printable(address)[:MAX_ADDRESS]


def _character(escape: re.Match[str]) -> str:
    """RFC 6533 §3: \\x{HEX} is a character; what is none, or hidden, stays as it is."""
    number = int(escape[1], 16)
    character = chr(number) if number <= 0x10FFFF else ""
    return character if character.isprintable() and character else escape[0]
