"""Gathering what the web says: at the unsubscribe address, and behind records of the DNS.

A request goes to an address that was vetted as those of mail hosts are: what is named in a
setting may lead anywhere.  The system's certificate authorities are asked, whatever `ca_file`
says of the relay, for recipients have no others.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from mailblast.campaign import Campaign
from mailblast.check.endpoint import Doorway, Tried
from mailblast.check.logo import LogoFiles
from mailblast.check.published import Logo, Transport
from mailblast.check.transport import StsPolicies
from mailblast.errors import Refusal, UserError
from mailblast.ledger import Ledger
from mailblast.preflight.behind import logo_files, policies
from mailblast.preflight.endpoint import NO_URL, doorway, link, tried
from mailblast.preflight.gather import Asking, within
from mailblast.preflight.reach import Reach
from mailblast.resolver import Resolver

G = TypeVar("G")

KINDS = (Doorway, Tried, StsPolicies, LogoFiles)
SECONDS = 30.0  # for all of it; `send` waits for it too

NOT_ASKED = Refusal("the web was not asked: --no-dns, or dns = false in [check]")
PRACTICE = Refusal("practice asks nobody on the web")


def fetched(
    campaign: Campaign, ledger: Ledger | None, groups: Mapping[type, object]
) -> Mapping[type, object]:
    """Every group that comes from the web, or why it was not gathered.

    `ledger` knows the canary's link, if that is an address; `groups` are those from the DNS:
    what its records point to is fetched too.
    """
    if campaign.delivery.via == "sandbox":
        return dict.fromkeys(KINDS, PRACTICE)
    if not campaign.declared.dns:
        return dict.fromkeys(KINDS, NOT_ASKED)
    if why := _nobody_answers(groups):
        return dict.fromkeys(KINDS, why)
    try:
        resolver = Resolver(campaign.delivery.resolver)
    except UserError as error:
        return dict.fromkeys(KINDS, Refusal(f"the DNS was not asked: {error}"))
    reach = Reach(resolver, allow_loopback=campaign.delivery.allow_loopback)
    spent = link(campaign, ledger)
    return asyncio.run(_gathered(_askings(campaign, spent, groups, reach)))


def _askings(
    campaign: Campaign,
    spent: str | Refusal,
    groups: Mapping[type, object],
    reach: Reach,
) -> dict[type, Asking | Refusal]:
    """How each group is gathered, or why it is not; `spent` is the canary's link."""
    url = campaign.unsubscribe.url
    transport, logo = groups.get(Transport), groups.get(Logo)
    return {
        Doorway: doorway(url, reach) if url else NO_URL,
        Tried: spent if isinstance(spent, Refusal) else tried(spent, reach),
        StsPolicies: _behind(transport, Transport, partial(policies, reach=reach)),
        LogoFiles: _behind(logo, Logo, partial(logo_files, reach=reach)),
    }


def _behind(
    found: object, kind: type[G], asking: Callable[[G], Asking]
) -> Asking | Refusal:
    """What a group from the DNS leads to; without it, why there is none."""
    if isinstance(found, kind):
        return asking(found)
    return found if isinstance(found, Refusal) else NOT_ASKED


def _nobody_answers(groups: Mapping[type, object]) -> Refusal | None:
    """Why the DNS gave nothing at all, if it did: no name of a web server is asked for then."""
    refusals = [one for one in groups.values() if isinstance(one, Refusal)]
    return refusals[0] if refusals and len(refusals) == len(groups) else None


async def _gathered(askings: Mapping[type, Asking | Refusal]) -> dict[type, object]:
    begun = {kind: one for kind, one in askings.items() if not isinstance(one, Refusal)}
    return {**askings, **await within(SECONDS, "the web", begun)}
