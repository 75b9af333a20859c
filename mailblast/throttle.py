"""How fast one destination may be sent to.

Rule: this module is told the time (monotonic seconds) and never asks it.

The limits are exact for the whole process: how many messages are on their way at once
(`connections`), how long it is from one to the next (the rate), how many go in a calendar day
(the cap).  The gap is counted from the last message that really went, not from its place in
an ideal timetable: after a pause nothing is caught up, so no window of time ever sees more
than the rate allows.  It is kept twice: when a message begins, which may take a connection
that has yet to be opened, and when it is offered (`turn`).

Below `connections` the window finds the pace of the receiver by itself: Postfix's concurrency
feedback (README_FILES/SCHEDULER_README, qmgr/qmgr_queue.c).  Each answer adds 1/window, so
that the window grows by one after a whole window of answers; each connection that does not
come about takes 1/window, at the beginning of the cycle, so that overload is corrected at
once.  A reply that says *slower* ends all sending for the time the table of replies names;
then one message goes at a time, and the window grows from there.  A repeated *slower* right
after doubles the rest.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from mailblast.campaign import Limits

INITIAL = (
    5  # messages at once to a destination of which nothing is known yet, as in Postfix
)
LONGEST_REST = 4 * 3600.0  # seconds, for a rest that was doubled
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Today:
    """The calendar day (UTC) by which caps count; it `ends` in monotonic seconds."""

    day: date
    ends: float

    @classmethod
    def of(cls, wall: float, now: float) -> "Today":
        """The day of a moment: `wall` in seconds since 1970, `now` the same in monotonic."""
        # POSIX time has no leap seconds: each day (UTC) has 86,400.
        days = int(wall // DAY)
        return cls(date(1970, 1, 1) + timedelta(days), now + (days + 1) * DAY - wall)

    def at(self, now: float) -> "Today":
        """The day that it is at `now`."""
        if now < self.ends:
            return self
        days = 1 + int((now - self.ends) // DAY)
        return Today(self.day + timedelta(days), self.ends + days * DAY)


# One day without end, for limits that have no cap.
ENDLESS = Today(date.min, math.inf)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a throttle has learnt: its window, and the last rest (seconds) and its end."""

    window: int
    rest: float = 0.0
    until: float = -math.inf


