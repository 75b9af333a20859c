"""Which message goes next, and when a deferred one is tried again.

Rule: this module is told the time and never asks it.

Every destination has a lane: first in, first out.  How fast a lane may be used says its
`throttle`, whether the destination is there its `pulse`.  Lanes that have something to send
and room to send it stand in a heap by the time at which they may: the one that waited longest
goes first, so a large provider never starves a small one.  A lane whose window is full, which
is empty or which is paused stands nowhere until something changes.  Each step costs O(log lanes).
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from mailblast.campaign import Limits
from mailblast.pulse import Pulse
from mailblast.throttle import ENDLESS, Pace, Throttle, Today

Item = TypeVar("Item")

LOOKAHEAD = 2.0  # seconds of sending that a throttled lane keeps ready
MOST_READY = 300  # messages that an unthrottled lane keeps ready
MOST_PREFERRED = 20  # messages in a row that may go by an open connection, out of turn
MOST_LANES = 10_000  # that are kept, unless there is something to remember of more
SPREAD = 0.1  # of a pause before a retry, either way


class Heard(Enum):
    """What a destination let us know of itself."""

    ANSWER = "it answered, whatever it said"
    SILENCE = "no connection came about"
    SLOWER = "a reply asked for less"


class _Lane(Generic[Item]):
    __slots__ = ("name", "paused", "pulse", "throttle", "ticket", "waiting")

    def __init__(self, name: str, throttle: Throttle) -> None:
        self.name = name
        self.throttle = throttle
        self.pulse = Pulse()
        self.waiting: deque[Item] = deque()
        self.paused = False
        self.ticket = 0  # the number of its valid place in the heap

    @property
    def full(self) -> bool:
        return self.throttle.full or (self.pulse.dead and self.throttle.in_flight > 0)

    def not_before(self) -> float:
        return max(self.throttle.not_before(), self.pulse.until)


class Schedule(Generic[Item]):
    """Lanes of items, one a destination, under the limits of each.

    `limits_of` and `used` (how many messages went there today, before) are asked once, when
    the first item of a destination comes.
    """

    def __init__(
        self,
        limits_of: Callable[[str], Limits],
        today: Today = ENDLESS,
        used: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._limits_of = limits_of
        self._today = today
        self._used = used
        self._lanes: dict[str, _Lane[Item]] = {}
        self._heap: list[tuple[float, int, _Lane[Item]]] = []
        self._tickets = 0
        self._waiting = 0
        self._preferred = 0  # in a row
        self._keep = MOST_LANES
        self._now = -math.inf  # the time that was told last

    def __len__(self) -> int:
        """How many items wait."""
        return self._waiting

    def add(self, destination: str, item: Item) -> None:
        """Put an item at the end of its destination's lane."""
        lane = self._lane(destination)
        lane.waiting.append(item)
        self._waiting += 1
        self._place(lane)

    def next(self, now: float, prefer: str | None = None) -> tuple[str, Item] | None:
        """The next item that may go now, with its destination; None if none may.

        It counts as being on its way until `done` is called for its destination.  `prefer` is
        a destination to which the caller has a connection: it goes first if it may, but not
        for ever.
        """
        self._now = now
        if prefer is not None and self._preferred < MOST_PREFERRED:
            lane = self._lanes.get(prefer)
            if lane and lane.waiting and not self._held(lane) and lane.not_before() <= now:
                self._preferred += 1
                return self._begin(lane, now)
        self._preferred = 0
        while self._heap and self._heap[0][0] <= now:
            _, ticket, lane = heapq.heappop(self._heap)
            if ticket != lane.ticket:
                continue
            lane.ticket = 0
            if not lane.waiting or self._held(lane):
                continue
            if lane.not_before() > now:
                self._place(lane)
                continue
            got = self._begin(lane, now)
            self._place(lane)
            return got
        return None

    def _begin(self, lane: _Lane[Item], now: float) -> tuple[str, Item]:
        lane.throttle.begin(now)
        self._waiting -= 1
        return lane.name, lane.waiting.popleft()

    def wake(self) -> float | None:
        """When to ask `next` again, if nothing is added, done or heard before."""
        while self._heap and self._heap[0][1] != self._heap[0][2].ticket:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def turn(self, destination: str, now: float) -> float:
        """When an item that `next` gave out may be offered, on a line that is open `now`."""
        return self._lanes[destination].throttle.turn(now)

    def done(self, destination: str) -> None:
        """An item of this destination is settled."""
        lane = self._lanes[destination]
        lane.throttle.end()
        self._place(lane)

    def put_back(self, destination: str, item: Item) -> None:
        """An item that `next` gave out was not offered: it goes first the next time."""
        lane = self._lanes[destination]
        lane.waiting.appendleft(item)
        self._waiting += 1
        lane.throttle.put_back()
        self._place(lane)

    def most_carried(self, destination: str) -> int:
        """How many messages of this destination one connection may carry."""
        return self._lane(destination).throttle.limits.messages_per_connection

    def most_connections(self, destination: str) -> int:
        """How many connections this destination may have."""
        return self._lanes[destination].throttle.limits.connections

    def room(self, destination: str, now: float) -> int:
        """How many more items this destination can use soon; none while it rests."""
        lane = self._lane(destination)
        if lane.paused or lane.pulse.until > now + LOOKAHEAD:
            return -len(lane.waiting)
        most = 1 if lane.pulse.dead else MOST_READY
        return lane.throttle.appetite(LOOKAHEAD, most, now) - len(lane.waiting)

    # --- Rests -----------------------------------------------------------------------------

    def heard(self, destination: str, heard: Heard, now: float, rest: float = 0.0) -> float:
        """Take note of what a destination let us know; says when it may be used again.

        `rest` is how long, in seconds, it asks to be left alone when it says *slower*.
        """
        lane = self._lane(destination)
        if heard is Heard.SILENCE:
            lane.pulse.missed(lane.throttle.window, now)
            lane.throttle.unreachable()
            return self._until(lane)
        if revived := lane.pulse.beat():
            lane.throttle.revive()
        if heard is Heard.ANSWER:
            lane.throttle.answered()
        else:
            lane.throttle.slower(rest, now)
        if revived:
            self._place(lane, anew=True)
        return self._until(lane)

    def not_before(self, destination: str) -> float:
        """When this destination may be used again, infinity while it is paused."""
        return self._until(self._lane(destination))

    def dead_until(self, destination: str) -> float:
        """When a dead destination is probed; in the past where it is not dead."""
        return self._lane(destination).pulse.until

    def pause(self, destination: str) -> list[Item]:
        """Send nothing more there until `resume`; gives back what waits."""
        self._lane(destination).paused = True
        return self.drain(destination)

    def resume(self, destination: str) -> None:
        """Send there again."""
        lane = self._lane(destination)
        lane.paused = False
        self._place(lane)

    def drain(self, destination: str) -> list[Item]:
        """Give back what waits for a destination that will rest for long."""
        lane = self._lane(destination)
        waiting = list(lane.waiting)
        lane.waiting.clear()
        self._waiting -= len(waiting)
        return waiting

    def pace(self, destination: str) -> Pace:
        """What was learnt of a destination."""
        return self._lane(destination).throttle.pace()

    def recall(self, destination: str, pace: Pace) -> None:
        """Go on with what another process has learnt of a destination."""
        self._lane(destination).throttle.recall(pace)

    def spent(self, now: float) -> Iterator[tuple[str, float]]:
        """The destinations that have had what their day allows, each until when."""
        for lane in self._lanes.values():
            if until := lane.throttle.spent(now):
                yield lane.name, until

    # --- Lanes -----------------------------------------------------------------------------

    def _lane(self, destination: str) -> _Lane[Item]:
        lane = self._lanes.get(destination)
        if lane is None:
            if len(self._lanes) >= self._keep:
                self._forget()
            limits = self._limits_of(destination)
            self._today = self._today.at(self._now)
            throttle = Throttle(limits, self._today, self._used(destination))
            lane = self._lanes[destination] = _Lane(destination, throttle)
        return lane

    def _forget(self) -> None:
        """Let go of the lanes that a new one would be as good as.

        A list has as many domains as it likes; twice as many before the next time keeps the
        cost of a lane constant.
        """
        for name, lane in list(self._lanes.items()):
            spare = not (lane.waiting or lane.paused or lane.pulse.dead)
            if spare and lane.throttle.forgettable(self._now):
                del self._lanes[name]
        self._keep = max(MOST_LANES, 2 * len(self._lanes))

    def _held(self, lane: _Lane[Item]) -> bool:
        return lane.paused or lane.full

    def _until(self, lane: _Lane[Item]) -> float:
        return math.inf if lane.paused else lane.not_before()

    def _place(self, lane: _Lane[Item], *, anew: bool = False) -> None:
        if (lane.ticket and not anew) or not lane.waiting or self._held(lane):
            return
        self._tickets += 1  # ties in the heap are broken by age, and lanes have no order
        lane.ticket = self._tickets
        # Not before now: a lane that is new or was full must not pass those that wait.
        at = max(lane.not_before(), self._now)
        heapq.heappush(self._heap, (at, self._tickets, lane))


