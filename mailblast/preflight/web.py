"""Gathering what the web says: who answers at the unsubscribe address, and what.

A request goes to an address that was vetted as those of mail hosts are: what is named in a
setting may lead anywhere.  The system's certificate authorities are asked, whatever `ca_file`
says of the relay, for recipients have no others.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from mailblast.campaign import Campaign
from mailblast.check.endpoint import Doorway, Tried
from mailblast.errors import Refusal, UserError
from mailblast.preflight.endpoint import doorway, tried
from mailblast.preflight.reach import Reach
from mailblast.resolver import Resolver

SECONDS = 30.0  # for all of it; `send` waits for it too

NOT_ASKED = Refusal("the web was not asked: --no-dns, or dns = false in [check]")
PRACTICE = Refusal("practice asks nobody on the web")
NO_URL = Refusal("there is no url in [unsubscribe]")
NO_CANARY = Refusal("the address is not tried without a token to spend: [check] canary")


def fetched(campaign: Campaign) -> Mapping[type, object]:
    """Every group that comes from the web, or why it was not gathered."""
    kinds = (Doorway, Tried)
    if campaign.delivery.via == "sandbox":
        return dict.fromkeys(kinds, PRACTICE)
    if not campaign.declared.dns:
        return dict.fromkeys(kinds, NOT_ASKED)
    if not campaign.unsubscribe.url:
        return dict.fromkeys(kinds, NO_URL)
    try:
        resolver = Resolver(campaign.delivery.resolver)
    except UserError as error:
        return dict.fromkeys(kinds, Refusal(f"the DNS was not asked: {error}"))
    reach = Reach(resolver, allow_loopback=campaign.delivery.allow_loopback)
    return asyncio.run(_gathered(campaign, reach))


async def _gathered(campaign: Campaign, reach: Reach) -> dict[type, object]:
    url, canary = campaign.unsubscribe.url, campaign.declared.canary
    asking: dict[type, Coroutine[Any, Any, object]] = {Doorway: doorway(url, reach)}
    if canary:
        asking[Tried] = tried(f"{url}/{canary}", reach)
    tasks = {kind: asyncio.create_task(one) for kind, one in asking.items()}
    await asyncio.wait(tasks.values(), timeout=SECONDS)
    for task in tasks.values():
        task.cancel()
    found = await asyncio.gather(*tasks.values(), return_exceptions=True)
    return {Tried: NO_CANARY, **dict(zip(tasks, map(_group, found), strict=True))}


def _group(found: object) -> object:
    if isinstance(found, asyncio.CancelledError):
        return Refusal(f"the web did not answer within {SECONDS:g} seconds")
    if isinstance(found, BaseException):
        raise found
    return found
