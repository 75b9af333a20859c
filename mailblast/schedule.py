"""Which message goes next, and when a deferred one is tried again.

Rule: this module is told the time and never asks it.

Every destination has a lane: first in, first out.  Lanes that may send now stand in a ring
and take turns, so a large provider never starves a small one; lanes whose rate says *later*
stand in a heap by time; lanes with their window full or nothing to send stand nowhere until
a message is done or added.  Each step costs O(log lanes).
"""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from mailblast.campaign import Limits
from mailblast.throttle import Throttle

Item = TypeVar("Item")

LOOKAHEAD = 2.0  # seconds of sending that a throttled lane keeps ready
MOST_READY = 300  # messages that an unthrottled lane keeps ready


class _Lane(Generic[Item]):
    __slots__ = ("name", "placed", "throttle", "waiting")

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.throttle = Throttle(limits)
        self.waiting: deque[Item] = deque()
        self.placed = False  # whether it stands in the ring or the heap


class Schedule(Generic[Item]):
    """Lanes of items, one a destination, under the limits of each."""

    def __init__(self, limits_of: Callable[[str], Limits]) -> None:
        self._limits_of = limits_of
        self._lanes: dict[str, _Lane[Item]] = {}
        self._ring: deque[_Lane[Item]] = deque()
        self._later: list[tuple[float, int, _Lane[Item]]] = []
        self._serial = 0
        self._waiting = 0

    def __len__(self) -> int:
        """How many items wait."""
        return self._waiting

    def add(self, destination: str, item: Item) -> None:
        """Put an item at the end of its destination's lane."""
        lane = self._lane(destination)
        lane.waiting.append(item)
        self._waiting += 1
        self._place(lane)

    def next(self, now: float) -> tuple[str, Item] | None:
        """The next item that may go now, with its destination; None if none may.

        It counts as being on its way until `done` is called for its destination.
        """
        while self._later and self._later[0][0] <= now:
            self._ring.append(heapq.heappop(self._later)[2])
        while self._ring:
            lane = self._ring.popleft()
            lane.placed = False
            if lane.throttle.full or not lane.waiting:
                continue
            if lane.throttle.not_before() > now:
                self._place(lane)
                continue
            lane.throttle.begin(now)
            item = lane.waiting.popleft()
            self._waiting -= 1
            self._place(lane)
            return lane.name, item
        return None

    def wake(self) -> float | None:
        """When to ask `next` again, if nothing is added or done before."""
        return self._later[0][0] if self._later else None

    def done(self, destination: str) -> None:
        """An item of this destination is settled."""
        lane = self._lanes[destination]
        lane.throttle.end()
        self._place(lane)

    def put_back(self, destination: str, item: Item) -> None:
        """An item that `next` gave out was not offered: it goes first the next time."""
        self._lanes[destination].waiting.appendleft(item)
        self._waiting += 1
        self.done(destination)

    def most_carried(self, destination: str) -> int:
        """How many messages of this destination one connection may carry."""
        return self._lanes[destination].throttle.limits.messages_per_connection

    def most_connections(self, destination: str) -> int:
        """How many connections this destination may have."""
        return self._lanes[destination].throttle.limits.connections

    def room(self, destination: str) -> int:
        """How many more items this destination can use soon."""
        lane = self._lane(destination)
        return lane.throttle.appetite(LOOKAHEAD, MOST_READY) - len(lane.waiting)

    def _lane(self, destination: str) -> _Lane[Item]:
        if destination not in self._lanes:
            self._lanes[destination] = _Lane(destination, self._limits_of(destination))
        return self._lanes[destination]

    def _place(self, lane: _Lane[Item]) -> None:
        if lane.placed or not lane.waiting or lane.throttle.full:
            return
        lane.placed = True
        self._serial += 1  # ties in the heap are broken by age, and lanes have no order
        heapq.heappush(self._later, (lane.throttle.not_before(), self._serial, lane))


def next_attempt(
    now: float, deferrals: int, first: float, retry: tuple[float, ...], give_up_after: float
) -> float | None:
    """When a delivery deferred at `now` is tried again, or None when it has expired.

    `deferrals` is how often it was put off before, `first` the moment of its first claim;
    `retry` are the pauses in seconds, of which the last repeats; all times in seconds since
    1970.  The last try is at the deadline itself, so that `give_up_after` is used to the full
    (RFC 5321 §4.5.4.1).
    """
    deadline = first + give_up_after
    if now >= deadline:
        return None
    pause = retry[min(deferrals, len(retry) - 1)]
    return min(now + pause, deadline)
