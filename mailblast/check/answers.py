"""What a rule says of a question that the DNS has not answered.

That there is no such record is an answer.  A server that fails, or signatures that are wrong,
are what receivers meet too; a time-out may be ours alone, and is no finding.
"""

from typing import Any

from mailblast.check.finding import Verdict, failed, skipped, warned
from mailblast.lookup import Failure


def unanswered(name: str, failure: Failure, /, **values: Any) -> Verdict:
    """The verdict for a transient failure; `values` are for the rule's message."""
    said = f"{name} {failure}"
    if failure is Failure.TIMEOUT:
        return skipped(said)
    found = failed if failure is Failure.BOGUS else warned
    return found(said, **{"problem": str(failure), **values})
