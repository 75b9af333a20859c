"""The header of a message, as a reader sees it that knows nothing of how it was made.

It is read from the bytes; what is in force here is RFC 5322 and what the large providers add.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from email import policy
from email.headerregistry import AddressHeader
from email.utils import parsedate_to_datetime

from mailblast import address
from mailblast.check import each
from mailblast.check.facts import Facts, Messages, Sample
from mailblast.check.finding import Verdict, failed
from mailblast.check.pack import Check
from mailblast.check.phrases import REPLY_OR_FORWARD
from mailblast.errors import Refusal

# RFC 5322 §3.6, RFC 2045 §3, RFC 2369 §3, RFC 8058 §3.1: at most one of each.
_ONCE = frozenset((
    *("date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id"),
    *("in-reply-to", "references", "subject", "mime-version", "content-type"),
    *("content-transfer-encoding", "content-id", "content-disposition"),
    *("list-id", "list-help", "list-subscribe", "list-unsubscribe", "list-post"),
    *("list-owner", "list-archive", "list-unsubscribe-post", "auto-submitted"),
))  # fmt: skip
_NEEDED = ("Date", "From")  # RFC 5322 §3.6

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = rf"{_ATEXT}(?:\.{_ATEXT})*"
_MESSAGE_ID = re.compile(rf"<{_DOT_ATOM}@(?:{_DOT_ATOM}|\[[!-Z^-~]*\])>")
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?\d{1,2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} "
    r"\d\d:\d\d(?::\d\d)? [+-]\d{4}"
)
# No provider says how old is too old (YERR); a message is composed now, in any zone.
OLD, AHEAD = timedelta(days=7), timedelta(days=1)

_ENCODED = re.compile(r"=\?[^?\s]*\?[^?\s]*\?[^?\s]*\?=")
MAX_ENCODED = 75  # RFC 2047 §2
_ADDRESSES = ("from", "sender", "reply-to", "to", "cc", "bcc")
# Structured, and without a phrase in it that might be encoded (RFC 2047 §5).
_NO_WORDS = frozenset((
    *("date", "message-id", "in-reply-to", "references", "mime-version", "content-type"),
    *("content-transfer-encoding", "content-id", "content-disposition", "dkim-signature"),
    *("list-help", "list-subscribe", "list-unsubscribe", "list-post", "list-owner"),
    *("list-archive", "list-unsubscribe-post", "auto-submitted", "precedence"),
    *("feedback-id", "return-path"),
))  # fmt: skip

# Of Gmail (GHDR), in octets; a name and a value each, the header, and how many fields.
MAX_HEADER, MAX_FIELDS, MAX_VALUE, MAX_NAME = 500_000, 5_000, 32_000, 1_000
MAX_MESSAGE_ID, MAX_SUBJECT = 500, 998  # characters
_LONG = frozenset(("to", "cc", "references"))  # exempt from MAX_VALUE

_MARK = re.compile("[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff]")
_THREAD = re.compile(r"\(\d+\)\s*$")


def values(sample: Sample, name: str) -> list[str]:
    """The values of a field, as they stand there, in order."""
    return [value for field, value in sample.headers if field.lower() == name.lower()]


def once(sample: Sample) -> Iterator[Verdict]:
    """MSG-SINGLETONS: what may stand once stands once; Date and From are there."""
    counts = Counter(name.lower() for name, _ in sample.headers)
    for name, count in counts.items():
        if name in _ONCE and count > 1:
            yield failed("", name=name.title(), n=count)
    for name in _NEEDED:
        if not counts[name.lower()]:
            yield failed("", name=name, n=0)


def identified(facts: Facts) -> Iterator[Verdict]:
    """MSG-MESSAGE-ID: each message has its own, valid and not too long."""
    samples = facts.of(Messages).samples
    yield from each.over(samples, _well_identified)
    ids = Counter(
        i for one in facts.of(Messages).samples for i in values(one, "Message-ID")
    )
    for name, count in ids.items():
        if name and count > 1:
            yield failed(name, reason=f"{count} messages have the same one")


def _well_identified(sample: Sample) -> Iterator[Verdict]:
    found = values(sample, "Message-ID")
    if not found:
        yield failed("", reason="there is none")
    for one in found[:1]:
        if not _MESSAGE_ID.fullmatch(one):
            yield failed(one, reason="it is not of the form <left@right>")
        elif len(one) > MAX_MESSAGE_ID:
            yield failed(one[:60], reason=f"it has {len(one)} characters")


def dated(facts: Facts) -> Iterator[Verdict]:
    """MSG-DATE: there is one, as RFC 5322 §3.3 writes it, and it is about now."""

    def look(sample: Sample) -> Iterator[Verdict]:
        for one in values(sample, "Date")[:1] or [""]:
            if why := _undated(one, facts.today):
                yield failed(one or "no Date", date=one or "(none)", reason=why)

    yield from each.over(facts.of(Messages).samples, look)


def _undated(text: str, today: date) -> str:
    if not _DATE.fullmatch(text):
        return "it is not as RFC 5322 writes one"
    try:
        day = parsedate_to_datetime(text).date()
    except ValueError:
        return "there is no such day"
    if day < today - OLD:
        return f"more than {OLD.days} days ago"
    return "in the future" if day > today + AHEAD else ""


def encoded(sample: Sample) -> Iterator[Verdict]:
    """MSG-ENCODEDWORD: encoded words where they may be, and nothing raw outside ASCII."""
    international = not sample.recipient.isascii()  # RFC 6532: then UTF-8 may stand there
    for name, value in sample.headers:
        if not value.isascii() and not international:
            yield failed("", name=name, reason="letters outside ASCII that are not encoded")
        for found in _ENCODED.finditer(value):
            if len(found[0]) > MAX_ENCODED:
                reason = f"an encoded word of {len(found[0])} characters; 75 are allowed"
                yield failed(found[0][:40], name=name, reason=reason)
        if _ENCODED.search(_without_words(name.lower(), value)):
            yield failed(
                "", name=name, reason="an encoded word where only ASCII is allowed"
            )


def _without_words(name: str, value: str) -> str:
    """What of a field may hold no encoded word."""
    if name in _NO_WORDS:
        return value
    if name in (*_ADDRESSES, "list-id"):
        return " ".join(re.findall(r'<[^>]*>|"(?:[^"\\]|\\.)*"', value))
    return ""


def sized(sample: Sample) -> Iterator[Verdict]:
    """MSG-HEADER-SIZE: within what Gmail takes."""
    header = len(sample.content.partition(b"\r\n\r\n")[0])
    if header > MAX_HEADER:
        yield failed("", name="The header", n=header, limit=MAX_HEADER)
    if len(sample.headers) > MAX_FIELDS:
        # Counted in fields; the text of the rule speaks of octets.
        yield failed(
            f"{len(sample.headers):,} fields",
            name="The header",
            n=header,
            limit="5,000 fields",
        )
    for name, value in sample.headers:
        size = len(value.encode("utf-8", "surrogateescape"))
        if len(name) > MAX_NAME:
            yield failed("", name=f"The name {name[:40]}…", n=len(name), limit=MAX_NAME)
        if size > MAX_VALUE and name.lower() not in _LONG:
            yield failed("", name=name, n=size, limit=MAX_VALUE)
    if len(sample.subject) > MAX_SUBJECT:
        yield failed("", name="Subject", n=len(sample.subject), limit=MAX_SUBJECT)


def from_one(sample: Sample) -> Iterator[Verdict]:
    """BULK-FROM-ONE: one mailbox, of a domain that can be one."""
    for value in values(sample, "From")[:1] or [""]:
        found = _from(value)
        if len(found) != 1:
            yield failed(f"{len(found)} addresses" if found else "no address")
        elif isinstance(why := address.parse(found[0][1]), Refusal):
            yield failed(f"{found[0][1]}: {why}")


def _from(value: str) -> list[tuple[str, str]]:
    """The name and the address of each mailbox in From, by Python's own parser."""
    header = policy.default.header_factory("From", value)
    found = header.addresses if isinstance(header, AddressHeader) else ()
    return [(one.display_name, one.addr_spec) for one in found]


def display_name(sample: Sample) -> Iterator[Verdict]:
    """MSG-DISPLAYNAME: the name in From is the sender's, and nothing else."""
    for value in values(sample, "From")[:1]:
        for name, _ in _from(value)[:1]:
            if why := _misleading(name, sample):
                yield failed(why, name=name)


def _misleading(name: str, sample: Sample) -> str:
    """Of which kind it is that Gmail lists ("" if it is of none)."""
    words = name.casefold()
    if REPLY_OR_FORWARD.match(name) or _THREAD.search(name):
        return "it looks like a conversation"
    if found := _MARK.search(name):
        return f"U+{ord(found[0]):04X} is an emoji or a mark"
    if sample.recipient.casefold() in words:
        return "it has the recipient's address in it"
    if words and words == sample.subject.casefold():
        return "it is the subject"
    return ""


CHECKS: dict[str, Check] = {
    "MSG-SINGLETONS": each.message(once),
    "MSG-MESSAGE-ID": identified,
    "MSG-DATE": dated,
    "MSG-ENCODEDWORD": each.message(encoded),
    "MSG-HEADER-SIZE": each.message(sized),
    "BULK-FROM-ONE": each.message(from_one),
    "MSG-DISPLAYNAME": each.message(display_name),
}
