"""How long a campaign will take, by the very schedule that sends.

Rule: no clock here; times are seconds from the beginning.

The schedule is run in virtual time with the limits, the warm-up and what was learnt.  Millions
of single steps would take minutes, so a parcel of messages goes as one: it takes as long as all
of them, leaves as long a gap behind it and uses up as much of the day.  Where a parcel is one
message, and for small campaigns it always is, each step is that of `send`.  Everybody is taken
to accept at the first attempt.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from math import inf

from mailblast.campaign import Limits, Rate
from mailblast.schedule import Heard, Schedule
from mailblast.throttle import DAY, Pace, Today

STEPS = 200_000  # parcels of a campaign, if nothing asks for smaller ones
OF_A_LANE = 20  # parcels of a destination, if there are not too many destinations
MOST = 500_000  # parcels that come of that
OF_A_DAY = 100  # parcels that a day's cap allows, at least
HORIZON = 400  # days; what then is not sent yet is not looked at any more


class Binding(StrEnum):
    """What a destination's mail waits for."""

    RATE = "rate"
    CAP = "cap"  # of a day
    WARMUP = "warmup"
    CONNECTIONS = "connections"  # to this destination
    ALL_CONNECTIONS = "connections in all"
    MACHINE = "machine"  # composing and signing


@dataclass(frozen=True, slots=True)
class Load:
    """What is to go to one destination.

    `used`: how many went there today, before; `pace`: what was learnt, its `until` in seconds
    from the beginning; `seconds`: how long a message takes on a connection.
    """

    destination: str
    messages: int
    limits: Limits
    used: int = 0
    pace: Pace | None = None
    seconds: float = 0.3


@dataclass(frozen=True, slots=True)
class Means:
    """With what it is sent: connections in all, and messages a second that can be composed."""

    connections: int
    speed: float = inf


@dataclass(frozen=True, slots=True)
class Lane:
    """One destination's part: `begins` and `ends` in seconds, `left` are not sent within
    HORIZON days."""

    load: Load
    begins: float
    ends: float
    left: int
    binding: Binding


@dataclass(frozen=True, slots=True)
class Forecast:
    """All of it; the lanes in the order in which they end, the last one first.

    `days` are the messages of each calendar day (UTC).
    """

    lanes: tuple[Lane, ...]
    days: Mapping[date, int] = field(default_factory=dict)

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return sum(lane.load.messages for lane in self.lanes)

    @property
    def seconds(self) -> float:
        """From the beginning to the end of the last lane."""
        return self.lanes[0].ends if self.lanes else 0.0

    @property
    def left(self) -> int:
        """How many are not sent within HORIZON days."""
        return sum(lane.left for lane in self.lanes)


def forecast(loads: Sequence[Load], means: Means, today: Today) -> Forecast:
    """Send all this in virtual time; `today` ends in as many seconds from the beginning.

    `loads` have a destination each, and at least one message.
    """
    simulation = _Simulation(loads, means, today)
    simulation.run()
    lanes = (simulation.lane(load) for load in loads)
    order = sorted(lanes, key=lambda lane: (-lane.left, -lane.ends, lane.load.destination))
    return Forecast(tuple(order), dict(sorted(simulation.days.items())))


