"""Sending: the plan, the question, and what became of it."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mailblast import report as reports
from mailblast.campaign.forms import DURATION
from mailblast.cli.base import CampaignPath, address_of, json_option, opened, put_json
from mailblast.errors import MailblastError, Refusal, Refused
from mailblast.event import Disposition
from mailblast.keys import keyring
from mailblast.ledger import Run
from mailblast.mailbox import read as read_mailbox
from mailblast.preflight.packs import rule
from mailblast.quantity import counted
from mailblast.reconcile import Reconcile
from mailblast.report import RunReport
from mailblast.send import (
    Outcome,
    Plan,
    Request,
    execute,
    inbox_of,
    pool_for,
    prepared,
    try_out,
)
from mailblast.send.due import campaigns_due
from mailblast.terminal import Screen
from mailblast.terminal.words import visible


class _Duration(click.ParamType[float]):
    name = "DURATION"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, of `30 s`, `15 min`, `2 h`."""
        if isinstance(value, float):
            return value
        if value.strip() in ("0", "0 s"):  # no setting has a use for it
            return 0.0
        found = DURATION.take(value)
        if isinstance(found, Refusal):
            self.fail(str(found), param, ctx)
        return float(found)


@click.command()
@click.argument(
    "campaign",
    required=False,
    type=CampaignPath(),
)
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option("--dry-run", is_flag=True, help="Do everything but send.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="Send at most this many messages now."
)
@click.option(
    "--to-me", metavar="ADDRESS", help="Send a few samples to yourself; they count nowhere."
)
@click.option(
    "--rehearse",
    is_flag=True,
    help="Send to the practice Internet, with a ledger of its own.",
)
@click.option("--new-run", is_flag=True, help="Begin a new mailing to the whole list.")
@click.option("--resend-doubtful", is_flag=True, help="Offer the doubtful ones once more.")
@click.option(
    "--resume-paused", is_flag=True, help="Go on where the circuit breaker stopped."
)
@click.option(
    "--wait",
    type=_Duration(),
    default=600.0,
    help='Wait for what is due again within this time, as "2 h", as often as there is such; '
    "0 for not at all. Default: 10 min.",
)
@click.option(
    "--all-due",
    is_flag=True,
    help="Go on with every campaign of which something is due; asks nothing.",
)
@click.option(
    "--render-all", is_flag=True, help="Render more than 100,000 rows before sending."
)
@click.option(
    "--override",
    multiple=True,
    metavar="ID",
    help="Send although this rule of `mailblast check` fails; with --because.",
)
@click.option(
    "--because",
    multiple=True,
    metavar="TEXT",
    help="Why; one for each --override. The run book keeps it.",
)
@json_option
def send(campaign: Path | None, as_json: bool, **options: Any) -> int:
    """Send CAMPAIGN to everyone still due.  Running it again takes the run up again."""
    screen = Screen(json=as_json)
    if options["all_due"]:
        if campaign is not None or any(options[one] for one in _NOT_ALL_DUE):
            others = ", ".join(f"--{one.replace('_', '-')}" for one in _NOT_ALL_DUE)
            raise click.UsageError(
                f"--all-due goes on with every campaign as it stands: without CAMPAIGN, {others}"
            )
        return _send_all_due(screen, options, as_json=as_json)
    if campaign is None:
        raise click.UsageError("say which CAMPAIGN, or --all-due")
    if not (options["yes"] or options["dry_run"] or sys.stdin.isatty()):
        raise Refused(
            "nobody is there to agree to the plan", "say --yes to send without asking"
        )
    sent = _send_one(screen, _request(campaign, options), options)
    if as_json:
        put_json(sent.report.as_json())
    if sent.error:
        raise sent.error
    return sent.status


_NOT_ALL_DUE = ("to_me", "rehearse", "new_run", "dry_run", "limit", "resend_doubtful",
                "resume_paused", "override")  # fmt: skip


def _request(campaign: Path, options: dict[str, Any]) -> Request:
    return Request(
        directory=campaign,
        rehearse=options["rehearse"],
        new_run=options["new_run"],
        resend_doubtful=options["resend_doubtful"],
        resume_paused=options["resume_paused"],
        to_me=address_of(options["to_me"]) if options["to_me"] else None,
        wait=options["wait"],
        overrides=_overrides(options["override"], options["because"]),
    )


