"""Everything that is done before the first message leaves.

The campaign is read and held against the law, its list entered, its content kept, every row
rendered and the first message's signature verified.  What comes out is a `Plan`: what will
happen, for a person to agree to.  A plan that is not carried out leaves nothing behind.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from mailblast import campaign as campaigns
from mailblast.address import Address
from mailblast.breaker import ADVICE, Fault
from mailblast.campaign import Campaign, Limits
from mailblast.campaign.files import pasted
from mailblast.campaign.manifest import Manifest
from mailblast.campaign.settings import REHEARSAL, STATE
from mailblast.content import keep
from mailblast.errors import Refused
from mailblast.event import Disposition
from mailblast.header import columns_of
from mailblast.keys import dkim_keys, keyring, practice_keys
from mailblast.ledger import Ledger, Pause, Run
from mailblast.pool import Workbench
from mailblast.provider import Destinations, Placed
from mailblast.secret import read_secret
from mailblast.send.ready import Readiness, held_against_the_rules
from mailblast.send.request import (
    RESUMED,
    Request,
    Told,
    find_or_enrol,
    overrides_kept,
    scope_of,
    unfinished,
    unheard,
)
from mailblast.suppression import Entry
from mailblast.throttle import DAY, Today, beyond, seconds_needed

# Fates come at once in a rehearsal; waiting for the real pauses would teach nothing.
REHEARSAL_RETRY = (1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen."""

    campaign: Campaign
    workspace: Path
    ledger: Ledger
    run: Run
    workbench: Workbench
    table: Destinations
    dispositions: dict[Disposition, int]
    domains: dict[str, int]  # how many messages are due in each
    next_due: float | None  # of what is deferred and not due now
    new_keys: tuple[Path, ...]  # made just now
    password: str = field(default="", repr=False)  # of the relay
    resumed: bool = False
    rehearsal: bool = False
    resend_doubtful: bool = False
    resume_paused: bool = False
    paused: tuple[Pause, ...] = ()  # the destinations that are not sent to
    to_me: Address | None = None  # a plan of samples
    wait: float = 600.0
    unrendered: int = 0  # rows that were not tried out
    readiness: Readiness = field(default_factory=Readiness)
    unfinished: str = ""  # an earlier run of the campaign, of which something is due still

    def again(self) -> "Plan":
        """The plan after rows were found that cannot be mailed."""
        return replace(self, **_counts(self.ledger, self.run))

    @property
    def due(self) -> int:
        """How many messages are to be offered now."""
        return sum(self.domains.values()) + self.doubtful

    @property
    def doubtful(self) -> int:
        """How many doubtful ones are to be offered once more."""
        return self.dispositions.get(Disposition.DOUBTFUL, 0) if self.resend_doubtful else 0

    def by_destination(self) -> dict[Placed, int]:
        """How many messages are due for each destination, as far as names tell and what was
        found when their domains were last sent to."""
        counts: Counter[Placed] = Counter()
        before = self.ledger.runs.placements()
        for domain, due in self.domains.items():
            placed = self.table.place_again(domain, before.get(domain, domain))
            counts[replace(placed, why="")] += due
        return dict(counts)

    def _limits(self) -> dict[str, Limits]:
        placed = self.by_destination()
        return {
            one.destination: self.table.limits(one.destination, one.provider)
            for one in placed
        }

    @property
    def seconds(self) -> float:
        """The least time that the limits leave."""
        counts = {one.destination: due for one, due in self.by_destination().items()}
        used = used_today(self.ledger, self.table)
        return seconds_needed(counts, self._limits(), Today.of(time.time(), 0.0), used)

    @property
    def another_day(self) -> int:
        """How many of those that are due the caps of today leave for another day."""
        used, limits = used_today(self.ledger, self.table), self._limits()
        day = Today.of(time.time(), 0.0).day
        capped = [
            (one.destination, due)
            for one, due in self.by_destination().items()
            if limits[one.destination].cap(day) is not None
        ]
        return sum(beyond(due, limits[name], day, used(name)) for name, due in capped)


def used_today(ledger: Ledger, table: Destinations) -> Callable[[str], int]:
    """How many messages went to a destination today (UTC); counted when a cap asks."""

    @cache
    def counted(midnight: float) -> dict[str, int]:
        return ledger.deliveries.offered_since(midnight)

    def used(destination: str) -> int:
        midnight = time.time() // DAY * DAY
        if table.limits(destination).cap(Today.of(midnight, 0.0).day) is None:
            return 0
        return counted(midnight).get(destination, 0)

    return used


