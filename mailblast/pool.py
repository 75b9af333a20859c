"""Who composes: worker processes, one a core, or this process for a small run.

Composing and signing are pure functions, so the only thing to share is what they are built
from (`Workbench`).  Rendering runs within bounds of memory and time, because Jinja2's sandbox
has neither: a template that makes a gigabyte, or never ends, is an error and not an outage.
"""

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection
from types import FrameType
from typing import TypeVar

from mailblast.campaign import Campaign
from mailblast.compose import Composer, Due, Message
from mailblast.errors import Refusal, UserError
from mailblast.recipients import Columns
from mailblast.signing import Signer
from mailblast.tag import Keyring
from mailblast.template import TemplateError

T = TypeVar("T")

# A worker takes about half a second to start and its 60 MB; below this it does not pay.
SMALL = 500

SECONDS = 10.0  # of processor time for one batch; a batch of 50 takes some 30 ms
MEMORY = 1 << 30  # bytes above what the process holds already


@dataclass(frozen=True, slots=True)
class Workbench:
    """All that composing needs: the campaign with its files, the list's columns, the keys."""

    campaign: Campaign
    columns: Columns
    run: str
    keyring: Keyring
    dkim_key: bytes | None  # PEM

    def composer(self) -> Composer:
        """A composer; raises TemplateError when the campaign's own files are at fault."""
        dkim = self.campaign.dkim
        signer = (
            Signer(self.dkim_key, dkim.domain, dkim.selector, dkim.algorithm)
            if dkim and self.dkim_key
            else None
        )
        with bounded():
            return Composer(self.campaign, self.columns, self.run, self.keyring, signer)


class Pool:
    """Composes batches, here or in worker processes."""

    def __init__(self, workbench: Workbench, workers: int) -> None:
        """`workers` is the number of processes; 0 composes in this one."""
        self._here = workbench.composer()  # also: the template's faults show at once
        self._processes = (
            ProcessPoolExecutor(
                workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(workbench,),
            )
            if workers
            else None
        )

    async def compose(self, batch: Sequence[Due]) -> list[Message | Refusal]:
        """The messages of a batch, in its order; a row that cannot be mailed is a Refusal.

        Raises TemplateError when the template is at fault.
        """
        return await self._run(compose, batch)

    async def check(self, batch: Sequence[Due]) -> list[Refusal | None]:
        """Render each row and write its message, but sign nothing: what would go wrong?

        Raises TemplateError when the template is at fault.
        """
        return await self._run(check, batch)

    async def _run(
        self, work: Callable[[Composer, Sequence[Due]], T], batch: Sequence[Due]
    ) -> T:
        if self._processes is None:
            return work(self._here, batch)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._processes, _work, work, batch)
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process ended while it composed messages",
                "most likely the machine has too little memory",
            ) from error

    def close(self) -> None:
        """End the workers."""
        if self._processes is not None:
            self._processes.shutdown(cancel_futures=True)


def compose(composer: Composer, batch: Sequence[Due]) -> list[Message | Refusal]:
    """Compose and sign a batch within the bounds of memory and time."""
    with bounded():
        return [composer.compose(due) for due in batch]


def check(composer: Composer, batch: Sequence[Due]) -> list[Refusal | None]:
    """Compose a batch without signing it, within the bounds."""
    with bounded():
        return [composer.check(due) for due in batch]


@contextmanager
def bounded() -> Iterator[None]:
    """Run within SECONDS and MEMORY; beyond them, TemplateError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, hard))
    before = signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    except (MemoryError, _TooLong) as error:
        what = "memory" if isinstance(error, MemoryError) else "time"
        raise TemplateError(
            f"rendering the templates takes too much {what}",
            "look for a loop or a repetition that grows",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _TooLong(BaseException):
    """Raised by the timer; no handler of a template or a library takes it for its own."""


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise _TooLong


def _address_space() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read once a batch
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux: RLIMIT_AS is not enforced there anyway
        return 1 << 40


# --- In the worker ------------------------------------------------------------------------

_workbench: Workbench | None = None


def _begin(workbench: Workbench) -> None:
    global _workbench
    _workbench = workbench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # After a kill -9 nobody tells the workers; without this they would stay for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@cache
def _composer() -> Composer:
    assert _workbench is not None  # noqa: S101 - `_begin` ran before any work
    return _workbench.composer()


def _work(work: Callable[[Composer, Sequence[Due]], T], batch: Sequence[Due]) -> T:
    return work(_composer(), batch)
