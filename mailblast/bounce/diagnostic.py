"""What a server said, out of the words that report it.

Rule: a code is one only where a code can stand.  Diagnostics are full of numbers that are
none: parts of addresses of hosts, sizes, times, identifiers.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_STATUS = r"[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)"
# 3 digits and a status beside one another, in either order and whatever stands between.
_BOTH = re.compile(rf"(?<![\w.@/:-])([245][0-5]\d)[ -]+['\"#<(\[]?({_STATUS})")
# The last answer of a server within the words of the one that gave up: Amazon SES writes
# "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.0 …>".
_LAST = re.compile(
    rf"(?:expired|unable to deliver)[^<>]{{0,200}}<([245][0-5]\d)[ -]({_STATUS})[^<>]{{0,1000}}>"
)
# IronPort, and with it Amazon SES of old, puts the server's words behind its own:
# "5.1.0 - Unknown address error 550-'5.7.1 … Access denied'".
_QUOTED = re.compile(r"[245]\.\d\.\d{1,3} - [^\n']{3,60}? ([245][0-5]\d-'([^']{3,1500})')")
# What qmail adds to the last answer when it gives up.
_GAVE_UP = re.compile(
    r"\bI'm not going to try again; this\s+message has been in the queue too long\.?"
)
_THREE_DIGITS = re.compile(r"[245][0-5]\d")
# Where a code can stand, the surest place first.
_CODES = (
    re.compile(
        r"""(?:^|\bsaid\b[^\n]{0,40}?:|\breturned?:?|<<<|\bresponse:?)[ \t]{0,20}["'<(\[]{0,3}
        ([245][0-5]\d)(?=[ :;#>-]|\)?$)""",
        re.IGNORECASE | re.MULTILINE | re.VERBOSE,
    ),
    re.compile(
        r"""(?:smtp|error|reply|status|response|return|result)[ _-]?(?:codes?|status|error)?
        \W{0,4}([245][0-5]\d)(?![\d.:/])""",
        re.IGNORECASE | re.VERBOSE,
    ),
    re.compile(
        r"""(?:[:;>)'"\]…]|\.\.\.)[ \t]{0,20}["'<(\[]{0,3}
        ([245][0-5]\d)(?=[ -]\S|[ :;-]*$|[ >)\]:])""",
        re.MULTILINE | re.VERBOSE,
    ),
    re.compile(r"(?<![\w.@/:+$-])([245][0-5]\d)(?=[ -][^\s\d]|$)"),
)
_STATUSES = re.compile(rf"(?<![\d.])({_STATUS})")
# What a text has in it that answers a command, in small letters with single blanks.
# "(state 14)" is how Gmail's notices named the command that was answered (Sisimai's table).
_DATA = (
    "end of data", "in reply to data", "final data", "after data", "data command",
    "after i sent the message", "step: data", "[body]", "(data)", "(state 15)",
    "(state 16)", "(state 17)", "(state 18)",
)  # fmt: skip
# Before RCPT: Postfix's and Exim's words, and a transcript of Sendmail's.
_MAIL = ("in reply to mail from", "after mail from", "(state 13)")
_TRANSCRIPT = re.compile(r"^>>> MAIL FROM:[^\n]*\n<<< [45]", re.IGNORECASE | re.MULTILINE)
# Whoever answers DATA with "no valid recipients" has refused them before; 542 is a code of
# MessageLabs's for RCPT.
_RCPT = ("does not like recipient", "no valid recipients", "(state 14)")
_RCPT_NAMED = re.compile(r"\brcpt(?![^\W_])")
_RCPT_542 = re.compile(r"\b542 \S{3,320} rejected")
_OF_FILTER = "550 : user unknown"


@dataclass(frozen=True, slots=True)
class Said:
    """A diagnostic: SMTP code (0 if none), enhanced status ("" if none), the server's words."""

    code: int
    status: str
    text: str


def said(text: str) -> Said:
    """Read a diagnostic."""
    text = _GAVE_UP.sub("", text) if len(text) > 120 else text
    last = _LAST.search(text)
    if last is not None:
        return Said(int(last[1]), last[2], text)
    quoted = _QUOTED.search(text)
    if quoted is not None:
        return Said(int(quoted[1][:3]), status(quoted[1]) or status(text), quoted[1])
    both = _BOTH.search(text)
    if both is not None and both[1][0] == both[2][0]:
        return Said(int(both[1]), both[2], text)
    return Said(code(text), status(text), text)


def code(text: str) -> int:
    """The SMTP code in a text, the one in the surest place; 0 when there is none."""
    if _THREE_DIGITS.search(text) is None:
        return 0  # no use to look for places
    for pattern in _CODES:
        found = pattern.search(text)
        if found is not None:
            return int(found[1])
    return 0


def status(text: str) -> str:
    """The first enhanced status code in a text that says something, else the first."""
    first = ""
    for found in _STATUSES.finditer(text):
        if not found[1].endswith(".0.0"):
            return found[1]
        first = first or found[1]
    return first


def after_data(text: str) -> bool:
    """Whether it was said of the message, once that had been sent, and not of an address."""
    plain = _plain(text)
    # On one line: m-FILTER has a heading "SMTP command" with "DATA" below it, even of a reply
    # to RCPT, for it pipelines.
    named = "command data" in plain and "command data" in text.lower()
    return named or _has(_DATA, plain)


def to_rcpt(text: str) -> bool:
    """Whether it was said of an address, in answer to RCPT."""
    plain = _plain(text)
    return (
        _has(_RCPT, plain)
        or ("rcpt" in plain and _RCPT_NAMED.search(plain) is not None)
        or ("542 " in plain and _RCPT_542.search(plain) is not None)
    )


def to_mail(text: str) -> bool:
    """Whether it was said of the sender, in answer to MAIL: no recipient was named yet."""
    plain = _plain(text)
    refused = ">>> mail from:" in plain and _TRANSCRIPT.search(text) is not None
    return (refused or _has(_MAIL, plain)) and not to_rcpt(text)


def of_filter(text: str) -> bool:
    """Whether a filter says it that the recipient has set: KDDI's (au.com) names no address
    in its "550 : User unknown", while of nobody it says "550 <…>: User unknown"."""
    return _OF_FILTER in _plain(text)


@lru_cache(maxsize=8)  # the same few words are asked about several times
def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _has(signs: tuple[str, ...], plain: str) -> bool:
    for sign in signs:  # noqa: SIM110 - a generator takes longer than the search
        if sign in plain:
            return True
    return False
