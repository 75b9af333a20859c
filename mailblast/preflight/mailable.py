"""Which domains of a list take mail: the DNS is asked, and no mail server.

A server that is asked for addresses without mail to follow takes that for an attack ("namespace
mining", Microsoft's SC-002), so nothing here ever speaks to one.  Each domain is asked for once,
AT_ONCE of them at a time, and hosts that many domains share once for all.
"""

import asyncio
from collections.abc import Iterable, Mapping

from mailblast.campaign import Campaign
from mailblast.check.census import Mailable
from mailblast.check.survey import Survey
from mailblast.errors import Refusal, UserError
from mailblast.exchanger import exchangers
from mailblast.mx import Hosts, Unroutable
from mailblast.preflight.listed import Told
from mailblast.resolver import AT_ONCE, Resolver

FIRST = 500  # domains that `check` looks up by itself: some seconds
TOLD_EVERY = 100  # domains
SILENT = 20  # domains of which none gave an answer: then nobody answers here

NOT_ASKED = Refusal("the DNS was not asked: --no-dns, or dns = false in [check]")
PRACTICE = Refusal("practice asks no DNS")


def mailable(
    campaign: Campaign, survey: Survey, told: Told, *, every: bool
) -> Mailable | Refusal:
    """What the DNS says of the domains of a campaign's list: of those with most rows, or of
    `every` one."""
    rows = {domain: seen.rows for domain, seen in survey.domains().items()}
    found = _asked(campaign, rows, told, every=every)
    if isinstance(found, Refusal):
        return found
    no = {domain: one for domain, one in found.items() if isinstance(one, Unroutable)}
    return Mailable(
        domains=len(rows),
        asked=len(found),
        unanswered=sum(not one.permanent for one in no.values()),
        dead={domain: one.why for domain, one in no.items() if one.permanent},
        hosts=_preferred(found),
    )


def most_preferred(
    campaign: Campaign, rows: Mapping[str, int], told: Told, *, every: bool
) -> Mapping[str, tuple[str, ...]] | Refusal:
    """The most preferred mail hosts of these domains: of those with most `rows`, or of
    `every` one; those that take no mail are left out."""
    found = _asked(campaign, rows, told, every=every)
    return found if isinstance(found, Refusal) else _preferred(found)


def _preferred(found: Mapping[str, Hosts | Unroutable]) -> dict[str, tuple[str, ...]]:
    return {
        domain: one[0] for domain, one in found.items() if not isinstance(one, Unroutable)
    }


def _asked(
    campaign: Campaign, rows: Mapping[str, int], told: Told, *, every: bool
) -> Mapping[str, Hosts | Unroutable] | Refusal:
    if campaign.delivery.via == "sandbox":
        return PRACTICE
    if not campaign.declared.dns:
        return NOT_ASKED
    try:
        resolver = Resolver(campaign.delivery.resolver)
    except UserError as error:
        return Refusal(f"the DNS was not asked: {error}")
    most = sorted(rows, key=lambda domain: -rows[domain])
    asked = most if every else most[:FIRST]
    loopback = campaign.delivery.allow_loopback
    try:
        return look_up(asked, resolver, told, allow_loopback=loopback)
    except UserError as error:
        return Refusal(str(error))


def look_up(
    domains: Iterable[str], resolver: Resolver, told: Told, *, allow_loopback: bool = False
) -> Mapping[str, Hosts | Unroutable]:
    """The mail hosts of each domain, or why mail cannot reach it, or that nobody answers.

    Raises UserError where it answers nothing at all.
    """
    return asyncio.run(_Search(resolver, told, allow_loopback).over(tuple(domains)))


class _Search:
    """Looking up many domains."""

    def __init__(self, resolver: Resolver, told: Told, allow_loopback: bool) -> None:
        self._resolver, self._told = resolver, told
        self._allow_loopback = allow_loopback
        self._found: dict[str, Hosts | Unroutable] = {}
        self._done = self._answered = 0

    async def over(self, domains: tuple[str, ...]) -> Mapping[str, Hosts | Unroutable]:
        todo = iter(domains)  # from which every worker takes the next
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(domains))):
                group.create_task(self._work(todo, len(domains)))
        if domains and not self._answered:
            raise UserError("the DNS answers nothing", "is this machine online?")
        if domains:
            self._told("looking up domains", self._done, self._done)
        return self._found

    async def _work(self, todo: Iterable[str], total: int) -> None:
        for domain in todo:
            if self._done >= SILENT and not self._answered:
                return
            found = await exchangers(
                self._resolver, domain, allow_loopback=self._allow_loopback
            )
            self._done += 1
            self._answered += not isinstance(found, Unroutable) or found.permanent
            self._found[domain] = found
            if self._done % TOLD_EVERY == 0:
                self._told("looking up domains", self._done, total)
