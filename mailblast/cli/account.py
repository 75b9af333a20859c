"""What became of it: report and show."""

import time
from collections.abc import Sequence
from pathlib import Path

import click

from mailblast import optout
from mailblast import report as reports
from mailblast.campaign import load_policy
from mailblast.cli import past
from mailblast.cli.base import address_of, json_option, opened, put_json, rehearsal_option
from mailblast.disposition import DUE
from mailblast.errors import UserError
from mailblast.event import Event
from mailblast.ledger import Delivery, Ledger, Run
from mailblast.newfile import new_file
from mailblast.quantity import counted
from mailblast.terminal import Screen
from mailblast.terminal.history import entry

PAGE = 92  # columns of a page of text


@click.command()
@click.argument("run", required=False)
@click.option("--all", "every", is_flag=True, help="Every run, not the latest alone.")
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help="Write the invalid rows, as they came, with the reason.",
)
@click.option(
    "--compliance",
    is_flag=True,
    help="The dossier: what was sent, to how many, who vouched for it, who asked for no more.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="With --compliance: write the whole dossier into this new file.",
)
@rehearsal_option
@json_option
def report(
    run: str | None,
    every: bool,
    export: Path | None,
    compliance: bool,
    output: Path | None,
    rehearsal: bool,
    as_json: bool,
) -> None:
    """What has become of RUN (the latest, if none is named), in sums that add up."""
    screen = Screen(json=as_json)
    if output and not compliance:
        raise click.UsageError("--output goes with --compliance; --export writes rows")
    if compliance:
        _dossier(screen, run, output, rehearsal=rehearsal, as_json=as_json)
        return
    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        window = _close_windows(workspace, ledger)
        runs = ledger.runs.all() if every else reports.chosen(ledger, run)
        found = [reports.account(ledger, one, window) for one in runs]
        if export:
            count = reports.export_rejected(ledger, runs[-1], export)
            screen.say(f"wrote {counted(count, 'row')} to {export}")
        elif as_json:
            put_json({"runs": [one.as_json() for one in found]})
        else:
            for one in found:
                screen.report(one, rehearsal=rehearsal)


def _close_windows(workspace: Path, ledger: Ledger) -> float:
    """Close the bounce windows that are over; says how long one is, in seconds."""
    policy, _ = load_policy(workspace)
    reports.close_windows(ledger, time.time(), policy.bounce_window)
    return policy.bounce_window


def _dossier(
    screen: Screen, run: str | None, output: Path | None, *, rehearsal: bool, as_json: bool
) -> None:
    # Here, not above: they bring all that composes and checks, and most reports go without.
    from mailblast.dossier import dossier
    from mailblast.terminal.dossier import MOST, lines

    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        _close_windows(workspace, ledger)
        found = dossier(ledger, workspace, reports.chosen(ledger, run)[0])
    if output:
        with new_file(output, "utf-8") as file:
            file.writelines(f"{line}\n" for line in lines(found, PAGE))
        screen.say(f"wrote {output}")
    elif as_json:
        put_json(found.as_json())
    else:
        for line in lines(found, min(screen.out.width, PAGE), MOST):
            screen.say(line)


@click.command()
@click.argument("address")
@click.option("--run", "run_name", metavar="RUN", help="In this run alone.")
@click.option(
    "--raw",
    is_flag=True,
    help="Print the message as it was sent, byte for byte: the last one, or that of --run.",
)
@rehearsal_option
@json_option
def show(
    address: str, run_name: str | None, raw: bool, rehearsal: bool, as_json: bool
) -> int:
    """What happened to ADDRESS, event by event; with --raw, the message itself."""
    if raw and as_json:
        raise click.UsageError(
            "--raw prints the message itself; --json what happened to it"
        )
    key = address_of(address).key
    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        run = reports.chosen(ledger, run_name)[0] if run_name else None
        stories = list(reports.story(ledger, key, run))
        if raw and stories:
            return _raw(ledger, workspace, *stories[-1][:2])
        if as_json:
            about = ledger.imports.about
            told = [(*story, about(story[1].id)) for story in stories]
            put_json(past.told(key, optout.check(ledger, key), told))
        elif not raw:
            _tell(ledger, address, stories, rehearsal=rehearsal)
        if not stories:
            practised = " --rehearsal" if rehearsal else ""
            raise UserError(
                f"{address} is in no run",
                f"mailblast report --all{practised} lists the runs",
            )
    return 0


def _raw(ledger: Ledger, workspace: Path, run: Run, delivery: Delivery) -> int:
    """Print a message as it was offered; 1 if it can no longer be made."""
    # Here, not above, for the same reason.
    from mailblast import preview
    from mailblast.cli.making import show_message

    seen = preview.again(ledger, workspace, run, delivery)
    show_message(seen, raw=True, html=None)
    Screen(json=True).proof(seen.proven)
    return 0 if seen.proven is not False else 1


def _tell(
    ledger: Ledger,
    address: str,
    stories: Sequence[tuple[Run, Delivery, list[Event]]],
    *,
    rehearsal: bool,
) -> None:
    """Whether an address is suppressed now, and its story in each run."""
    screen = Screen()
    standing = [one for one in optout.check(ledger, address) if one.removed is None]
    for one in standing:
        screen.say(f"Suppressed: {entry(one)}")
    if not standing:
        screen.say(f"{address} is not suppressed.")
    for run, delivery, history in stories:
        screen.story(run, delivery, history, ledger.imports.about(delivery.id))
        if delivery.disposition in DUE:
            where = ledger.deliveries.destination_of(delivery.domain)
            held = reports.held(ledger, run, {where})
            screen.held(*held, run.campaign, rehearsal=rehearsal)
