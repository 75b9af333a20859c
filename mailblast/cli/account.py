"""What became of it: report and show."""

import time
from pathlib import Path

import click

from mailblast import preview as previews
from mailblast import report as reports
from mailblast.clean import new_file
from mailblast.cli.base import address_of, json_option, opened, put_json, rehearsal_option
from mailblast.cli.making import show_message
from mailblast.disposition import DUE
from mailblast.dossier import dossier
from mailblast.errors import UserError
from mailblast.terminal import Screen
from mailblast.terminal.dossier import MOST
from mailblast.terminal.dossier import lines as dossier_in_lines
from mailblast.terminal.words import counted

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
    with opened(Path(), rehearsal=rehearsal) as (_, ledger):
        reports.close_windows(ledger, time.time())
        runs = ledger.runs.all() if every else reports.chosen(ledger, run)
        found = [reports.account(ledger, one) for one in runs]
        if export:
            count = reports.export_rejected(ledger, runs[-1], export)
            screen.say(f"wrote {counted(count, 'row')} to {export}")
        elif as_json:
            put_json({"runs": [one.as_json() for one in found]})
        else:
            for one in found:
                screen.report(one)


def _dossier(
    screen: Screen, run: str | None, output: Path | None, *, rehearsal: bool, as_json: bool
) -> None:
    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        reports.close_windows(ledger, time.time())
        found = dossier(ledger, workspace, reports.chosen(ledger, run)[0])
    if output:
        with new_file(output, "utf-8") as file:
            file.writelines(f"{line}\n" for line in dossier_in_lines(found, PAGE))
        screen.say(f"wrote {output}")
    elif as_json:
        put_json(found.as_json())
    else:
        for line in dossier_in_lines(found, min(screen.out.width, PAGE), MOST):
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
def show(address: str, run_name: str | None, raw: bool, rehearsal: bool) -> int:
    """What happened to ADDRESS, event by event; with --raw, the message itself."""
    screen = Screen(json=raw)
    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        run = reports.chosen(ledger, run_name)[0] if run_name else None
        told = list(previews.story(ledger, address_of(address).key, run))
        if not told:
            raise UserError(
                f"{address} is in no run", "mailblast report --all lists the runs"
            )
        for one, delivery, history in told[-1:] if raw else told:
            if not raw:
                screen.story(one, delivery, history, ledger.imports.about(delivery.id))
                if delivery.disposition in DUE:
                    where = ledger.deliveries.destination_of(delivery.domain)
                    screen.held(*reports.held(ledger, one, {where}))
                continue
            seen = previews.again(ledger, workspace, one, delivery)
            show_message(seen, raw=True, html=None)
            screen.proof(seen.proven)
            return 0 if seen.proven is not False else 1
    return 0
