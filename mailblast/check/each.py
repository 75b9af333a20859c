"""Rules that look at every message alike.

Such a rule's function is told one message and gives what is wrong with it; its evidence says
where in the message.  What is wrong with several is said once, of the first.
"""

from collections.abc import Callable, Iterable, Iterator
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


def _verdicts(samples: Iterable[Sample], look: Look) -> Iterator[Verdict]:
    found: dict[object, Verdict] = {}
    count = 0
    for count, sample in enumerate(samples, 1):
        for verdict in look(sample):
            evidence = f"{sample.name}: {verdict.evidence}" if verdict.evidence else sample.name
            key = (verdict.status, tuple(verdict.values.items()) or verdict.evidence)
            found.setdefault(key, replace(verdict, evidence=evidence))
    yield from list(found.values())[:MOST] or [passed(f"in {count} messages")]
