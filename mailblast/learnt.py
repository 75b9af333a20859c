"""What was learnt of a destination, for the next process: a document of the run book.

Rule: the run book is a file that people open and edit.  What is read from it is taken as far
as it makes sense, and what does not is as if it had not been there.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

KIND = "destinations"  # the table of the run book
MOST = 500  # characters of a reply

_YEAR_5000 = 95_617_584_000.0
_TIMES = ("rests_until", "at")


@dataclass(frozen=True, slots=True)
class Learnt:
    """One destination.

    `window` is how many messages it takes at once; `rest` how long it last had to be left
    alone (seconds), `rests_until` the end of that; `rests` how often, in all.  `last_refusal`
    is what it said, with the code.  `at` is when this was written.  Times are in seconds
    since 1970, 0.0 for never.
    """

    name: str
    provider: str = ""
    window: int = 1
    rate: str = ""
    rests: int = 0
    rest: float = 0.0
    rests_until: float = 0.0
    last_refusal: str = ""
    at: float = 0.0

    def to_document(self) -> dict[str, Any]:
        """As it stands in the run book: times in words (ISO 8601, UTC)."""
        document = asdict(self)
        document["last_refusal"] = self.last_refusal[:MOST]
        for key in _TIMES:
            document[key] = _words(document[key])
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> "Learnt":
        """What can be understood of a document."""
        given: dict[str, Any] = {}
        for each in fields(cls):
            value = document.get(each.name)
            if each.name in _TIMES:
                value = _seconds(value)
            if each.type is float and type(value) is int:
                value = float(value)
            if type(value) is each.type and _sound(value):
                given[each.name] = value[:MOST] if isinstance(value, str) else value
        return cls(**{"name": "", **given})


def _sound(value: object) -> bool:
    return not isinstance(value, (int, float)) or (math.isfinite(value) and value >= 0)


def _words(at: float) -> str:
    if not 0 < at < _YEAR_5000:
        return ""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _seconds(words: object) -> float | None:
    try:
        return datetime.fromisoformat(words).timestamp() if isinstance(words, str) else None
    except (ValueError, OverflowError):
        return None
