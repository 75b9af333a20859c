"""Every rule there is: what it asks, who says so, what to do, and where it is enforced.

The rules lie in `rules/*.toml`, a file a chapter, and `sources.toml` has what they cite.  They
are data: the text of a rule is changed there, and a rule that `check` does not look at is there
too, with the place where it is enforced instead, the tests that prove it, and what is lacking.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from mailblast.check.finding import Level

# In the order in which they are shown.
CHAPTERS = (
    *("canspam", "bulk", "standards", "content"),
    *("jurisdictions", "autoreply", "bounces", "dns"),
)

NOTHING_TO_DO = "Nothing to do: mailblast sees to it."


class Where(StrEnum):
    """Where a rule is enforced."""

    CHECK = "check"  # before the first message, by a function of this package
    SETTINGS = "settings"  # by what campaign.toml may say at all
    LIST = "list"  # while the list is read and enrolled
    COMPOSING = "composing"  # every message is made so
    SENDING = "sending"  # by the client, the schedule, the breaker
    IMPORT = "import"  # while mail that came back is read
    UNSUBSCRIBE = "unsubscribe"  # by the suppression list and its commands
    EXPLAIN = "explain"  # there is nothing to enforce: it is told to whoever asks
    NOWHERE = ""  # not yet


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `tests` prove it, each as `tests/file.py::name`; `lacks` says what of it is not enforced
    or not proven, and why, "" if all is.
    """

    id: str
    chapter: str
    level: Level
    stage: tuple[str, ...]
    mode: tuple[str, ...]
    asks: str
    source: str
    message: str
    fix: str
    where: Where
    tests: tuple[str, ...]
    lacks: str


@dataclass(frozen=True, slots=True)
class Source:
    """A text that rules cite, and the date of the copy that was read (or "undated")."""

    title: str
    date: str


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of the chapters."""
    return {
        rule.id: rule for name in CHAPTERS for rule in read(_text(f"rules/{name}.toml"))
    }


@cache
def sources() -> Mapping[str, Source]:
    """The texts that rules cite, by their short names."""
    return {name: Source(**table) for name, table in _data("sources.toml").items()}


def read(text: str) -> Iterator[Rule]:
    """The rules of a chapter: a TOML text with a `title` and a table for each rule.

    Raises ValueError or KeyError for what is no such text.
    """
    document = tomllib.loads(text)
    title = document.pop("title")
    for name, table in document.items():
        yield _rule(name, title, table)


def _rule(name: str, chapter: str, table: Mapping[str, Any]) -> Rule:
    where = Where(table.get("where", ""))
    seen_to = where not in (Where.CHECK, Where.EXPLAIN, Where.NOWHERE)
    test = table.get("test", ())
    return Rule(
        id=name,
        chapter=chapter,
        level=Level(table["level"]),
        stage=tuple(table.get("stage", ())),
        mode=tuple(table.get("mode", ())),
        asks=table["asks"],
        source=table["source"],
        message=table.get("message", ""),
        fix=table.get("fix", NOTHING_TO_DO if seen_to else ""),
        where=where,
        tests=(test,) if isinstance(test, str) else tuple(test),
        lacks=table.get("lacks", ""),
    )


def _data(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))


def _text(name: str) -> str:
    return files("mailblast.check").joinpath(name).read_text(encoding="utf-8")
