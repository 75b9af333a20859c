"""A person's word for what no program can see, and what it is bound to.

It stands in campaign.toml with who gave it and when:

    [attest]
    CANSPAM-ADDRESS-FORM = { by = "Ada Lovelace", on = 2026-11-24, digest = "5f0c…" }

The digest is of the question: of the address, if that is what was asked about.  Another
address is another question, and the old answer is void.
"""

import hashlib
import json
from datetime import date, timedelta

from mailblast.campaign import Attestation
from mailblast.check.finding import Level, Status

HOLDS = timedelta(days=366)  # an address moves, a list is sold; then it is asked again


def digest_of(rule: str, about: str) -> str:
    """What an attestation must carry to answer this question: 16 hex digits."""
    return hashlib.sha256(f"{rule}\n{about}".encode()).hexdigest()[:16]


def judged(
    given: Attestation | None, digest: str, level: Level, today: date
) -> tuple[Status, str]:
    """How a question stands, and what is to be said of its answer ("" if there is none)."""
    unanswered = Status.FAIL if level is Level.ERROR else Status.WARN
    if given is None:
        return unanswered, ""
    who = f"{given.by} on {given.on}"
    if given.digest != digest:
        return unanswered, f"what {who} attested has changed since; that is void"
    if given.on > today:
        return unanswered, f"the attestation of {who} is dated in the future"
    if today - given.on > HOLDS:
        return Status.WARN, f"attested by {who}, more than a year ago"
    return Status.ATTESTED, f"attested by {who}"


def line(rule: str, by: str, on: date, digest: str) -> str:
    """The line to write below [attest]."""
    # A JSON string is a TOML string, but for DEL, which no name has.
    name = json.dumps(by, ensure_ascii=False)
    return f'{rule} = {{ by = {name}, on = {on}, digest = "{digest}" }}'
