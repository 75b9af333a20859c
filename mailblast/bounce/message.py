"""A mail as readers of notices see it: who wrote it, what it says, what it returns.

Rule: the explanation ends where the returned message begins.  What stands in that was
written by somebody else, often by ourselves, and names recipients, codes and words of its
own.
"""

import calendar
import re
from collections.abc import Iterator
from email.utils import parsedate_tz
from functools import cached_property

from mailblast.bounce import charset
from mailblast.bounce.parts import MAX_HEAD, Fields, Part, fields, text
from mailblast.smtp.reply import printable

STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
RETURNED_TYPES = (
    "message/rfc822",
    "text/rfc822-headers",
    "text/rfc822-header",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
)

# An explanation is a page or two; with a style sheet and pictures named, some more.
MAX_PROSE = 128 * 1024
MAX_TEXT = 32 * 1024
MAX_ADDRESS = 320  # 64 + "@" + 255: RFC 5321 §4.5.3.1
MAX_ADDRESSED = 50
MAX_ID = 1000
MAX_DATE = 100
MAX_RETURNED = 200

_BLANK_LINES = re.compile(r"\n[ \t\r]*\n")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
_FOR = re.compile(r"\bfor\s+<?([^\s<>;]{1,320})")
_QUOTED_LOCAL = re.compile(r'"([^\s"\\<>@]{1,64})"@')  # quotes that need not be
_SEPARATORS = re.compile(r'[\s<>,;:"()\[\]]+')

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

