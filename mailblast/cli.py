"""The commands.  Each one opens, calls one function, shows, and ends with an exit status:

    0   all is settled, or done
    1   usage or configuration: the user can mend it
    2   mailblast declines, or was not told to go on
    3   finished, with something deferred, doubtful or not offered yet
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from mailblast import __version__, optout
from mailblast import preview as previews
from mailblast import report as reports
from mailblast.address import parse as parse_address
from mailblast.campaign import find_workspace
from mailblast.campaign.example import write_example
from mailblast.errors import MailblastError, Refusal, Refused, UserError
from mailblast.keys import STATE, key_path, keyring, new_dkim_key
from mailblast.ledger import Ledger
from mailblast.mailbox import read as read_mailbox
from mailblast.reconcile import Reconcile
from mailblast.runbook import RunBook
from mailblast.send import Outcome, Plan, Request, execute, pool_for, prepared, try_out
from mailblast.send.prepare import REHEARSAL
from mailblast.terminal import Screen, number

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
rehearsal_option = click.option(
    "--rehearsal", is_flag=True, help="Of the last rehearsal, not of real sendings."
)


@click.group(context_settings=SETTINGS)
@click.version_option(__version__, prog_name="mailblast")
def cli() -> None:
    """Bulk mail: personal, lawful, and with an account of what became of each message.

    The first steps: mailblast init letter/; mailblast preview letter/; mailblast send letter/
    """


def main() -> None:
    """Run the command line and end the process with its exit status."""
    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        status = 2
    except click.ClickException as error:
        error.show()
        status = 1
    except MailblastError as error:
        Screen().error(str(error), error.hint)
        status = error.exit_status
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: nothing to complain about
        status = 1
    sys.exit(status or 0)


@contextmanager
def opened(start: Path, *, rehearsal: bool = False) -> Iterator[tuple[Path, Ledger]]:
    """The workspace that a directory lies in, and its ledger."""
    workspace = find_workspace(start)
    ledger = Ledger(workspace / STATE / (REHEARSAL if rehearsal else ""))
    try:
        yield workspace, ledger
    finally:
        ledger.close()


def put_json(document: object) -> None:
    """The one object on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False))


