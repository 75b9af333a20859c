"""Taking in what came back, from a mailbox or from an MTA that hands it over."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from mailblast import intake
from mailblast.cli.base import (
    json_option,
    opened,
    put_json,
    rehearsal_option,
    workspace_option,
)
from mailblast.keys import keyring
from mailblast.ledger import BUSY_SECONDS
from mailblast.mailbox import read as read_mailbox
from mailblast.reconcile import Reconcile
from mailblast.terminal import Screen

MAILBOXES = click.argument("mailboxes", nargs=-1, required=True)

# An MTA tries again by itself; meanwhile it should not sit on a process for each message.
PIPE_SECONDS = 5.0


def status_for_mta(arguments: Sequence[str], status: int) -> int:
    """The exit status: of an import from standard input, "try again" for every failure.

    To an MTA any other says that the mail cannot be delivered, and it would send a bounce of
    the bounce.  EX_TEMPFAIL of sysexits.h, as pipe(8) and local(8) of Postfix, the pipe
    transport of Exim and procmail have it.
    """
    piped = list(arguments[:2]) == ["bounces", "import"] and "-" in arguments[2:]
    return os.EX_TEMPFAIL if piped and status else status


@click.command("import")
@MAILBOXES
@workspace_option
@rehearsal_option
@json_option
def bounces_import(
    mailboxes: tuple[str, ...], workspace: Path | None, rehearsal: bool, as_json: bool
) -> None:
    """Read notices from MAILBOXES, and record what became of each delivery.

    A mailbox is an mbox, an MMDF file, a Maildir, an MH folder, an .eml or .emlx file, a
    directory of such, or - for standard input. From there it may as well be one message that an
    MTA hands over: then it takes an absolute --workspace, says nothing when all went well, and
    ends with status 75 when the MTA should try again.
    """
    screen = Screen(json=as_json)
    piped = "-" in mailboxes
    quiet = piped and not as_json and not sys.stdout.isatty()
    with opened(
        workspace or Path(),
        rehearsal=rehearsal,
        make=not piped and workspace is None,
        patience=PIPE_SECONDS if piped else BUSY_SECONDS,
    ) as (_, ledger):
        reconcile = Reconcile(ledger, keyring(ledger))
        entry = intake.take_in(
            ledger,
            reconcile,
            map(read_mailbox, map(Path, mailboxes)),
            iter if quiet else screen.reading,
            time.time,
        )
    if as_json:
        put_json(entry)
    elif not quiet:
        screen.came_back(reconcile.counts)
