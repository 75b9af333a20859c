"""Whether a destination is alive.

Rule: this module is told the time (monotonic seconds) and never asks it.

Connections that do not come about say nothing of one message and much of the destination.
After as many in a row as its window holds (a failed cohort, README_FILES/SCHEDULER_README of
Postfix), and three at least, it is dead: nothing is tried for a minute.  Then one message goes
as a probe.  If that fails as well, the rest doubles, up to an hour; the first answer revives it.
"""

import math

COHORTS = 1.0  # failed cohorts, as Postfix's destination_concurrency_failed_cohort_limit
LEAST = 3  # failures; one broken connection must not end a destination with a window of one
FIRST_REST = 60.0  # seconds
LONGEST_REST = 3600.0


class Pulse:
    """What is known of one destination's life."""

    __slots__ = ("_cohorts", "_failures", "_rest", "until")

    def __init__(self) -> None:
        self.until = -math.inf  # when a dead destination is probed
        self._cohorts = 0.0
        self._failures = 0
        self._rest = 0.0

    @property
    def dead(self) -> bool:
        """Whether it has to prove itself: it rests, or is being probed."""
        return self._rest > 0

    def beat(self) -> bool:
        """It answered; says whether that revived it."""
        if not self._failures:
            return False
        revived = self.dead
        self._failures = 0
        self._cohorts = self._rest = 0.0
        self.until = -math.inf
        return revived

    def missed(self, window: int, now: float) -> None:
        """A connection did not come about, while `window` messages were allowed at once."""
        self._failures += 1
        self._cohorts += 1 / window
        if self.dead:
            if now >= self.until:  # the probe, and not one that began before
                self._lie_down(min(2 * self._rest, LONGEST_REST), now)
        elif self._cohorts >= COHORTS and self._failures >= LEAST:
            self._lie_down(FIRST_REST, now)

    def _lie_down(self, rest: float, now: float) -> None:
        self._rest = rest
        self.until = now + rest