# Where the returned message begins, if it is no part of its own.
_WHAT = r"(?:e-?mail|messages?|mails?|text|header|nachricht|bericht)"
_CUT = re.compile(
    rf"""^[ \t>|*\#=_~-]*+ (?:
      (?:received|return-path|x-received|dkim-signature|arc-seal|mime-version)[ ]?:[ ]*[\S]
    | below[ ]this[ ]line[ ]is[ ]a[ ]copy
    | (?:this|here|below|included|attached|enclosed|following|there)\b[^\n]{{0,30}}
        \b(?:copy|headers?|first[ ]\d+[ ]lines|beginning|original[ ]message)[ ]of\b
    | (?:the[ ])?(?:\w+[ ])?(?:headers?|text|body|copy)[ ]of[ ](?:the|your)[ ]
        (?:original|source|returned|rejected)?[ ]?{_WHAT}\b[^\n]{{0,40}}
        (?:follow|attached|below|:[ \t]*$|-[ ]*$)
    | (?:your[ ]|the[ ]|start[ ]of[ ])?(?:original|returned|unsent|undelivered|rejected|bounced)
        [ ](?:e-?mail|message|mail)(?:[ ](?:header|body|text|info)s?)?
        (?:[ ]?:[ \t]*$|[ ]?\.{{0,2}}[ ]?\(?-{{2,}}|[ \t]*$
          |[^\n.]{{0,30}}\b(?:follow|below|attached)[^\n]{{0,30}}$)
    | message[ ](?:headers?|text|body)[ ](?:follows?|suppressed|removed)
    | your[ ]message[ ]reads
    | (?:message|mail|text)[ ](?:header|body|text)s?\b[^\n-]{{0,20}}-{{2,}}
    | ={{10,}}[ ]*\n>?(?:return-path|received|from|message-id)[ ]?:
    )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_FORWARDED = re.compile(
    r"^(?:begin forwarded message|-+ ?forwarded message)", re.IGNORECASE | re.MULTILINE
)
_QUOTE = re.compile(r"^> ?", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:\"'@=]{1,64}@[\w.-]{1,255}")


class Message:
    """A mail that came back, from its parts (`parts.read`)."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.head, self.leaves = parts[0], parts[1:] or parts

    @cached_property
    def subject(self) -> str:
        """The subject with its encoded words undone."""
        return charset.words(self.head.value("subject"))

    @cached_property
    def sender(self) -> str:
        """The From field with its encoded words undone, name and address."""
        return charset.words(self.head.value("from"))

    @cached_property
    def author(self) -> str:
        """The address in From; "" when there is none."""
        found = _ADDRESS.findall(self.head.value("from"))
        return printable(found[-1])[:MAX_ADDRESS] if found else ""

    @cached_property
    def null_path(self) -> bool:
        """Whether the return path is empty, or a postmaster's that stands for it."""
        path = self.head.value("return-path").strip().lower()
        return path == "<>" or "mailer-daemon" in path or "mailer_daemon" in path

    def part(self, *types: str) -> Part | None:
        """The first leaf of one of these types."""
        return next((leaf for leaf in self.leaves if leaf.type in types), None)

    @cached_property
    def explanation(self) -> str:
        """What is told to people, without the returned message; at most 32 KB."""
        return self._prose[0]

    @cached_property
    def returned(self) -> Fields:
        """The header section of the returned message, as far as it came back."""
        part = self.part(*RETURNED_TYPES)
        section = text(part.decoded(MAX_HEAD)) if part else _QUOTE.sub("", self._prose[1])
        # "------ copy of the message ------", an empty line, then its header section.
        lines = section.replace("\r", "").lstrip("\n ").split("\n\n")
        for block in lines[:3]:
            found = fields(block)
            if len(found) > 1:
                return found[:MAX_RETURNED]
        return ()

    @cached_property
    def _prose(self) -> tuple[str, str]:
        words = self._told()
        if "forwarded" in words.lower() and _FORWARDED.search(words):
            words = _QUOTE.sub("", words)
        cut = _CUT.search(words, 1)
        end = cut.start() if cut else len(words)
        return words[:end][:MAX_TEXT], words[end:]

    def _told(self) -> str:
        """The first part that people are to read, plain rather than marked up."""
        marked = ""
        for leaf in self.leaves:
            if leaf.type in RETURNED_TYPES:
                break
            if leaf.type.startswith("text/") and not _is_file(leaf):
                prose = leaf.prose(MAX_PROSE)
                if leaf.type != "text/html" and len(prose.strip()) > 20:
                    return prose
                marked = marked if len(marked) > len(prose) else prose
        if not marked and self.leaves == (self.head,):
            return self.head.prose(MAX_PROSE)
        return marked

    @cached_property
    def message_id(self) -> str:
        """That of the returned message; else what the mail says it answers."""
        value = self.returned_field("message-id")
        found = _MESSAGE_ID.findall(value or self.head.value("in-reply-to"))[:1]
        if not value and not found:  # the last one is what is answered (RFC 5322 §3.6.4)
            found = _MESSAGE_ID.findall(self.head.value("references"))[-1:]
        return printable(found[0])[:MAX_ID] if found else ""

    @cached_property
    def addressed(self) -> tuple[str, ...]:
        """Every address to which the mail came, the most reliable first, each once."""
        found: dict[str, None] = {}
        for name in _ADDRESSED:
            for value in self.head.values(name):
                found.update(dict.fromkeys(addresses(value)))
        for value in self.head.values("received"):
            found.update(dict.fromkeys(word for word in _FOR.findall(value) if "@" in word))
        return tuple(printable(word)[:MAX_ADDRESS] for word in list(found)[:MAX_ADDRESSED])

    @cached_property
    def arrived(self) -> float | None:
        """When it came, in seconds since 1970: as the last server that took it says, else as
        the mail says itself.  None if that is no date."""
        stamps = list(self.head.values("received"))[:1]  # the last one stands first
        said = stamps[0].rpartition(";")[2] if stamps else self.head.value("date")
        return _moment(said)

    def returned_field(self, name: str) -> str:
        """A field of the returned message; "" when there is none."""
        return Part(self.returned, b"").value(name)

    def head_addresses(self, *names: str) -> tuple[str, ...]:
        """The addresses in these fields of the mail, each once."""
        return _in_fields(self.head, names)

    def returned_addresses(self, *names: str) -> tuple[str, ...]:
        """The addresses in these fields of the returned message, each once."""
        return _in_fields(Part(self.returned, b""), names)


def _moment(said: str) -> float | None:
    """A date of RFC 5322 §3.3; without a zone it is taken for UTC."""
    try:
        found = parsedate_tz(said[:MAX_DATE])
        return calendar.timegm(found[:6]) - (found[9] or 0) if found else None
    except (ValueError, IndexError, TypeError, OverflowError):
        return None  # what the library trips over is no date


def _in_fields(part: Part, names: tuple[str, ...]) -> tuple[str, ...]:
    found = (word for name in names for v in part.values(name) for word in addresses(v))
    return tuple(dict.fromkeys(printable(w)[:MAX_ADDRESS] for w in found))[:MAX_ADDRESSED]


# Split, not searched for: a search for `\S+@` is quadratic where no "@" follows.
def addresses(value: str) -> Iterator[str]:
    """The words of a value that look like addresses."""
    if '"@' in value:
        value = _QUOTED_LOCAL.sub(r"\1@", value)
    words = _SEPARATORS.split(value)
    return (word for word in words if "@" in word and len(word) <= MAX_ADDRESS)


def _is_file(leaf: Part) -> bool:
    return leaf.value("content-disposition").lower().startswith("attachment")
