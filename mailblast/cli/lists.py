"""Lists of recipients: list clean."""

from pathlib import Path
from typing import Any

import click

from mailblast.campaign import find_workspace
from mailblast.clean import Cleaned, Wanted, clean, dead_among
from mailblast.cli.base import json_option, ledger_if_there, put_json
from mailblast.recipients import open_recipients
from mailblast.resolver import Resolver
from mailblast.terminal import Screen
from mailblast.terminal.findings import show_cleaned


@click.group("list")
def lists() -> None:
    """Lists of recipients."""


@lists.command("clean", short_help="Write the rows that can be mailed into a new list.")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the cleaned list goes; never over another file.",
)
@click.option(
    "--reasons",
    type=click.Path(path_type=Path),
    help="Where the rows go that are taken out, each with its line and the reason.",
)
@click.option("--roles", is_flag=True, help="Take out role accounts (info@, sales@) too.")
@click.option("--dns", is_flag=True, help="Take out domains that take no mail too.")
@click.option(
    "--resolver",
    default="",
    metavar="ADDRESS",
    help='The DNS server to ask, as "127.0.0.1:53"; the system\'s unless named.',
)
@click.option(
    "--email", default="email", show_default=True, help="The column of addresses."
)
@click.option("--encoding", default="auto", show_default=True, help="How PATH is encoded.")
@json_option
def list_clean(
    path: Path,
    out: Path,
    reasons: Path | None,
    roles: bool,
    dns: bool,
    resolver: str,
    email: str,
    encoding: str,
    as_json: bool,
) -> None:
    """Write the rows of PATH that can be mailed into a new list, just as they stand.

    Taken out are rows without a good address, duplicates, whom the workspace's suppression list
    names, and disposable domains.  PATH itself stays as it is.
    """
    screen = Screen(json=as_json)
    recipients = open_recipients(path, email=email, encoding=encoding, options=True)
    with ledger_if_there(find_workspace(Path())) as ledger:
        dead = dead_among(recipients, Resolver(resolver), screen.told) if dns else {}
        wanted = Wanted(ledger, dead, roles=roles)
        cleaned = clean(recipients, out, reasons, wanted, screen.told)
    if as_json:
        put_json(_document(cleaned, out, reasons, scrubbed=ledger is not None))
    else:
        show_cleaned(screen, path.name, out, reasons, cleaned, scrubbed=ledger is not None)


def _document(
    cleaned: Cleaned, out: Path, reasons: Path | None, *, scrubbed: bool
) -> dict[str, Any]:
    return {
        "rows": cleaned.rows,
        "kept": cleaned.kept,
        "gone": dict(cleaned.gone.most_common()),
        "mistyped": cleaned.mistyped.rows,
        "suppression_list": scrubbed,
        "output": str(out),
        "reasons": str(reasons) if reasons else None,
    }
