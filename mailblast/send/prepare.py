"""Everything that is done before the first message leaves.

The campaign is read and held against the law, its list entered, its content kept, every row
rendered and the first message's signature verified.  What comes out is a `Plan`: what will
happen, for a person to agree to.  A plan that is not carried out leaves nothing behind.
"""

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

from mailblast import campaign as campaigns
from mailblast.address import Address
from mailblast.breaker import ADVICE, Fault
from mailblast.campaign import Campaign, Limits
from mailblast.campaign.files import pasted
from mailblast.campaign.manifest import Manifest, changes, manifest_of
from mailblast.check.survey import Survey
from mailblast.content import keep
from mailblast.errors import Refusal, Refused
from mailblast.event import Disposition
from mailblast.keys import STATE, dkim_keys, keyring, practice_keys
from mailblast.ledger import Ledger, Pause, Run
from mailblast.pool import Workbench
from mailblast.provider import Destinations, Placed
from mailblast.recipients import Recipients, Row, columns_of, open_recipients
from mailblast.secret import read_secret
from mailblast.send.enrol import chosen_samples, enrol, take_over_suppressions
from mailblast.send.ready import Readiness, held_against_the_rules
from mailblast.suppression import Entry
from mailblast.throttle import DAY, Today, beyond, seconds_needed

Told = Callable[[str, int, int | None], None]  # a stage, how far, of how many

REHEARSAL = "rehearsal"  # below STATE: a ledger and an inbox of its own

# Fates come at once in a rehearsal; waiting for the real pauses would teach nothing.
REHEARSAL_RETRY = (1.0, 2.0, 4.0)


def unheard(_stage: str, _done: int, _total: int | None) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    directory: Path
    rehearse: bool = False
    new_run: bool = False
    resend_doubtful: bool = False
    resume_paused: bool = False
    to_me: Address | None = None  # a few samples to this address, and nothing else
    wait: float = 600.0  # seconds, for what is due later
    overrides: Mapping[str, str] = field(
        default_factory=dict
    )  # of rules: why, by their ids


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
    destinations: dict[str, int]
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

    def again(self) -> "Plan":
        """The plan after rows were found that cannot be mailed."""
        return replace(self, **_counts(self.ledger, self.run))

    @property
    def due(self) -> int:
        """How many messages are to be offered now."""
        return sum(self.destinations.values()) + self.doubtful

    @property
    def doubtful(self) -> int:
        """How many doubtful ones are to be offered once more."""
        return self.dispositions.get(Disposition.DOUBTFUL, 0) if self.resend_doubtful else 0

    def by_destination(self) -> dict[Placed, int]:
        """How many messages are due for each destination, as far as names tell."""
        counts: Counter[Placed] = Counter()
        for domain, due in self.destinations.items():
            counts[replace(self.table.place(domain), why="")] += due
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
        run, survey = _find_or_enrol(ledger, campaign, scope, request, told)
        stack.callback(_forget_unstarted, ledger, run)
        readiness = held_against_the_rules(
            campaign,
            workspace,
            ledger,
            run,
            survey,
            practice=request.to_me is not None or campaign.delivery.via == "sandbox",
            overrides=request.overrides,
        )
        plan = _plan(ledger, campaign, workspace, run)
        yield replace(
            plan,
            resumed=survey is RESUMED,
            rehearsal=request.rehearse,
            resend_doubtful=request.resend_doubtful,
            resume_paused=request.resume_paused,
            paused=_pauses(ledger, run, request),
            to_me=request.to_me,
            wait=request.wait,
            readiness=readiness,
        )


