"""Complaint loops: by what those who report complaints know a message, and that they do."""

import re
from collections.abc import Iterator

from mailblast.check.facts import Facts, Listed, Messages, Sample
from mailblast.check.finding import Verdict, asked, failed, passed, skipped
from mailblast.check.pack import Check
from mailblast.check.scope import commercial
from mailblast.check.signature import OwnKey
from mailblast.quantity import counted

# Three fields that are free, and the sender's own name, which stays (GFBL).
_FEEDBACK_ID = re.compile(r"(?:[^:\s]*:){1,3}[^:\s]{5,15}")
_CFBL = re.compile(
    r"(?P<address>[^@;\s]+@(?P<domain>[\w.-]+));\s*report=(?:arf|xarf)", re.IGNORECASE
)
_SIGNED = re.compile(r"\bh=([^;]*)")

YAHOO_NAMES = ("yahoo", "ymail", "rocketmail", "aol")  # under many top-level domains


def looped(facts: Facts) -> Verdict:
    """BULK-FBL: a Feedback-ID that Gmail counts by, and Yahoo knows whose the domain is."""
    samples = facts.of(Messages).samples
    domain = _signer(facts)
    if wrong := _uncountable(samples):
        return failed(wrong, what="Gmail cannot count complaints by Feedback-ID")
    rows = sum(
        seen.rows
        for name, seen in facts.of(Listed).domains.items()
        if name.partition(".")[0] in YAHOO_NAMES
    )
    if not rows:
        return passed(
            f"Feedback-ID in {counted(len(samples), 'message')}; nobody is at Yahoo"
        )
    about = f"{domain} is enrolled in Yahoo's Complaint Feedback Loop"
    what = f"nobody has said that the domain {about}"
    return asked(f"{counted(rows, 'row')} at Yahoo", about, what=what)


def _uncountable(samples: tuple[Sample, ...]) -> str:
    values = {one.name: ", ".join(_values(one, "feedback-id")) for one in samples}
    for name, value in values.items():
        if not _FEEDBACK_ID.fullmatch(value):
            return f"{name}: {value or 'there is none'}"
    if len(set(values.values())) > 1:
        return "it is another one for each recipient"
    unsigned = (one.name for one in samples if not _is_signed(one, "feedback-id"))
    return next((f"{name}: it is not signed" for name in unsigned), "")


def answered(facts: Facts) -> Iterator[Verdict]:
    """IN-CFBL: whoever is to send complaints to an address can see that it is ours."""
    samples = facts.of(Messages).samples
    given = [(one, _values(one, "cfbl-address")) for one in samples]
    if not any(values for _, values in given):
        yield skipped("no CFBL-Address among the headers, which is optional")
        return
    for sample, values in given:
        if wrong := _unusable(facts, sample, values):
            yield failed(f"{sample.name}: {wrong}", addr=", ".join(values) or "(none)")
            return
    facts.of(OwnKey)  # without the private key nothing was signed
    yield passed(f"in {counted(len(samples), 'message')}")


def _unusable(facts: Facts, sample: Sample, values: tuple[str, ...]) -> str:
    found = _CFBL.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return "not one address with report=arf or report=xarf"
    if facts.campaign.dkim is None:
        return "mailblast does not sign: there is no [dkim]"
    if not f".{found['domain']}".lower().endswith(f".{facts.campaign.dkim.domain}"):
        return f"{found['domain']} is not of {facts.campaign.dkim.domain}, which signs"
    return "" if _is_signed(sample, "cfbl-address") else "it is not signed"


def _signer(facts: Facts) -> str:
    """The domain that signs; a relay that does signs as From's."""
    campaign = facts.campaign
    return campaign.dkim.domain if campaign.dkim else campaign.sender.mailbox.address.domain


def _values(sample: Sample, name: str) -> tuple[str, ...]:
    return tuple(value for each, value in sample.headers if each.lower() == name)


def _is_signed(sample: Sample, name: str) -> bool:
    """Whether a signature that is there covers a field."""
    signatures = _values(sample, "dkim-signature")
    covered = [found[1] for one in signatures if (found := _SIGNED.search(one))]
    return not signatures or any(name in re.split(r"[:\s]+", one) for one in covered)


CHECKS: dict[str, Check] = {"BULK-FBL": commercial(looped), "IN-CFBL": answered}
