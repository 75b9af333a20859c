"""DMARC: whose policy holds for a domain, and which domains belong together (RFC 9989).

RFC 9989 replaces RFC 7489: the organisational domain comes from the DNS itself, by a walk up
the tree (§4.10), and no longer from the Public Suffix List.

Rule: told what the DNS answers, asks nobody (`lookup.Asking`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mailblast.lookup import Asking, Failure, Question

MAX_STEPS = 8  # questions of one walk (RFC 9989 §4.10)

POLICIES = ("none", "quarantine", "reject")
# What RFC 7489 had and RFC 9989 has not (Appendix C of the latter).
OBSOLETE = ("pct", "rf", "ri")

_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_ALMOST = re.compile(r"\s*v[ \t]*=?[ \t]*dmarc", re.IGNORECASE)
_MAILTO = re.compile(r"mailto:[^@,;\s!]+@([A-Za-z0-9.-]+)(?:!\d+[kmgt]?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Record:
    """A policy record, as `domain` publishes it; `tags` without `v`, the first of each."""

    domain: str
    tags: Mapping[str, str]
    text: str

    def policy(self, tag: str) -> str:
        """The value of `p`, `sp` or `np`; "" where it is missing or none of the three."""
        value = self.tags.get(tag, "").lower()
        return value if value in POLICIES else ""

    def alignment(self, tag: Literal["adkim", "aspf"]) -> Literal["strict", "relaxed"]:
        """How closely domains must agree."""
        return "strict" if self.tags.get(tag, "r").lower() == "s" else "relaxed"

    @property
    def psd(self) -> str:
        """`y` is a public suffix, `n` an organisational domain, `u` leaves it open."""
        return self.tags.get("psd", "u").lower()

    @property
    def reports_to(self) -> tuple[str, ...]:
        """The domains of the addresses that aggregate reports are sent to."""
        rua = self.tags.get("rua", "").split(",")
        found = (_MAILTO.fullmatch(one.strip()) for one in rua)
        return tuple(dict.fromkeys(one[1].lower() for one in found if one))


@dataclass(frozen=True, slots=True)
class Step:
    """What was found at one domain: its records, all of them; one alone counts (§4.10).

    `misspelt` are texts that look like a record and are none.
    """

    domain: str
    failure: Failure | None
    records: tuple[Record, ...]
    misspelt: tuple[str, ...] = ()

    @property
    def record(self) -> Record | None:
        """The record; none if there are several."""
        return self.records[0] if len(self.records) == 1 else None


@dataclass(frozen=True, slots=True)
class Walk:
    """What was found on the way from a domain to the root."""

    steps: tuple[Step, ...]

    @property
    def domain(self) -> str:
        """Where it began."""
        return self.steps[0].domain

    @property
    def organisational(self) -> str:
        """The organisational domain (RFC 9989 §4.10.2)."""
        topmost = ""
        for place, step in enumerate(self.steps):
            if step.record is None:
                continue
            if step.record.psd == "n":
                return step.domain
            if step.record.psd == "y" and place:
                return self._below(step.domain)
            topmost = step.domain
        return topmost or self.domain

    def _below(self, suffix: str) -> str:
        """The domain with one label more."""
        labels = self.domain.removesuffix(f".{suffix}").split(".")
        return f"{labels[-1]}.{suffix}"

    @property
    def policy(self) -> Record | None:
        """The record that holds: the domain's own, its organisation's, its suffix's."""
        found = {step.domain: step.record for step in self.steps if step.record}
        suffix = next((one for one in found.values() if one.psd == "y"), None)
        return found.get(self.domain) or found.get(self.organisational) or suffix

    @property
    def requested(self) -> str:
        """What the holder asks for mail from the domain that fails; "" without a record.

        A record that says nothing asks for nothing: p=none (RFC 9989 §4.7).
        """
        record = self.policy
        if record is None:
            return ""
        own = record.domain == self.domain
        return (not own and record.policy("sp")) or record.policy("p") or "none"

    @property
    def unknown(self) -> Step | None:
        """The first step that got no answer: what is above it may count or not."""
        return next(
            (one for one in self.steps if one.failure and one.failure.transient), None
        )


def walk(domain: str) -> Asking[Walk]:
    """Walk up from a domain.  All steps are asked at once; those above a `psd` are cut off."""
    domains = steps_of(domain)
    answers = yield tuple(Question("TXT", f"_dmarc.{one}") for one in domains)
    steps: list[Step] = []
    for one, found in zip(domains, answers, strict=True):
        parsed = tuple(r for text in found.records if (r := parse(one, text)))
        almost = (text for text in found.records if _ALMOST.match(text))
        misspelt = tuple(text for text in almost if not _VERSION.match(text))
        steps.append(Step(one, found.failure, parsed, misspelt))
        record = steps[-1].record
        if record and record.psd in ("y", "n"):
            break
    return Walk(tuple(steps))


def steps_of(domain: str) -> tuple[str, ...]:
    """The domains that are asked: the domain, and its parents of at most 7 labels."""
    labels = domain.lower().split(".")
    most = min(len(labels) - 1, MAX_STEPS - 1)
    parents = (".".join(labels[-length:]) for length in range(most, 0, -1))
    return (domain.lower(), *parents)


def parse(domain: str, text: str) -> Record | None:
    """Read a TXT record; None for what is none of DMARC's.

    `v` must come first and be exactly DMARC1; other faults are overlooked (RFC 9989 §4.7).
    """
    if not _VERSION.match(text):
        return None
    tags: dict[str, str] = {}
    for tag in text.split(";")[1:]:
        name, equals, value = tag.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    return Record(domain, tags, text)


def aligned(first: Walk, second: Walk, mode: Literal["strict", "relaxed"]) -> bool:
    """Whether two domains belong together (RFC 9989 §4.4)."""
    if mode == "strict":
        return first.domain == second.domain
    return first.organisational == second.organisational
