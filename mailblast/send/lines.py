"""The lines that are open: which way each leads, and whether somebody has it.

Rule: there are never more lines than the run may have, and never more to one destination
than its limit, those that rest included: to the other side a connection is a connection.
A line carries one message at a time.
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from mailblast.destination import Carrier, Line, Route

LENT = 0.05  # seconds from one look to the next while all lines are lent
IDLE = 5.0  # seconds without work after which a line is given back


@dataclass(slots=True, eq=False)
class Opened:
    """A line, the route it was lent for last, and what it has carried for each destination."""

    line: Line
    route: Route
    carried: Counter[str] = field(default_factory=Counter)
    used: float = 0.0  # when it carried its last message, monotonic

    @property
    def fresh(self) -> bool:
        """Whether it has carried nothing yet."""
        return not self.carried


class Lines:
    """Opens lines, lends them, and takes leave of those that nobody needs."""

    def __init__(self, carrier: Carrier, most: int) -> None:
        self._carrier = carrier
        self._most = most
        self._open = 0  # lent, resting, or being opened
        self._to: Counter[str] = Counter()  # the same for each destination
        self._resting: dict[str, deque[Opened]] = {}  # by way; the last used last
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are open."""
        return self._open

    async def take(self, route: Route, limit: int) -> Opened:
        """A line for this route: one that rests, or a new one.  Raises ConnectionFailed.

        `limit` is how many there may be to its destination; whoever asks counts those that
        carry a message, so that one that rests can always make room.  So a line belongs to
        the destination that it was lent for last, whatever it was opened for: else those of
        one could all be lent to another, and there would be nothing to wait for.
        """
        resting = self._resting.get(route.way)
        while resting:
            opened = resting.pop()
            if opened.line.usable:
                self._count(opened.route, -1)
                opened.route = route
                self._count(route, 1)
                return opened
            self._leave(opened)
        return await self.open(route, limit)

    async def open(self, route: Route, limit: int) -> Opened:
        """A new line for this route.  Raises ConnectionFailed."""
        while (full := self._to[route.destination] >= limit) or self._open >= self._most:
            await self._make_room(route.destination if full else None)
        self._count(route, 1)
        try:
            return Opened(await self._carrier.open(route), route)
        except BaseException:
            self._count(route, -1)
            raise

    def give(self, opened: Opened, destination: str, most_carried: int) -> None:
        """Take a line back that carried a message for this destination.

        One that has carried as many as it may, or that broke, is left.
        """
        opened.carried[destination] += 1
        if opened.carried[destination] >= most_carried or not opened.line.usable:
            self._leave(opened)
            return
        self.rest(opened)

    def rest(self, opened: Opened) -> None:
        """Take a line back that carried nothing."""
        opened.used = time.monotonic()
        self._resting.setdefault(opened.route.way, deque()).append(opened)

    def sweep(self) -> None:
        """Take leave of the lines that have rested for too long."""
        before = time.monotonic() - IDLE
        for way, resting in list(self._resting.items()):
            while resting and resting[0].used < before:
                self._leave(resting.popleft())
            if not resting:
                del self._resting[way]

    async def close(self) -> None:
        """Take leave of all lines that rest, and wait until they are closed."""
        for resting in self._resting.values():
            while resting:
                self._leave(resting.pop())
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _make_room(self, destination: str | None) -> None:
        """Leave the line that has rested longest, to this destination or of all."""
        resting = [
            opened
            for some in self._resting.values()
            for opened in some
            if destination in (None, opened.route.destination)
        ]
        if resting:
            oldest = min(resting, key=lambda opened: opened.used)
            self._resting[oldest.route.way].remove(oldest)
            self._leave(oldest)
        if self._leaving:
            await asyncio.wait(self._leaving, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(LENT)

    def _leave(self, opened: Opened) -> None:
        task = asyncio.get_running_loop().create_task(self._quit(opened))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _quit(self, opened: Opened) -> None:
        try:
            await opened.line.quit()
        finally:
            self._count(opened.route, -1)

    def _count(self, route: Route, change: int) -> None:
        self._open += change
        self._to[route.destination] += change
        if not self._to[route.destination]:
            del self._to[route.destination]
