"""How fast one destination may be sent to.

Rule: this module is told the time (monotonic seconds) and never asks it.

Two limits, both exact for the whole process: how many messages are on their way at once
(connections), and how long it is from one to the next (the rate).  The gap is counted from
the last message that really went, not from its place in an ideal timetable: after a pause
nothing is caught up, so no window of time ever sees more than the rate allows.
"""

from mailblast.campaign import Limits


class Throttle:
    """The limits of one destination and how much of them is used."""

    __slots__ = ("_gap", "_last", "in_flight", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0
        self._gap = 1 / limits.rate if limits.rate else 0.0
        self._last = float("-inf")

    @property
    def full(self) -> bool:
        """Whether as many messages are on their way as may be."""
        return self.in_flight >= self.limits.connections

    def not_before(self) -> float:
        """When the rate admits the next message."""
        return self._last + self._gap

    def begin(self, now: float) -> None:
        """One more message goes; the caller has asked `full` and `not_before`."""
        self.in_flight += 1
        self._last = now

    def end(self) -> None:
        """One message is settled, however."""
        self.in_flight -= 1

    def appetite(self, seconds: float, most: int) -> int:
        """How many messages it is worth having ready for the next `seconds`."""
        if not self._gap:
            return most
        return min(most, 1 + int(seconds / self._gap))


def seconds_needed(counts: dict[str, int], limits: dict[str, Limits]) -> float:
    """The least time the rates leave for `counts` messages per destination, in seconds.

    0.0 when nothing limits the rate: then the server and the machine decide.
    """
    return max(
        (count / rate for name, count in counts.items() if (rate := limits[name].rate)),
        default=0.0,
    )
