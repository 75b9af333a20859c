"""What stands for a mailbox on the command line, and the source of mail that it means."""

from pathlib import Path

import click

from mailblast import imap
from mailblast.campaign import load_imap
from mailblast.errors import Refusal, UserError
from mailblast.intake import Source
from mailblast.ledger import Ledger
from mailblast.mailbox import read
from mailblast.secret import read_secret

MAILBOXES = click.argument("mailboxes", nargs=-1, required=True)

HINT = (
    'mailblast.toml says where it is: [imap] password = { env = "NAME" }, { file = "path" } '
    'or { command = "…" }'
)


def source(
    mailbox: str, workspace: Path, ledger: Ledger | None = None, move_to: str = ""
) -> Source:
    """The source that an argument means.  Raises UserError.

    `ledger` and `move_to` are those of `imap.Folder`; files stay where they are.
    """
    if not imap.is_address(mailbox):
        return read(Path(mailbox))
    address = imap.parse(mailbox)
    if isinstance(address, Refusal):
        raise UserError(str(address), HINT)
    settings = load_imap(workspace)
    if settings.password is None:
        raise UserError(f"{address}: no password is set", HINT)
    login = imap.Login(
        read_secret(settings.password, workspace),
        settings.ca_file,
        starttls=settings.security == "starttls",
    )
    return imap.Folder(address, login, ledger, move_to)
