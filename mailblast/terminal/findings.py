"""Showing how a campaign stands with the rules."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote

from mailblast.check import Finding, Level, Pack, Status
from mailblast.check.book import Rule, Where
from mailblast.clean import DISPOSABLE, ROLE, Cleaned
from mailblast.quantity import counted, number
from mailblast.reason import Reason
from mailblast.terminal import Screen
from mailblast.terminal.words import visible

STYLE = {
    Status.FAIL: "red",
    Status.WARN: "yellow",
    Status.ATTESTED: "green",
    Status.PASS: "green",
    Status.SKIP: "dim",
}
# What a reader has to do something about comes first.
ORDER = {status: n for n, status in enumerate(STYLE)}

WHERE = {
    Where.CHECK: "by mailblast check, before the first message leaves",
    Where.SETTINGS: "by the settings: nothing else can be written there",
    Where.LIST: "when the list is read",
    Where.COMPOSING: "when messages are composed: every one is made so",
    Where.SENDING: "while sending",
    Where.IMPORT: "when mail that came back is taken in",
    Where.UNSUBSCRIBE: "by the suppression list",
    Where.EXPLAIN: "not at all: it is here to be told",
    Where.NOWHERE: "not yet enforced",
}

GONE = {
    Reason.ADDRESS_SYNTAX: "no good address",
    Reason.MALFORMED_ROW: "not as many cells as the header",
    Reason.DUPLICATE: "the address stands above already",
    Reason.UNSUBSCRIBED: "on the suppression list",
    Reason.COMPLAINT: "on the suppression list",
    Reason.HARD_BOUNCE: "on the suppression list",
    Reason.LISTED: "on the suppression list",
    Reason.DOMAIN_INVALID: "the domain takes no mail",
    DISPOSABLE: "a mailbox for an hour",
    ROLE: "a job and no person",
}

WIDEST = 92
MOST_NAMED = 20  # rules that were not looked at for one reason


def show_findings(
    screen: Screen,
    campaign: str,
    packs: Sequence[Pack],
    findings: Sequence[Finding],
    shares: Mapping[str, int],
    *,
    in_part: bool = False,
) -> None:
    """All findings: what fails first, and last whether the campaign is ready.

    `shares` are the rows of the list at each provider, "" for whoever is none known; `in_part`
    is said when `send` looks at more than was looked at here.
    """
    looked_at = [one for one in findings if one.status is not Status.SKIP]
    for chapter in _chapters(looked_at):
        screen.say(chapter, "bold")
        mine = (one for one in looked_at if one.chapter == chapter)
        for finding in sorted(mine, key=_urgency):
            _show(screen, campaign, finding)
        screen.say()
    _show_skipped(screen, findings)
    _show_packs(screen, packs)
    _paragraph(screen, shared(shares), "")
    _show_sum(screen, campaign, findings, in_part=in_part)


def _urgency(finding: Finding) -> tuple[int, int]:
    return ORDER[finding.status], list(Level).index(finding.level)


def _chapters(findings: Sequence[Finding]) -> list[str]:
    """Those with the most urgent findings first."""
    first: dict[str, tuple[int, int]] = {}
    for one in findings:
        first[one.chapter] = min(_urgency(one), first.get(one.chapter, _urgency(one)))
    return sorted(first, key=lambda chapter: first[chapter])


def _show(screen: Screen, campaign: str, finding: Finding) -> None:
    style = STYLE[finding.status]
    if finding.status in (Status.PASS, Status.ATTESTED):
        screen.say(visible(f"  {finding.status} {finding.id}: {finding.evidence}"), style)
        return
    # A fail that lets mail leave is told from one that does not.
    harmless = finding.status is Status.FAIL and not finding.blocks
    level = f" ({finding.level})" if harmless else ""
    screen.say(f"  {finding.status.upper()} {finding.id}{level}", style)
    for what, text in (("", finding.message), ("seen: ", finding.evidence)):
        if text:
            _paragraph(screen, f"{what}{text}")
    _paragraph(screen, f"do: {finding.fix or 'see the source of the rule'}")
    if finding.digest:
        # In one piece, so that it can be copied.
        by = f'--attest {finding.id} --by "Your Name"'
        screen.say(f"    run: mailblast check {visible(quote(campaign))} {by}")


def _paragraph(screen: Screen, text: str, indent: str = "    ") -> None:
    width = max(min(screen.out.width, WIDEST), 30)
    for line in textwrap.wrap(
        visible(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        screen.say(line)


def _show_skipped(screen: Screen, findings: Sequence[Finding]) -> None:
    """What was not looked at, and why: the rules of each reason together."""
    reasons: dict[str, list[str]] = {}
    for one in findings:
        if one.status is Status.SKIP:
            reasons.setdefault(one.evidence, []).append(one.id)
    if not reasons:
        return
    screen.say("Not looked at", "bold")
    for why, ids in reasons.items():
        named = ", ".join(ids) if len(ids) <= MOST_NAMED else f"{len(ids)} rules (--json)"
        _paragraph(screen, f"{why}: {named}", "  ")
    screen.say()


def _show_packs(screen: Screen, packs: Sequence[Pack]) -> None:
    for pack in packs:
        dates = ", ".join(sorted({one.date for one in pack.sources}))
        _paragraph(
            screen,
            f"{pack.name}: {pack.title} ({pack.jurisdiction}); sources: {dates}",
            "",
        )


def shared(shares: Mapping[str, int]) -> str:
    """How a list divides over the providers."""
    rows = sum(shares.values())
    told = (
        f"{name or 'no provider known'} {100 * count / rows:.1f} %"
        for name, count in shares.items()
    )
    return f"the list, {counted(rows, 'address', 'addresses')}: {', '.join(told)}"


def _show_sum(
    screen: Screen, campaign: str, findings: Sequence[Finding], *, in_part: bool
) -> None:
    counts = Counter(one.status for one in findings)
    said = ", ".join(f"{counts[one]} {one}" for one in ORDER if counts[one])
    blocking = sorted({one.id for one in findings if one.blocks})
    screen.say(f"{said}.")
    if blocking:
        fail = "rule of level error fails", "rules of level error fail"
        said = counted(len(blocking), *fail)
        _paragraph(screen, f"Not ready: {said}: {', '.join(blocking)}", "")
        return
    ready = "Ready, but for what send asks the DNS and the web" if in_part else "Ready"
    screen.say(f"{ready}: mailblast send {visible(quote(campaign))}", "green")


def explain_rule(screen: Screen, rule: Rule) -> None:
    """One rule: what it asks, who says so, and where it is enforced."""
    screen.say(rule.id, "bold")
    for line in explained(rule):
        _paragraph(screen, line, "")


def explained(rule: Rule) -> Iterator[str]:
    """What is to be said of a rule, a paragraph each."""
    yield rule.asks
    yield f"Chapter: {rule.chapter}. Level: {rule.level}."
    yield f"Source: {rule.source}"
    yield (
        "[V] was read in a copy of the text itself, [S] in a second source that quotes it, "
        "[M] is from memory."
    )
    yield f"Enforced: {WHERE[rule.where]}."
    if rule.tests:
        yield f"Proven by: {', '.join(rule.tests)}"
    if rule.lacks:
        yield f"Lacking: {rule.lacks}"
    if rule.message and rule.where in (Where.CHECK, Where.EXPLAIN):
        yield f"Says: {rule.message}"
    if rule.fix:
        yield f"To do: {rule.fix}"


def show_cleaned(
    screen: Screen,
    file: str,
    out: Path,
    reasons: Path | None,
    cleaned: Cleaned,
    *,
    scrubbed: bool,
) -> None:
    """What was taken out of a list, and why."""
    screen.say(f"{counted(cleaned.kept, 'row')} of {number(cleaned.rows)} went to {out}.")
    for reason, rows in cleaned.gone.most_common():
        screen.say(f"  {number(rows):>9}  {reason}: {GONE.get(reason, '')}".rstrip(": "))
    if reasons is not None:
        screen.say(f"The rows that were taken out are in {reasons}.")
    elif cleaned.gone:
        screen.say("--reasons FILE writes them with their lines.")
    if not scrubbed:
        screen.say("No suppression list was looked at: nothing was sent from here yet.")
    if cleaned.mistyped.rows:
        many = counted(cleaned.mistyped.rows, "address", "addresses")
        first = ", ".join(f"{file}:{line} {what}" for line, what in cleaned.mistyped.first)
        _paragraph(
            screen, f"Kept, and worth a look: {many} that may be mistyped ({first}).", ""
        )
