"""Reading what came back: here, or in worker processes when it is much.

To read a mail takes five times as long as all that is then done with it, and needs nothing
but its bytes.  So batches of mails go to processes of their own, one a core, and what was
read comes back in the order of the mails.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from multiprocessing.connection import Connection
from queue import SimpleQueue

from mailblast.errors import UserError
from mailblast.tie import Read, read


def read_all(batches: Iterator[Sequence[bytes]]) -> Generator[list[Read], None, None]:
    """Read every mail of every batch, batch by batch, in their order.

    At most two batches a core are on their way.  Close it, and the workers end.  Raises
    UserError when one of them ends by itself.
    """
    first = list(islice(batches, 2))
    if len(first) < 2:  # for one batch workers do not pay
        yield from (list(map(read, batch)) for batch in first)
    else:
        yield from _by_workers(chain(first, batches))


def _by_workers(batches: Iterator[Sequence[bytes]]) -> Iterator[list[Read]]:
    cores = len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        # A thread waits for each worker; which of them is idle the queue knows.
        threads = stack.enter_context(ThreadPoolExecutor(cores))
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(cores):
            idle.put(stack.enter_context(_Worker()))
        asked: deque[Future[list[Read]]] = deque()
        stack.callback(_forget, asked)
        for batch in batches:
            asked.append(threads.submit(_ask, idle, batch))
            if len(asked) > 2 * cores:
                yield asked.popleft().result()
        while asked:
            yield asked.popleft().result()


def _ask(idle: "SimpleQueue[_Worker]", batch: Sequence[bytes]) -> list[Read]:
    worker = idle.get()
    try:
        return worker.read(batch)
    finally:
        idle.put(worker)


def _forget(asked: "deque[Future[list[Read]]]") -> None:
    """What was not begun yet is not read any more: somebody has pressed Ctrl-C."""
    for one in asked:
        one.cancel()


class _Worker:
    """Our end of a process that reads; it ends with us, however we end."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        number = theirs.fileno()
        # -P: a module that lies in the user's directory is not taken for one of ours.
        program = f"from mailblast.reading import serve; serve({number})"
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-P", "-c", program], pass_fds=[number]
        )
        theirs.close()
        self._wire = Connection(ours.detach())

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it holds nothing that could be lost
        self._process.wait()
        self._wire.close()

    def read(self, batch: Sequence[bytes]) -> list[Read]:
        try:
            self._wire.send(batch)
            found: list[Read] = self._wire.recv()
        except (EOFError, OSError) as error:
            raise UserError(
                "a worker process ended while it read mail",
                "most likely the machine has too little memory; run the same command again",
            ) from error
        return found


def serve(number: int) -> None:
    """Be a worker, on this socket, until the other end closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    gc.freeze()  # what is loaded stays, and a mail that was read leaves no cycles behind
    gc.set_threshold(50_000)
    with Connection(number) as wire:
        while True:
            try:
                batch = wire.recv()
                wire.send(list(map(read, batch)))
            except (EOFError, OSError):
                os._exit(0)  # the parent has ended, or was killed: so do we, at once
