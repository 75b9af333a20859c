"""The suppression list: unsubscribe add, import, list, check, export, remove."""

import time
from pathlib import Path

import click

from mailblast import optout
from mailblast.cli.base import opened
from mailblast.errors import Problem, Problems, Refused
from mailblast.quantity import counted, number
from mailblast.suppression import Entry
from mailblast.terminal import Screen, history

PROBLEMS_SHOWN = 20  # of a list: somebody may have named the wrong file


@click.group()
def unsubscribe() -> None:
    """The workspace's suppression list: it binds every campaign, at once."""


reason_option = click.option("--reason", help="Why; default: unsubscribed.")


@unsubscribe.command("add", short_help="Add addresses, or a whole domain.")
@click.argument("addresses", nargs=-1)
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A list, an entry a line.",
)
@reason_option
def unsubscribe_add(
    addresses: tuple[str, ...], path: Path | None, reason: str | None
) -> None:
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


def _add(
    addresses: tuple[str, ...], path: Path | None, reason: str | None, source: str
) -> None:
    said = list(optout.entries(addresses, reason or "unsubscribed"))
    if path is not None:
        said += optout.read_list(path, reason)
    found = [one for one in said if isinstance(one, Entry)]
    if found or not said:
        with opened(Path(), make=True) as (workspace, ledger):
            added = ledger.suppressions.add(found, time.time(), source)
        known = len(found) - added
        Screen().say(
            f"{number(added)} added, {number(known)} on the list already. It applies at once "
            f"to what is sent from {workspace}."
        )
    # Whoever asked to be left alone does not wait until another's line is mended.
    if problems := [one for one in said if isinstance(one, Problem)]:
        raise Problems(
            problems[:PROBLEMS_SHOWN],
            f"{counted(len(problems), 'entry was', 'entries were')} NOT added; correct what "
            "is wrong, then run the same again",
        )


@unsubscribe.command("list")
def unsubscribe_list() -> None:
    """Print the list."""
    with opened(Path(), make=True) as (_, ledger):
        screen, entry = Screen(), None
        for entry in ledger.suppressions.all():
            screen.say(history.entry(entry))
    if entry is None:
        screen.note("Nobody is on the list.")


@unsubscribe.command("check")
@click.argument("address")
def unsubscribe_check(address: str) -> int:
    """Say whether ADDRESS is suppressed, and why.  Exit status 2 if it is."""
    with opened(Path()) as (_, ledger):
        found = optout.check(ledger, address)
        causes = optout.causes(ledger, found)
    screen = Screen()
    for entry in found:
        for line in history.explained(entry, causes):
            screen.say(line)
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
    Screen().say(f"wrote {counted(count, 'entry', 'entries')} to {path}")


@unsubscribe.command("remove", short_help="Take ADDRESS off, for a consent given since.")
@click.argument("address")
@click.option(
    "--consent",
    required=True,
    help="How and on which day (2026-11-24) they agreed to get mail again; kept as evidence.",
)
def unsubscribe_remove(address: str, consent: str) -> int:
    """Take ADDRESS off the list, because of a consent given after the opt-out."""
    if not consent.strip():
        raise Refused(
            "a consent in so many words is needed", 'say --consent "form on …, 2026-11-24"'
        )
    with opened(Path()) as (_, ledger):
        removed = optout.lift(ledger, address, consent.strip(), time.time())
        left = [one.key for one in optout.check(ledger, address) if one.removed is None]
    said = "taken off; the consent is kept" if removed else "was not on the list"
    Screen().say(f"{address}: {said}.")
    if left:
        Screen().say(f"It stays suppressed by the entry {', '.join(left)}.")
    return 0 if removed else 1
