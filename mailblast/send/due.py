"""Which campaigns of a workspace have something due: for cron and timers."""

from pathlib import Path

from mailblast.ledger import Ledger


def campaigns_due(ledger: Ledger, workspace: Path, now: float, wait: float) -> list[Path]:
    """The directories of the campaigns whose last run has something due within `wait` seconds.

    A run that nobody agreed to is none of them, nor is one whose directory has gone.
    """
    latest = {run.campaign: run for run in ledger.runs.all()}
    found = []
    for scope, run in latest.items():
        directory = workspace / scope
        if run.state != "started" or not directory.is_dir():
            continue
        waiting = ledger.deliveries.waiting(run.number, now).values()
        if any(count or (later and later <= now + wait) for count, later in waiting):
            found.append(directory)
    return found