def next_attempt(
    now: float,
    deferrals: int,
    first: float,
    retry: tuple[float, ...],
    give_up_after: float,
    *,
    delivery: int = 0,
) -> float | None:
    """When a delivery deferred at `now` is tried again, or None when it has expired.

    `deferrals` is how often it was put off before, `first` the moment of its first claim;
    `retry` are the pauses in seconds, of which the last repeats; all times in seconds since
    1970.  Each pause is up to a tenth shorter or longer, so that what was put off together
    does not come back together; how much follows from the `delivery` and not from chance.
    The last try is at the deadline itself, so that `give_up_after` is used to the full
    (RFC 5321 §4.5.4.1).
    """
    deadline = first + give_up_after
    if now >= deadline:
        return None
    pause = retry[min(deferrals, len(retry) - 1)] * _spread(delivery, deferrals)
    return min(now + pause, deadline)


def _spread(delivery: int, deferrals: int) -> float:
    """A factor from 0.9 to 1.1.

    Multiples of the golden ratio lie as evenly between two whole numbers as can be
    (Knuth, The Art of Computer Programming, §6.4), also for the neighbours in a list.
    """
    part = (delivery * 0.6180339887498949 + deferrals * 0.41421356237309515) % 1
    return 1 - SPREAD + 2 * SPREAD * part
