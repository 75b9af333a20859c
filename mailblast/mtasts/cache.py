"""Which MTA-STS policy holds for a domain now: the one we know, or a newer one.

Rule: a TXT record that is not there, or a fetch that fails, never lifts a policy that still
holds (RFC 8461 §5.1, §10.2).  A domain is not asked again at once for what it did not have.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from mailblast.errors import Refusal
from mailblast.https import Web
from mailblast.ledger import Kept, Policies
from mailblast.mtasts import Policy, parse, record_id
from mailblast.mtasts.fetch import fetch
from mailblast.resolver import Resolver

AGAIN = 300.0  # seconds until a fetch that failed is tried again (RFC 8461 §3.3)
REMEMBERED = 20_000  # failed fetches

# From the name of a host to its addresses that are allowed.
Addresses = Callable[[str], Awaitable[list[str]]]


class Cache:
    """The policies of domains."""

    def __init__(
        self, resolver: Resolver, policies: Policies, web: Web, addresses: Addresses
    ) -> None:
        self._resolver = resolver
        self._policies = policies
        self._web = web
        self._addresses = addresses
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[Policy | None]] = {}

    async def policy(self, domain: str) -> Policy | None:
        """The policy that holds, or None.  Raises LedgerError."""
        published = record_id((await self._resolver.texts(f"_mta-sts.{domain}")).records)
        kept = await asyncio.to_thread(self._policies.of, domain, time.time())
        if published and (kept is None or kept.id != published):
            newer = await self._fetched(domain, published)
            if newer is not None:
                return newer
        return _read(kept.text) if kept else None

    async def _fetched(self, domain: str, published: str) -> Policy | None:
        """What is fetched now, by one for all who want it; None if it cannot be had."""
        if self._failed.get((domain, published), 0.0) > time.monotonic():
            return None
        task = self._fetching.get(domain)
        if task is None:
            task = asyncio.create_task(self._fetch(domain, published))
            self._fetching[domain] = task
            task.add_done_callback(lambda _: self._fetching.pop(domain))
        return await asyncio.shield(task)

    async def _fetch(self, domain: str, published: str) -> Policy | None:
        # Who asked just before another had fetched it has looked in vain: it is there now.
        known = await asyncio.to_thread(self._policies.of, domain, time.time())
        if known and known.id == published:
            return _read(known.text)
        host = f"mta-sts.{domain}"
        text = await fetch(host, await self._addresses(host), self._web)
        policy = None if isinstance(text, Refusal) else _read(text)
        if isinstance(text, Refusal) or policy is None:
            self._failed[domain, published] = time.monotonic() + AGAIN
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
            return None
        kept = Kept(domain, published, text, time.time() + policy.max_age)
        await asyncio.to_thread(self._policies.keep, kept)
        return policy


def _read(text: str) -> Policy | None:
    policy = parse(text)
    return None if isinstance(policy, Refusal) else policy
