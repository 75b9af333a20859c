"""Outages of the way out: the unsubscribe endpoint is asked again while messages leave.

Nobody is to get a letter that cannot be left.  A failure that nobody foresaw is borne while it
is mended in a reasonable time (15 U.S.C. 7704(a)(3)(A), (C)): one that is still there when it
was asked three times pauses the run.  What cannot be known, since the DNS is silent, is no
failure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailblast.breaker import Fault, Trip
from mailblast.check import Status
from mailblast.errors import LedgerError, Refusal
from mailblast.preflight.endpoint import link, shut
from mailblast.preflight.reach import Reach, Unresolved
from mailblast.report import OUTAGES, Outage, iso, outages_of
from mailblast.resolver import Resolver
from mailblast.runbook import RunBook
from mailblast.send.prepare import Plan
from mailblast.send.standing import Standing

RULE = "CANSPAM-OPTOUT-WORKS"

EVERY = 600.0  # seconds from one look to the next
AGAIN = 60.0  # the same after a failure
FAILURES = 3  # in a row that pause the run
MOST = 100  # outages of a run that are kept

# If it lasts, the next event of a message that cannot be written tells, and stops the run.
_if_it_can_be_written = suppress(LedgerError)

Look = Callable[[], Awaitable[Refusal | None]]


def look_of(plan: Plan) -> Look | None:
    """How to see whether the way out is open: a function that gives why it is not.

    None where it was not known to be open when the run began: in practice, without a canary, or
    where somebody has overridden the rule.
    """
    campaign = plan.campaign
    passed = (one.id for one in plan.readiness.findings if one.status is Status.PASS)
    spent = link(campaign, plan.ledger)
    if RULE not in passed or isinstance(spent, Refusal):
        return None
    delivery = campaign.delivery
    reach = Reach(Resolver(delivery.resolver), allow_loopback=delivery.allow_loopback)
    return partial(shut, spent, reach)


@dataclass(frozen=True, slots=True)
class Watch:
    """What is done about an outage: it is told, kept in the run book, and pauses the run."""

    plan: Plan
    standing: Standing

    async def keep(self, look: Look) -> None:
        """Look from time to time, until cancelled."""
        outage, failures = None, 0
        while True:
            await asyncio.sleep(AGAIN if outage else EVERY)
            why = await look()
            if isinstance(why, Unresolved):
                continue
            if why is None:
                if outage:
                    self._write(outage._replace(ended=iso(time.time()) or ""))
                outage, failures = None, 0
                continue
            failures += 1
            if outage is None:
                outage = Outage(iso(time.time()) or "", "", str(why))
                self.standing.on_warned(self._said(why))
                self._write(outage)
            if failures == FAILURES:
                trip = Trip("", Fault.UNSUBSCRIBE, self._said(why))
                with _if_it_can_be_written:
                    self.standing.pause(self.plan.run, trip)

    def _said(self, why: Refusal) -> str:
        url = self.plan.campaign.unsubscribe.url
        return f"The unsubscribe endpoint {url} does not work: {why}."

    def _write(self, outage: Outage) -> None:
        def changed(document: dict[str, Any]) -> dict[str, Any]:
            others = [one for one in outages_of(document) if one.began != outage.began]
            kept = [one._asdict() for one in (*others, outage)]
            return {**document, OUTAGES: kept[-MOST:]}

        with _if_it_can_be_written:
            RunBook(self.plan.ledger.directory).change("runs", self.plan.run.run, changed)
