"""One worker process: a program of its own at the other end of a socket.

What goes over is framed: four bytes of length, then a pickle.  Both ends are this program,
and nobody else has the socket.  Why not `concurrent.futures`: its two threads and four pipes
take as long over a message as composing it does, and they share the interpreter with the
sessions and the ledger.
"""

import asyncio
import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from mailblast.compose import Composer, Message
from mailblast.due import Due
from mailblast.errors import MailblastError, UserError
from mailblast.pool.workbench import Workbench, check, compose

_LENGTH = 4
_WORK: dict[str, Callable[[Composer, Sequence[Due]], Sequence[object]]] = {
    "compose": compose,
    "check": check,
}
BEHIND = 10  # niceness: a session that waits for the processor keeps a server waiting
_BUFFER = 1 << 20  # bytes on the way: a batch of messages in one piece, and not in ten
# What a batch takes is kept for the next one.  Else glibc gives it back to the system each
# time, and getting it again, page by page, takes 8 % of composing.
_KEEP = {"MALLOC_TRIM_THRESHOLD_": "33554432", "MALLOC_MMAP_THRESHOLD_": "33554432"}


class Worker:
    """Our end."""

    def __init__(self, workbench: Workbench) -> None:
        """Start the process."""
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        number = theirs.fileno()
        # -P: a module that lies in the user's directory is not taken for one of ours.
        program = f"from mailblast.pool.worker import serve; serve({number})"
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-P", "-c", program],
            pass_fds=[number],
            env={**os.environ, **_KEEP},
        )
        theirs.close()
        self._first = _framed(workbench)
        self._wire: _Wire | None = None

    @property
    def busy(self) -> int:
        """How many batches it has before it."""
        return len(self._wire.awaited) if self._wire else 0

    async def do(self, work: str, batch: Sequence[Due]) -> Any:
        """Have a batch composed, or checked.

        Raises what composing it raises, and UserError when the process has ended.
        """
        if self._wire is None:
            self._wire = _Wire(self._first, self._no_wire)
            self._first = b""
            loop = asyncio.get_running_loop()
            wire, dup = self._wire, self._socket.dup()
            answer = wire.ask(_framed((work, list(map(tuple, batch)))))
            await loop.create_unix_connection(lambda: wire, sock=dup)
        else:
            answer = self._wire.ask(_framed((work, list(map(tuple, batch)))))
        return await answer

    def _no_wire(self) -> None:
        self._wire = None

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()  # it holds nothing that could be lost
        self._process.wait()


class _Wire(asyncio.BufferedProtocol):
    """The way to the worker while answers are awaited; then the loop has nothing to keep.

    The rows are tried out in one loop and sent in another.
    """

    def __init__(self, first: bytes, on_end: Callable[[], None]) -> None:
        self.awaited: deque[asyncio.Future[Any]] = deque()
        self._unsent = first
        self._on_end = on_end
        self._room = bytearray(_BUFFER)
        self._came = 0  # bytes in it
        self._transport: asyncio.WriteTransport | None = None

    def ask(self, frame: bytes) -> asyncio.Future[Any]:
        """Send a frame; the answer comes in its turn."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.awaited.append(answer)
        if self._transport is None:
            self._unsent += frame
        else:
            self._transport.write(frame)
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(self._unsent)
        self._unsent = b""

    def get_buffer(self, _sizehint: int) -> memoryview:
        return memoryview(self._room)[self._came :]

    def buffer_updated(self, nbytes: int) -> None:
        self._came += nbytes
        begin = 0
        while self._came - begin >= _LENGTH:
            start = begin + _LENGTH
            end = start + int.from_bytes(self._room[begin:start], "big")
            if self._came < end:
                self._make_room(end - begin)
                break
            answer = pickle.loads(memoryview(self._room)[start:end])  # noqa: S301 - our own
            begin = end
            self._answered(_rebuilt(answer))
        self._room[: self._came - begin] = self._room[begin : self._came]
        self._came -= begin

    def _make_room(self, size: int) -> None:
        """Room for a frame of this size, where it stands in the room now."""
        if size > len(self._room):
            self._room = self._room + bytearray(size)

    def _answered(self, answer: Any) -> None:
        future = self.awaited.popleft()
        if not self.awaited and self._transport is not None:
            self._transport.close()
            self._on_end()
        if future.done():  # whoever asked has gone
            return
        if isinstance(answer, MailblastError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.awaited:
            self._on_end()
        while self.awaited:
            future = self.awaited.popleft()
            if not future.done():
                what = "a worker process ended while it composed messages"
                hint = "most likely the machine has too little memory"
                future.set_exception(UserError(what, hint))


# As plain tuples: to pickle the class with each of them takes as long as all the rest.


def _plain(made: Any) -> Any:
    return tuple(made) if isinstance(made, Message) else made


def _rebuilt(answer: Any) -> Any:
    if not isinstance(answer, list):
        return answer
    return [Message._make(one) if isinstance(one, tuple) else one for one in answer]


def _framed(what: object) -> bytes:
    return b"".join(_frame(what))


def _frame(what: object) -> tuple[bytes, bytes]:
    data = pickle.dumps(what, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(_LENGTH, "big"), data


# --- Their end ------------------------------------------------------------------------------


def serve(number: int) -> None:
    """Be a worker, on this socket, until the other end closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with socket.socket(fileno=number) as ours, ours.makefile("rb") as incoming:
        workbench: Workbench = _read(incoming)
        composer = workbench.composer()
        os.nice(BEHIND)
        gc.freeze()  # a composer stays, and a message leaves no cycles behind
        gc.set_threshold(50_000)
        while True:
            work, batch = _read(incoming)
            answer: Any
            try:
                made = _WORK[work](composer, list(map(Due._make, batch)))
                answer = [_plain(one) for one in made]
            except MailblastError as error:
                answer = error
            try:
                for piece in _frame(answer):
                    ours.sendall(piece)
            except OSError:
                os._exit(0)  # the parent was killed


def _read(incoming: Any) -> Any:
    """The next of what was sent; when there will be no more, the end."""
    head = incoming.read(_LENGTH)
    if len(head) < _LENGTH:
        os._exit(0)  # the parent has ended, or was killed: so do we, at once
    return pickle.loads(incoming.read(int.from_bytes(head, "big")))  # noqa: S301
