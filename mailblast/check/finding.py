"""What a rule says, and what comes of it.

A rule's function gives a `Verdict` (or several): what it found.  The engine puts the rule's own
data beside it (level, source, text, what to do) and makes a `Finding`.  So no function repeats
its id, and no text stands in code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """What a `fail` means: `error` keeps real mail from leaving, the others are told."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"


class Status(StrEnum):
    """How a campaign stands with a rule.  What was not looked at is `skip`, never `pass`."""

    FAIL = "fail"
    WARN = "warn"
    ATTESTED = "attested"
    PASS = "pass"  # noqa: S105 - no password
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule's function found.

    `status` None is a question that only a person can answer: an attestation decides it, and
    `about` is what the answer is bound to (another address, another text: another question).
    `values` fill the `{…}` of the rule's message.
    """

    status: Status | None
    evidence: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    about: str = ""


def passed(evidence: str) -> Verdict:
    """It is as the rule asks; `evidence` says where that was seen."""
    return Verdict(Status.PASS, evidence)


def warned(evidence: str, **values: object) -> Verdict:
    """It may be wrong, or soon will be."""
    return Verdict(Status.WARN, evidence, _texts(values))


def failed(evidence: str, **values: object) -> Verdict:
    """It is not as the rule asks; `evidence` says where."""
    return Verdict(Status.FAIL, evidence, _texts(values))


def skipped(why: str) -> Verdict:
    """It was not looked at, or the rule does not apply; `why` says which."""
    return Verdict(Status.SKIP, why)


def asked(evidence: str, about: str, **values: object) -> Verdict:
    """Only a person can say."""
    return Verdict(None, evidence, _texts(values), about)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """How a campaign stands with one rule.

    `evidence` is what was seen, or why nothing was looked at; `cite` is the rule's source;
    `message` and `fix` are empty where nothing is to be done.  `digest` is what an attestation
    of this rule has to carry, "" where none is asked for.
    """

    id: str
    level: Level
    status: Status
    evidence: str
    cite: str
    message: str
    fix: str
    chapter: str
    pack: str
    digest: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it keeps real mail from leaving."""
        return self.level is Level.ERROR and self.status is Status.FAIL
