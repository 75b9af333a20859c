"""Which run a request is of: the one that goes on, or a new one, whose list is entered.

A run of which nothing was offered yet is begun anew: whatever has been mended since is right.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from mailblast.address import Address
from mailblast.campaign import Campaign
from mailblast.campaign.manifest import Manifest, changes, manifest_of
from mailblast.check.survey import Survey
from mailblast.disposition import DUE
from mailblast.errors import Refusal, Refused
from mailblast.event import Disposition
from mailblast.ledger import Ledger, Run
from mailblast.recipients import Recipients, Row, open_recipients
from mailblast.send.enrol import chosen_samples, enrol, take_over_suppressions
from mailblast.send.ready import overridden

Told = Callable[[str, int, int | None], None]  # a stage, how far, of how many


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


def scope_of(campaign: Campaign, workspace: Path) -> str:
    """The name of a campaign in its workspace's ledger: the way to its directory."""
    try:
        return campaign.directory.relative_to(workspace).as_posix()
    except ValueError:
        return campaign.directory.as_posix()


def find_or_enrol(
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


def overrides_kept(ledger: Ledger, scope: str) -> Mapping[str, str]:
    """Those of a run that is begun anew, since nothing of it was offered yet."""
    run = ledger.runs.latest(scope)
    return overridden(ledger, run) if run and untouched(ledger, run) else {}


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


def unfinished(ledger: Ledger, run: Run) -> str:
    """The name of the last other run of this campaign, if something of it is due still."""
    others = (
        one.run
        for one in ledger.runs.all()
        if (one.campaign, one.kind, one.state) == (run.campaign, "campaign", "started")
        and one.number != run.number
        and ledger.runs.any_in(one.number, DUE)
    )
    return max(others, default="")
