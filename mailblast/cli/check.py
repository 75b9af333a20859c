"""Is a campaign ready to be sent, and what each rule asks."""

from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mailblast import campaign as campaigns
from mailblast.attest import attest
from mailblast.campaign import Campaign
from mailblast.check import Finding, Pack
from mailblast.check.book import Rule
from mailblast.check.census import Hygiene, Mailable
from mailblast.cli.base import (
    CampaignPath,
    json_option,
    ledger_if_there,
    no_dns_option,
    put_json,
)
from mailblast.errors import UserError
from mailblast.preflight import looked_over, mailable, preflight, shares_of
from mailblast.preflight.packs import found, rule
from mailblast.terminal import Screen
from mailblast.terminal.findings import explain_rule, show_findings

NOT_READY = 4


@click.command()
@click.argument(
    "campaign",
    required=False,
    type=CampaignPath(),
)
@click.option(
    "--pack",
    "packs",
    multiple=True,
    metavar="NAME",
    help="Hold it against this policy pack instead of those in [check]; may be repeated.",
)
@click.option(
    "--explain", metavar="ID", help="What the rule of this id asks, and who says so."
)
@click.option(
    "--attest",
    "attested",
    metavar="ID",
    help="Write your word for a rule into campaign.toml.",
)
@click.option("--by", metavar="NAME", help="Who attests it, with --attest.")
@click.option(
    "--all-domains",
    is_flag=True,
    help="Look up every domain of the list, not only those with most rows.",
)
@no_dns_option
@json_option
def check(
    campaign: Path | None,
    packs: tuple[str, ...],
    explain: str | None,
    attested: str | None,
    by: str | None,
    all_domains: bool,
    no_dns: bool,
    as_json: bool,
) -> int:
    """Whether CAMPAIGN is ready: by the law, by the receivers' rules, by the standards."""
    screen = Screen(json=as_json)
    if explain is not None:
        _explain(screen, rule(explain), as_json=as_json)
        return 0
    if campaign is None:
        raise click.UsageError("say which CAMPAIGN, or --explain ID")
    if bool(attested) != bool(by):
        raise click.UsageError("--attest ID and --by NAME go together")
    workspace = campaigns.find_workspace(campaign)
    loaded = campaigns.load(campaign, workspace)
    asks = loaded.declared.dns and loaded.delivery.via != "sandbox"
    if no_dns:
        loaded = replace(loaded, declared=replace(loaded.declared, dns=False))
    if attested:  # a word is written down; nobody is unsubscribed for that
        loaded = replace(loaded, declared=replace(loaded.declared, canary=None))
    with ledger_if_there(workspace) as ledger:
        survey, hygiene = looked_over(loaded, ledger, screen.told)
        domains = mailable(loaded, survey, screen.told, every=all_domains)
        more = {Hygiene: hygiene, Mailable: domains}
        findings = preflight(loaded, workspace, ledger, survey, packs, more)
    if attested and by:
        _attest(screen, campaign, findings, attested.strip().upper(), by)
        return 0
    policies = found(packs or loaded.declared.packs)
    shares = shares_of(loaded, survey, domains)
    if as_json:
        put_json({**_document(loaded, policies, findings), "providers": shares})
    else:
        part = no_dns and asks
        show_findings(screen, str(campaign), policies, findings, shares, in_part=part)
    return NOT_READY if any(one.blocks for one in findings) else 0


def _explain(screen: Screen, one: Rule, *, as_json: bool) -> None:
    if as_json:
        put_json(asdict(one))
    else:
        explain_rule(screen, one)


def _attest(
    screen: Screen, campaign: Path, findings: list[Finding], name: str, by: str
) -> None:
    mine = [one for one in findings if one.id == name]
    if not mine:
        raise UserError(f"{name}: no pack of this campaign has such a rule")
    asked = next((one for one in mine if one.digest), mine[0])
    written = attest(campaign, asked, by, datetime.now().astimezone().date())
    screen.say(f"wrote into {campaign / 'campaign.toml'}, below [attest]:")
    screen.say(written)


def _document(
    campaign: Campaign, policies: tuple[Pack, ...], findings: list[Finding]
) -> dict[str, Any]:
    return {
        "campaign": campaign.name,
        "ready": not any(one.blocks for one in findings),
        "packs": [
            {
                "name": one.name,
                "title": one.title,
                "jurisdiction": one.jurisdiction,
                "sources": [asdict(source) for source in one.sources],
            }
            for one in policies
        ],
        "findings": [asdict(one) for one in findings],
    }
