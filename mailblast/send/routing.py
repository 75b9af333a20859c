"""Which way each domain's mail goes, looked up while other mail is on its way.

Rule: nobody waits for a look-up.  Whoever asks for a domain that is not known yet starts one
and asks again later.  A way that was found holds until another is; it is looked up anew
after a while, for a run may last days.
"""

import asyncio
import time

from mailblast.destination import Carrier, Route, Unroutable

AT_ONCE = 200  # look-ups on their way
FRESH = 600.0  # seconds after which a way is looked up anew; a resolver keeps its own time


class Routing:
    """The ways of one run."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._known: dict[str, tuple[float, Route | Unroutable]] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}

    def of(self, domain: str) -> Route | Unroutable | None:
        """The way to a domain; None while it is not known."""
        until, way = self._known.get(domain, (0.0, None))
        if (
            until < time.monotonic()
            and domain not in self._asked
            and len(self._asked) < AT_ONCE
        ):
            self._asked[domain] = asyncio.create_task(self._ask(domain))
        return way

    async def find(self, domain: str) -> None:
        """Wait until the way to a domain is known."""
        if domain not in self._known and domain not in self._asked:
            self._asked[domain] = asyncio.create_task(self._ask(domain))
        if asked := self._asked.get(domain):
            await asked

    def forget(self, domain: str) -> None:
        """Nobody needs the way to this domain for now: memory is for those under way."""
        self._known.pop(domain, None)

    async def _ask(self, domain: str) -> None:
        try:
            way = await self._carrier.route(domain)
            self._known[domain] = time.monotonic() + FRESH, way
        finally:
            del self._asked[domain]

    async def close(self) -> None:
        """Give up the look-ups that are on their way."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
