"""What is to be published in the DNS, beside what is published now."""

from dataclasses import asdict
from pathlib import Path

import click

from mailblast import campaign as campaigns
from mailblast.cli.base import CampaignPath, json_option, put_json
from mailblast.preflight import zone_of
from mailblast.terminal import Screen
from mailblast.terminal.zone import show_diff, show_zone


@click.command()
@click.argument(
    "campaign",
    default=".",
    type=CampaignPath(),
)
@click.option(
    "--zone", is_flag=True, help="As a zone file, in BIND's format, to be pasted."
)
@json_option
def dns(campaign: Path, zone: bool, as_json: bool) -> int:
    """What the sender of CAMPAIGN should publish in the DNS, beside what is published now."""
    workspace = campaigns.find_workspace(campaign)
    loaded = campaigns.load(campaign, workspace, listed=False)
    entries = zone_of(loaded, workspace)
    screen = Screen(json=as_json)
    if as_json:
        put_json({"campaign": loaded.name, "entries": [asdict(one) for one in entries]})
    elif zone:
        show_zone(screen, entries)
    else:
        show_diff(screen, entries)
    return 0