class _Simulation:
    """Workers, a connection each, take from the schedule as those of `send` do."""

    def __init__(self, loads: Sequence[Load], means: Means, today: Today) -> None:
        self._means, self._today = means, today
        self._loads = {load.destination: load for load in loads}
        most = max(1, sum(load.messages for load in loads) // STEPS)
        least = max(1, min(OF_A_LANE, MOST // max(1, len(loads))))
        self._parcel = {
            load.destination: _parcel(load, most, least, today.day) for load in loads
        }
        self._schedule: Schedule[int] = Schedule(self._limits, today, self._used)
        self._beyond = {load.destination: _beyond(load, today.day) for load in loads}
        everything = sum(load.messages for load in loads)
        busy = sum(load.messages * load.seconds for load in loads)
        # What all of them share would take so long by itself.
        self._shared = {
            Binding.ALL_CONNECTIONS: busy / means.connections,
            Binding.MACHINE: everything / means.speed,
        }
        self._begins: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        self.days: Counter[date] = Counter()
        for load in loads:
            self._enter(load)

    def _enter(self, load: Load) -> None:
        size = self._parcel[load.destination]
        whole, rest = divmod(load.messages - self._beyond[load.destination], size)
        for messages in [size] * whole + [rest] * bool(rest):
            self._schedule.add(load.destination, messages)
        if load.pace is not None:
            self._schedule.recall(load.destination, load.pace)

    def _limits(self, destination: str) -> Limits:
        """Those of a destination whose messages are parcels."""
        limits, size = self._loads[destination].limits, self._parcel[destination]
        cap, warmup = limits.rate.per_day, limits.warmup
        return replace(
            limits,
            rate=Rate(limits.rate.gap * size, None if cap is None else max(1, cap // size)),
            warmup=warmup and replace(warmup, start=max(1, warmup.start // size)),
        )

    def _used(self, destination: str) -> int:
        return self._loads[destination].used // self._parcel[destination]

    def run(self) -> None:
        """Until everything is sent, or the horizon is reached."""
        now = composed = 0.0
        flying: list[tuple[float, int, str, int]] = []  # when each is answered
        free, number = self._means.connections, 0
        while now < HORIZON * DAY:
            if free and now >= composed and (got := self._schedule.next(now)):
                destination, messages = got
                number, free = number + 1, free - 1
                composed = max(composed, now) + messages / self._means.speed
                takes = self._loads[destination].seconds * messages
                heapq.heappush(flying, (now + takes, number, destination, messages))
                self._begins.setdefault(destination, now)
                self.days[self._today.at(now).day] += messages
                continue
            wake = self._schedule.wake() if free else None
            times = [max(wake, composed)] if wake is not None else []
            if flying:
                times.append(flying[0][0])
            if not times:
                return
            now = max(now, min(times))
            while flying and flying[0][0] <= now:
                ended, _, destination, messages = heapq.heappop(flying)
                free += 1
                self._ends[destination] = ended
                self._answered(destination, messages, now)

    def _answered(self, destination: str, messages: int, now: float) -> None:
        self._schedule.done(destination)
        most = self._loads[destination].limits.connections
        window = self._schedule.pace(destination).window
        while messages > 0 and window < most:
            # A whole window of answers lets it grow by one, if it is in use.
            for _ in range(min(messages, window)):
                self._schedule.heard(destination, Heard.ANSWER, now)
            messages -= window
            before, window = window, self._schedule.pace(destination).window
            if window == before:
                return

    def lane(self, load: Load) -> Lane:
        """How it went with one destination."""
        name, far = load.destination, HORIZON * DAY
        return Lane(
            load,
            self._begins.get(name, far),
            self._ends.get(name, far),
            self._beyond[name],
            self._binding(load),
        )

    def _binding(self, load: Load) -> Binding:
        """Which limit alone would take longest; of several alike, the first."""
        limits, ends = load.limits, self._ends.get(load.destination, inf)
        alone = {
            Binding.RATE: load.messages * limits.rate.gap,
            Binding.CONNECTIONS: load.messages * load.seconds / limits.connections,
            **self._shared,
        }
        most = max(alone, key=lambda one: alone[one])
        capped = limits.cap(self._today.day) is not None and ends > self._today.ends
        if capped and ends > 1.1 * alone[most]:
            return Binding.WARMUP if limits.warmup else Binding.CAP
        return most


def _parcel(load: Load, most: int, least: int, day: date) -> int:
    """How many messages of a destination go as one: at most so many, and in so many parcels at
    least."""
    caps = [cap for cap in _caps(load.limits, day) if cap is not None]
    by_day = min(caps, default=inf) // OF_A_DAY
    return int(max(1, min(most, load.messages // least, by_day)))


def _caps(limits: Limits, day: date) -> Iterator[int | None]:
    """The caps of all days up to the horizon; of one, where they are all the same."""
    for number in range(HORIZON if limits.warmup else 1):
        yield limits.cap(day + timedelta(number))


def _beyond(load: Load, day: date) -> int:
    """How many the caps of all these days leave over."""
    room = -load.used
    caps = list(_caps(load.limits, day))
    for cap in caps if load.limits.warmup else caps * HORIZON:
        if cap is None:
            return 0
        room += cap
    return max(0, load.messages - max(0, room))
