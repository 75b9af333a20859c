"""A mail address: one addr-spec, as it goes into RCPT TO.

Rule: email-validator decides, without the network.  It does some 13,000 addresses a second,
a tenth of what a list needs.  So the plain address, which nearly all are, is recognised by
one expression, so narrow that both always agree (tests/test_address.py proves it); a plain
local part in an IDN (RFC 5890) asks once for each domain.  All else goes there whole: an
address outside ASCII (RFC 6531), a long one, a bad one.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from mailblast.errors import Refusal

MAX_ADDRESS = 254  # octets; RFC 5321 §4.5.3.1.3 allows 256 with the angle brackets
MAX_LOCAL = 64  # octets; RFC 5321 §4.5.3.1.1
MAX_NAME = 200  # characters of a display name; ours
MAX_WHY = 200  # a hostile cell must not dictate the length of the report

# Blanks only.  A line end within a cell is data or an attack, but never a slip of the
# spreadsheet, and is refused.
BLANKS = " \t\u00a0"

# RFC 5322 §3.2.3 (dot-atom).  re.ASCII matters: without it, IGNORECASE takes the Kelvin
# sign for a k.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]++"
_LOCAL = rf"{_ATOM}(?:\.{_ATOM})*+"
is_plain_local = re.compile(
    rf"(?=.{{1,{MAX_LOCAL}}}\Z){_LOCAL}", re.IGNORECASE | re.ASCII
).fullmatch  # before any domain that `plain_domain` knows it makes a good address

# In a domain of 63 characters at most no label is too long (RFC 1035 §2.3.1), and without a
# double hyphen none is an IDN's (RFC 5890 §2.3.1).
_LABEL = r"[a-z0-9]++(?:-[a-z0-9]++)*+"
_SPECIAL_USE = "|".join(map(re.escape, SPECIAL_USE_DOMAIN_NAMES))
_PLAIN = re.compile(
    r"(?=[^@]{1,64}@[^@]{1,63}\Z)"
    rf"({_LOCAL})@((?:(?!(?:{_SPECIAL_USE})\Z){_LABEL}\.)++(?!(?:{_SPECIAL_USE})\Z)[a-z]{{2,}})",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Address:
    """One address.

    `mailbox` is what is mailed: the local part as given (NFC), the domain as A-labels in
    lower case.  `domain` is that domain.  `key` is what duplicates and suppressions go by:
    the mailbox without regard to case.  `smtputf8` says that only a server that offers
    SMTPUTF8 can take it (RFC 6531 §3.4); an IDN alone does not need that.
    """

    mailbox: str
    domain: str
    key: str
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name shown beside it, which may be empty (RFC 5322 §3.4)."""

    name: str
    address: Address


def parse(text: str) -> Address | Refusal:
    """Read exactly one addr-spec: no name, no brackets, no list.  Blanks around it go."""
    text = text.strip(BLANKS)
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        return _plainly_wrong(text) or _ask(text)
    local, domain = plain.groups()
    domain = domain.lower()
    mailbox = f"{local}@{domain}"
    return Address(mailbox, domain, mailbox.lower(), smtputf8=False)


def plain_domain(text: str) -> str | None:
    """A good domain in lower case, if it is a plain one: ASCII, and no label an IDN's."""
    plain = _PLAIN.fullmatch(f"x@{text}")
    return plain[2].lower() if plain else None


def parse_mailbox(text: str) -> Mailbox | Refusal:
    """Read `a@b.example`, `Name <a@b.example>` or `"Name, Inc." <a@b.example>`."""
    text = text.strip(BLANKS)
    name, opened, rest = text.rpartition("<")
    if not opened:
        address = parse(text)
    elif not rest.endswith(">"):
        return Refusal('write it as "Name <address>", with nothing after the last bracket')
    else:
        address = parse(rest[:-1])
    if isinstance(address, Refusal):
        return address
    shown = _parse_name(name.strip(BLANKS))
    return shown if isinstance(shown, Refusal) else Mailbox(shown, address)


def _plainly_wrong(text: str) -> Refusal | None:
    """The mistakes of lists, said better than the grammar would say them."""
    if not text:
        return Refusal("there is no address")
    if len(text) > MAX_ADDRESS:  # also bounds the work that a hostile cell can ask for
        return Refusal(f"longer than {MAX_ADDRESS} octets (RFC 5321 §4.5.3.1.3)")
    if text[:7].lower() == "mailto:":
        return Refusal('write the address alone, without "mailto:"')
    if text.count("@") > 1 and re.search("[,; ]", text):
        return Refusal("more than one address; write exactly one")
    if "<" in text or ">" in text:
        return Refusal("write the address alone, without a name and without < and >")
    return None


def _ask(text: str) -> Address | Refusal:
    # Quoted local parts are not taken, so the first @ ends the local part.
    local, _, domain = text.partition("@")
    if is_plain_local(local) and (known := _domain(domain)):
        domain, longest = known
        if len(local) + 1 + longest <= MAX_ADDRESS:
            return _address(local, domain)
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        return Refusal(str(error).rstrip(".")[:MAX_WHY])
    # Not `found.local_part`, which writes `Info@` as `info@`: a local part is for its own
    # server to interpret (RFC 5321 §2.4).
    local = unicodedata.normalize("NFC", local)
    if len(local.encode()) > MAX_LOCAL:
        return Refusal(f"longer than {MAX_LOCAL} octets before the @ (RFC 5321 §4.5.3.1.1)")
    return _address(local, found.ascii_domain)


@lru_cache(maxsize=10_000)  # a national list has IDNs, a few again and again
def _domain(text: str) -> tuple[str, int] | None:
    """A good domain as A-labels, and the octets of the longest way to write it."""
    try:
        found = validate_email(f"x@{text}", check_deliverability=False)
    except EmailNotValidError:
        return None
    forms = (text, found.domain, found.ascii_domain)
    return found.ascii_domain, max(len(form.encode()) for form in forms)


def _address(local: str, domain: str) -> Address:
    mailbox = f"{local}@{domain}"
    return Address(mailbox, domain, key_of(mailbox), smtputf8=not local.isascii())


def key_of(mailbox: str) -> str:
    """The key of an address that was parsed before (`Address.mailbox`)."""
    return unicodedata.normalize("NFC", mailbox.casefold())


# What must not stand in a name that people read: line ends, control characters, and what
# turns the direction of writing, so that a name shows as another.  The two joiners are
# needed to write Persian, Hindi and emoji.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)  # RFC 5322 §3.2.4


def _parse_name(text: str) -> str | Refusal:
    if quoted := _QUOTED.fullmatch(text):
        name = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
    elif "@" in text or "<" in text or '"' in text:
        return Refusal('write exactly one address; put a name with @, < or " in quotes')
    else:
        name = text
    if len(name) > MAX_NAME:
        return Refusal(f"the name is longer than {MAX_NAME} characters")
    if any(unicodedata.category(c) in _HIDDEN and c not in _JOINERS for c in name):
        return Refusal("the name contains a control character")
    return unicodedata.normalize("NFC", name).strip()
