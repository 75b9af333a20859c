"""How a check reaches a web server: by the name in a setting, at addresses that are allowed."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from mailblast.errors import Refusal
from mailblast.https import Question, Web, ask
from mailblast.mx import allowed
from mailblast.resolver import Resolver

SECONDS = 6.0  # for a question and its answer

T = TypeVar("T")


# What a record in the DNS says is a stranger's word: no blank or line end gets into a request.
_URL = re.compile(r"https://[!-~]{1,500}")


def placed(url: str) -> SplitResult | Refusal:
    """An https address in its parts."""
    try:
        parts = urlsplit(url)
        fits = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not _URL.fullmatch(url):
        return Refusal("this is no https address")
    return parts


def target(place: SplitResult) -> str:
    """What a request asks for: the path and the query."""
    return (place.path or "/") + (f"?{place.query}" if place.query else "")


@dataclass(frozen=True, slots=True)
class Unresolved(Refusal):
    """The DNS gave no answer: of the server itself nothing is known."""


class Reach:
    """The web, as far as it may be reached.  `ca_file` replaces the system's authorities."""

    def __init__(
        self, resolver: Resolver, *, allow_loopback: bool, ca_file: Path | None = None
    ) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback
        self._ca_file = ca_file

    async def at(
        self,
        url: str,
        act: Callable[[str, Sequence[str], Web], Awaitable[T | Refusal]],
    ) -> T | Refusal:
        """What comes of `act` (a function of `https`) at the server of an https address.

        Unresolved where nobody said where that is.
        """
        place = placed(url)
        if isinstance(place, Refusal):
            return place
        host = place.hostname or ""
        known = await self._addresses(host)
        if isinstance(known, Refusal):
            return known
        usable = [one for one in known if allowed(one, allow_loopback=self._allow_loopback)]
        if known and not usable:
            return Refusal(f"{host} has no address on the public Internet")
        return await act(host, usable, Web(self._ca_file, place.port or 443, SECONDS))

    async def get(self, url: str, most: int) -> bytes | Refusal:
        """What stands there, if it has no more octets than `most`."""
        place = placed(url)
        if isinstance(place, Refusal):
            return place
        question = Question(target(place), max_body=most)
        got = await self.at(url, lambda host, at, web: ask(host, at, web, question))
        if isinstance(got, Refusal):
            return got
        return got.body if got.status == 200 else Refusal(f"status {got.status}")

    async def _addresses(self, host: str) -> Sequence[str] | Refusal:
        try:
            return [str(ip_address(host))]
        except ValueError:
            found = await self._resolver.addresses(host)
        if found.failure and found.failure.transient:
            return Unresolved(f"{host}: {found.failure}")
        return found.records
