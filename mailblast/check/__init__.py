"""Is a campaign ready?  Facts in, findings out.

    Facts ──▶ a rule's function ──▶ Verdict ─┐
              rules/*.toml, the pack ────────┴▶ Finding

A rule's function is told the facts and gives a `Verdict`, or several.  It is pure: what it
looks at was gathered before (`facts`), by `preflight`.  The functions stand in plain tables by
the ids of their rules (`CHECKS` of each module, together in `policies`).  `book` has every
rule with its source, also those that are enforced elsewhere.  Which rules hold, and how
strictly, is said by policy packs (`pack`).
"""

from collections.abc import Iterable, Iterator

from mailblast.check import attestation
from mailblast.check.book import Where
from mailblast.check.facts import Facts
from mailblast.check.finding import Finding, Level, Status, Verdict, skipped
from mailblast.check.pack import Check, Pack, Term, verdicts

__all__ = ["Check", "Facts", "Finding", "Level", "Pack", "Status", "Verdict", "judge"]


def judge(facts: Facts, packs: Iterable[Pack]) -> list[Finding]:
    """How a campaign stands with every rule of these packs.

    Two packs that ask the same of the same rule ask once.  Rules that are enforced elsewhere
    have no finding; those that nothing enforces yet are `skip`, and say so.
    """
    findings: dict[tuple[object, ...], Finding] = {}
    for pack in packs:
        for term in pack.terms:
            for found in _findings(facts, pack, term):
                key = (found.id, found.level, found.status, found.evidence, found.message)
                findings.setdefault(key, found)
    return list(findings.values())


def _findings(facts: Facts, pack: Pack, term: Term) -> Iterator[Finding]:
    for verdict in _verdicts(facts, pack, term):
        yield _finding(facts, pack, term, verdict)


def _verdicts(facts: Facts, pack: Pack, term: Term) -> Iterator[Verdict]:
    check = pack.checks.get(term.rule.id)
    if check is None:
        if term.rule.where is Where.NOWHERE and term.rule.mode:
            yield skipped("mailblast does not look at this yet")
        return
    yield from verdicts(check, facts, term.told)


def _finding(facts: Facts, pack: Pack, term: Term, verdict: Verdict) -> Finding:
    rule = term.rule
    status, evidence, digest = verdict.status, verdict.evidence, ""
    if status is None:
        digest = attestation.digest_of(rule.id, verdict.about)
        given = facts.campaign.declared.attested.get(rule.id)
        status, said = attestation.judged(given, digest, term.level, facts.today)
        evidence = "; ".join(filter(None, (evidence, said)))
    wrong = status in (Status.FAIL, Status.WARN)
    return Finding(
        id=rule.id,
        level=term.level,
        status=status,
        evidence=evidence,
        cite=rule.source,
        message=rule.message.format_map(_Values(verdict.values)) if wrong else "",
        fix=rule.fix if wrong else "",
        chapter=rule.chapter,
        pack=pack.name,
        digest=digest,
    )


class _Values(dict[str, str]):
    """What a message is filled with; a hole that nothing fills stays one."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"
