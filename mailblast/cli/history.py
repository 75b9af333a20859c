"""Who bounced, what is made of it, and how it is taken back: bounces list, show and undo."""

import time
from datetime import datetime
from pathlib import Path

import click

from mailblast import optout
from mailblast import report as reports
from mailblast.campaign import load_policy
from mailblast.campaign.forms import DOMAIN
from mailblast.cli import past
from mailblast.cli.base import address_of, json_option, opened, put_json, rehearsal_option
from mailblast.errors import Refusal, UserError
from mailblast.ledger import Ledger, Suppression
from mailblast.quantity import counted
from mailblast.reason import Reason
from mailblast.suppression.policy import counts
from mailblast.terminal import Screen, history

MOMENTS = ("%Y-%m-%d", "%Y-%m-%d %H:%M")


@click.command("list")
@click.option("--run", "run_name", metavar="RUN", help="In this run alone.")
@click.option(
    "--reason",
    metavar="REASON",
    help="For this reason alone, as mailbox-full or complaint.",
)
@click.option("--suppressed", is_flag=True, help="Only those who are suppressed now.")
@rehearsal_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object an event.")
def bounces_list(
    run_name: str | None,
    reason: str | None,
    suppressed: bool,
    rehearsal: bool,
    as_json: bool,
) -> None:
    """Who bounced, was refused, expired or complained; the newest first."""
    if reason is not None and reason not in list(Reason):
        raise UserError(f"{reason}: no reason", f"known: {', '.join(Reason)}")
    screen = Screen(json=as_json)
    with opened(Path(), rehearsal=rehearsal) as (_, ledger):
        run = reports.chosen(ledger, run_name)[0].number if run_name else None
        one = None
        for one in ledger.history.mishaps(run, reason or "", suppressed=suppressed):
            if as_json:
                put_json(past.mishap(one))
            else:
                screen.say(history.mishap(one))
    if one is None:
        screen.note("Nobody whom this fits.")


@click.command("show")
@click.argument("address")
@rehearsal_option
@json_option
def bounces_show(address: str, rehearsal: bool, as_json: bool) -> None:
    """All that happened to ADDRESS in every run, what counts against it, and how far it is."""
    key = address_of(address).key
    with opened(Path(), rehearsal=rehearsal) as (workspace, ledger):
        policy, _ = load_policy(workspace)
        recorded = ledger.history.of(key)
        entries = optout.check(ledger, key)
        now = time.time()
        judged = ledger.history.judged(key)
        weighed = counts(judged, policy, now)
        if not recorded and not entries:
            practised = " --rehearsal" if rehearsal else ""
            raise UserError(
                f"{address} is in no run and on no list",
                f"mailblast bounces list{practised} has whom something happened to",
            )
        if as_json:
            put_json(past.of(key, recorded, weighed, entries))
            return
        screen = Screen()
        for line in history.past(recorded, {one.last.id for one in judged}):
            screen.say(line)
        for one in weighed:
            screen.say(history.counted(one))
        _entries(screen, ledger, entries)
        standing = any(entry.removed is None for entry in entries)
        screen.say(f"{address} is {'suppressed' if standing else 'not suppressed'}.")


def _entries(screen: Screen, ledger: Ledger, entries: list[Suppression]) -> None:
    causes = optout.causes(ledger, entries)
    for entry in entries:
        for line in history.explained(entry, causes):
            screen.say(line)


@click.command("undo")
@click.argument("address", required=False)
@click.option("--domain", metavar="DOMAIN", help="Of every address in this domain.")
@click.option(
    "--since",
    type=click.DateTime(MOMENTS),
    help="With --domain: those who were suppressed since then.",
)
@click.option("--yes", is_flag=True, help="With --domain: do not ask.")
def bounces_undo(
    address: str | None, domain: str | None, since: datetime | None, yes: bool
) -> int:
    """Take ADDRESS off the suppression list where bounces put it there by mistake.

    Opt-outs and complaints stand.  Messages sent before count no more against the address.
    With --domain and --since, of all whom a receiver's error concerned: they are shown first.
    """
    if address is not None and domain is None and since is None and not yes:
        with opened(Path()) as (_, ledger):
            return _undo_one(ledger, address)
    if address is None and domain is not None and since is not None:
        with opened(Path()) as (_, ledger):
            return _undo_many(ledger, domain, since, yes=yes)
    raise click.UsageError("name an address alone, or --domain and --since")


def _undo_one(ledger: Ledger, address: str) -> int:
    screen = Screen()
    key = address_of(address).key
    found = [one for one in optout.check(ledger, key) if one.removed is None]
    bounced = [one for one in found if one.bounced and not one.key.startswith("@")]
    lifted = ledger.suppressions.pardon([one.id for one in bounced], time.time(), UNDONE)
    _entries(screen, ledger, bounced)
    done = "taken off, and it begins anew" if lifted else "no bounce had suppressed it"
    screen.say(f"{address}: {done}.")
    for one in found:
        if one not in bounced:
            screen.say(f"It stays suppressed: {history.entry(one)}")
    return 0 if lifted else 1


UNDONE = "bounces undo"


def _undo_many(ledger: Ledger, domain: str, since: datetime, *, yes: bool) -> int:
    screen = Screen()
    taken = DOMAIN.take(domain)
    if isinstance(taken, Refusal):
        raise UserError(f"{domain}: {taken}")
    found = ledger.suppressions.bounced(str(taken), since.timestamp())
    for one in found:
        screen.say(history.entry(one))
    if not found:
        screen.say(f"Nobody at {domain} was suppressed for bounces since then.")
        return 1
    who = counted(len(found), "address", "addresses")
    if not yes and not screen.ask(f"Take {who} off the list?"):
        screen.say("Nothing was changed.")
        return 2
    why = f"{UNDONE} --domain {taken} --since {since:%Y-%m-%d %H:%M}"
    ids = [one.id for one in found]
    lifted = ledger.suppressions.pardon(ids, time.time(), why)
    who = counted(lifted, "address", "addresses")
    screen.say(f"{who} taken off. Opt-outs and complaints stand.")
    return 0
