"""Who is sent to, and how gently: destinations."""

from contextlib import closing
from pathlib import Path

import click

from mailblast.campaign import find_workspace, load, load_limits
from mailblast.campaign.forms import DOMAIN, HOST, Form
from mailblast.campaign.settings import STATE
from mailblast.cli.base import CampaignPath, json_option, put_json
from mailblast.errors import Refusal, UserError
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger, Pause
from mailblast.provider import Destinations
from mailblast.runbook import RunBook
from mailblast.terminal import Screen
from mailblast.terminal.destinations import explanation, listing, rulings_as_json


class _ListedByDefault(click.Group):
    """`destinations`, alone or with a campaign, is `destinations list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListedByDefault)
def destinations() -> None:
    """Who is sent to, and how gently.  `list` may be left out."""


campaign_argument = click.argument(
    "campaign",
    required=False,
    type=CampaignPath(),
)


@destinations.command("list", short_help="The limits that apply, and what was learnt.")
@campaign_argument
@json_option
def destinations_list(campaign: Path | None, as_json: bool) -> None:
    """The limits that apply to CAMPAIGN, and what was learnt of destinations.

    Without CAMPAIGN, those of the workspace for mail that goes straight to its recipients.
    """
    table, learnt, paused = _known(campaign)
    if as_json:
        put_json(
            {
                "default": rulings_as_json(table.rulings("")),
                "destinations": {
                    name: rulings_as_json(table.rulings(name)) for name in table.named()
                },
                "learnt": [one.to_document() for one in learnt],
                "paused": {one.destination: one.why for one in paused},
            }
        )
        return
    screen = Screen()
    for line in listing(table, learnt, paused):
        screen.say(line)


@destinations.command("explain", short_help="Whose limits DOMAIN comes under, and why.")
@click.argument("domain")
@campaign_argument
@click.option(
    "--mx",
    "hosts",
    metavar="HOST",
    multiple=True,
    help="As if this were its mail host; may be given more than once.",
)
@json_option
def destinations_explain(
    domain: str, campaign: Path | None, hosts: tuple[str, ...], as_json: bool
) -> None:
    """Which destination DOMAIN belongs to, with which limits, and which rules say so.

    Nothing is looked up: --mx says what the DNS would say.  Without it, a domain that was sent
    to before is where it was found then.
    """
    table, learnt, paused = _known(campaign)
    domain = _taken(DOMAIN, domain)
    if hosts:
        placed = table.place(domain, [_taken(HOST, host) for host in hosts])
    else:
        before = _found_before(find_workspace(campaign or Path()) / STATE, domain)
        placed = table.place_again(domain, before)
    rulings = table.rulings(placed.destination, placed.provider)
    here = next((one for one in learnt if one.name == placed.destination), None)
    pause = next((one for one in paused if one.destination == placed.destination), None)
    if as_json:
        put_json(
            {
                "domain": domain,
                "destination": placed.destination,
                "provider": placed.provider,
                "why": placed.why,
                "limits": rulings_as_json(rulings),
                "learnt": here.to_document() if here else None,
                "paused": pause.why if pause else None,
            }
        )
        return
    screen = Screen()
    for line in explanation(domain, placed, rulings, here, pause):
        screen.say(line)


def _known(campaign: Path | None) -> tuple[Destinations, list[Learnt], list[Pause]]:
    """What applies, what was learnt, and what is paused.  Raises Problems."""
    workspace = find_workspace(campaign or Path())
    if campaign is not None:
        table = Destinations.of(load(campaign, workspace))
    else:
        throttles, profiles = load_limits(workspace)
        table = Destinations(profiles, throttles, direct=True)
    state = workspace / STATE
    # A look begins no workspace.
    documents = RunBook(state).all(KIND) if state.is_dir() else []
    learnt = sorted(map(Learnt.from_document, documents), key=lambda one: one.name)
    return table, learnt, _paused(state)


def _paused(state: Path) -> list[Pause]:
    if not (state / "ledger.db").exists():
        return []
    with closing(Ledger(state)) as ledger:
        return ledger.pauses.standing(None)


def _found_before(state: Path, domain: str) -> str:
    if not (state / "ledger.db").exists():
        return domain
    with closing(Ledger(state)) as ledger:
        return ledger.deliveries.destination_of(domain)


def _taken(form: Form, text: str) -> str:
    taken = form.take(text)
    if isinstance(taken, Refusal):
        raise UserError(f"{text}: {taken}")
    return str(taken)
