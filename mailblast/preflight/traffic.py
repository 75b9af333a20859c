"""Gathering what left lately, and what may leave today, for each destination."""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime

from mailblast.campaign import Campaign
from mailblast.campaign.manifest import settings_of
from mailblast.check.survey import Survey
from mailblast.check.traffic import DAYS, STREAM_DAYS, Lately, Streams, Traffic
from mailblast.errors import Refusal
from mailblast.ledger import Ledger
from mailblast.provider import Destinations

DAY = 86_400.0

PRACTICE = Refusal("practice goes to nobody")
NOTHING_SENT = Refusal("nothing was sent from here yet")

_PURPOSE, _FROM, _SIGNER = "[message] purpose", "[sender] from", "[dkim] domain"


def traffic(
    campaign: Campaign, ledger: Ledger | None, survey: Survey | Refusal
) -> Mapping[type, object]:
    """Both groups, or why they were not gathered."""
    if campaign.delivery.via == "sandbox":
        return {Traffic: PRACTICE, Streams: PRACTICE}
    now = time.time()
    today = datetime.fromtimestamp(now, UTC).date()
    table = Destinations.of(campaign)
    lately = _lately(table, ledger, now // DAY * DAY - DAYS * DAY) if ledger else {}
    planned = {} if isinstance(survey, Refusal) else _planned(table, ledger, survey, today)
    return {
        Traffic: Traffic(today, planned, lately),
        Streams: _streams(campaign, ledger, now) if ledger else NOTHING_SENT,
    }


def _lately(table: Destinations, ledger: Ledger, since: float) -> Mapping[str, Lately]:
    found: dict[str, tuple[Counter[date], Counter[date]]] = {}
    for one in ledger.traffic.since(since):
        name = table.place(one.destination).destination
        taken, complaints = found.setdefault(name, (Counter(), Counter()))
        taken[one.day] += one.many
        if one.complained:
            complaints[one.day] += one.many
    return {name: Lately(*days) for name, days in found.items()}


def _planned(
    table: Destinations, ledger: Ledger | None, survey: Survey, today: date
) -> Mapping[str, int]:
    """What may go to each destination today: its rows, or what the limits let go."""
    domains = survey.domains()
    found = ledger.traffic.placed(tuple(domains)) if ledger else {}
    rows: Counter[str] = Counter()
    for domain, seen in domains.items():
        rows[table.place(found.get(domain, domain)).destination] += seen.rows
    return {name: _limited(table, name, many, today) for name, many in rows.items()}


def _limited(table: Destinations, name: str, rows: int, today: date) -> int:
    limits = table.limits(name)
    most = [
        rows,
        limits.cap(today),
        int(DAY / limits.rate.gap) if limits.rate.gap else None,
    ]
    return min(one for one in most if one is not None)


def _streams(campaign: Campaign, ledger: Ledger, now: float) -> Streams:
    """What this campaign has in common with runs of the other purpose: by the digests that
    their manifests have."""
    ours, since = settings_of(campaign), now - STREAM_DAYS * DAY
    recent = [one for one in ledger.runs.all() if (one.ended or now) >= since]
    others = [one for one in recent if one.manifest.get(_PURPOSE) != ours[_PURPOSE]]
    called = {_FROM: f"From {campaign.sender.mailbox.address.mailbox}"}
    if campaign.dkim:
        called[_SIGNER] = f"The DKIM domain {campaign.dkim.domain}"
    shared = {}
    for setting, what in called.items():
        both = (one for one in others if one.manifest.get(setting) == ours[setting])
        if found := next(both, None):
            shared[what] = found.campaign
    return Streams(len(recent), shared)
