"""A domain that suddenly says of nearly everybody that they do not exist: held, not believed.

A directory that is down answers like that for all its users.  Whoever was suppressed in this
run at its word alone is taken off again; says it so once more in another run, a day later at
least, it is believed (`suppression.policy`).
"""

from dataclasses import dataclass

from mailblast.ledger import Ledger
from mailblast.suppression.policy import is_surge


@dataclass(frozen=True, slots=True)
class Held:
    """A domain, how many of how many recipients of a run it called unknown, and how many were
    taken off the suppression list for it."""

    domain: str
    unknown: int
    of: int
    lifted: int


def hold(ledger: Ledger, run: int, now: float) -> list[Held]:
    """Look over a run, and hold what has to be."""
    found = []
    for domain, unknown, of in ledger.history.unknown(run):
        if not is_surge(unknown, of):
            continue
        lifted = ledger.suppressions.hold(
            run, domain, now, f"{unknown} of {of} at {domain}"
        )
        if lifted:
            found.append(Held(domain, unknown, of, lifted))
    return found
