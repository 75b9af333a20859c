"""A wire of some length: a TCP proxy in which everything takes a while.

    python tests/bench/versus/delay.py PORT SECONDS     prints the port that it listens on

What comes in on one side goes out on the other half of SECONDS later, in each direction, in
the same pieces and order: to a sender on this machine, the receiver seems to be a round trip
of SECONDS away.  Only the connection itself is made at once, before its greeting is delayed.
"""

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


class Leg(asyncio.Protocol):
    """One side's connection; holds back what came in there until it is due on the other."""

    def __init__(self, delay: float) -> None:
        self.other: Leg | None = None
        self.transport: asyncio.Transport | None = None
        self._delay = delay
        self._held: deque[tuple[float, bytes | None]] = deque()  # None: it has closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Small pieces go at once (TCP_NODELAY): asyncio sets that for every TCP connection.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._hold(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._hold(None)

    def _hold(self, what: bytes | None) -> None:
        loop = asyncio.get_running_loop()
        self._held.append((loop.time() + self._delay, what))
        if len(self._held) == 1:
            loop.call_at(self._held[0][0], self._release)

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        assert self.other
        assert self.other.transport
        while self._held and self._held[0][0] <= loop.time():
            _, data = self._held.popleft()
            if data is None:
                self.other.transport.close()
            else:
                self.other.transport.write(data)
        if self._held:
            loop.call_at(self._held[0][0], self._release)


class Near(Leg):
    """The sender's side: makes the connection to the receiver."""

    def __init__(self, delay: float, port: int) -> None:
        super().__init__(delay)
        self._port = port
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        assert self.transport
        far = self.other = Leg(self._delay)
        far.other = self
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: far, "127.0.0.1", self._port)
        except OSError:
            self.transport.abort()
            raise
        self.transport.resume_reading()


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """A port of 127.0.0.1 behind which the one given is `seconds` of round trip away."""
    command = [sys.executable, __file__, str(port), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.kill()


async def _serve(port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Near(seconds / 2, port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
