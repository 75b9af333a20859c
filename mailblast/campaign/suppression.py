"""How much is borne before an address is suppressed: the table [suppression].

    nonexistent = "at once"
    permanent = "2 over 24 h"
    full = "3 over 30 days"

Rule: the suppression list binds every campaign of a workspace, and so does this: the table
stands in mailblast.toml and nowhere else.  What counts as what is in `suppression.policy`.
"""

import re
from dataclasses import dataclass

from mailblast.campaign.forms import DURATION, NUMBER, SECONDS, UNITS, Form
from mailblast.campaign.keys import Key
from mailblast.errors import Refusal

TABLE = "suppression"
MOST_COUNT = 100
# RFC 5321 §4.5.4.1: a server tries for four to five days before it gives a message back.
BOUNCE_WINDOW = 4 * 86400.0
MOST_DAYS = 366

_SPELLED = re.compile(rf"(\d{{1,3}})(?:\s+over\s+{NUMBER}\s*([a-z]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How often something is borne: until it has happened `count` times in a row, the last
    time at least `span` seconds after the first.  A count of 0 bears everything."""

    count: int
    span: float = 0.0

    def __str__(self) -> str:
        if self.count == 0:
            return "never"
        if self.count == 1:
            return "at once"
        for unit, many in (("day", "days"), ("h", "h"), ("min", "min"), ("s", "s")):
            if self.span and self.span % SECONDS[unit] == 0 and self.span > SECONDS[unit]:
                return f"{self.count} over {self.span / SECONDS[unit]:g} {many}"
        return f"{self.count} over {self.span:g} s" if self.span else str(self.count)


@dataclass(frozen=True, slots=True)
class Policy:
    """When an address is suppressed, for each thing that may count against it.

    `bounce_window` is for how many seconds a notice may come of what was accepted; in silence
    it counts as delivered after that.
    """

    nonexistent: Tolerance = Tolerance(1)
    restricted: Tolerance = Tolerance(1)
    permanent: Tolerance = Tolerance(2, 86400.0)
    policy: Tolerance = Tolerance(3)
    full: Tolerance = Tolerance(3, 30 * 86400.0)
    soft: Tolerance = Tolerance(5, 14 * 86400.0)
    bounce_window: float = BOUNCE_WINDOW


def _read(value: object) -> Tolerance | None:
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in ("at once", "never"):
        return Tolerance(int(text == "at once"))
    found = _SPELLED.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= MOST_COUNT:
        return None
    if found[2] is None:
        return Tolerance(int(found[1]))
    unit = UNITS.get(found[3])
    span = float(found[2]) * SECONDS[unit] if unit else 0.0
    # The first time there is nothing yet for it to be over.
    if int(found[1]) < 2 or not 0 < span <= MOST_DAYS * SECONDS["day"]:
        return None
    return Tolerance(int(found[1]), span)


def _tolerance(value: object) -> Tolerance | Refusal:
    return _read(value) or TOLERANCE.refuse()


def _lenient(value: object) -> Tolerance | Refusal:
    taken = _read(value)
    if taken is None:
        return LENIENT.refuse()
    enough = taken.count == 0 or (taken.count >= 3 and taken.span >= 14 * SECONDS["day"])
    return taken if enough else LENIENT.refuse()


TOLERANCE = Form('"at once", "never", or how often, as "3" or "2 over 24 h"', _tolerance)
# What passes may pass after a holiday: fewer or sooner would cost subscribers.
LENIENT = Form('"never", or at least "3 over 14 days"', _lenient)

KEYS = (
    Key(
        TABLE,
        "nonexistent",
        TOLERANCE,
        "The receiver says in so many words that there is no such address.",
        "at once",
    ),
    Key(
        TABLE,
        "restricted",
        TOLERANCE,
        "The address takes mail from chosen senders only (5.7.124, 5.7.133, 5.7.134).",
        "at once",
    ),
    Key(
        TABLE,
        "permanent",
        TOLERANCE,
        "Refused for good without an explicit reason; the mailbox is inactive; the domain "
        "does not exist or takes no mail.",
        "2 over 24 h",
    ),
    Key(
        TABLE,
        "policy",
        TOLERANCE,
        "A rule of the recipient's own, or of their organisation, bars our mail.",
        "3",
    ),
    Key(TABLE, "full", LENIENT, "The mailbox is full.", "3 over 30 days"),
    Key(
        TABLE,
        "soft",
        LENIENT,
        "Any other failure of theirs that may pass, after all attempts.",
        "5 over 14 days",
    ),
    Key(
        TABLE,
        "bounce_window",
        DURATION,
        "For how long a bounce may come of what was accepted; in silence it counts as "
        "`delivered` after that.",
        "4 days",
    ),
)