@contextmanager
def prepared(request: Request, told: Told = unheard) -> Iterator[Plan]:
    """A plan, and the lock on its campaign for as long as the block runs.

    Raises Problems, UserError, Refused (NotReady) or LedgerError; then nothing was changed.
    """
    workspace = campaigns.find_workspace(request.directory)
    campaign = _as_asked(campaigns.load(request.directory, workspace), request)
    state = workspace / STATE
    if request.rehearse:
        state = state / REHEARSAL
        shutil.rmtree(state, ignore_errors=True)
    with ExitStack() as stack:
        ledger = Ledger(state)
        stack.callback(ledger.close)
        if request.rehearse:
            _take_over_list(workspace / STATE, ledger)
        scope = scope_of(campaign, workspace)
        stack.enter_context(ledger.lock(scope))
        kept = overrides_kept(ledger, scope)
        run, survey = find_or_enrol(ledger, campaign, scope, request, told)
        stack.callback(_forget_unstarted, ledger, run)
        readiness = held_against_the_rules(
            campaign,
            workspace,
            ledger,
            run,
            survey,
            practice=request.to_me is not None or campaign.delivery.via == "sandbox",
            overrides={**kept, **request.overrides},
        )
        plan = _plan(ledger, campaign, workspace, run)
        yield replace(
            plan,
            resumed=survey is RESUMED,
            rehearsal=request.rehearse,
            resend_doubtful=request.resend_doubtful,
            resume_paused=request.resume_paused,
            paused=_pauses(ledger, plan, request),
            to_me=request.to_me,
            wait=request.wait,
            readiness=readiness,
            unfinished="" if survey is RESUMED else unfinished(ledger, run),
        )


def _pauses(ledger: Ledger, plan: Plan, request: Request) -> tuple[Pause, ...]:
    """The destinations that are paused.  Raises Refused where the whole run is, and something
    of it is due."""
    if request.resume_paused:
        return ()  # they are lifted when the plan is carried out
    standing = ledger.pauses.standing(plan.run.number)
    for pause in standing:
        if not pause.destination and (plan.due or plan.next_due):
            raise Refused(
                f"the run {plan.run.run} is paused: {pause.why}",
                f"{ADVICE[Fault(pause.reason)]} Then: mailblast send "
                f"{pasted(request.directory)} --resume-paused",
            )
    return tuple(standing)


def _take_over_list(real: Path, rehearsal: Ledger) -> None:
    """Who is suppressed in truth is so in a rehearsal."""
    if not (real / "ledger.db").exists():
        return
    ledger = Ledger(real)
    try:
        entries = (
            Entry(one.key, one.reason, one.note) for one in ledger.suppressions.all()
        )
        rehearsal.suppressions.add(entries, time.time(), "the workspace's list")
    finally:
        ledger.close()


def _forget_unstarted(ledger: Ledger, run: Run) -> None:
    if ledger.runs.numbered(run.number).state == "enrolled":
        ledger.runs.discard(run.number)


def _plan(ledger: Ledger, campaign: Campaign, workspace: Path, run: Run) -> Plan:
    made = practice_keys(campaign, workspace)
    source = campaign.delivery.password if campaign.delivery.via == "relay" else None
    kept = keep(ledger.directory, campaign, workspace, Manifest(run.manifest))
    columns = columns_of(run.header, campaign.recipients.email)
    return Plan(
        campaign=campaign,
        workspace=workspace,
        ledger=ledger,
        run=run,
        workbench=Workbench(
            kept, columns, run.run, keyring(ledger), dkim_keys(campaign, workspace)
        ),
        table=Destinations.of(campaign),
        new_keys=made,
        password=read_secret(source, workspace) if source else "",
        **_counts(ledger, run),
    )


def _counts(ledger: Ledger, run: Run) -> dict[str, Any]:
    waiting = ledger.deliveries.waiting(run.number, time.time())
    return {
        "dispositions": ledger.runs.dispositions(run.number),
        "domains": {name: count for name, (count, _) in waiting.items() if count},
        "next_due": min((later for _, later in waiting.values() if later), default=None),
    }


def _as_asked(campaign: Campaign, request: Request) -> Campaign:
    if request.to_me is not None:  # samples unsubscribe nobody
        campaign = replace(campaign, declared=replace(campaign.declared, canary=None))
    if not request.rehearse:
        return campaign
    delivery = replace(campaign.delivery, via="sandbox", retry=REHEARSAL_RETRY)
    return replace(
        campaign,
        delivery=delivery,
        throttle=campaign.throttle.unpaced(),
        providers=campaign.providers.unpaced(),
    )
