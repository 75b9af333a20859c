"""Which campaigns of a workspace have something due: for cron and timers."""

from pathlib import Path

from mailblast.ledger import Ledger


def campaigns_due(ledger: Ledger, workspace: Path, before: float) -> list[str]:
    """The directories of the campaigns whose last run has something due before then, as they
    are seen from the workspace.

    What a process that was killed had claimed is due as well.  A run that nobody agreed to
    is none of them, nor is one whose directory has gone.
    """
    latest = {run.campaign: run for run in ledger.runs.all()}
    return [
        scope
        for scope, run in latest.items()
        if run.state == "started"
        and (workspace / scope).is_dir()
        and ledger.deliveries.any_due(run.number, before)
    ]
