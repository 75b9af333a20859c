"""Making and looking at a campaign: init, preview; the keys that sign it."""

import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click

from mailblast import preview as previews
from mailblast.campaign import find_workspace
from mailblast.campaign.example import write_example
from mailblast.campaign.files import MESSAGE_FILES
from mailblast.campaign.settings import STATE
from mailblast.cli.base import CampaignPath
from mailblast.errors import UserError
from mailblast.keys import dkim_named, key_path, new_dkim_key
from mailblast.secret import private_directory
from mailblast.terminal import Screen


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a complete campaign into DIRECTORY, every setting explained."""
    screen = Screen()
    for path in write_example(directory):
        screen.say(f"wrote {path}")
    # From here on it is found from within the campaign as well: one ledger, one list.
    workspace = find_workspace(directory)
    private_directory(workspace / STATE)
    screen.say(f"The workspace is {workspace}: run everything there or below.")
    named = quote(str(directory))
    screen.say(f"Look at it with: mailblast preview {named}")
    screen.say(
        f"It goes to the practice Internet on this machine with: mailblast send {named}"
    )


@click.command()
@click.argument("campaign", type=CampaignPath())
@click.option("--row", type=click.IntRange(min=1), help="The data row, counted from 1.")
@click.option("--to", "address", metavar="ADDRESS", help="The recipient with this address.")
@click.option("--raw", is_flag=True, help="The bytes as they would be sent.")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write the HTML part to this file."
)
def preview(
    campaign: Path, row: int | None, address: str | None, raw: bool, html: Path | None
) -> None:
    """Show exactly what one recipient of CAMPAIGN would get."""
    if row is not None and address is not None:
        raise click.UsageError("say --row or --to, not both")
    if html and any(html.resolve() == (campaign / one).resolve() for one in MESSAGE_FILES):
        raise UserError(f"{html} is the campaign's own", "name another file for the page")
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


@click.group()
def keys() -> None:
    """The keys that sign messages (DKIM)."""


@keys.command("new")
@click.argument("domain")
@click.option(
    "--selector", default="mb1", show_default=True, help="The key's name in the DNS."
)
@click.option(
    "--algorithm",
    type=click.Choice(["rsa-sha256", "ed25519-sha256"]),
    default="rsa-sha256",
    show_default=True,
    help="How it signs; some receivers cannot verify Ed25519.",
)
def keys_new(domain: str, selector: str, algorithm: Any) -> None:
    """Make a key for DOMAIN and print the DNS record to publish."""
    dkim = dkim_named(domain, selector, algorithm)
    path = key_path(dkim, find_workspace(Path()))
    Screen().public_key(new_dkim_key(dkim.domain, dkim.selector, algorithm, path))