# --- init, preview, send -------------------------------------------------------------------


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a complete campaign into DIRECTORY, every setting explained."""
    screen = Screen()
    for path in write_example(directory):
        screen.say(f"wrote {path}")
    screen.say(f"Look at it with: mailblast preview {directory}")
    screen.say(f"It goes to the practice Internet on this machine with: mailblast send {directory}")


@cli.command()
@click.argument("campaign", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--row", type=click.IntRange(min=1), help="The data row, counted from 1.")
@click.option("--to", "address", help="The recipient with this address.")
@click.option("--raw", is_flag=True, help="The bytes as they would be sent.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the HTML part to this file.")
def preview(campaign: Path, row: int | None, address: str | None, raw: bool, html: Path | None) -> None:
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


@cli.command()
@click.argument("campaign", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@click.option("--dry-run", is_flag=True, help="Do everything but send.")
@click.option("--limit", type=click.IntRange(min=1), help="Send at most this many messages now.")
@click.option("--to-me", metavar="ADDRESS", help="Send a few samples to yourself; they count nowhere.")
@click.option("--rehearse", is_flag=True, help="Send to the practice Internet, with a ledger of its own.")
@click.option("--new-run", is_flag=True, help="Begin a new mailing to the whole list.")
@click.option("--resend-doubtful", is_flag=True, help="Offer the doubtful ones once more.")
@click.option("--render-all", is_flag=True, help="Render more than 100,000 rows before sending.")
@json_option
def send(campaign: Path, as_json: bool, **options: Any) -> int:
    """Send CAMPAIGN to everyone still due.  Running it again takes the run up again."""
    screen = Screen(json=as_json)
    request = Request(
        directory=campaign,
        rehearse=options["rehearse"],
        new_run=options["new_run"],
        resend_doubtful=options["resend_doubtful"],
        to_me=_address(options["to_me"]) if options["to_me"] else None,
    )
    if not (options["yes"] or options["dry_run"] or sys.stdin.isatty()):
        raise Refused("nobody is there to agree to the plan", "say --yes to send without asking")
    with prepared(request, screen.told) as plan:
        outcome = _send(screen, plan, options)
        if outcome is None:
            return 0 if options["dry_run"] or not plan.due else 2
        if as_json:
            report = reports.report(plan.ledger, outcome.run)
            put_json(report.as_json())
        if plan.rehearsal:
            _come_back(screen, plan)
        if outcome.error:
            raise outcome.error
    return 0 if outcome.settled else 3


def _send(screen: Screen, plan: Plan, options: dict[str, Any]) -> Outcome | None:
    """Try out, show, ask and send; None if nothing was to be sent or nobody agreed."""
    pool = pool_for(plan)
    try:
        bad = try_out(plan, pool, screen.told, all_rows=options["render_all"])
        if bad:
            plan = plan.again()
        screen.plan(plan)
        if options["dry_run"]:
            screen.say("Dry run: nothing was sent, and nothing was kept.")
            return None
        if not plan.due and not plan.next_due:
            screen.nothing_due(plan)
            return None
        if not (options["yes"] or screen.ask(f"Send {number(plan.due)} messages?")):
            screen.say("Nothing was sent.")
            return None
        with screen.watching() as watched:
            outcome = execute(plan, pool, watched, options["limit"])
    finally:
        pool.close()
    screen.outcome(outcome)
    return outcome


def _come_back(screen: Screen, plan: Plan) -> None:
    """The end of a rehearsal: what came back is taken in, and accounted for."""
    inbox = plan.ledger.directory / "sandbox" / "inbox.mbox"
    if inbox.exists():
        reconcile = Reconcile(plan.ledger, keyring(plan.ledger))
        reconcile.take_in(read_mailbox(inbox), time.time)
        screen.came_back(reconcile.counts)
    screen.report(reports.report(plan.ledger, plan.run))


def _address(text: str) -> Any:
    found = parse_address(text)
    if isinstance(found, Refusal):
        raise UserError(f"{text}: {found}")
    return found


# --- report, show --------------------------------------------------------------------------


@cli.command()
@click.argument("run", required=False)
@click.option("--all", "every", is_flag=True, help="Every run, not the latest alone.")
@click.option("--export", type=click.Path(path_type=Path), help="Write the invalid rows, as they came, with the reason.")
@rehearsal_option
@json_option
def report(run: str | None, every: bool, export: Path | None, rehearsal: bool, as_json: bool) -> None:
    """What has become of RUN (the latest, if none is named), in sums that add up."""
    screen = Screen(json=as_json)
    with opened(Path(), rehearsal=rehearsal) as (_, ledger):
        reports.close_windows(ledger, time.time())
        runs = ledger.runs.all() if every else reports.chosen(ledger, run)
        found = [reports.report(ledger, one) for one in runs]
        if export:
            count = reports.export_rejected(ledger, runs[-1], export)
            screen.say(f"wrote {number(count)} rows to {export}")
        elif as_json:
            put_json({"runs": [one.as_json() for one in found]})
        else:
            for one in found:
                screen.report(one)


@cli.command()
@click.argument("address")
@click.option("--run", "run_name", help="In this run alone.")
@click.option("--raw", is_flag=True, help="Print the message as it was sent, byte for byte.")
@rehearsal_option
def show(address: str, run_name: str | None, raw: bool, rehearsal: bool) -> int:
    """What happened to ADDRESS, event by event; with --raw, the message itself."""
    screen = Screen(json=raw)
    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        run = reports.chosen(ledger, run_name)[0] if run_name or raw else None
        told = list(previews.story(ledger, _address(address).key, run))
        if not told:
            raise UserError(f"{address} is in no run", "mailblast report --all lists the runs")
        for one, delivery, history in told:
            if not raw:
                screen.story(one, delivery, history)
                continue
            seen = previews.again(ledger, workspace, one, delivery)
            show_message(seen, raw=True, html=None)
            screen.proof(seen.proven)
            return 0 if seen.proven is not False else 1
    return 0


# --- keys ----------------------------------------------------------------------------------


@cli.group()
def keys() -> None:
    """The keys that sign messages (DKIM)."""


@keys.command("new")
@click.argument("domain")
@click.option("--selector", default="mb1", show_default=True, help="The key's name in the DNS.")
@click.option("--algorithm", type=click.Choice(["rsa-sha256", "ed25519-sha256"]), default="rsa-sha256", show_default=True)
def keys_new(domain: str, selector: str, algorithm: Any) -> None:
    """Make a key for DOMAIN and print the DNS record to publish."""
    from mailblast.campaign import Dkim  # noqa: PLC0415 - only its place is asked for

    dkim = Dkim(domain, selector, None, algorithm)
    made = new_dkim_key(domain, selector, algorithm, key_path(dkim, find_workspace(Path())))
    Screen().public_key(made)


# --- bounces -------------------------------------------------------------------------------


@cli.group()
def bounces() -> None:
    """What came back."""


@bounces.command("import")
@click.argument("mailboxes", nargs=-1, required=True, type=click.Path(path_type=Path))
@rehearsal_option
@json_option
def bounces_import(mailboxes: tuple[Path, ...], rehearsal: bool, as_json: bool) -> None:
    """Read notices from MAILBOXES (mbox, Maildir, .eml, or - for standard input)."""
    screen = Screen(json=as_json)
    with opened(Path(), rehearsal=rehearsal) as (_, ledger):
        reconcile = Reconcile(ledger, keyring(ledger))
        for path in mailboxes:
            reconcile.take_in(screen.counting(read_mailbox(path), "reading mail"), time.time)
        name = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        counts = dict(reconcile.counts)
        document = {"sources": [str(path) for path in mailboxes], "counts": counts}
        RunBook(ledger.directory).put("imports", name, document)
    if as_json:
        put_json(document)
    else:
        screen.came_back(reconcile.counts)


# --- unsubscribe ---------------------------------------------------------------------------


@cli.group()
def unsubscribe() -> None:
    """The workspace's suppression list: it binds every campaign, at once."""


