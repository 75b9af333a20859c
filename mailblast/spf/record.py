"""An SPF record: its terms, and whether they are written as they must be (RFC 7208 §4.6, §12).

v=spf1 mx ip4:192.0.2.0/24 include:spf.example.net -all
       └─ directives ─────────────────────────────────┘   redirect=, exp= are modifiers
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mailblast.errors import Refusal

MAX_TEXT = 4_096  # characters; far more than any resolver's answer is read for

_VERSION = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_DIRECTIVE = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::(.+?))?((?:/[0-9]+)?(?://[0-9]+)?)",
    re.IGNORECASE | re.ASCII,
)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.ASCII)
_PREFIX = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?", re.ASCII)
# RFC 7208 §7.1; the letters c, r and t are for explanations alone (§7.2).
MACRO = re.compile(
    r"%(?:([%_-])|\{([slodiphv])([0-9]*)(r?)([.+,/_=-]*)\})", re.IGNORECASE | re.ASCII
)
_LITERAL = re.compile(r"[!-$&-~]*", re.ASCII)
_TOP_LABEL = re.compile(
    r".*\.(?![0-9]+\.?\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.?", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism with its qualifier; `target` is its domain or network, "" without one.

    `v4` and `v6` are lengths of prefixes.
    """

    qualifier: str
    mechanism: str
    target: str
    v4: int
    v6: int
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a domain says of who may send for it; `redirect` is "" without that modifier."""

    directives: tuple[Directive, ...]
    redirect: str
    text: str

    @property
    def everybody(self) -> Directive | None:
        """The first `all`: nothing behind it is looked at (RFC 7208 §5.1)."""
        return next((one for one in self.directives if one.mechanism == "all"), None)


def records(texts: Iterable[str]) -> tuple[str, ...]:
    """Those TXT records that are for SPF (RFC 7208 §4.5)."""
    return tuple(text for text in texts if _VERSION.match(text))


def parse(text: str) -> Record | Refusal:
    """Read a record; one fault anywhere spoils all of it (RFC 7208 §4.6)."""
    if len(text) > MAX_TEXT:
        return Refusal(f"a record of more than {MAX_TEXT} characters")
    directives: list[Directive] = []
    modifiers: dict[str, str] = {}
    for term in filter(None, text[len("v=spf1") :].split(" ")):
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            directive = _directive(term)
            if isinstance(directive, Refusal):
                return directive
            directives.append(directive)
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name in ("redirect", "exp"):
            if name in modifiers:
                return Refusal(f"{name}= stands there twice")
            if not _is_domain_spec(value):
                return Refusal(f'"{term}" names no domain')
            modifiers[name] = value
        elif not _is_macro_string(value):
            return Refusal(f'"{term}" is no modifier')
    return Record(tuple(directives), modifiers.get("redirect", ""), text)


def _directive(term: str) -> Directive | Refusal:
    found = _DIRECTIVE.fullmatch(term)
    if found is None:
        return Refusal(f'"{term}" is no mechanism')
    mechanism, target = found[2].lower(), found[3] or ""
    # That of an ip6 stands alone, with one slash.
    written = f"/{found[4]}" if mechanism == "ip6" and found[4] else found[4]
    prefixes = _PREFIX.fullmatch(written)
    if prefixes is None or not _fits(mechanism, target, found[4]):
        return Refusal(f'"{term}" is no proper {mechanism}')
    v4, v6 = int(prefixes[1] or 32), int(prefixes[2] or 128)
    if v4 > 32 or v6 > 128:
        return Refusal(f'"{term}" has too long a prefix')
    return Directive(found[1] or "+", mechanism, target, v4, v6, term)


def _fits(mechanism: str, target: str, prefix: str) -> bool:
    """Whether a mechanism may have such a target and prefix (RFC 7208 §5)."""
    if mechanism == "all":
        return not target and not prefix
    if mechanism in ("include", "exists"):
        return _is_domain_spec(target) and not prefix
    if mechanism == "ptr":
        return not prefix and (not target or _is_domain_spec(target))
    if mechanism in ("ip4", "ip6"):
        return _is_network(mechanism, target, prefix)
    return not target or _is_domain_spec(target)


def _is_network(mechanism: str, target: str, prefix: str) -> bool:
    try:
        (IPv4Address if mechanism == "ip4" else IPv6Address)(target)
    except AddressValueError:
        return False
    return re.fullmatch(r"(?:/(0|[1-9][0-9]{0,2}))?", prefix) is not None


def _is_macro_string(text: str) -> bool:
    if any(not int(one[3]) for one in MACRO.finditer(text) if one[3]):
        return False  # §7.3: keeping no part at all is a fault
    return _LITERAL.fullmatch(MACRO.sub("", text)) is not None


def _is_domain_spec(text: str) -> bool:
    """RFC 7208 §7.1: ends with a macro, or with a label that can be a top one."""
    if not text or not _is_macro_string(text):
        return False
    last = list(MACRO.finditer(text))
    ends_in_macro = bool(last) and last[-1].end() == len(text) and not last[-1][1]
    return ends_in_macro or _TOP_LABEL.fullmatch(text) is not None
