"""Notices in words alone, from before and beside the standard.

Rule: a mail is a bounce by at least two signs that do not depend on one another: who sent it
or to which return path, what its subject says, and what its words say, of which the sign of a
known form is the strongest.  A person who answers a bounce or passes it on quotes all of that;
so an answer and a forwarded one are bounces only if a machine sent them.
"""

import re

from mailblast.bounce import diagnostic, naming, verdict
from mailblast.bounce.forms import FORMS, SIGNS, Form
from mailblast.bounce.message import Message
from mailblast.bounce.notice import Kind, Notice
from mailblast.bounce.passage import MAX_PASSAGE, Passage
from mailblast.bounce.verdict import Finding

# A bounce says that it is one at its beginning.
MAX_WORDS = 8000
_ANSWER = re.compile(r"(?:re|aw|antw?|sv|vs|odp)\s*:", re.IGNORECASE)
_FORWARD = re.compile(r"(?:fwd?|wg|tr|rv|i|enc|doorst|pd|vb|vl)\s*:", re.IGNORECASE)
_QUOTED = re.compile(r"^[ \t]*>", re.MULTILINE)


def read(message: Message) -> Notice | None:
    """Read a notice that has no delivery status."""
    head = f"{message.sender}\n{message.subject}\n{message.explanation}"
    form = next((form for form in FORMS if form.sign.search(head)), None)
    if not _is_bounce(message, form):
        return None
    found, way = naming.recipients(message, form)
    rule = f"{form.name if form else 'plaintext'}: {way}"
    stated = _stated(message, form)
    shared = stated or _shared(message.explanation, found)
    action = _action(message, form)
    context = message.explanation[:MAX_WORDS] if len(found) == 1 else ""
    findings = (
        Finding(
            one.address,
            action,
            said=one.text if _tells(one.text) and not stated else shared,
            around=one.text,
            context=context,
            reason=form.reason if form else None,
            filter=form.filter if form else False,
        )
        for one in found
    )
    reports = tuple(verdict.report(one, rule) for one in findings)
    return Notice(Kind.BOUNCE, reports, rule=rule)


def answered(message: Message) -> bool:
    """Whether a person seems to answer something."""
    return _ANSWER.match(message.subject) is not None and not _by_machine(message)


def _quoted(message: Message) -> bool:
    """Whether a person seems to pass on what somebody wrote: whom that names is a guess."""
    if _by_machine(message):
        return False
    lines = sum(1 for line in message.explanation.splitlines() if line.strip())
    quoted = len(_QUOTED.findall(message.explanation))
    return _FORWARD.match(message.subject) is not None or 2 * quoted > lines > 0


def _by_machine(message: Message) -> bool:
    return message.null_path or SIGNS.sender.search(message.sender) is not None


def _own_path(message: Message) -> bool:
    """Whether it came from the author's own mailbox, as what a person writes does."""
    path = message.head.value("return-path").strip().strip("<>").lower()
    service = SIGNS.bystander.match(path) is not None
    return path == message.author.lower() != "" and not service


def _is_bounce(message: Message, form: Form | None) -> bool:
    if message.head.value("x-failed-recipients"):
        return True
    if answered(message) or _quoted(message):
        return False
    if form is not None and form.alone:
        return True
    machine = _by_machine(message)
    if not machine and _own_path(message):
        return False
    subject = SIGNS.subject.search(message.subject) is not None
    if machine == subject:
        return machine
    if form is not None:
        return True
    return SIGNS.words.search(message.explanation[:MAX_WORDS]) is not None


def _action(message: Message, form: Form | None) -> str:
    if form is not None and form.action:
        return form.action
    delayed = SIGNS.delayed.search(f"{message.subject}\n{message.explanation}")
    return "delayed" if delayed else "failed"


def _tells(text: str) -> bool:
    """Whether a passage says why: words, not only a date or a name."""
    return len(text.split()) >= 2


def _stated(message: Message, form: Form | None) -> str:
    """What is said of all recipients, where the form says so."""
    said = form.said.search(message.explanation) if form and form.said else None
    return said["said"].strip()[:MAX_PASSAGE] if said else ""


def _shared(text: str, found: list[Passage]) -> str:
    """What is said of all recipients together: below the last of them, else anywhere."""
    # What closes the address is no word about it: "<anna@example.net> was rejected".
    below = text[max((one.end for one in found), default=0) :].lstrip("> \t\n").rstrip()
    says_why = (
        diagnostic.code(below) or diagnostic.status(below) or SIGNS.words.search(below)
    )
    return (below if says_why else text.strip())[:MAX_PASSAGE]
