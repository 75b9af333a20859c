"""Rules that look at every message alike.

Such a rule's function is told one message and gives what is wrong with it; its evidence says
where in the message.  What is wrong with several is said once, of the first.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from mailblast.check.facts import Facts, Messages, Sample
from mailblast.check.finding import Verdict, passed, skipped
from mailblast.check.pack import Check

MOST = 8  # findings of one rule; who has mended these sees the next

Look = Callable[[Sample], Iterable[Verdict]]


def message(look: Look) -> Check:
    """The rule, of every message."""

    def checked(facts: Facts) -> Iterator[Verdict]:
        return _verdicts(facts.of(Messages).samples, look)

    return checked


def page(look: Look) -> Check:
    """The rule, of every message that has an HTML part."""

    def checked(facts: Facts) -> Iterator[Verdict]:
        samples = [one for one in facts.of(Messages).samples if one.html is not None]
        if not samples:
            return iter([skipped("the messages are of text alone")])
        return _verdicts(samples, look)

    return checked


def _verdicts(samples: Sequence[Sample], look: Look) -> Iterator[Verdict]:
    found: list[Verdict] = []
    seen: set[object] = set()
    for sample in samples:
        fresh = [one for one in look(sample) if _kind(one) not in seen]
        seen.update(map(_kind, fresh))
        found += (_located(sample, one) for one in fresh)
    yield from found[:MOST] or [passed(f"in {len(samples)} messages")]


def _located(sample: Sample, verdict: Verdict) -> Verdict:
    evidence = ": ".join(filter(None, (sample.name, verdict.evidence)))
    return replace(verdict, evidence=evidence)


def _kind(verdict: Verdict) -> object:
    """The same for a fault that two messages have, whatever it measures in each."""
    said = verdict.values.values() or (verdict.evidence,)
    return verdict.status, re.sub(r"\d+", "#", "\n".join(said))
