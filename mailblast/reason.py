"""Why a message did not arrive, and whose fault that is.

One taxonomy for what is said at the door and for what comes back later, so that both stand
in one table.  Every reason has a scope; only a fault of the recipient may ever suppress a
recipient.

What servers say is data: the rules lie in `replies/*.toml`.  A reply is judged by its words
first, then by the provider's own codes, then by words that only hint, then by the enhanced
status code, then by the basic code; of each kind the first rule decides.  Providers give the
same code meanings of their own, and say the true reason in words.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from mailblast.phrase import MAX_TEXT, Phrases


class Scope(StrEnum):
    """Whom a failure concerns."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    DESTINATION = "destination"
    US = "us"


class Reason(StrEnum):
    """Why not.  The first fourteen come from servers, the others from us."""

    INVALID_RECIPIENT = "invalid-recipient"
    MAILBOX_FULL = "mailbox-full"
    MAILBOX_INACTIVE = "mailbox-inactive"
    DOMAIN_INVALID = "domain-invalid"
    BLOCKED_REPUTATION = "blocked-reputation"
    SPAM_CONTENT = "spam-content"
    POLICY_AUTH = "policy-auth"
    RATE_LIMITED = "rate-limited"
    NETWORK_TEMPORARY = "network-temporary"
    MESSAGE_TOO_LARGE = "message-too-large"
    EXPIRED = "expired"
    SYSTEM_ERROR = "system-error"
    RELAY_DENIED = "relay-denied"
    OTHER = "other"

    # Of a row of the recipients file: the disposition is `invalid`.
    ADDRESS_SYNTAX = "address-syntax"
    DUPLICATE = "duplicate"
    MALFORMED_ROW = "malformed-row"
    UNRENDERABLE = "unrenderable"

    # Of an entry in a suppression list: the disposition is `suppressed`.
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard-bounce"
    SOFT_BOUNCE = "soft-bounce"
    LISTED = "listed"

    @property
    def scope(self) -> Scope:
        """Whom this reason concerns, unless a rule knows better."""
        return _SCOPE.get(self, Scope.RECIPIENT)


