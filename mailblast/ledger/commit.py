"""Group commit: many events, one transaction, durable before anyone is told.

Rule: a message's final dot waits for its `attempted`.  A commit to disk takes as long for a
hundred events as for one, so whatever comes in while one commit runs goes into the next.
When a commit fails nothing more may leave: every later call raises the same error.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mailblast.errors import LedgerError
from mailblast.event import Event
from mailblast.ledger.deliveries import Deliveries
from mailblast.suppression import Entry

# Seconds that a commit waits for company.  Next to the round trips of one message it is
# nothing, and a transaction for ten events costs hardly more than one for a single event.
GATHER = 0.002

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    event: Event
    entry: Entry | None = None
    future: asyncio.Future[bool] | None = None


class GroupCommit:
    """The one writer of a run's events."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        # One thread: SQLite writes one after the other anyway, and the order of events holds.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self.error: LedgerError | None = None
        self.on_error: Callable[[], None] = lambda: None

    async def durable(self, event: Event) -> bool:
        """Record an event; True when it is on the disk, False when the claim has passed on.

        Raises LedgerError when it cannot be recorded.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._add(_Waiting(event, future=future))
        return await future

    def note(self, event: Event, entry: Entry | None = None) -> None:
        """Record an event soon, with the suppression it causes.

        An error shows at the next `durable` or at `close`.
        """
        self._add(_Waiting(event, entry))

    def _add(self, waiting: _Waiting) -> None:
        if self.error:
            raise self.error
        self._waiting.append(waiting)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._commit_all())

    async def _commit_all(self) -> None:
        while self._waiting and self.error is None:
            if not self._closing:
                await asyncio.sleep(GATHER)
            batch, self._waiting = self._waiting, []
            try:
                stale = await self.in_thread(partial(self._write, batch))
            except LedgerError as error:
                self._fail(batch, error)
            else:
                for one in batch:
                    if one.future is not None and not one.future.done():
                        one.future.set_result(one.event not in stale)
        self._running = None

    def _write(self, batch: Sequence[_Waiting]) -> list[Event]:
        entries = [one.entry for one in batch if one.entry is not None]
        return self._deliveries.record([one.event for one in batch], entries)

    def _fail(self, batch: Sequence[_Waiting], error: LedgerError) -> None:
        self.error = error
        for one in [*batch, *self._waiting]:
            if one.future is not None and not one.future.done():
                one.future.set_exception(error)
        self._waiting = []
        self.on_error()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run another short call of the ledger in the writer's thread, in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Wait until everything is on the disk.  Raises LedgerError if something is not."""
        self._closing = True
        if self._running is not None:
            await self._running
        self._thread.shutdown()
        if self.error:
            raise self.error
