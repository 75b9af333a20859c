"""A policy pack: which rules hold, how strictly, and whose law that is.

A pack is a TOML text and a table of functions.  The text:

    title = "CAN-SPAM"
    jurisdiction = "United States"
    sources = ["USC", { title = "Our own manual", date = "2026-10" }]

    [rules]
    CANSPAM-ADDRESS = {}                          as the rule says
    CANSPAM-OPTOUT-10BD = { business_days = 10 }  what its function is told
    CANSPAM-AD-IDENT = { level = "error" }        stricter than the rule's own level

The rules are those of `book`, or the pack's own.  A company's pack comes in a package of its
own that names, under the entry point group `mailblast.policies`, something to call that gives
the `Pack`: docs/check.md shows one.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mailblast.check import book
from mailblast.check.book import Rule, Source
from mailblast.check.facts import Facts, NotGathered
from mailblast.check.finding import Level, Verdict, skipped

GROUP = "mailblast.policies"  # of entry points

# Told the facts, and what the pack says beside the rule's id.
Check = Callable[..., Verdict | Iterable[Verdict]]


@dataclass(frozen=True, slots=True)
class Term:
    """One rule of a pack: at which level it holds, and what its function is told."""

    rule: Rule
    level: Level
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pack:
    """A policy.  `checks` are the functions of its rules, by id."""

    name: str
    title: str
    jurisdiction: str
    sources: tuple[Source, ...]
    terms: tuple[Term, ...]
    checks: Mapping[str, Check]


def verdicts(check: Check, facts: Facts, told: Mapping[str, Any]) -> Iterator[Verdict]:
    """What a function says of these facts; `skip` where what it looks at was not gathered."""
    try:
        found = check(facts, **told)
        yield from [found] if isinstance(found, Verdict) else found
    except NotGathered as missing:
        yield skipped(str(missing))


def parts(*checks: Check) -> Check:
    """A rule of several parts, each told the same: where one was not looked at, the others
    still are."""

    def checked(facts: Facts, **told: Any) -> Iterator[Verdict]:
        for check in checks:
            yield from verdicts(check, facts, told)

    return checked


def read_pack(
    name: str, text: str, checks: Mapping[str, Check], own: Iterable[Rule] = ()
) -> Pack:
    """A pack from its text; `own` are rules that are not in the book (`book.read`).

    Raises ValueError for what is no TOML, and KeyError for a rule that nobody knows.
    """
    document = tomllib.loads(text)
    rules = {**book.rules(), **{rule.id: rule for rule in own}}
    return Pack(
        name,
        document["title"],
        document["jurisdiction"],
        tuple(_source(one) for one in document["sources"]),
        tuple(_term(rules[key], dict(told)) for key, told in document["rules"].items()),
        checks,
    )


def _source(given: str | dict[str, str]) -> Source:
    return book.sources()[given] if isinstance(given, str) else Source(**given)


def _term(rule: Rule, told: dict[str, Any]) -> Term:
    return Term(rule, Level(told.pop("level", rule.level)), told)
