"""Automatic answers, challenges, and wishes to leave.

Rule: an automatic answer proves delivery; it is no failure and no wish (RFC 3834 §2).  One
definite signal makes one, or two that a person does not send as well; but whoever asks to leave
in words of their own is a person, unless a definite signal says otherwise.  A list that writes
to us is none.  What a person quotes is not what they say.
"""

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mailblast.bounce.forms import SIGNS, across_lines
from mailblast.bounce.message import Message
from mailblast.bounce.notice import Kind, Notice

Signal = tuple[str, re.Pattern[str]]

_DATA: dict[str, Any] = tomllib.loads(
    files("mailblast.bounce").joinpath("signals.toml").read_text("utf-8")
)
_FLAGS = re.IGNORECASE | re.VERBOSE | re.MULTILINE
FIRST_LINES = 10
FIRST_CHARACTERS = 600
MAX_OWN_WORDS = 4000
MAX_ALONE = 400  # of a subject, and of a mail that is a word and courtesies
MOST_NAMES = 4  # words below a wish that are taken for a signature
_POINTS = " \t\n\r\xa0.,;:!?*_-\"'()[]。！"

_QUOTED = re.compile(
    r"^(?:[ \t]*>|On\b.{5,200}\bwrote:|Am\b.{5,200}\bschrieb\b|Le\b.{5,200}\ba [ée]crit"
    r"|-{2,} ?(?:original|forwarded|urspr)|_{10,}|(?:From|Von|De|Da):[ ].{3,200}$|-- ?$)",
    re.MULTILINE | re.IGNORECASE,
)
_RE = re.compile(r"(?:re|aw|sv|antw?|odp|vs)\s*:", re.IGNORECASE)
_ANSWERS = {"in-reply-to", "references"}
# A mailing list, a newsletter, a ticket system: RFC 2369, RFC 2919.
_LISTS = ("list-id", "list-unsubscribe", "list-post")


# "Re:" and its like in front of a subject.
_PREFIX = r"^(?:(?:re|aw|antw?|sv|fwd?|vs):[ ]*)*\W{0,3}"
# What is said out of courtesy, in a line of its own or before a comma, and by the device.
_COURTESY = re.compile(
    r"""^\W{0,6}(?:
    (?:hi|hey|hello|hallo|moin|dear|good|guten|liebe|lieber|sehr|bonjour|bonsoir|hola|buenos|ciao
      |salve|ol[áa]|hej|dzie[ńn]|thanks?|no)\b[^\n,!.;]{0,40}(?:[,!;]|$|\ but\b)
    |(?:many\ )?(?:thanks?|thx|cheers|regards|danke|merci|gracias|grazie|obrigado|best|kind|mit
      |viele|cordialement)\b[^\n]{0,40}$
    |(?:sent|gesendet|envoy[ée]|inviato|enviado)\ [^\n]{0,60}$)""",
    _FLAGS,
)


def _pattern(section: str, name: str, start: str = "") -> re.Pattern[str]:
    signs = across_lines("|".join(_DATA[section][name]))
    return re.compile(f"{start}(?:{signs})", _FLAGS)


def _signals(section: str, name: str) -> tuple[Signal, ...]:
    return tuple((field, re.compile(p, _FLAGS)) for field, p in _DATA[section][name])


_DEFINITE = _signals("autoreply", "fields")
_SUPPORTING = _signals("autoreply", "supporting")
_SUBJECT = _pattern("autoreply", "subject", _PREFIX)
_WORDS = _pattern("autoreply", "words")
_DEPARTED = _pattern("autoreply", "departed")
_CHALLENGE_FIELDS = _signals("challenge", "fields")
_CHALLENGE_SENDER = _pattern("challenge", "sender")
_CHALLENGE_SUBJECT = _pattern("challenge", "subject")
_CHALLENGE_WORDS = _pattern("challenge", "words")
_LEAVE_SUBJECT = _pattern("unsubscribe", "subject")
_LEAVE_ALONE = _pattern("unsubscribe", "alone")
_LEAVE_WORDS = _pattern("unsubscribe", "words", "(?<![a-z])")
_ANSWER = re.compile(_PREFIX, _FLAGS)


def titled(message: Message) -> Notice | None:
    """Read an automatic answer that says in its subject that it is one.

    That is asked before anybody looks for a bounce: "this account is disabled" may stand in
    the answer of an account that is not.
    """
    if _cannot_answer(message) or not _SUBJECT.search(message.subject):
        return None
    if sign := _matching(message, _DEFINITE):
        return _answer(message, f"subject and {sign}")
    if (signs := _supporting(message)) and not _asks_to_leave(message):
        return _answer(message, f"subject and {signs[0]}")
    return None


