"""Nothing leaves that breaks a rule: `preflight` before a run begins, and before it goes on.

The list is looked at while it is enrolled: it is read once.

In practice (the practice Internet, samples to oneself) the rules are told and not enforced.
A rule may be overridden, by its id and with a reason; the run book keeps both, and a run that
goes on keeps what it began with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.campaign.files import pasted
from mailblast.check import Finding
from mailblast.check.survey import Survey
from mailblast.errors import NotReady, Refusal
from mailblast.ledger import Ledger, Run
from mailblast.preflight import preflight
from mailblast.runbook import RunBook


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the rules say of a campaign, and which of them somebody has overridden, and why."""

    findings: tuple[Finding, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocking(self) -> tuple[str, ...]:
        """The ids of the rules that keep real mail from leaving."""
        ids = {one.id for one in self.findings if one.blocks}
        return tuple(sorted(ids - self.overrides.keys()))

    def document(self) -> dict[str, object]:
        """What the run book keeps."""
        wrong = {one.id: one.status for one in self.findings if one.message}
        return {"findings": wrong, "overrides": dict(self.overrides)}


def held_against_the_rules(
    campaign: Campaign,
    workspace: Path,
    ledger: Ledger,
    run: Run,
    survey: Survey | Refusal,
    *,
    practice: bool,
    overrides: Mapping[str, str],
) -> Readiness:
    """How the campaign stands.  Raises NotReady where real mail must not leave.

    `survey` is of the list as it was enrolled, or a Refusal that says why there is none.
    """
    findings = preflight(campaign, workspace, ledger, survey)
    found = Readiness(tuple(findings), {**overridden(ledger, run), **overrides})
    if found.blocking and not practice:
        raise NotReady(_said(findings, found.blocking), _advice(campaign, found.blocking))
    return found


def overridden(ledger: Ledger, run: Run) -> Mapping[str, str]:
    """The rules that somebody has overridden for a run, and why."""
    document = RunBook(ledger.directory).get("runs", run.run) or {}
    kept = document.get("overrides")
    return kept if isinstance(kept, dict) else {}


def _said(findings: Sequence[Finding], blocking: Sequence[str]) -> str:
    lines = [
        f"{one.id}: {one.message} ({one.evidence})"
        for one in findings
        if one.blocks and one.id in blocking
    ]
    return "\n".join(["this campaign is not ready:", *lines])


def _advice(campaign: Campaign, blocking: Sequence[str]) -> str:
    what = (
        f"--override {blocking[0]}"
        if len(blocking) == 1
        else "an --override for each of them"
    )
    return (
        f"nothing was sent; mailblast check {pasted(campaign.directory)} says what to do about "
        f'each; {what}, with its --because "…", sends all the same'
    )
