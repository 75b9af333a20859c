"""The form of each kind of setting: what may stand after the `=`.

Rule: a form takes the value as TOML gives it and returns the value as mailblast uses it, or
a `Refusal` that reads on from the name of the key ("must be …").  A refusal never repeats
the value: some of them are secrets that were put in the wrong place.
"""

import re
import shlex
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from mailblast import address
from mailblast.errors import Refusal

MAX_TEXT = 900  # characters; a header line holds 998 octets (RFC 5322 §2.1.1)
MAX_ITEMS = 100  # in a list
MAX_DAYS = 30  # the longest duration; RFC 5321 §4.5.4.1 gives up after 4 to 5 days

# RFC 5321 §4.5.3.1.1: 64 octets before the @.  A tag takes "+" and its own length: 28 in a
# return path, 37 in an unsubscribe address (7 and 23 bytes in base32 with their MAC).
RETURN_PATH_LOCAL = 64 - 1 - 28
UNSUBSCRIBE_LOCAL = 64 - 1 - 37

SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86400}
UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "day"),
}
NUMBER = r"(\d{1,7}(?:\.\d{1,6})?)"
_DURATION = re.compile(rf"{NUMBER}\s*([a-z]+)", re.ASCII)

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")  # RFC 6376 §3.1
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_PROVIDER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LIST_ID = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})+")  # RFC 2919 §2
# Some servers fold the case or choke on rarer characters; a tag must come back whole.
_TAGGABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+;=%-]+")  # RFC 3986, less the comma
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,70}")  # RFC 5322 §3.6.8

