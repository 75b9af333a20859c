"""Is this campaign ready?  The facts are gathered here, and the rules asked.

Each group of facts has one place that gathers it, and is a `Refusal` where it was not.  What
asks the DNS or the web is gathered here too, beside the list and the ledger, and handed to the
rules as a group of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.campaign.declared import SpamFilter
from mailblast.campaign.manifest import manifest_of
from mailblast.check import Facts, Finding, judge
from mailblast.check.census import Hygiene, Mailable
from mailblast.check.facts import (
    History,
    Listed,
    Messages,
    SpamScores,
    TriedOut,
    WirelessDomains,
)
from mailblast.check.signature import OwnKey
from mailblast.check.survey import Survey
from mailblast.check.volume import shares
from mailblast.errors import Refusal, UserError
from mailblast.keys import how_to_make, key_path, read_key
from mailblast.ledger import Ledger
from mailblast.preflight.hygiene import looked_over
from mailblast.preflight.listed import messages
from mailblast.preflight.mailable import mailable
from mailblast.preflight.packs import found
from mailblast.preflight.published import published
from mailblast.preflight.traffic import NOTHING_SENT, traffic
from mailblast.preflight.web import fetched
from mailblast.provider import Destinations
from mailblast.signing import Signer
from mailblast.spamfilter import scores
from mailblast.zone import Entry, entries

__all__ = [
    "gathered",
    "looked_over",
    "mailable",
    "own_key",
    "preflight",
    "shares_of",
    "zone_of",
]


NOTHING: Mapping[type, object] = {}


def preflight(
    campaign: Campaign,
    workspace: Path,
    ledger: Ledger | None,
    survey: Survey | Refusal,
    packs: Sequence[str] = (),
    more: Mapping[type, object] = NOTHING,
) -> list[Finding]:
    """How a campaign stands with every rule of its packs, or of those named here.

    `ledger` is None where nothing was sent yet; `survey` a Refusal where nobody went through
    the list; `more` has groups of facts that were gathered with it.  Raises UserError for a
    pack that is not there, and for what is wrong with the templates.
    """
    policies = found(packs or campaign.declared.packs)
    return judge(gathered(campaign, workspace, ledger, survey, more), policies)


def gathered(
    campaign: Campaign,
    workspace: Path,
    ledger: Ledger | None,
    survey: Survey | Refusal,
    more: Mapping[type, object] = NOTHING,
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
    public = published(campaign)
    groups = {
        Listed: listed,
        Messages: composed,
        TriedOut: tried,
        History: ledger.opt_outs.history() if ledger else NOTHING_SENT,
        WirelessDomains: _wireless(campaign.declared.wireless_domains),
        SpamScores: _scores(campaign.declared.spam, composed),
        OwnKey: own_key(campaign, workspace),
        **public,
        **fetched(campaign, ledger, public),
        **traffic(campaign, ledger, survey),
        Hygiene: _LEFT_TO_CHECK,
        Mailable: _LEFT_TO_CHECK,
        **more,
    }
    return Facts(_today(), campaign, manifest.message_digest, groups)


def shares_of(
    campaign: Campaign, survey: Survey, domains: Mailable | Refusal
) -> dict[str, int]:
    """How many rows of the list each provider has, most first; "" is whoever is none known."""
    known = domains.hosts if isinstance(domains, Mailable) else {}
    # By its mail hosts, though a relay asks nobody for them.
    table = Destinations(campaign.providers, campaign.throttle, direct=True)
    return shares(survey.domains(), known, table)


def zone_of(campaign: Campaign, workspace: Path) -> tuple[Entry, ...]:
    """What is to stand in the DNS, beside what stands there: it is asked, whoever asks."""
    groups = {OwnKey: own_key(campaign, workspace), **published(campaign, bidden=True)}
    return entries(Facts(_today(), campaign, "", groups))


def _today() -> date:
    # The user's own day: an attestation of this morning is not of the future.
    return datetime.now().astimezone().date()


def own_key(campaign: Campaign, workspace: Path) -> OwnKey | Refusal:
    """The public half of each key that signs; a look makes none."""
    key = campaign.dkim
    if key is None:
        return Refusal("mailblast does not sign: there is no [dkim]")
    signers = []
    for one in key.keys:
        path = key_path(one, workspace)
        if not path.exists():
            return Refusal(f"there is no private key yet: {how_to_make(one)}")
        pem = read_key(path, one)
        signers.append(Signer(pem, one.domain, one.selector, one.algorithm))
    first, *others = [OwnKey(one.public, one.record()) for one in signers]
    return replace(first, second=others[0]) if others else first


# `send` reads the list while it enrols it, and sets aside what these rules warn of.
_LEFT_TO_CHECK = Refusal("mailblast check looks at this, and send does not")


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
