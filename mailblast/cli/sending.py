"""Making, looking at and sending a campaign: init, preview, send, keys."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from mailblast import preview as previews
from mailblast import report as reports
from mailblast.campaign import find_workspace
from mailblast.campaign.example import write_example
from mailblast.cli.base import address_of, json_option, put_json
from mailblast.errors import Refused
from mailblast.event import Disposition
from mailblast.keys import STATE, dkim_named, key_path, keyring, new_dkim_key
from mailblast.mailbox import read as read_mailbox
from mailblast.reconcile import Reconcile
from mailblast.secret import private_directory
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
from mailblast.terminal import Screen
from mailblast.terminal.words import counted


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a complete campaign into DIRECTORY, every setting explained."""
    screen = Screen()
    for path in write_example(directory):
        screen.say(f"wrote {path}")
    # From here on it is found from within the campaign as well: one ledger, one list.
    workspace = find_workspace(directory)
    private_directory(workspace / STATE)
    screen.say(f"The workspace is {workspace}: run everything there or below.")
    screen.say(f"Look at it with: mailblast preview {directory}")
    screen.say(
        f"It goes to the practice Internet on this machine with: mailblast send {directory}"
    )


@click.command()
@click.argument("campaign", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--row", type=click.IntRange(min=1), help="The data row, counted from 1.")
@click.option("--to", "address", metavar="ADDRESS", help="The recipient with this address.")
@click.option("--raw", is_flag=True, help="The bytes as they would be sent.")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write the HTML part to this file."
)
def preview(
    campaign: Path, row: int | None, address: str | None, raw: bool, html: Path | None
) -> None:
    """Show exactly what one recipient of CAMPAIGN would get."""
    if row is not None and address is not None:
        raise click.UsageError("say --row or --to, not both")
    seen = previews.preview(campaign, row, address)
    show_message(seen, raw=raw, html=html)


def show_message(seen: previews.Seen, *, raw: bool, html: Path | None) -> None:
    """A message: raw, as a page, or readable."""
    if raw:
        sys.stdout.buffer.write(seen.message.content)
        sys.stdout.buffer.flush()
    elif html:
        html.write_text(previews.as_page(seen.message.content), encoding="utf-8")
        Screen().say(f"wrote {html}: row {seen.row}, to {seen.message.recipient}")
    else:
        Screen().message(seen.message, *previews.readable(seen.message.content))


@click.command()
@click.argument("campaign", type=click.Path(exists=True, file_okay=False, path_type=Path))
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
    "--render-all", is_flag=True, help="Render more than 100,000 rows before sending."
)
@json_option
def send(campaign: Path, as_json: bool, **options: Any) -> int:
    """Send CAMPAIGN to everyone still due.  Running it again takes the run up again."""
    screen = Screen(json=as_json)
    request = Request(
        directory=campaign,
        rehearse=options["rehearse"],
        new_run=options["new_run"],
        resend_doubtful=options["resend_doubtful"],
        to_me=address_of(options["to_me"]) if options["to_me"] else None,
    )
    if not (options["yes"] or options["dry_run"] or sys.stdin.isatty()):
        raise Refused(
            "nobody is there to agree to the plan", "say --yes to send without asking"
        )
    with prepared(request, screen.told) as plan:
        outcome = _send(screen, plan, options)
        if outcome is None:
            if as_json:
                put_json(reports.account(plan.ledger, plan.run).as_json())
            return _unsent(plan, dry_run=options["dry_run"])
        if plan.rehearsal:
            _come_back(screen, plan, outcome)
        if as_json:
            put_json(reports.account(plan.ledger, outcome.run).as_json())
        if outcome.error:
            raise outcome.error
    return 0 if outcome.settled else 3


def _send(screen: Screen, plan: Plan, options: dict[str, Any]) -> Outcome | None:
    """Try out, show, ask and send; None if nothing was to be sent or nobody agreed."""
    pool = pool_for(plan)
    try:
        plan = try_out(plan, pool, screen.told, all_rows=options["render_all"])
        if not plan.due and not plan.next_due:
            screen.nothing_due(plan)
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
        screen.came_back(reconcile.counts)
    screen.say("This was a rehearsal: nothing left this machine.", "bold")
    screen.report(reports.account(plan.ledger, outcome.run))


@click.group()
def keys() -> None:
    """The keys that sign messages (DKIM)."""


@keys.command("new")
@click.argument("domain")
@click.option(
    "--selector", default="mb1", show_default=True, help="The key's name in the DNS."
)
@click.option(
    "--algorithm",
    type=click.Choice(["rsa-sha256", "ed25519-sha256"]),
    default="rsa-sha256",
    show_default=True,
    help="How it signs; some receivers cannot verify Ed25519.",
)
def keys_new(domain: str, selector: str, algorithm: Any) -> None:
    """Make a key for DOMAIN and print the DNS record to publish."""
    dkim = dkim_named(domain, selector, algorithm)
    path = key_path(dkim, find_workspace(Path()))
    Screen().public_key(new_dkim_key(dkim.domain, dkim.selector, algorithm, path))