_SCOPE = {
    Reason.BLOCKED_REPUTATION: Scope.US,
    Reason.POLICY_AUTH: Scope.US,
    Reason.RELAY_DENIED: Scope.US,
    Reason.SPAM_CONTENT: Scope.MESSAGE,
    Reason.MESSAGE_TOO_LARGE: Scope.MESSAGE,
    Reason.RATE_LIMITED: Scope.DESTINATION,
    Reason.NETWORK_TEMPORARY: Scope.DESTINATION,
    Reason.SYSTEM_ERROR: Scope.DESTINATION,
    Reason.EXPIRED: Scope.DESTINATION,
    Reason.OTHER: Scope.DESTINATION,
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a refusal means.

    `rule` is the name of the rule that decided, "" if none did.  `rest` is for how many
    seconds the destination is to be left alone, because it said *slower*.  `pause` is true
    of what no retry mends: it blocks us for good, or the fault is ours, be it dressed as a
    4yz.  `generic` is true of an `invalid-recipient` whose words leave it open whether the
    address exists.
    """

    reason: Reason
    scope: Scope
    rule: str = ""
    rest: float = 0.0
    pause: bool = False
    generic: bool = False


_NOTHING = Meaning(Reason.OTHER, Reason.OTHER.scope)


def classify(code: int, status: str, text: str, provider: str = "") -> Reason:
    """The reason in `meaning`."""
    return meaning(code, status, text, provider).reason


def meaning(code: int, status: str, text: str, provider: str = "") -> Meaning:
    """What a refusal means: what the first rule says that fits, else `other`.

    `code` is the SMTP code or 0, `status` the enhanced status code or "", `text` what was
    said, of which the first 2,000 characters count.  Where code or status are not given,
    those in the text are taken.  `provider` is who runs the destination, by its name in
    `replies/*.toml`; who is unmistakable in the text need not be named.
    """
    book = _book()
    said = _Said.of(code, status, text)
    numbers = sorted(book.phrases.found(said.text))
    providers = {book.marks[n] for n in numbers if n < 0} | {provider}
    rules = (book.rules[n] for n in numbers if n >= 0)
    first = next((rule for rule in rules if rule.fits(said, providers)), None)
    found = first.meaning if first else None
    if first is None or first.hint:  # hints come after all other words
        theirs = book.coded(said, providers - {""})
        if first is not None and first.vague:
            theirs = theirs or book.by_status(said)
        found = theirs or found
    if found is not None and not found.generic:
        return found
    plain = book.coded(said, ("",)) or book.by_class(said)
    if found is None:
        return plain
    # What the words leave open, a code may settle: 5.1.1 with "recipient rejected".
    return found if plain.generic or plain.reason is not found.reason else plain


def permanent(code: int, status: str) -> bool | None:
    """Whether a refusal is for good; None if neither code nor status says so.

    The first digit of the code decides (RFC 5321 §4.2.1), whatever the status claims: a 421
    with 5.7.32 is tried again.
    """
    return {"4": False, "5": True}.get(str(code)[0] if code else status[:1])


def providers() -> frozenset[str]:
    """The names of the providers that have rules or marks of their own."""
    book = _book()
    named = {name for rule in book.rules for name in rule.providers}
    return frozenset(named | set(book.marks.values()))


# --- What was said -------------------------------------------------------------------------

_STATUS = re.compile(r"(?<![\w.])[45]\.\d{1,3}\.\d{1,3}(?!\.?\w)")
_CODE = re.compile(r"(?<![\w.@/#-])[45][0-5]\d(?=[ -]|$)")


@dataclass(frozen=True, slots=True)
class _Said:
    """A refusal, its codes completed from its text."""

    code: int
    statuses: tuple[str, ...]  # their class is that of the code
    text: str
    permanent: bool | None

    @classmethod
    def of(cls, code: int, status: str, text: str) -> "_Said":
        text = text[:MAX_TEXT]
        if not code and (found := _CODE.search(text)):
            code = int(found[0])
        in_text = _STATUS.search(text)
        given = [one for one in (status, in_text and in_text[0]) if one]
        for_good = permanent(code, given[0] if given else "")
        first = {None: "", False: "4", True: "5"}[for_good]
        return cls(code, tuple(first + one[1:] for one in given), text, for_good)


# --- The rules -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]` of `replies/*.toml`."""

    meaning: Meaning
    sample: str
    says: tuple[str, ...] = ()  # phrases; without, it is a rule of codes
    statuses: frozenset[str] = frozenset()
    codes: frozenset[int] = frozenset()
    providers: frozenset[str] = frozenset()
    only: bool = False  # its words mean this from these providers alone
    hint: bool = False  # words that tell less than a provider's code
    vague: bool = False  # words that tell less than an enhanced status code
    permanent: bool | None = None

    def fits(self, said: _Said, providers: Set[str]) -> bool:
        """Whether what it asks for besides its words is there."""
        return (
            (self.permanent is None or self.permanent is said.permanent)
            and (not self.only or not self.providers.isdisjoint(providers))
            and (not self.statuses or not self.statuses.isdisjoint(said.statuses))
            and (not self.codes or said.code in self.codes)
        )


_Key = str | int  # an enhanced status code, or a basic one


@dataclass(slots=True)
class _Book:
    """All rules, as they are looked up."""

    rules: list[Rule] = field(default_factory=list)
    phrases: Phrases = field(default_factory=Phrases)
    marks: dict[int, str] = field(default_factory=dict)  # phrases that name a provider
    by_code: dict[tuple[str, _Key], Meaning] = field(default_factory=dict)

    def coded(self, said: _Said, providers: Iterable[str]) -> Meaning | None:
        """What the codes mean to these providers; to "", what they mean to everybody."""
        keys: tuple[_Key, ...] = (*said.statuses, said.code)
        for provider in sorted(providers):
            for key in keys:
                if found := self.by_code.get((provider, key)):
                    return found
        return None

    def by_status(self, said: _Said) -> Meaning | None:
        """What the enhanced status code means to everybody."""
        return next((m for s in said.statuses if (m := self.by_code.get(("", s)))), None)

    def by_class(self, said: _Said) -> Meaning:
        """What is left when no rule knows the code: a 4yz passes, a 5yz says nothing."""
        return self.by_code["", 400] if said.permanent is False else _NOTHING

    def enter(self, rule: Rule) -> None:
        """Take in a rule; those entered before it go before it."""
        number = len(self.rules)
        self.rules.append(rule)
        for phrase in rule.says:
            self.phrases.add(phrase, number)
        if not rule.says:
            keys: tuple[_Key, ...] = (*rule.statuses, *rule.codes)
            for provider in rule.providers or ("",):
                for key in keys:
                    self.by_code.setdefault((provider, key), rule.meaning)


@cache
def _book() -> _Book:
    book = _Book()
    for rule in read_rules():
        book.enter(rule)
    for _, document in _documents():
        for provider, phrases in document.get("mark", {}).items():
            for phrase in phrases:
                number = -1 - len(book.marks)
                book.marks[number] = provider
                book.phrases.add(phrase, number)
    return book


def read_rules() -> Iterator[Rule]:
    """Every rule there is, in the order in which they decide."""
    for name, document in _documents():
        yield from (_rule(table, name == "hints") for table in document.get("rule", ()))


# What is anybody's comes last: a provider's words mean more than the same words elsewhere, and
# a wording that was seen more than the build of a sentence.
_LAST = (
    "others", "pace", "us", "recipient", "message", "destination",
    "sentences", "elsewhere", "hints", "codes",
)  # fmt: skip
_WORDS = "words"  # words that stand for one another, by the name by which a phrase has them


@cache
def _documents() -> tuple[tuple[str, dict[str, Any]], ...]:
    folder = files("mailblast").joinpath("replies")
    names = {one.name.removesuffix(".toml") for one in folder.iterdir()}
    return tuple(
        (name, _read(name)) for name in (*sorted(names - {*_LAST, _WORDS}), *_LAST)
    )


@cache
def _read(name: str) -> dict[str, Any]:
    file = files("mailblast").joinpath("replies", f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _rule(table: dict[str, Any], hint: bool) -> Rule:
    reason = Reason(table["reason"])
    meaning = Meaning(
        reason,
        Scope(table.get("scope", reason.scope)),
        table["name"],
        float(table.get("rest", 0)),
        table.get("pause", False),
        table.get("generic", False),
    )
    return Rule(
        meaning,
        table["sample"],
        tuple(phrase.format_map(_read(_WORDS)) for phrase in table.get("says", ())),
        frozenset(one for span in table.get("status", ()) for one in _statuses(span)),
        frozenset(table.get("codes", ())),
        frozenset(table.get("provider", ())),
        table.get("only", False),
        hint,
        table.get("vague", False),
        table.get("permanent"),
    )


def _statuses(span: str) -> Iterator[str]:
    """The statuses in "5.1.1", "x.2.2" (4.2.2 and 5.2.2) or "5.7.606-649"."""
    of, subject, detail = span.split(".")
    first, _, last = detail.partition("-")
    for number in range(int(first), int(last or first) + 1):
        yield from (f"{one}.{subject}.{number}" for one in ("45" if of == "x" else of))
