"""Mail that came back, told in a few lines: one mail, an import, the story of a delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mailblast.quantity import counted, number
from mailblast.terminal.words import CAME_BACK, MARKS, MEANING, moment, visible

if TYPE_CHECKING:
    from mailblast.bounce import Notice, Report
    from mailblast.event import Event
    from mailblast.ledger import Delivery, Returned

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


def imported(
    counts: Mapping[str, int], kinds: Mapping[str, int], tied: Mapping[str, int]
) -> Iterator[str]:
    """What an import found: what came of the mail, what it was, by what it was tied."""
    mails = sum(count for name, count in counts.items() if name != "suppressed")
    yield f"{counted(mails, 'mail')} read"
    for name, what in CAME_BACK.items():
        if counts.get(name):
            yield f"  {number(counts[name]):>6}  {what}"
    if read := in_short(kinds):
        yield f"read as: {read}"
    if by := in_short(tied):
        yield f"tied by: {by}"


def in_short(counts: Mapping[str, int]) -> str:
    """Counts in one line, the largest first: `3 bounce, 1 complaint`."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number(count)} {name or 'unreadable'}" for name, count in ranked)


def marked(marks: Mapping[str, int]) -> Iterator[str]:
    """The marks of a run, a line each."""
    for mark, count in marks.items():
        yield f"{number(count)} {mark}: {MARKS[mark]}"
    if marks:
        yield ""


def story(
    delivery: Delivery, history: Sequence[Event], returned: Sequence[Returned]
) -> Iterator[str]:
    """What has become of a delivery, its events, and the mail that changed nothing."""
    reason = f" ({delivery.reason})" if delivery.reason else ""
    yield f"{delivery.disposition}{reason}: {MEANING[delivery.disposition]}"
    for mark in delivery.marks:
        yield f"{mark}: {MARKS[mark]}"
    for event in history:
        said = visible(" ".join(event.text.split()))
        if event.code and not said.startswith(str(event.code)):
            said = f"{event.code} {said}"
        by = ", ".join(visible(one) for one in (event.host, event.tls) if one)
        by = f" [{by}]" if by else ""
        yield f"  {moment(event.at)}  {event.kind}{by} {said}".rstrip()
    told = {event.digest for event in history}
    others = [mail for mail in returned if mail.digest not in told]
    if others:
        yield "Came back too, and changed nothing here:"
    for mail in others:
        tied = f"tied by {mail.tied}: " if mail.tied else ""
        said = f"{mail.result} [{visible(mail.source)}] {tied}{visible(mail.text)}"
        yield f"  {moment(mail.at)}  {said}"
