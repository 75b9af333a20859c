"""The limits of a destination and of a run, and the words they are written in.

    rate = "20/min"                        one message every three seconds
    rate = ["20/min", "500/h", "5000/day"] the slowest gap of the first two, and a cap a day
    connections = "5 connections"
    warmup = { start = 200, growth = 1.5, day-one = 2026-11-24 }
    hard = "5 %"

Rule: a rate for less than a day is a gap from one message to the next, so that no window of
time sees more than it allows; a rate per day is a cap of the calendar day (UTC).
"""

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from mailblast.campaign.forms import NUMBER, SECONDS, UNITS, Form, whole
from mailblast.errors import Refusal

MOST_RATES = 5  # in a list: one for each unit, and one to spare
MOST_A_SECOND = 10_000
WARM = 10_000_000  # messages a day; whoever may send these is a stranger no more
MOST_GROWTH = 10.0

_RATE = re.compile(rf"{NUMBER}\s*(?:/|\bper\b)\s*([a-z]+)", re.ASCII)
_CONNECTIONS = re.compile(r"(\d{1,3}) ?connections?", re.ASCII)
_SHARE = re.compile(rf"{NUMBER} ?%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many messages: `gap` seconds from one to the next (0.0 is unlimited), and at most
    `per_day` in a calendar day (UTC; None is unlimited)."""

    gap: float = 0.0
    per_day: int | None = None

    def stricter(self, other: "Rate") -> "Rate":
        """What keeps both."""
        caps = [one for one in (self.per_day, other.per_day) if one is not None]
        return Rate(max(self.gap, other.gap), min(caps, default=None))

    def __str__(self) -> str:
        words = [_words(self.gap)] if self.gap else []
        if self.per_day is not None:
            words.append(f"{self.per_day}/day")
        return ", ".join(words) or "unlimited"


def _words(gap: float) -> str:
    """A gap as the rate it stands for: a whole number of messages, where there is one."""
    for unit in ("s", "min", "h"):
        count = SECONDS[unit] / gap
        if abs(count - round(count)) < 1e-9 * count:
            return f"{count:g}/{unit}"
    return f"{SECONDS['h'] / gap:g}/h"


@dataclass(frozen=True, slots=True)
class Warmup:
    """A cap a day that grows: `start` on day one, then `growth` times that of the day before.

    Receivers ask for it: "increase sending volume slowly" (Google support answer 81126, read
    2026-07).  It ends by itself at 10 million a day.
    """

    start: int
    growth: float
    day_one: date

    def cap(self, day: date) -> int | None:
        """How many messages may go on a day; None when it is over.

        A day before day one is as day one: whoever begins early begins as gently.
        """
        days = max(0, (day - self.day_one).days)
        # Before the power, which passes what a float can hold after some thousand days.
        if days * math.log(self.growth) > math.log(WARM / self.start):
            return None
        return int(self.start * self.growth**days)

    def __str__(self) -> str:
        return f"{self.start} on {self.day_one}, then × {self.growth:g} a day"


@dataclass(frozen=True, slots=True)
class Limits:
    """How one destination may be used; `tls` is what a line to it must have."""

    connections: int = 10
    rate: Rate = Rate()
    messages_per_connection: int = 100
    warmup: Warmup | None = None
    tls: Literal["opportunistic", "required"] = "opportunistic"

    def cap(self, day: date) -> int | None:
        """How many messages may go to it on a day (UTC); None is unlimited."""
        warmup = self.warmup.cap(day) if self.warmup else None
        caps = [cap for cap in (self.rate.per_day, warmup) if cap is not None]
        return min(caps, default=None)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When the circuit breaker trips (`breaker`).  Shares are fractions: 0.05 is 5 %."""

    minimum: int = 200
    minimum_destination: int = 20
    hard: float = 0.05
    blocked: float = 0.10
    complaints: float = 0.003
    authentication: int = 3


# --- Forms --------------------------------------------------------------------------------


def _one_rate(value: object) -> Rate | None:
    found = _RATE.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    unit = UNITS.get(found[2]) if found else None
    count = float(found[1]) if found else 0.0
    if unit is None or not 0 < count <= MOST_A_SECOND * SECONDS[unit]:
        return None
    if unit != "day":
        return Rate(SECONDS[unit] / count)
    return Rate(per_day=int(count)) if count.is_integer() else None


def _rate(value: object) -> Rate | Refusal:
    if value == "unlimited":
        return Rate()
    if not isinstance(value, list):
        return _one_rate(value) or RATE.refuse()
    if not 0 < len(value) <= MOST_RATES:
        return Refusal(f"must be from 1 to {MOST_RATES} rates, or one alone")
    total = Rate()
    for number, one in enumerate(value, 1):
        rate = _one_rate(one)
        if rate is None:
            return Refusal(f'entry {number} must be a rate as "20/min" or "5000/day"')
        total = total.stricter(rate)
    return total


def _connections(value: object) -> int | Refusal:
    found = _CONNECTIONS.fullmatch(value.strip()) if isinstance(value, str) else None
    taken = _WHOLE.take(int(found[1]) if found else value)
    return CONNECTIONS.refuse() if isinstance(taken, Refusal) else int(taken)


def _warmup(value: object) -> Warmup | Refusal:
    if not isinstance(value, dict) or set(value) != {"start", "growth", "day-one"}:
        return WARMUP.refuse()
    start = whole(1, WARM).take(value["start"])
    if isinstance(start, Refusal):
        return Refusal(f"start {start}")
    growth = value["growth"]
    if not _number(growth) or not 1 < growth <= MOST_GROWTH:
        return Refusal(f"growth must be a number above 1, at most {MOST_GROWTH:g}")
    day_one = value["day-one"]
    if not isinstance(day_one, date) or isinstance(day_one, datetime):
        return Refusal("day-one must be a date without quotation marks, as 2026-11-24")
    return Warmup(start, float(growth), day_one)


def _number(value: Any) -> bool:
    # In Python `true` is a 1.
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _share(value: object) -> float | Refusal:
    found = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    percent = float(found[1]) if found else 0.0
    return percent / 100 if 0 < percent <= 100 else SHARE.refuse()


_WHOLE = whole(1, 500)
RATE = Form(
    'a rate as "5/s", "20/min", "500/h" or "5000/day", a list of rates, or "unlimited"',
    _rate,
)
CONNECTIONS = Form(f'{_WHOLE.words}, or as "5 connections"', _connections)
MESSAGES_PER_CONNECTION = whole(1, 1_000_000)
WARMUP = Form("as `{ start = 200, growth = 1.5, day-one = 2026-11-24 }`", _warmup)
SHARE = Form('a share as "5 %" or "0.3 %"', _share)
