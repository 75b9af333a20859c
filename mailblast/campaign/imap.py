"""[imap] in mailblast.toml: how the mailbox that bounces come to is logged in to.

It belongs to the workspace, not to a campaign: one address takes the bounces of all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mailblast.campaign import forms
from mailblast.campaign.forms import SecretSource, choice
from mailblast.campaign.keys import Key

TABLE = "imap"

KEYS = (
    Key(
        TABLE,
        "password",
        forms.SECRET,
        "Where the password of the mailbox is: in a variable, in a file that only you can "
        "read, or in the first line that a command prints. Never the password itself.",
        otherwise="must be given for an IMAP mailbox",
    ),
    Key(
        TABLE,
        "ca_file",
        forms.FILE,
        "Certificates (PEM) to trust instead of the system's, for servers with a private CA.",
        otherwise="those of the system",
    ),
    Key(
        TABLE,
        "security",
        choice("starttls", "none"),
        "How the connection of an imap:// address is encrypted; `none` is for a server on "
        "this machine only. That of an imaps:// address always is.",
        "starttls",
    ),
)


@dataclass(frozen=True, slots=True)
class Imap:
    """What the table says; `password` None where it is not given."""

    password: SecretSource | None
    ca_file: Path | None
    security: Literal["starttls", "none"]