reason_option = click.option("--reason", help="Why; default: unsubscribed.")


@unsubscribe.command("add")
@click.argument("addresses", nargs=-1)
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A list, an entry a line.")
@reason_option
def unsubscribe_add(addresses: tuple[str, ...], path: Path | None, reason: str | None) -> None:
    """Add ADDRESSES: an address, a whole domain (@example.com), or a SHA-256 or MD5."""
    if not addresses and path is None:
        raise click.UsageError("name an address, or --file")
    _add(addresses, path, reason, "unsubscribe add")


@unsubscribe.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@reason_option
def unsubscribe_import(path: Path, reason: str | None) -> None:
    """Add the entries of a list: .txt, an entry a line; or .csv."""
    _add((), path, reason, str(path.name))


def _add(addresses: tuple[str, ...], path: Path | None, reason: str | None, source: str) -> None:
    found = optout.entries(addresses, reason or "unsubscribed")
    if path is not None:
        found += optout.read_list(path, reason)
    with opened(Path()) as (_, ledger):
        added = ledger.suppressions.add(found, time.time(), source)
    known = len(found) - added
    Screen().say(f"{number(added)} added, {number(known)} on the list already. It applies at once.")


@unsubscribe.command("list")
def unsubscribe_list() -> None:
    """Print the list."""
    with opened(Path()) as (_, ledger):
        Screen().suppressions(ledger.suppressions.all())


@unsubscribe.command("check")
@click.argument("address")
def unsubscribe_check(address: str) -> int:
    """Say whether ADDRESS is suppressed, and why.  Exit status 2 if it is."""
    with opened(Path()) as (_, ledger):
        found = optout.check(ledger, address)
    screen = Screen()
    screen.suppressions(found)
    standing = any(entry.removed is None for entry in found)
    screen.say(f"{address} is {'suppressed' if standing else 'not suppressed'}.")
    return 2 if standing else 0


@unsubscribe.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--for-compliance", is_flag=True, help="Addresses in clear, not as SHA-256.")
def unsubscribe_export(path: Path, for_compliance: bool) -> None:
    """Write the list to a CSV file, addresses as SHA-256."""
    with opened(Path()) as (_, ledger):
        count = optout.export(ledger, path, clear=for_compliance)
    Screen().say(f"wrote {number(count)} entries to {path}")


@unsubscribe.command("remove")
@click.argument("address")
@click.option("--consent", required=True, help="How and when they agreed to get mail again; kept as evidence.")
def unsubscribe_remove(address: str, consent: str) -> int:
    """Take ADDRESS off the list, because of a consent given after the opt-out."""
    if not consent.strip():
        raise Refused("a consent in so many words is needed", 'say --consent "form on …, 2026-11-24"')
    with opened(Path()) as (_, ledger):
        removed = optout.lift(ledger, address, consent.strip(), time.time())
    Screen().say(f"{address}: {'taken off; the consent is kept' if removed else 'was not on the list'}.")
    return 0 if removed else 1


