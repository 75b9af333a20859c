"""The commands.  Each one opens, calls one function, shows, and ends with an exit status:

0   all is settled, or done
1   usage or configuration: the user can mend it
2   mailblast declines, or was not told to go on
3   finished, with something deferred, doubtful or not offered yet
4   not ready: a rule of level error fails (`mailblast check`)
75  `bounces import -` could not take a message in: an MTA keeps it and tries again
"""

import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from mailblast import __version__
from mailblast.cli.late import Late, LateGroup
from mailblast.errors import MailblastError
from mailblast.terminal import Screen

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


COMMANDS = {
    "init": Late("making", "init", "Write a new campaign, every setting explained."),
    "preview": Late("making", "preview", "Show exactly what one recipient would get."),
    "check": Late("check", "check", "Whether a campaign is ready, rule by rule."),
    "dns": Late("zone", "dns", "What to publish in the DNS, and what is there."),
    "plan": Late("planning", "plan", "How long it will take, day by day."),
    "send": Late("sending", "send", "Send to everyone who is still due."),
    "report": Late("account", "report", "What has become of a run."),
    "show": Late("account", "show", "What happened to one address."),
    "bounces": Late("bounces", "bounces", "Take in what came back, and look at it."),
    "explain": Late("explain", "explain", "What a server's reply means, and what is done."),
    "destinations": Late("destinations", "destinations", "Who is sent to, and how gently."),
    "unsubscribe": Late(
        "optout", "unsubscribe", "The list of those who want no more mail."
    ),
    "list": Late("lists", "lists", "Clean a list of recipients."),
    "keys": Late("making", "keys", "Make the keys that sign messages (DKIM)."),
}


@click.group(cls=LateGroup, late=COMMANDS, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="mailblast")
def cli() -> None:
    """Bulk mail: personal, lawful, and with an account of what became of each message.

    The first steps: mailblast init letter/; mailblast preview letter/; mailblast send letter/
    """


def main() -> None:
    """Run the command line and end the process with its exit status."""
    for stream in (sys.stdout, sys.stderr):
        # Names come in every script; a terminal that has not got it shows their numbers.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = cli.main(standalone_mode=False)
    except (
        click.exceptions.Abort
    ):  # Ctrl-C, where nothing that was begun has to be finished
        Screen().error("Broken off.")
        status = 2
    except click.ClickException as error:
        error.show()
        status = 1
    except MailblastError as error:
        Screen().error(str(error), error.hint)
        status = error.exit_status
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        Screen().error(f"{error.filename or 'the system'}: {error.strerror or error}")
        status = 1
    except Exception as error:  # noqa: BLE001 - a fault of ours; a traceback helps nobody here
        status = _own_fault(error)
    sys.exit(_status_for_mta(sys.argv[1:], status or 0))


def _status_for_mta(arguments: Sequence[str], status: int) -> int:
    """The exit status: of an import from standard input, "try again" for every failure.

    To an MTA any other says that the mail cannot be delivered, and it would send a bounce of
    the bounce.  EX_TEMPFAIL of sysexits.h, as pipe(8) and local(8) of Postfix, the pipe
    transport of Exim and procmail have it.
    """
    piped = list(arguments[:2]) == ["bounces", "import"] and "-" in arguments[2:]
    return os.EX_TEMPFAIL if piped and status else status


def _own_fault(error: Exception) -> int:
    """Keep the traceback in a file (it has no values in it) and say where."""
    where = Path(tempfile.mkdtemp(prefix="mailblast-")) / "traceback.txt"
    where.write_text(
        "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
    )
    Screen().error(
        f"a fault of mailblast itself ({type(error).__name__}); what was done is in the ledger",
        f"running the same command again is safe; please report it with {where}",
    )
    return 1
