"""Whom a notice in words names as its recipients.

Rule: rather nobody than a wrong one.  The ways to find them are tried from the surest to the
least sure, and the first that finds anybody decides.  We, the author and those given for
questions are no recipients.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from mailblast.bounce import passage
from mailblast.bounce.forms import SIGNS, Form
from mailblast.bounce.message import Message
from mailblast.bounce.passage import MAX_PASSAGE, MAX_PASSAGES, Passage

# Exchange lists the recipients above this line and repeats them below, with the details.
_APPENDIX = "Diagnostic information for administrators"


def recipients(message: Message, form: Form | None) -> tuple[list[Passage], str]:
    """Each recipient once, with what is said of it, and the way it was found."""
    if form is not None and form.recipient is not None:
        found = _by_form(message, form.recipient)
        if found:
            return _once(found), "by its form"
    for way, find in _WAYS:
        found = find(message)
        if found:
            return _once(found), way
    return [], "no recipient named"


def at_line_starts(message: Message) -> list[Passage]:
    """The recipients with which lines of the explanation begin."""
    found = passage.leading(message.explanation)
    appendix = message.explanation.find(_APPENDIX)
    above = {one.address.lower() for one in found if one.start < appendix}
    below = {one.address.lower() for one in found} - above
    if len(above) == 1 and len(below) == 1:
        # The details are of the only recipient, though they call it by another name.
        found = [replace(one, address=found[0].address) for one in found]
    return _without_bystanders(found, message)


def _by_form(message: Message, recipient: re.Pattern[str]) -> list[Passage]:
    """What a form says of a recipient ends where it names the next."""
    text = message.explanation
    found = list(islice(recipient.finditer(text), MAX_PASSAGES))
    ends = [match.start() for match in found[1:]] + [len(text)] * bool(found)
    return [
        Passage(
            _whole(match, message),
            text[match.start() : end].strip()[:MAX_PASSAGE],
            match.start(),
            end,
        )
        for match, end in zip(found, ends, strict=True)
    ]


def _whole(match: re.Match[str], message: Message) -> str:
    """The address; of a bare local part, that at the reporting domain."""
    named = match.groupdict()
    domain = message.author.rpartition("@")[2]
    return named.get("address") or f"{named.get('local') or ''}@{domain}"


def _by_header(message: Message) -> list[Passage]:
    values = message.head.values("x-failed-recipients")
    words = (word.strip(" <>") for value in values for word in value.split(","))
    return [Passage(word, "", 0, 0) for word in words if "@" in word]


def _by_mention(message: Message) -> list[Passage]:
    mentioned = passage.mentioned(message.explanation)
    found = [Passage(match[0], "", match.start(), match.end()) for match in mentioned]
    found = _once(_without_bystanders(found, message))
    return found if len(found) == 1 else []


def _by_phrase(message: Message) -> list[Passage]:
    phrases = islice(SIGNS.named.finditer(message.explanation), MAX_PASSAGES)
    found = [Passage(one["address"], "", one.start(), one.end()) for one in phrases]
    return _without_bystanders(found, message)


def _by_return(message: Message) -> list[Passage]:
    found = message.returned_addresses("x-failed-recipients", "to")
    return [Passage(found[0], "", 0, 0)] if len(found) == 1 else []


_WAYS: tuple[tuple[str, Callable[[Message], list[Passage]]], ...] = (
    ("address at the line start", at_line_starts),
    ("X-Failed-Recipients", _by_header),
    ("the only address", _by_mention),
    ("address in a phrase", _by_phrase),
    ("the returned message's To", _by_return),
)


def _without_bystanders(found: list[Passage], message: Message) -> list[Passage]:
    """Those who are neither we nor the author; whom one may ask only if nobody else is left,
    and a postmaster last."""
    sent = message.returned_addresses("from", "sender", "return-path", "reply-to")
    to = message.head_addresses("to", "cc")
    ours = {message.author.lower(), *(one.lower() for one in (*to, *sent))}
    others = [one for one in found if one.address.lower() not in ours]
    for bystander in (SIGNS.bystander, SIGNS.postmaster):
        named = [one for one in others if not bystander.match(one.address)]
        if named:
            return named
    return others


def _once(found: list[Passage]) -> list[Passage]:
    """Each recipient once, with all that is said of it, in the order of the text."""
    together: dict[str, Passage] = {}
    for one in found:
        first = together.setdefault(one.address.lower(), one)
        if first is not one and one.text not in first.text:
            text = f"{first.text}\n{one.text}".strip()[:MAX_PASSAGE]
            together[one.address.lower()] = replace(first, text=text)
    return list(together.values())