class Throttle:
    """The limits of one destination and how much of them is used."""

    __slots__ = (
        "_ends",
        "_failure",
        "_gap",
        "_last",
        "_left",
        "_of_yesterday",
        "_proven",
        "_rest",
        "_success",
        "_today",
        "_turn",
        "in_flight",
        "limits",
        "until",
        "window",
    )

    def __init__(self, limits: Limits, today: Today = ENDLESS, used: int = 0) -> None:
        """`used`: how many messages went to this destination today, before."""
        self.limits = limits
        self.in_flight = 0
        self.window = min(INITIAL, limits.connections)
        self.until = -math.inf  # the end of the last rest
        self._rest = 0.0  # how long it was
        self._proven = True  # whether anything was answered well since then
        self._success = self._failure = 0.0
        self._gap = limits.rate.gap
        self._last = self._turn = -math.inf
        self._today = today
        self._ends = math.inf
        self._left = math.inf
        self._of_yesterday = 0  # began before the day did, and may still be put back
        if (cap := limits.cap(today.day)) is not None:
            self._ends = today.ends
            self._left = max(0, cap - used)

    # --- What may go -----------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether as many messages are on their way as may be."""
        return self.in_flight >= self.window

    def not_before(self) -> float:
        """When the next message may go, if the window has room."""
        soonest = self._last + self._gap
        if self.until > soonest:
            soonest = self.until
        return soonest if self._left else max(soonest, self._ends)

    def begin(self, now: float) -> None:
        """One more message goes; the caller has asked `full` and `not_before`."""
        self.in_flight += 1
        self._last = now
        if now >= self._ends:
            self._next_day(now)
        self._left -= 1

    def turn(self, now: float) -> float:
        """When a message that has begun may be offered, which uses the turn up.

        Connections open at different speeds: those that began apart would reach the receiver
        together.
        """
        at = max(now, self._turn)
        self._turn = at + self._gap
        return at

    def end(self) -> None:
        """One message is settled, however."""
        self.in_flight -= 1

    def put_back(self) -> None:
        """One that had begun was not offered after all; its gap stays."""
        self.in_flight -= 1
        if self._of_yesterday:
            self._of_yesterday -= 1
        else:
            self._left += 1

    def spent(self, now: float) -> float | None:
        """Until when the cap of the day lets nothing go; None while it does."""
        return None if self._left or now >= self._ends else self._ends

    def appetite(self, seconds: float, most: int, now: float) -> int:
        """How many messages it is worth having ready for the next `seconds`."""
        if self.not_before() > now + seconds:
            return 0
        by_rate = 1 + int(seconds / self._gap) if self._gap else most
        left = most if now >= self._ends else self._left
        return int(min(most, by_rate, left))

    def _next_day(self, now: float) -> None:
        self._today = self._today.at(now)
        self._ends = self._today.ends
        cap = self.limits.cap(self._today.day)
        self._left = math.inf if cap is None else cap
        self._of_yesterday = self.in_flight - 1

    # --- What was heard --------------------------------------------------------------------

    def answered(self) -> None:
        """A message met an answer, whatever it was: the destination is there and talks."""
        self._proven = True
        window = self.window
        # Only a window that is in use can prove itself; and Postfix's margin.
        if window >= self.limits.connections or window >= self.in_flight + INITIAL:
            return
        step = 1 / window
        self._success += step
        if self._success + step / 2 >= 1:  # half a step: what floats lose on the way
            self.window += 1
            self._success = self._failure = 0.0

    def unreachable(self) -> None:
        """A connection did not come about, or broke before its greeting was done."""
        step = 1 / self.window
        self._failure -= step
        if self._failure - step / 2 < 0:
            self.window = max(1, self.window - 1)
            self._failure += 1
            self._success = 0.0

    def slower(self, rest: float, now: float) -> None:
        """A reply said *slower*: nothing goes for `rest` seconds, then one at a time."""
        if now < self.until:
            # Said of what was on its way when the first reply came: no second warning.
            self.until = max(self.until, now + rest)
            return
        again = not self._proven or now < self.until + self._rest
        if again and self._rest:
            rest = max(rest, min(2 * self._rest, LONGEST_REST))
        self._rest = rest
        self.until = now + rest
        self._proven = False
        self._one_at_a_time()

    def revive(self) -> None:
        """It was dead and answers again; what it can bear is anybody's guess."""
        self.window = min(INITIAL, self.limits.connections)
        self._success = self._failure = 0.0

    def _one_at_a_time(self) -> None:
        self.window = 1
        self._success = self._failure = 0.0

    # --- What is remembered ----------------------------------------------------------------

    def pace(self) -> Pace:
        """What was learnt."""
        return Pace(self.window, self._rest, self.until)

    def recall(self, pace: Pace) -> None:
        """Go on with what another process has learnt."""
        self.window = max(1, min(pace.window, self.limits.connections))
        self._rest = max(0.0, min(pace.rest, LONGEST_REST))
        self.until = pace.until
        self._proven = not pace.rest

    @property
    def troubled(self) -> bool:
        """Whether there is something to remember: it had to rest, or its window shrank."""
        return self._rest > 0 or self.window < min(INITIAL, self.limits.connections)

    def forgettable(self, now: float) -> bool:
        """Whether a new throttle would be as good as this one."""
        busy = self.in_flight or max(self._last + self._gap, self._turn) > now
        return not (busy or self.troubled or self._ends < math.inf)


def beyond(count: int, limits: Limits, day: date, used: int) -> int:
    """How many of `count` messages the cap of a day leaves for later.

    `used`: how many went to the destination on that day, before.
    """
    cap = limits.cap(day)
    return 0 if cap is None else count - min(count, max(0, cap - used))


def seconds_needed(
    counts: Mapping[str, int],
    limits: Mapping[str, Limits],
    today: Today,
    used: Callable[[str], int] = lambda _: 0,
) -> float:
    """The least time the limits leave for `counts` messages per destination, in seconds.

    `today` ends in as many seconds; `used` says how many went to a destination today,
    before.  0.0 when nothing limits the rate: then the server and the machine decide.
    """
    needed = []
    for name, count in counts.items():
        before = used(name) if limits[name].cap(today.day) is not None else 0
        needed.append(_needed(count, limits[name], today, before))
    return max(needed, default=0.0)


def _needed(count: int, limits: Limits, today: Today, used: int) -> float:
    gaps = count * limits.rate.gap
    days, day, left = 0, today.day, today.ends
    while later := beyond(count, limits, day, used):
        days += 1
        if limits.warmup is None and not used:
            days += (later - 1) // (count - later)
            break
        count, used, day = later, 0, day + timedelta(1)
    return max(gaps, left + (days - 1) * DAY) if days else gaps
