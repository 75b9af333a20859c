"""The commands.  Each one opens, calls one function, shows, and ends with an exit status:

0   all is settled, or done
1   usage or configuration: the user can mend it
2   mailblast declines, or was not told to go on
3   finished, with something deferred, doubtful or not offered yet
"""

import sys

import click

from mailblast import __version__
from mailblast.cli.account import bounces, report, show
from mailblast.cli.optout import unsubscribe
from mailblast.cli.sending import init, keys, preview, send
from mailblast.errors import MailblastError
from mailblast.terminal import Screen

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


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


for command in (init, preview, send, report, show, bounces, unsubscribe, keys):
    cli.add_command(command)
