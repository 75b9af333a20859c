"""Is this campaign ready?  The facts are gathered here, and the rules asked.

Each group of facts has one place that gathers it, and is a `Refusal` where it was not.  What
asks the DNS or the web is gathered here too, beside the list and the ledger, and handed to the
rules as a group of its own.
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.campaign.declared import SpamFilter
from mailblast.campaign.manifest import manifest_of
from mailblast.check import Facts, Finding, judge
from mailblast.check.facts import (
    History,
    Listed,
    Messages,
    SpamScores,
    TriedOut,
    WirelessDomains,
)
from mailblast.check.survey import Survey
from mailblast.errors import Refusal, UserError
from mailblast.ledger import Ledger
from mailblast.preflight.listed import messages, surveyed
from mailblast.preflight.packs import found
from mailblast.spamfilter import scores

__all__ = ["gathered", "preflight", "surveyed"]


def preflight(
    campaign: Campaign,
    workspace: Path,
    ledger: Ledger | None,
    survey: Survey | Refusal,
    packs: Sequence[str] = (),
) -> list[Finding]:
    """How a campaign stands with every rule of its packs, or of those named here.

    `ledger` is None where nothing was sent yet; `survey` a Refusal where nobody went through
    the list.  Raises UserError for a pack that is not there, and for what is wrong with the
    templates.
    """
    policies = found(packs or campaign.declared.packs)
    return judge(gathered(campaign, workspace, ledger, survey), policies)


def gathered(
    campaign: Campaign, workspace: Path, ledger: Ledger | None, survey: Survey | Refusal
) -> Facts:
    """All facts, as of today."""
    manifest = manifest_of(campaign)
    listed: Listed | Refusal
    composed: Messages | Refusal
    tried: TriedOut | Refusal
    if isinstance(survey, Refusal):
        listed = composed = tried = survey
    else:
        listed = survey.listed(campaign.recipients.file.name, manifest.list_digest)
        composed, tried = messages(campaign, workspace, survey)
    groups = {
        Listed: listed,
        Messages: composed,
        TriedOut: tried,
        History: ledger.opt_outs.history() if ledger else _NOTHING_SENT,
        WirelessDomains: _wireless(campaign.declared.wireless_domains),
        SpamScores: _scores(campaign.declared.spam, composed),
    }
    # The user's own day: an attestation of this morning is not of the future.
    today = datetime.now().astimezone().date()
    return Facts(today, campaign, manifest.message_digest, groups)


_NOTHING_SENT = Refusal("nothing was sent from here yet")


def _scores(where: SpamFilter | None, composed: Messages | Refusal) -> SpamScores | Refusal:
    if where is None:
        return Refusal("no spam filter is named: [check] spam")
    if isinstance(composed, Refusal):
        return composed
    return scores(where, composed.samples)


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