# What mailblast writes itself, and what only the servers on the way may write.
_OUR_HEADERS = frozenset(
    (
        *("date", "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "message-id"),
        *("mime-version", "feedback-id", "dkim-signature", "return-path", "received"),
        *("precedence", "auto-submitted", "x-auto-response-suppress"),
        *("disposition-notification-to", "authentication-results"),
    )
)
_OUR_PREFIXES = ("content-", "list-", "resent-", "arc-")

PLAIN_SECRET = Refusal(
    "a password does not belong in a file like this; "
    'write password = { env = "NAME" }, { file = "path" } or { command = "pass show x" }'
)


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret is: the name of a variable, a path, or a command line."""

    kind: Literal["env", "file", "command"]
    value: str


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of value: how to say what it is, and how to take it."""

    words: str
    take: Callable[[object], Any]

    def refuse(self) -> Refusal:
        """The refusal that says what the value must be."""
        return Refusal(f"must be {self.words}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its table and name, the form of its value, and what it means.

    `default` is written as it would stand in the file and goes through the form as well;
    None where there is none, and then `otherwise` says what happens.
    """

    table: str
    name: str
    form: Form
    meaning: str
    default: object = None
    otherwise: str = ""

    def __str__(self) -> str:
        return f"[{self.table}] {self.name}"


def _text(value: object) -> str | Refusal:
    if not isinstance(value, str) or not value.strip():
        return Refusal("must be a text in quotation marks")
    if len(value) > MAX_TEXT:
        return Refusal(f"is longer than {MAX_TEXT} characters")
    if any(_control(character) for character in value):
        return Refusal("has a control character or a line break in it")
    return value.strip()


def _control(character: str) -> bool:
    # Cc, and the two separators that some readers take for a line end.
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")


def matching(pattern: re.Pattern[str], words: str, most: int = 253) -> Form:
    """A text of a certain form."""

    def take(value: object) -> str | Refusal:
        text = _text(value)
        if isinstance(text, Refusal):
            return text
        if len(text) > most or not pattern.fullmatch(text):
            return Refusal(f"must be {words}")
        return text

    return Form(words, take)


def choice(*names: str) -> Form:
    """One of a few words."""
    words = " or ".join(f'"{name}"' for name in names)

    def take(value: object) -> str | Refusal:
        return value if isinstance(value, str) and value in names else form.refuse()

    form = Form(words, take)
    return form


def whole(least: int, most: int) -> Form:
    """A whole number within bounds."""

    def take(value: object) -> int | Refusal:
        # In Python `true` is a 1; in a campaign it is a mistake.
        if not isinstance(value, int) or isinstance(value, bool):
            return form.refuse()
        return value if least <= value <= most else form.refuse()

    form = Form(f"a whole number from {least} to {most:,}", take)
    return form


def listed(item: Form, words: str, least: int = 0) -> Form:
    """A list of values of one form."""

    def take(value: object) -> tuple[Any, ...] | Refusal:
        if not isinstance(value, list) or not least <= len(value) <= MAX_ITEMS:
            return Refusal(f"must be {words}, from {least} to {MAX_ITEMS} of them")
        return _each(item.take, value, "entry")

    return Form(words, take)


def _each(
    take: Callable[[object], Any], values: list[Any], called: str
) -> tuple[Any, ...] | Refusal:
    """All values taken, or why the first bad one is not."""
    taken = tuple(map(take, values))
    for number, value in enumerate(taken, 1):
        if isinstance(value, Refusal):
            return Refusal(f"{called} {number} {value}")
    return taken


def _mailbox(value: object) -> "address.Mailbox | Refusal":
    text = _text(value)
    if isinstance(text, Refusal):
        return text
    mailbox = address.parse_mailbox(text)
    if isinstance(mailbox, Refusal):
        return Refusal(f"is not an address: {mailbox}")
    if mailbox.address.smtputf8:
        # Every server on every way would need RFC 6531, not the recipient's alone.
        return Refusal("must have a local part (before the @) in ASCII")
    return mailbox


def _taggable(most: int) -> Form:
    words = f"an address whose local part has at most {most} letters, digits or . _ = + -"

    def take(value: object) -> "address.Address | Refusal":
        text = _text(value)
        if isinstance(text, Refusal):
            return text
        parsed = address.parse(text)
        if isinstance(parsed, Refusal):
            return Refusal(f"is not an address: {parsed}")
        local = parsed.mailbox.rpartition("@")[0]
        if len(local) > most:
            return Refusal(
                f"has a local part of {len(local)} characters; at most {most} leave room "
                "for the tag (64 in all, RFC 5321 §4.5.3.1.1)"
            )
        return parsed if _TAGGABLE.fullmatch(local) else Refusal(f"must be {words}")

    return Form(words, take)


def _domain(value: object) -> str | Refusal:
    text = _text(value)
    if isinstance(text, Refusal):
        return text
    # The rules for a domain are those of an address's right side, IDN included.
    parsed = address.parse(f"postmaster@{text}")
    if isinstance(parsed, Refusal) or "." not in parsed.domain:
        return Refusal('must be a domain, as "example.com"')
    return parsed.domain


def _destination(value: object) -> str | Refusal:
    """A provider's name, or a domain or mail host; the name of a provider has no dot."""
    text = _text(value)
    if isinstance(text, str) and _PROVIDER.fullmatch(text.lower()):
        return text.lower()
    domain = _domain(value)
    return DESTINATION.refuse() if isinstance(domain, Refusal) else domain


def _own_name(value: object) -> str | Refusal:
    domain = _domain(value)
    if isinstance(domain, Refusal):
        # RFC 5321 §4.1.1.1: a fully-qualified name; "localhost" tells a server nothing.
        return Refusal('must be a full host name, as "mail.example.com"')
    return domain


def _host(value: object) -> str | Refusal:
    text = _text(value)
    if isinstance(text, Refusal):
        return text
    bare = text.removeprefix("[").removesuffix("]")
    v6 = ":" in bare and re.fullmatch(r"[0-9A-Fa-f:.]{2,45}", bare)
    if v6 or (len(text) <= 253 and _HOST.fullmatch(text)):
        return bare.rstrip(".").lower()
    return Refusal("must be a host name or an IP address alone (the port is another key)")


def _https(value: object) -> str | Refusal:
    text = _text(value)
    if isinstance(text, Refusal):
        return text
    try:
        url = urlsplit(text)
        parts = (url.hostname, url.port)
    except ValueError:
        return Refusal("must be an https address, as https://example.com/u")
    if url.scheme != "https" or not parts[0] or not _URL.fullmatch(text):
        return Refusal(
            "must begin with https:// and have no blanks, commas or letters beyond ASCII "
            "(RFC 8058 §3.1)"
        )
    if "@" in url.netloc:
        return Refusal("must not have a user name or password in it")
    if "?" in text or "#" in text:
        return Refusal("must end with its path: the token is appended to it")
    return text.rstrip("/")


def duration(text: str) -> float | None:
    """Seconds of a duration in words ("15 min", "1.5 h", "4 days"); None if it is none."""
    found = _DURATION.fullmatch(text.strip().lower())
    unit = UNITS.get(found[2]) if found else None
    if not found or not unit:
        return None
    seconds = float(found[1]) * SECONDS[unit]
    return seconds if 0 < seconds <= MAX_DAYS * 86400 else None


def _duration(value: object) -> float | Refusal:
    seconds = duration(value) if isinstance(value, str) else None
    return DURATION.refuse() if seconds is None else seconds


def _secret(value: object) -> SecretSource | Refusal:
    if not isinstance(value, dict):
        return PLAIN_SECRET
    kinds: tuple[Literal["env", "file", "command"], ...] = ("env", "file", "command")
    for kind in kinds:
        if set(value) == {kind}:
            break
    else:
        return Refusal(
            'must be one of { env = "NAME" }, { file = "path" }, { command = "…" }'
        )
    text = _text(value[kind])
    if isinstance(text, Refusal):
        return Refusal(f"{kind} {text}")
    if kind == "env" and not _VARIABLE.fullmatch(text):
        return Refusal("env is not the name of a variable")  # but maybe the password
    if kind == "command" and not _words(text):
        return Refusal("command has a quotation mark that is not closed")
    return SecretSource(kind, text)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _lines(value: object) -> tuple[str, ...] | Refusal:
    """The lines of a postal address: a list, or one text with line breaks."""
    lines = value.strip().splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list) or not 0 < len(lines) <= 10:
        return LINES.refuse()
    return _each(_text, lines, "line")


def _attachment(value: object) -> str | Refusal:
    text = _text(value)
    if isinstance(text, Refusal):
        return text
    if text.startswith(("/", "~")) or "\\" in text or ".." in text.split("/"):
        return Refusal(
            "must be a path inside the campaign's directory, with / and without .."
        )
    return text


def header_name(name: str) -> Refusal | None:
    """Why a campaign may not write a header of this name; None when it may."""
    if not _HEADER_NAME.fullmatch(name):
        return Refusal("is not a header name (RFC 5322 §3.6.8: ASCII, no blank, no colon)")
    lower = name.lower()
    if lower in _OUR_HEADERS or lower.startswith(_OUR_PREFIXES):
        return Refusal("is a header that mailblast or the servers write themselves")
    return None


def _encoding(value: object) -> str | Refusal:
    name = _text(value)
    if name == "auto" or isinstance(name, Refusal):
        return name
    try:
        "".encode(name)  # takes encodings of text only
    except LookupError:
        return ENCODING.refuse()
    return name


def _flag(value: object) -> bool | Refusal:
    return value if isinstance(value, bool) else FLAG.refuse()


VIA = choice("relay", "direct", "sandbox", "maildir")
FLAG = Form("true or false", _flag)
ENCODING = Form('"auto" or an encoding, as "utf-8", "latin-1" or "shift_jis"', _encoding)
TEXT = Form("a text", _text)
TEMPLATE = Form("a text; `{{ column }}` takes the recipient's field", _text)
FILE = Form("a path, seen from the file that names it", _text)
MAILBOX = Form("an address, with or without a name: `Name <user@example.com>`", _mailbox)
RETURN_PATH = _taggable(RETURN_PATH_LOCAL)
UNSUBSCRIBE_ADDRESS = _taggable(UNSUBSCRIBE_LOCAL)
DOMAIN = Form("a domain", _domain)
PROVIDER = matching(
    _PROVIDER, "the name of a provider: small letters, digits and hyphens", 40
)
DESTINATION = Form(
    'the name of a provider, a domain or a mail host, as "google" or "example.com"',
    _destination,
)
OWN_NAME = Form("a full host name", _own_name)
HOST = Form("a host name or an IP address", _host)
HTTPS = Form("an https address, without query", _https)
DURATION = Form(
    f'a duration as "30 s", "15 min", "1 h" or "4 days" (at most {MAX_DAYS} days)',
    _duration,
)
DURATIONS = listed(DURATION, 'a list of durations, as ["15 min", "1 h"]', least=1)
SECRET = Form('`{ env = "NAME" }`, `{ file = "path" }` or `{ command = "…" }`', _secret)
LINES = Form("a list of one to ten lines", _lines)
ATTACHMENTS = listed(
    Form("a path", _attachment), "a list of paths, which may have `{{ column }}` in them"
)
LIST_ID = matching(_LIST_ID, 'a name with a dot in it, as "news.example.com" (RFC 2919)')
SELECTOR = matching(_SELECTOR, 'letters, digits and hyphens, as "mb1" (RFC 6376 §3.1)', 63)