def _overrides(rules: tuple[str, ...], reasons: tuple[str, ...]) -> dict[str, str]:
    if len(rules) != len(reasons) or not all(why.strip() for why in reasons):
        raise click.UsageError("each --override ID needs a --because TEXT of its own")
    return {rule(name).id: visible(why) for name, why in zip(rules, reasons, strict=True)}


@dataclass(frozen=True, slots=True)
class _Sent:
    """How the sending of one campaign ended: the exit status, the account, what stopped it."""

    status: int
    report: RunReport
    error: MailblastError | None = None
    interrupted: bool = False


def _send_all_due(screen: Screen, options: dict[str, Any], *, as_json: bool) -> int:
    """One campaign after the other; what stops one does not stop the others, but Ctrl-C."""
    options = {**options, "yes": True}
    with opened(Path()) as (workspace, ledger):
        due = campaigns_due(ledger, workspace, time.time() + options["wait"])
    if not due:
        screen.say("Nothing is due.")
    statuses, accounts = [], []
    for scope in due:
        screen.say(f"== {visible(scope)}")
        try:
            sent = _send_one(screen, _request(workspace / scope, options), options)
        except MailblastError as error:
            statuses.append(error.exit_status)
            screen.error(str(error), error.hint)
            continue
        statuses.append(sent.status)
        accounts.append(sent.report.as_json())
        if sent.error:
            screen.error(str(sent.error), sent.error.hint)
        if sent.interrupted:
            break
    if as_json:
        put_json({"runs": accounts})
    # What went wrong must not hide behind what is merely not finished.
    return min(filter(None, statuses), default=0)


def _account(plan: Plan, run: Run) -> RunReport:
    return reports.account(plan.ledger, run, plan.campaign.suppression.bounce_window)


def _send_one(screen: Screen, request: Request, options: dict[str, Any]) -> _Sent:
    """Prepare, ask, send."""
    with prepared(request, screen.told) as plan:
        outcome = _send(screen, plan, options)
        if outcome is None:
            report = _account(plan, plan.run)
            return _Sent(_unsent(plan, dry_run=options["dry_run"]), report)
        if plan.rehearsal:
            _come_back(screen, plan, outcome)
        error = outcome.error
        status = error.exit_status if error else 0 if outcome.settled else 3
        report = _account(plan, outcome.run)
        return _Sent(status, report, error, outcome.interrupted)


def _send(screen: Screen, plan: Plan, options: dict[str, Any]) -> Outcome | None:
    """Try out, show, ask and send; None if nothing was to be sent or nobody agreed."""
    pool = pool_for(plan)
    try:
        plan = try_out(plan, pool, screen.told, all_rows=options["render_all"])
        if not plan.due and not plan.next_due:
            screen.nothing_due(plan, reports.rejected(plan.ledger, plan.run))
            return None
        limit = options["limit"]
        screen.plan(plan, limit)
        if options["dry_run"]:
            screen.say("Dry run: nothing was sent.")
            return None
        now = counted(min(plan.due, limit or plan.due), "message")
        if not (options["yes"] or screen.ask(f"Send {now}?")):
            screen.say("Nothing was sent.")
            return None
        with screen.watching() as watched:
            outcome = execute(plan, pool, watched, limit)
    finally:
        pool.close()
    if not plan.rehearsal:
        screen.outcome(outcome)
    return outcome


def _unsent(plan: Plan, *, dry_run: bool) -> int:
    """The exit status when nothing was sent."""
    if dry_run:
        return 0
    if plan.due:
        return 2
    if not plan.resumed:
        return 1  # nobody in the list can be mailed
    return 3 if plan.dispositions.get(Disposition.DOUBTFUL) else 0


def _come_back(screen: Screen, plan: Plan, outcome: Outcome) -> None:
    """The end of a rehearsal: what came back is taken in, and accounted for."""
    inbox = inbox_of(plan)
    if inbox.exists():
        reconcile = Reconcile(plan.ledger, keyring(plan.ledger))
        reconcile.take_in(read_mailbox(inbox), time.time)
        screen.came_back(reconcile.counts, reconcile.kinds, reconcile.tied)
    screen.say("This was a rehearsal: nothing left this machine.", "bold")
    screen.report(_account(plan, outcome.run), rehearsal=True)
