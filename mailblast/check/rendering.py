"""Whether the templates can be filled in with the rows of the list."""

from mailblast.check.facts import Facts, TriedOut
from mailblast.check.finding import Verdict, failed, passed, warned
from mailblast.check.pack import Check
from mailblast.quantity import counted


def rendered(facts: Facts) -> Verdict:
    """MSG-RENDER: every telling row makes a message; one that does not will be `invalid`."""
    tried = facts.of(TriedOut)
    if not tried.refused:
        return passed(
            f"{counted(tried.composed, 'row')}: the first, the longest, the emptiest, not ASCII"
        )
    row, _, why = tried.refused[0].partition(": ")
    verdict = warned if tried.composed else failed
    return verdict(
        f"{len(tried.refused)} of the rows tried out", row=row.capitalize(), why=why
    )


CHECKS: dict[str, Check] = {"MSG-RENDER": rendered}
