"""Taking in what came back, from a mailbox or from an MTA that hands it over."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from mailblast import intake
from mailblast.campaign import load_policy
from mailblast.cli.base import (
    json_option,
    opened,
    put_json,
    rehearsal_option,
    workspace_option,
)
from mailblast.cli.source import MAILBOXES, source
from mailblast.errors import Refusal, UserError
from mailblast.imap import is_address
from mailblast.intake import Shown, Source
from mailblast.keys import keyring
from mailblast.ledger import BUSY_SECONDS
from mailblast.mailbox import Mail
from mailblast.reconcile import Reconcile
from mailblast.terminal import Screen
from mailblast.terminal.words import held_back, warning

# An MTA tries again by itself; meanwhile it should not sit on a process for each message.
PIPE_SECONDS = 5.0


@click.command("import")
@MAILBOXES
@click.option(
    "--move-to",
    default="",
    metavar="FOLDER",
    help="Of an IMAP mailbox: move there what use was made of; the rest is left for people.",
)
@workspace_option
@rehearsal_option
@json_option
def bounces_import(
    mailboxes: tuple[str, ...],
    move_to: str,
    workspace: Path | None,
    rehearsal: bool,
    as_json: bool,
) -> None:
    """Read notices from MAILBOXES, and record what became of each delivery.

    A mailbox is an mbox, an MMDF file, a Maildir, an MH folder, an .eml or .emlx file, a
    directory of such, imaps://user@host/FOLDER, or - for standard input. From there it may as
    well be one message that an MTA hands over: then it takes an absolute --workspace, says
    nothing when all went well, and ends with status 75 when the MTA should try again.
    """
    if move_to and not any(map(is_address, mailboxes)):
        raise UserError("--move-to is for an IMAP mailbox: imaps://user@host/INBOX")
    screen = Screen(json=as_json)
    piped = "-" in mailboxes
    quiet = piped and not as_json and not sys.stdout.isatty()
    patience = PIPE_SECONDS if piped else BUSY_SECONDS
    make = not piped and workspace is None
    start = workspace or Path()
    with opened(start, rehearsal=rehearsal, make=make, patience=patience) as (home, ledger):
        policy, thresholds = load_policy(home)
        reconcile = Reconcile(ledger, keyring(ledger), policy)
        sources = (source(one, home, ledger, move_to) for one in mailboxes)
        shown = iter if quiet else _shown(screen)
        done = intake.take_in(ledger, reconcile, thresholds, sources, shown, time.time)
    if as_json:
        put_json(done.entry)
    elif not quiet:
        screen.came_back(reconcile.counts, reconcile.kinds, reconcile.tied)
        for why in done.entry["warnings"]:
            screen.say(warning(why))
        screen.held(done.followed.paused, ())
        for line in held_back(done.followed.held):
            screen.say(line)


def _shown(screen: Screen) -> Shown:
    """Progress, and each message that cannot be read."""

    def shown(source: Source) -> Iterator[Mail | Refusal]:
        for mail in screen.reading(source):
            if isinstance(mail, Refusal):
                screen.error(str(mail))
            yield mail

    return shown
