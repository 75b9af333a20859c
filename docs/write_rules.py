"""Write docs/rules.md from the rules themselves.

    python docs/write_rules.py

The rules lie in mailblast/check/rules/*.toml; a test sees that the page is up to date.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mailblast.check import book
from mailblast.check.book import Rule, Where

PAGE = Path(__file__).with_name("rules.md")

HEAD = """\
# Every rule

This page is written by `docs/write_rules.py` from `mailblast/check/rules/*.toml`: change them, then
`make docs`. [check.md](check.md) says what levels, packs and attestations are. `mailblast check
--explain ID` prints one rule.

*Enforced* says where, and by which tests that is proven; *not yet* is meant as it is written.
*Lacking* is what of a rule is not enforced, or not proven, and why. In the sources, **[V]** was
read in a copy of the text itself, **[S]** in a second source that quotes it, and **[M]** is from
memory: look it up before you rely on it. This is engineering, and no legal advice.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, *_sums(), "## Sources", "", *_sources(), ""]
    for chapter, rules in groupby(book.rules().values(), lambda rule: rule.chapter):
        parts += [f"## {chapter}", ""]
        for rule in rules:
            parts += _rule(rule)
    return "\n".join(parts).rstrip() + "\n"


def _sums() -> Iterator[str]:
    rules = book.rules().values()
    yield "| Enforced | Rules |"
    yield "|---|---:|"
    for where in Where:
        count = sum(rule.where is where for rule in rules)
        if count:
            yield f"| {where.value or 'not yet'} | {count} |"
    yield f"| all | {len(rules)} |"
    yield ""


def _sources() -> Iterator[str]:
    yield "| Name | Text | Date of the copy |"
    yield "|---|---|---|"
    for name, source in book.sources().items():
        yield f"| {name} | {_cell(source.title)} | {source.date} |"


def _rule(rule: Rule) -> Iterator[str]:
    yield f"### {rule.id}"
    yield ""
    yield f"*{rule.level}.* {_prose(rule.asks)}"
    yield ""
    yield f"- Source: {_prose(rule.source)}"
    proof = ", ".join([str(rule.where), *(f"`{test}`" for test in rule.tests)])
    yield f"- Enforced: {proof if rule.where else 'not yet'}"
    if rule.lacks:
        yield f"- Lacking: {_prose(rule.lacks)}"
    if rule.fix:
        yield f"- To do: {_prose(rule.fix)}"
    yield ""


def _prose(text: str) -> str:
    """Text in which nothing is taken for HTML or emphasis."""
    for sign in "\\`*_<":
        text = text.replace(sign, f"\\{sign}")
    return text


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