def read(message: Message) -> Notice | None:
    """Read an automatic answer: the field or the words it is known by are its rule."""
    if _cannot_answer(message):
        return None
    field = _matching(message, _DEFINITE)
    if field:
        return _answer(message, field)
    if _asks_to_leave(message):
        return None
    found = _supporting(message)
    # Whoever writes with an empty return path is no person.
    if message.null_path and (len(found) > 1 or _RE.match(message.subject)):
        return _answer(message, "empty return path of an answer")
    if "words" in found and not set(found) <= _ANSWERS | {"words"}:
        return _answer(message, " and ".join(found))
    return None


def _answer(message: Message, rule: str) -> Notice:
    departed = _DEPARTED.search(_first_lines(message)) is not None
    return Notice(Kind.AUTOREPLY, departed=departed, rule=rule)


def _supporting(message: Message) -> list[str]:
    """The signs that support; a person's answer may have some of them too."""
    found = [name for name, pattern in _SUPPORTING if _has(message, name, pattern)]
    if message.null_path:
        found.append("empty return path")
    if _WORDS.search(_first_lines(message)):
        found.append("words")
    return found


def _cannot_answer(message: Message) -> bool:
    """A list; or who reports on deliveries, in whatever form, and never for the recipient."""
    report = message.head.parameter("report-type").lower() == "delivery-status"
    return report or bool(SIGNS.postmaster.match(message.author)) or _from_list(message)


def _from_list(message: Message) -> bool:
    return any(message.head.value(name) for name in _LISTS)


def challenge(message: Message) -> Notice | None:
    """Read a request to prove that one is a person."""
    field = _matching(message, _CHALLENGE_FIELDS)
    if field:
        return Notice(Kind.CHALLENGE, rule=field)
    sender = _CHALLENGE_SENDER.search(message.sender) is not None
    subject = _CHALLENGE_SUBJECT.search(message.subject) is not None
    if sender and subject:
        return Notice(Kind.CHALLENGE, rule="sender and subject")
    if sender or subject:
        words = _CHALLENGE_WORDS.search(message.explanation[:MAX_OWN_WORDS])
        rule = "sender and words" if sender else "subject and words"
        return Notice(Kind.CHALLENGE, rule=rule) if words else None
    return None


def unsubscribe(message: Message) -> Notice | None:
    """Read a wish to leave, in the subject or in the first lines that a person wrote."""
    if _from_list(message):
        return None
    subject = _ANSWER.sub("", message.subject[:MAX_ALONE], count=1).strip()
    alone = _LEAVE_ALONE.fullmatch(subject.strip(_POINTS))
    if _LEAVE_SUBJECT.fullmatch(subject) or (alone and _signed(_said(own_words(message)))):
        return Notice(Kind.UNSUBSCRIBE, rule="subject")
    return Notice(Kind.UNSUBSCRIBE, rule="words") if _asks_to_leave(message) else None


def _asks_to_leave(message: Message) -> bool:
    words = own_words(message).lstrip()
    said = _said(words)
    if said and _LEAVE_ALONE.fullmatch(said[0]) and _signed(said[1:]):
        return True
    first = words[:FIRST_CHARACTERS].split("\n")[:FIRST_LINES]
    return _LEAVE_WORDS.search("\n".join(first)) is not None


def _said(words: str) -> list[str]:
    """The lines of a mail without courtesies and points."""
    lines = _COURTESY.sub("", words[:MAX_ALONE]).split("\n")
    return [bare for line in lines if (bare := line.strip(_POINTS))]


def _signed(lines: Sequence[str]) -> bool:
    """Whether nothing but a name stands there."""
    words = " ".join(lines).split()
    return len(words) <= MOST_NAMES and all(word[0].isupper() for word in words)


def own_words(message: Message) -> str:
    """What the author wrote, without what they quote and without the signature."""
    text = message.explanation[:MAX_OWN_WORDS]
    quoted = _QUOTED.search(text)
    return text[: quoted.start()] if quoted else text


def _first_lines(message: Message) -> str:
    lines = message.explanation[:MAX_OWN_WORDS].lstrip().split("\n")
    return "\n".join(lines[:FIRST_LINES])


def _matching(message: Message, signals: Sequence[Signal]) -> str:
    return next((n for n, pattern in signals if _has(message, n, pattern)), "")


def _has(message: Message, name: str, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(value) for value in message.head.values(name))
