"""The dossier of a run in lines: for the screen, or to be kept, printed and signed."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from mailblast.check import Finding, Status
from mailblast.check.facts import Consent
from mailblast.dossier import Dossier, Specimen
from mailblast.errors import Refusal
from mailblast.ledger import OptOut
from mailblast.quantity import counted, number
from mailblast.report import iso, outages_of
from mailblast.terminal.words import MEANING, ORDER, visible

MOST = 20  # opt-outs and links on the screen; a file has them all

NARROWEST = 40  # columns

_UNKNOWN = "unknown"


def lines(dossier: Dossier, width: int, most: int | None = None) -> Iterator[str]:
    """The dossier; `most` bounds what may be long."""
    parts = (
        ("What was sent", _run(dossier)),
        ("By whom", _sender(dossier)),
        ("To whom, and what became of it", _recipients(dossier)),
        ("A message as it was sent", _message(dossier.specimen, most)),
        ("What was declared", _declared(dossier)),
        ("Consent", _consent(dossier.consents)),
        ("Who asked for no more", _opt_outs(dossier, most)),
        ("How it stands with the rules", _findings(dossier.findings)),
    )
    run = dossier.report.run
    yield f"Compliance dossier of {visible(run.run)}"
    for title, found in parts:
        yield ""
        yield title
        for line in found:
            yield from _wrapped(line, width)


def _wrapped(line: str, width: int) -> Iterator[str]:
    """The line within the width, two blanks in; what it goes on with stands further in."""
    depth = len(line) - len(line.lstrip()) + 2
    yield from textwrap.wrap(
        visible(line.strip()),
        max(width, NARROWEST),
        initial_indent=" " * depth,
        subsequent_indent=" " * (depth + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _run(dossier: Dossier) -> Iterator[str]:
    run = dossier.report.run
    yield f"run: {run.run}, campaign {run.campaign}"
    yield f"begun: {iso(run.started or run.created)}"
    yield f"ended: {iso(run.ended) or 'not ended'}"
    book = dossier.book
    if book:
        yield f"sent from: {book.get('machine', _UNKNOWN)}, via {book.get('via', _UNKNOWN)}"
    else:
        yield "sent from: unknown, for the run book has no such run any more"
    yield f"content (SHA-256): {run.digest}"


def _sender(dossier: Dossier) -> Iterator[str]:
    told = dossier.as_json()["sender"]
    if told is None:
        yield f"unknown: {dossier.campaign}"
        return
    yield f"From: {told['from']}"
    yield f"Reply-To: {told['reply_to'] or 'none'}"
    yield f"organisation: {told['organisation']}"
    yield f"postal address: {', '.join(told['postal_address']) or 'none'}"
    yield f"ways to unsubscribe: {', '.join(told['unsubscribe']) or 'none'}"
    yield f"signed as: {told['dkim'] or 'not signed here'}"
    yield f"purpose: {told['purpose']}"


def _recipients(dossier: Dossier) -> Iterator[str]:
    report = dossier.report
    told = dossier.as_json()["list"]
    yield f"list (SHA-256): {told['digest'] or 'unknown'}"
    yield f"its columns: {', '.join(told['columns'])}"
    yield f"{number(report.rows)} rows, of which"
    for one in ORDER:
        if count := report.dispositions.get(one, 0):
            yield f"  {number(count)} {one}: {MEANING[one]}"
    for reason, count in report.reasons.items():
        yield f"  {number(count)} for the reason {reason}"
    for mark, count in report.marks.items():
        yield f"  {number(count)} {mark}"
    if report.open_until:
        yield f"what was accepted may come back until {iso(report.open_until)}"


def _message(found: Specimen | Refusal, most: int | None) -> Iterator[str]:
    if isinstance(found, Refusal):
        yield f"none: {found}"
        return
    sample = found.sample
    yield f"row {sample.row}, to {sample.recipient}; {found.accepted}"
    if found.proven:
        yield f"composed again: it has the SHA-256 of what was sent, {found.digest}"
    else:
        yield f"composed again, but NOT what was sent, which has the SHA-256 {found.digest}"
    yield f"subject: {sample.subject}"
    shown = ("from", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post")
    yield from (
        f"{name}: {value}" for name, value in sample.headers if name.lower() in shown
    )
    yield "text:"
    yield from (f"  | {line}" for line in sample.text.splitlines())
    yield from _bounded([f"{place}: {link}" for link, place in found.links.items()], most)


def _declared(dossier: Dossier) -> Iterator[str]:
    told = dossier.as_json()
    if isinstance(dossier.campaign, Refusal):
        yield f"unknown: {dossier.campaign}"
    else:
        yield f"policy packs: {', '.join(dossier.campaign.declared.packs)}"
    for rule, one in told["attestations"].items():
        yield f"{rule}: attested by {one['by']} on {one['on']}, for the digest {one['digest']}"
    for rule, why in told["overrides"].items():
        yield f"{rule}: OVERRIDDEN, because: {why}"
    if not told["attestations"]:
        yield "nothing was attested"
    if not dossier.book:
        yield "whether a rule was overridden is unknown: the run book has no such run any more"


def _consent(consents: Mapping[Consent, int] | Refusal) -> Iterator[str]:
    if isinstance(consents, Refusal):
        yield str(consents)
        return
    for one, rows in consents.items():
        where = f", {one.country}" if one.country else ""
        since = f", since {one.at}" if one.at else ""
        taken_back = ", withdrawn" if one.withdrawn else ""
        basis = one.basis or "no consent recorded"
        yield f"{counted(rows, 'row')}: {basis}{since}{where}{taken_back}"


def _opt_outs(dossier: Dossier, most: int | None) -> Iterator[str]:
    for outage in outages_of(dossier.book):
        until = f"until {outage.ended}" if outage.ended else "and not seen to end"
        yield f"the unsubscribe endpoint was out from {outage.began} {until}: {outage.why}"
    if not dossier.opt_outs:
        yield "nobody of this run's recipients, up to now"
        return
    late = dossier.late
    mailed = (
        f"{number(len(late))} of them MAILED AFTERWARDS" if late else "no mail afterwards"
    )
    yield f"{counted(len(dossier.opt_outs), 'recipient')}, {mailed}"
    others = (one for one in dossier.opt_outs if one.mailed_after is None)
    yield from _bounded([_opt_out(one) for one in (*late, *others)], most)


def _opt_out(one: OptOut) -> str:
    hours = (one.added - one.asked) / 3600
    told = [
        f"{one.key}: {one.reason}, by {one.source}",
        f"asked {iso(one.asked)}",
        f"in effect {iso(one.added)}" + (f" ({hours:.1f} h later)" if hours >= 0.1 else ""),
        f"last mail before {iso(one.mailed_before) or 'none'}",
    ]
    if one.mailed_after is not None:
        told.append(f"MAILED AFTERWARDS, {iso(one.mailed_after)}")
    if one.scope:
        told.append(f"campaign {one.scope} only")
    if one.removed is not None:
        told.append(f"lifted {iso(one.removed)} by their consent: {one.consent}")
    return "; ".join(told)


def _findings(findings: Iterable[Finding]) -> Iterator[str]:
    found = list(findings)
    for status in (Status.FAIL, Status.WARN, Status.ATTESTED):
        for one in (one for one in found if one.status is status):
            told = f"{one.message} ({one.evidence})" if one.message else one.evidence
            yield f"{status} {one.id}: {told}"
    if met := [one.id for one in found if one.status is Status.PASS]:
        yield f"as they ask: {', '.join(dict.fromkeys(met))}"
    if not found:
        yield "nothing can be said without the content"


def _bounded(found: list[str], most: int | None) -> Iterator[str]:
    yield from found[:most]
    if most is not None and len(found) > most:
        yield f"and {number(len(found) - most)} more; --output FILE has them all"
