"""Delivery status notices: RFC 3464, and RFC 6533 for internationalised addresses.

Rule: the fields decide, the prose only fills what they leave open.  Notices break the
standard in many ways that do no harm to their sense; those are read (groups that run
together, addresses in angle brackets, comments, a missing Action, fields in the text of
the mail).  Where neither Action nor Status says what became of a recipient, nothing is
reported of it.
"""

import re
from collections.abc import Iterator
from itertools import islice

from mailblast.bounce import naming, plaintext, verdict
from mailblast.bounce.message import MAX_ADDRESS, MAX_ID, STATUS_TYPES, Message
from mailblast.bounce.notice import Kind, Notice, Report
from mailblast.bounce.parts import fields, text
from mailblast.bounce.verdict import Finding
from mailblast.errors import Refusal
from mailblast.reason import Reason
from mailblast.smtp.reply import printable

# Other reports may carry a delivery status among what they return; it is not theirs.
OTHER_REPORTS = ("feedback-report", "disposition-notification")

# One message of ours has one recipient; lists and aliases expand it to some more.
MAX_REPORTS = 1000
MAX_STATUS = 512 * 1024
MAX_AROUND = 3000
MAX_TOLD_APART = 50

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
    r"^[> \t]{0,8}(?:reporting-mta|final-recipient|original-recipient|action)[ ]?:",
    re.IGNORECASE | re.MULTILINE,
)
_FINAL = re.compile(
    r"^[> \t]{0,8}(?:final|original)-recipient[ ]?:", re.IGNORECASE | re.MULTILINE
)
_QUOTED = re.compile(r"^>+ ?", re.MULTILINE)
_DASHED = re.compile(r"^[ \t]*--", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_TYPED = re.compile(r"\s*[A-Za-z][\w-]{0,39}\s*;\s*")
_TYPED_ADDRESS = re.compile(r"\s*([A-Za-z][\w-]{0,39})\s*[;:]\s*(.*)", re.DOTALL)
_ANGLED = re.compile(r"<([^<>]*)>")
_PROGRAM = re.compile(r'"?(?:\||/[^@=]+$)')
_XTEXT = re.compile(r"\+(2B|3D)")
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


def read(message: Message) -> Notice | Refusal | None:
    """Read a notice from its delivery status."""
    if message.head.parameter("report-type").lower() in OTHER_REPORTS:
        return None
    status, rule = _delivery_status(message)
    if not status:
        return None
    groups = list(islice(_groups(status), MAX_REPORTS + 1))
    if len(groups) > MAX_REPORTS:
        return Refusal(f"the delivery status names more than {MAX_REPORTS} recipients")
    first = groups[0] if groups else {}
    around = _around(message, groups)
    named = (
        [one.address for one in naming.recipients(message, None)[0]]
        if _nameless(groups)
        else []
    )
    found = (_report(group, first, around, named, rule) for group in groups)
    reports = tuple(report for report in found if report is not None)
    if not reports:
        return None
    envelope_id = printable(first.get("original-envelope-id", ""))[:MAX_ID]
    senders = tuple(filter(None, [_address(first.get("x-postfix-sender", ""))]))
    return Notice(Kind.BOUNCE, reports, envelope_id=envelope_id, senders=senders, rule=rule)


def _delivery_status(message: Message) -> tuple[str, str]:
    """The text of the delivery status and where it stood; "" when there is none.

    Where the boundary lines are not those that the head announces, or none are, the fields
    themselves are looked for: from the first to the next line with dashes.
    """
    part = message.part(*STATUS_TYPES)
    if part is not None:
        return text(part.decoded(MAX_STATUS)), "dsn"
    announced = message.head.parameter("report-type").lower() == "delivery-status"
    body = text(message.head.body[:MAX_STATUS]) if announced else message.explanation
    if _FINAL.search(body) is None or plaintext.answered(message):
        return "", ""
    start = _FIRST_FIELD.search(body)
    if start is None:
        return "", ""
    end = _DASHED.search(body, start.start())
    found = body[start.start() : end.start() if end else None][:MAX_STATUS]
    return _QUOTED.sub("", found), "dsn fields in the text"


def _around(message: Message, groups: list[Group]) -> dict[str, str]:
    """What the explanation says, by recipient; under "" all of it, if there is but one."""
    if len(groups) > MAX_TOLD_APART:
        return {}
    told = {one.address.lower(): one.text for one in naming.at_line_starts(message)}
    return told | ({"": message.explanation[:MAX_AROUND]} if len(groups) == 1 else {})


def _nameless(groups: list[Group]) -> bool:
    """Whether the only recipient is a program or a local user, with no address."""
    names = ("final-recipient", "original-recipient")
    return len(groups) == 1 and not any(
        "@" in _address(groups[0].get(n, "")) for n in names
    )


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


def _report(
    group: Group, first: Group, around: dict[str, str], named: list[str], rule: str
) -> Report | None:
    original = _address(group.get("original-recipient", ""))
    final = _address(group.get("final-recipient", ""))
    said = _untyped(group.get("diagnostic-code", ""))
    status = _status(group.get("status", ""))
    action = _action(group.get("action", ""), status or _status(said))
    if not action:
        return None
    # An address beats what is none: "LOCAL; user", "|/usr/bin/vacation".
    recipient = next((one for one in (final, original) if "@" in one), final or original)
    if "@" not in recipient and len(named) == 1:
        recipient = named[0]
    passage = around.get(recipient.lower()) or around.get(original.lower())
    return verdict.report(
        Finding(
            recipient,
            action,
            status,
            said,
            around=passage or around.get("", ""),
            context=around.get("", ""),
            original=original,
            mta=_untyped(group.get("remote-mta") or first.get("reporting-mta", "")),
            reporting=_untyped(first.get("reporting-mta", "")),
            reason=Reason.SYSTEM_ERROR if _program(group, final) else None,
            nobody=group.get("x-powermta-bouncecategory", "").strip() == "bad-mailbox",
        ),
        rule,
    )


def _program(group: Group, final: str) -> bool:
    """Whether it was a program of the recipient's or a file that failed.

    Final-Recipient is then a pipe or a path, or the diagnostic is the exit of a process
    (x-unix: Sendmail, Postfix).
    """
    kind = group.get("diagnostic-code", "").partition(";")[0].strip().lower()
    # An X.400 address, "/C=de/…", is no path.
    return _PROGRAM.match(final) is not None or kind == "x-unix"


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