def _pauses(ledger: Ledger, run: Run, request: Request) -> tuple[Pause, ...]:
    """The destinations that are paused.  Raises Refused where the whole run is."""
    if request.resume_paused:
        return ()  # they are lifted when the plan is carried out
    standing = ledger.pauses.standing(run.number)
    for pause in standing:
        if not pause.destination:
            raise Refused(
                f"the run {run.run} is paused: {pause.why}",
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
        "destinations": {name: count for name, (count, _) in waiting.items() if count},
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


def scope_of(campaign: Campaign, workspace: Path) -> str:
    """The name of a campaign in its workspace's ledger: the way to its directory."""
    try:
        return campaign.directory.relative_to(workspace).as_posix()
    except ValueError:
        return campaign.directory.as_posix()


def _find_or_enrol(
    ledger: Ledger, campaign: Campaign, scope: str, request: Request, told: Told
) -> tuple[Run, Survey | Refusal]:
    """The run, and what was seen of its list while that was enrolled."""
    content = manifest_of(campaign)
    run = ledger.runs.latest(scope)
    new_run = request.new_run
    if run is not None and untouched(ledger, run):
        # Of a run that was agreed to nothing left yet: what it was to be is begun anew.
        new_run = new_run or run.state == "started"
        ledger.runs.discard(run.number)
        run = ledger.runs.latest(scope)
    take_over_suppressions(ledger, campaign, scope)
    if request.to_me is not None:
        chosen = partial(chosen_samples, me=request.to_me)
        return _enrol(
            ledger, campaign, scope, content, Rows("sample", chosen, told)
        ), SAMPLES
    if run is not None and not new_run:
        _same_content(run, content)
        ledger.deliveries.release(run.number)
        return run, RESUMED
    surveys: list[Survey] = []

    def looked_at(recipients: Recipients) -> Iterator[Row]:
        surveys.append(Survey(recipients.columns))
        return surveys[0].over(recipients)

    run = _enrol(ledger, campaign, scope, content, Rows("campaign", looked_at, told))
    return run, surveys[0]


RESUMED = Refusal("it was looked at when the run began")
SAMPLES = Refusal("these are samples")


def untouched(ledger: Ledger, run: Run) -> bool:
    """Whether nothing was offered yet: the plan was broken off, or no connection came about.

    Then the list is read anew, and whatever has been mended since is right.
    """
    if run.state in ("enrolling", "enrolled"):
        return True
    return run.state == "started" and not ledger.runs.any_in(run.number, _OFFERED)


_OFFERED = frozenset(Disposition) - {
    *(Disposition.QUEUED, Disposition.SUPPRESSED, Disposition.INVALID)
}


def _same_content(run: Run, content: Manifest) -> None:
    differences = changes(run.manifest, content.entries)
    if not differences:
        return
    what = "\n".join(differences)
    raise Refused(
        f"the campaign has changed since the run {run.run} began:\n{what}",
        "undo the change to go on with that run, or say --new-run to send it to the whole "
        "list as a new mailing",
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of the list make a run of which kind."""

    kind: str
    take: Callable[[Recipients], Iterable[Row]]
    told: Told


def _enrol(
    ledger: Ledger, campaign: Campaign, scope: str, content: Manifest, rows: Rows
) -> Run:
    settings = campaign.recipients
    recipients = open_recipients(
        settings.file, email=settings.email, encoding=settings.encoding
    )
    now = time.time()
    run = ledger.runs.begin(
        Run(
            number=0,
            run=_free_name(ledger, campaign.name, now),
            campaign=scope,
            kind=rows.kind,
            state="enrolling",
            created=now,
            started=None,
            ended=None,
            digest=content.digest,
            manifest=content.entries,
            header=recipients.columns.header,
        )
    )
    try:
        taken = rows.take(recipients)
        enrol(ledger, run, taken, lambda done: rows.told("reading the list", done, None))
    except BaseException:
        ledger.runs.discard(run.number)
        raise
    ledger.runs.enter(run.number, "enrolled")
    return ledger.runs.numbered(run.number)


def _free_name(ledger: Ledger, campaign: str, now: float) -> str:
    """A name for a run that nobody has to look up: the campaign and the time (UTC)."""
    plain = re.sub("[^a-z0-9]+", "-", campaign.lower()).strip("-")[:30] or "run"
    name = f"{plain}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"
    free = (name if n == 1 else f"{name}.{n}" for n in count(1))
    return next(one for one in free if not ledger.runs.exists(one))
