"""Gathering what the DNS says: all questions at once, within a time that is bounded.

Nobody has to be online: what the DNS does not answer is a group that was not gathered, and its
rules are skipped.
"""

import asyncio
from collections.abc import Mapping

from mailblast.campaign import Campaign
from mailblast.check.published import ASKINGS
from mailblast.errors import Refusal, UserError
from mailblast.preflight.gather import within
from mailblast.resolver import Resolver

SECONDS = 10.0  # for all of it; `send` waits for it too

NOT_ASKED = Refusal("the DNS was not asked: --no-dns, or dns = false in [check]")
PRACTICE = Refusal("practice asks no DNS")
NONE_SUCH = Refusal("nothing of this kind is in the settings")


def published(campaign: Campaign, *, bidden: bool = False) -> Mapping[type, object]:
    """Every group that comes from the DNS, or why it was not gathered.

    `bidden` says that the user wants to know this and nothing else: then it is asked, whatever
    the settings say.
    """
    if not bidden and campaign.delivery.via == "sandbox":
        return dict.fromkeys(ASKINGS, PRACTICE)
    if not bidden and not campaign.declared.dns:
        return dict.fromkeys(ASKINGS, NOT_ASKED)
    try:
        resolver = Resolver(campaign.delivery.resolver)
    except UserError as error:
        return dict.fromkeys(ASKINGS, Refusal(f"the DNS was not asked: {error}"))
    return asyncio.run(_gathered(campaign, resolver))


async def _gathered(campaign: Campaign, resolver: Resolver) -> dict[type, object]:
    askings = {kind: resolver.find(asking(campaign)) for kind, asking in ASKINGS.items()}
    found = await within(SECONDS, "the DNS", askings)
    if resolver.silent:
        # Not one answer, not even that there is nothing: the fault is not the sender's.
        why = resolver.silent.partition(": ")[2]
        return dict.fromkeys(ASKINGS, Refusal(f"the DNS answers nothing: {why}"))
    return {kind: NONE_SUCH if one is None else one for kind, one in found.items()}
