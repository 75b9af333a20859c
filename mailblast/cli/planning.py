"""How long a campaign will take: plan."""

from dataclasses import replace
from pathlib import Path

import click

from mailblast import campaign as campaigns
from mailblast.cli.base import (
    CampaignPath,
    json_option,
    ledger_if_there,
    no_dns_option,
    put_json,
)
from mailblast.terminal import Screen
from mailblast.terminal.timeline import as_json as timeline_as_json
from mailblast.terminal.timeline import lines
from mailblast.timeline import timeline


@click.command()
@click.argument("campaign", type=CampaignPath())
@click.option(
    "--new-run",
    is_flag=True,
    help="A mailing to the whole list, though a run is under way.",
)
@click.option(
    "--all-domains",
    is_flag=True,
    help='With via = "direct": look up every domain, not the 500 with most rows alone.',
)
@no_dns_option
@json_option
def plan(
    campaign: Path, new_run: bool, all_domains: bool, no_dns: bool, as_json: bool
) -> None:
    """How long CAMPAIGN will take under today's limits and warm-up, and what it waits for.

    Sends nothing and changes nothing.
    """
    screen = Screen(json=as_json)
    workspace = campaigns.find_workspace(campaign)
    loaded = campaigns.load(campaign, workspace)
    if no_dns:
        loaded = replace(loaded, declared=replace(loaded.declared, dns=False))
    with ledger_if_there(workspace) as ledger:
        found = timeline(
            loaded,
            workspace,
            ledger,
            screen.told,
            new_run=new_run,
            all_domains=all_domains,
        )
    if as_json:
        put_json(timeline_as_json(found))
        return
    for line in lines(found, screen.out.width):
        screen.say(line)
