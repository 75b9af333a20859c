"""What the commands share: the workspace they work in, and options of one meaning."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from mailblast.address import Address
from mailblast.address import parse as parse_address
from mailblast.campaign import find_workspace, is_workspace
from mailblast.campaign.settings import CAMPAIGN_FILE, REHEARSAL, STATE
from mailblast.errors import Refusal, UserError
from mailblast.ledger import BUSY_SECONDS, Ledger

NAMED = 5  # campaigns, where one is asked for that is not there


class CampaignPath(click.Path):
    """The directory of a campaign.  Of one that is not there, it is told which are."""

    def __init__(self) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A directory as the user named it."""
        if isinstance(value, str) and not Path(value).exists():
            self.fail(f"Directory '{value}' does not exist. {_instead(value)}", param, ctx)
        return super().convert(value, param, ctx)


def _instead(named: str) -> str:
    here = sorted(f"{one.parent.name}/" for one in Path().glob(f"*/{CAMPAIGN_FILE}"))
    if close := get_close_matches(f"{named.rstrip('/')}/", here, 1):
        return f"Did you mean {close[0]}?"
    if here:
        more = ", …" if len(here) > NAMED else ""
        return f"The campaigns here: {', '.join(here[:NAMED])}{more}"
    return f"There is no campaign here; one begins with: mailblast init {named}"


json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on standard output."
)
no_dns_option = click.option(
    "--no-dns", is_flag=True, help="Ask neither the DNS nor the web."
)
rehearsal_option = click.option(
    "--rehearsal", is_flag=True, help="Of the last rehearsal, not of real sendings."
)


workspace_option = click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    help="Work in this workspace instead of that of the current directory.",
)


@contextmanager
def opened(
    start: Path,
    *,
    rehearsal: bool = False,
    make: bool = False,
    patience: float = BUSY_SECONDS,
) -> Iterator[tuple[Path, Ledger]]:
    """The workspace that a directory lies in, and its ledger.

    Only with `make` is a ledger begun where there is none yet, and only in a workspace: an
    opt-out that is entered somewhere else binds nobody.  `patience` is how long to wait for
    another program that writes, in seconds.  Raises UserError.
    """
    workspace = find_workspace(start)
    state = workspace / STATE / (REHEARSAL if rehearsal else "")
    if not (state / "ledger.db").exists():
        if not is_workspace(workspace):
            raise UserError(
                "nothing was sent from here yet",
                f"there is no workspace at {workspace}; go to the directory from which you send",
            )
        if rehearsal:
            raise UserError(
                "nothing was rehearsed here yet",
                f"{workspace} is a workspace; mailblast send CAMPAIGN --rehearse begins",
            )
        if not make:
            raise UserError(
                "nothing was sent from here yet",
                f"{workspace} is a workspace; mailblast send CAMPAIGN begins",
            )
    ledger = Ledger(state, patience)
    try:
        yield workspace, ledger
    finally:
        ledger.close()


@contextmanager
def ledger_if_there(workspace: Path) -> Iterator[Ledger | None]:
    """The workspace's ledger, if there is one: a look begins none."""
    state = workspace / STATE
    if not (state / "ledger.db").exists():
        yield None
        return
    ledger = Ledger(state)
    try:
        yield ledger
    finally:
        ledger.close()


def put_json(document: object) -> None:
    """The one object on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False))


def address_of(text: str) -> Address:
    """An address as the user gave it.  Raises UserError."""
    found = parse_address(text)
    if isinstance(found, Refusal):
        raise UserError(f"{text}: {found}")
    return found
