"""Group commit: many events, one transaction, durable before anyone is told.

Rule: a message's final dot waits for its `attempted`, and the transaction that makes it
durable looks first whether the recipient has opted out meanwhile.  A commit to disk takes as
long for a hundred events as for one, so whatever comes in while one commit runs goes into
the next.  When a commit fails nothing more may leave: every later call raises the same error.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from mailblast.campaign import Policy
from mailblast.errors import LedgerError
from mailblast.event import Event
from mailblast.ledger.database import Database
from mailblast.ledger.history import judge
from mailblast.ledger.recording import record
from mailblast.ledger.suppressions import Watch

# Seconds that a commit waits for company: as long as it takes the other sessions whose
# replies came in the same moment to get here.  With a longer wait fewer messages go out.
GATHER = 0.001

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Struck:
    """Why a final dot must not go out: the entry's reason in the suppression list."""

    reason: str


@dataclass(slots=True, eq=False)
class _Waiting:
    event: Event
    future: asyncio.Future[bool | Struck] | None = None
    keys: Callable[[], Sequence[str]] = tuple


Fates = dict[_Waiting, bool | Struck]


class GroupCommit:
    """The one writer of a run's events.

    `watch` sees who opts out meanwhile; `policy` says who is suppressed for what happens.
    """

    def __init__(self, database: Database, watch: Watch, policy: Policy) -> None:
        self.watch = watch
        self._policy = policy
        self._database = database
        # One thread: SQLite writes one after the other anyway, and the order of events holds.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self.error: LedgerError | None = None
        self.on_error: Callable[[], None] = lambda: None

    async def durable(
        self, event: Event, keys: Callable[[], Sequence[str]] = tuple
    ) -> bool | Struck:
        """Record an event; True when it is on the disk, False when the claim has passed on.

        `keys` are those under which the recipient may be suppressed: if they are by now,
        nothing is recorded, and `Struck` says why.  Raises LedgerError when it cannot be
        recorded.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool | Struck] = loop.create_future()
        self._add(_Waiting(event, future=future, keys=keys))
        return await future

    def note(self, event: Event) -> None:
        """Record an event soon, with the suppression that it may cause.

        An error shows at the next `durable` or at `close`.
        """
        self._add(_Waiting(event))

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
                fates = self._write_now(batch)
                if fates is None:
                    fates = await self.in_thread(partial(self._write, batch))
            except LedgerError as error:
                self._fail(batch, error)
            else:
                for one in batch:
                    if one.future is not None and not one.future.done():
                        one.future.set_result(fates.get(one, True))
        self._running = None

    def _write_now(self, batch: Sequence[_Waiting]) -> Fates | None:
        """Record a batch here; None if somebody else is writing and it would have to wait.

        A hand-over to the thread and back, and the struggle for the interpreter between the
        two, take longer than the commit; meanwhile most sessions wait for it anyhow.
        """
        with self._database.writing_now() as connection:
            return None if connection is None else self._record(connection, batch)

    def _write(self, batch: Sequence[_Waiting]) -> Fates:
        with self._database.writing() as connection:
            return self._record(connection, batch)

    def _record(self, connection: Connection, batch: Sequence[_Waiting]) -> Fates:
        """Record a batch; gives the fate of those that were not recorded."""
        fates = self._struck(connection, batch)
        facts = [one.event for one in batch if one not in fates]
        stale = record(connection, facts)
        if stale:
            fates.update((one, False) for one in batch if one.event in stale)
        judge(connection, facts, self._policy, batch[0].event.at, "send")
        return fates

    def _struck(self, connection: Connection, batch: Sequence[_Waiting]) -> Fates:
        if not self.watch.look(connection):
            return {}
        found = [(one, self.watch.among(one.keys)) for one in batch if one.future]
        return {one: Struck(reason) for one, reason in found if reason is not None}

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
