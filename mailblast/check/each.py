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
from mailblast.check.page import Page, read
from mailblast.errors import Refusal
from mailblast.quantity import counted

MOST = 8  # findings of one rule; who has mended these sees the next

Look = Callable[[Sample], Iterable[Verdict]]
PageLook = Callable[[Sample, Page], Iterable[Verdict]]
PartLook = Callable[[Sample, Page | None], Iterable[Verdict]]


def message(look: Look) -> Check:
    """The rule, of every message."""

    def checked(facts: Facts) -> Iterator[Verdict]:
        yield from over(facts.of(Messages).samples, look)

    return checked


def html(look: Look) -> Check:
    """The rule, of every message that has an HTML part."""

    def checked(facts: Facts) -> Iterator[Verdict]:
        samples = [one for one in facts.of(Messages).samples if one.html is not None]
        if samples:
            yield from over(samples, look)
        else:
            yield skipped("the messages are of text alone")

    return checked


def page(look: PageLook) -> Check:
    """The rule, of every HTML part as a browser takes it apart."""

    def looked(sample: Sample) -> Iterable[Verdict]:
        found = read(sample.html or "")
        return [skipped(str(found))] if isinstance(found, Refusal) else look(sample, found)

    return html(looked)


def part(look: PartLook) -> Check:
    """The rule, of the text and, where there is one, the HTML of every message."""

    def looked(sample: Sample) -> Iterable[Verdict]:
        found = None if sample.html is None else read(sample.html)
        if isinstance(found, Refusal):
            return [skipped(str(found)), *look(sample, None)]
        return look(sample, found)

    return message(looked)


def over(samples: Sequence[Sample], look: Look) -> Iterator[Verdict]:
    """What is wrong with these messages; `pass`, if nothing is."""
    found: list[Verdict] = []
    seen: set[object] = set()
    for sample in samples:
        fresh = [one for one in look(sample) if _kind(one) not in seen]
        seen.update(map(_kind, fresh))
        found += (_located(sample, one) for one in fresh)
    yield from found[:MOST] or [passed(f"in {counted(len(samples), 'message')}")]


def _located(sample: Sample, verdict: Verdict) -> Verdict:
    evidence = ": ".join(filter(None, (sample.name, verdict.evidence)))
    return replace(verdict, evidence=evidence)


def _kind(verdict: Verdict) -> object:
    """The same for a fault that two messages have, whatever it measures in each."""
    said = verdict.values.values() or (verdict.evidence,)
    return verdict.status, re.sub(r"\d+", "#", "\n".join(said))
