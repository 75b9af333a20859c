"""A mail that came back, told in a few lines: what it is, by which rule, and of whom."""

from collections.abc import Iterator

from mailblast.bounce import Notice, Report
from mailblast.terminal.words import visible

TEXT_WIDTH = 160


def explained(source: str, notice: Notice) -> Iterator[str]:
    """The lines: source, kind and rule, then each recipient and what was said."""
    kind = f"{notice.kind} ({notice.feedback})" if notice.feedback else str(notice.kind)
    yield f"{visible(source)}  {kind}  by: {visible(notice.rule)}"
    for report in notice.reports:
        yield f"  {visible(report.recipient) or '(no address)'}  {_judged(report)}"
        said = " ".join(report.text.split())
        if said:
            yield f"    {visible(said)[:TEXT_WIDTH]}"


def _judged(report: Report) -> str:
    words = [report.action, report.status, str(report.code or "")]
    if report.reason is not None:
        words.append(str(report.reason))
        words.append(f"({'hard' if report.hard else 'soft'})" if report.action else "")
    if report.rule:
        words.append(f" by: {visible(report.rule)}")
    return " ".join(word for word in words if word)
