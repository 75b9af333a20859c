"""Is this campaign ready?  The facts are gathered here, and the rules asked.

Each group of facts has one place that gathers it, and a `Refusal` where it was not: `Scope`
says how much is looked at.  What asks the DNS or the web is gathered here too, beside the list
and the ledger, and handed to the rules as a group of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.campaign.manifest import manifest_of
from mailblast.check import Facts, Finding, judge
from mailblast.check.facts import History, Listed, Messages, WirelessDomains
from mailblast.errors import Refusal, UserError
from mailblast.ledger import Ledger
from mailblast.preflight.listed import Told, messages, surveyed
from mailblast.preflight.packs import found
from mailblast.recipients import open_recipients

ROWS_OF_PRACTICE = 1_000


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is looked at.

    `practice` takes the beginning of the list alone, for messages.  `resumed` is true of a run
    that goes on: its list was looked at when it began, and is the ledger's now.
    """

    practice: bool = False
    resumed: bool = False


EVERYTHING = Depth()


def preflight(
    campaign: Campaign,
    workspace: Path,
    ledger: Ledger | None,
    told: Told,
    *,
    packs: Sequence[str] = (),
    depth: Depth = EVERYTHING,
) -> list[Finding]:
    """How a campaign stands with every rule of its packs, or of those named here.

    `ledger` is None where nothing was sent yet.  Raises UserError for a pack that is not
    there, a list that cannot be read, and templates that are wrong.
    """
    policies = found(packs or campaign.check.packs)
    return judge(gathered(campaign, workspace, ledger, told, depth), policies)


def gathered(
    campaign: Campaign, workspace: Path, ledger: Ledger | None, told: Told, depth: Depth
) -> Facts:
    """All facts, as of today."""
    manifest = manifest_of(campaign)
    listed, composed = _list(campaign, workspace, manifest.list_digest, told, depth)
    groups = {
        Listed: listed,
        Messages: composed,
        History: _history(ledger),
        WirelessDomains: _wireless(campaign.check.wireless_domains),
    }
    # The user's own day: an attestation of this morning is not of the future.
    today = datetime.now().astimezone().date()
    return Facts(today, campaign, manifest.message_digest, groups)


def _list(
    campaign: Campaign, workspace: Path, digest: str, told: Told, depth: Depth
) -> tuple[Listed | Refusal, Messages | Refusal]:
    if depth.resumed:
        before = Refusal("it was looked at when the run began")
        return before, before
    settings = campaign.recipients
    recipients = open_recipients(
        settings.file, email=settings.email, encoding=settings.encoding
    )
    rows = islice(recipients, ROWS_OF_PRACTICE if depth.practice else None)
    survey = surveyed(recipients.columns, rows, told)
    composed = messages(campaign, workspace, recipients.columns, survey.telling())
    if depth.practice:
        return Refusal("the list is not looked at in practice"), composed
    return survey.listed(settings.file.name, digest), composed


def _history(ledger: Ledger | None) -> History | Refusal:
    if ledger is None:
        return Refusal("nothing was sent from here yet")
    return ledger.opt_outs.history()


def _wireless(path: Path | None) -> WirelessDomains | Refusal:
    if path is None:
        return Refusal("no list of wireless domains is named: [check] wireless_domains")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        changed = path.stat().st_mtime
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    domains = (line.partition("#")[0].strip().lower() for line in lines)
    return WirelessDomains(frozenset(filter(None, domains)), date.fromtimestamp(changed))
