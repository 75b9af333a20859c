"""What a mail that came back says of the delivery to which it is tied.

Rule: only a strong tie changes anything.  What is weak, forged or expired is told by its name
and kept; what people should read is counted and left to them.  The one exception is a wish to
leave: it is honoured for whoever wrote it, tied or not, because an opt-out that is missed is
worse than one too many (15 U.S.C. 7704(a)(4)).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mailblast.address import key_of
from mailblast.address import parse as parse_address
from mailblast.bounce import Kind, Notice, Report
from mailblast.bounce.diagnostic import to_rcpt
from mailblast.disposition import Outcome
from mailblast.errors import Refusal
from mailblast.event import Event, EventKind
from mailblast.reason import Reason
from mailblast.suppression import Entry
from mailblast.suppression.policy import against
from mailblast.tie import ADDRESSED, By, Read, Sent, Tie

_IN_WORDS = re.compile(r"<([^<>\s]{1,64}@[^<>\s]{1,255})>")
MAX_TEXT = 300  # characters kept of what a mail says, beside its event

# What RFC 3464 §2.3.3 has beside these: `delayed` is no end yet, and `relayed` and `expanded`
# say that the message went on to where no more notices come from: no proof of a mailbox.
_FINAL = {"failed": EventKind.BOUNCED, "delivered": EventKind.DELIVERED}

# Feedback that no person sends: RFC 6591 reports our own authentication, RFC 6430 takes a
# complaint back.
_NO_COMPLAINT = ("auth-failure", "dmarc", "not-spam")


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one mail.

    `result` is it in a word, `text` what the mail said in short.  `facts` are the events that
    it proves; where other mail has said them all, `again` is the result, and nothing changes.
    `wishes` are suppressions that hold in any case; whom the facts suppress is decided where
    they are recorded (`ledger.history`).  `stop`: it says that it will be the same for
    everybody.
    """

    result: str
    text: str = ""
    again: str = "replayed"
    facts: tuple[Event, ...] = ()
    stop: bool = False
    wishes: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """A mail, to what it is tied, and what an event of it needs to be."""

    notice: Notice
    tie: Tie
    digest: bytes
    now: float

    def fact(
        self, kind: EventKind, sent: Sent, text: str, at: float | None = None
    ) -> Event:
        at = self.now if at is None else at
        return Event(sent.delivery, kind, at, text=text, digest=self.digest)


def judged(read: Read, tie: Tie, digest: bytes, now: float) -> Judged:
    """What comes of a mail; `digest` is its SHA-256, `now` in seconds since 1970."""
    if isinstance(read.notice, Refusal):
        return Judged("unreadable", read.notice.why)
    case = _Case(read.notice, tie, digest, now)
    return _OF_KIND[read.notice.kind](case)


def _bounce(case: _Case) -> Judged:
    report = _report_on(case.notice, case.tie.sent)
    text = _short(f"{report.action} {report.status} {report.text}") if report else ""
    sent = case.tie.proven
    if sent is None:
        return _loose(case.tie, text)
    if report is None:
        return Judged("unmatched", "nobody is named")
    kind = _FINAL.get(report.action)
    if kind is None:
        return Judged(report.action, text)
    fact = case.fact(kind, sent, report.text)._replace(
        reason=report.reason,
        code=report.code,
        status=report.status,
        host=report.mta,
        against=against(_outcome(kind, report, sent)),
    )
    stop = report.meaning is not None and report.meaning.pause
    return Judged(kind.value, text, facts=(fact,), stop=stop)


def _outcome(kind: EventKind, report: Report, sent: Sent) -> Outcome:
    """A report as the outcome of its message.

    What does not say for certain that the address is dead leaves it open: it is not certain
    (`Report.hard`), or said of another, to whom ours is forwarded.
    """
    dead = report.hard and _of_nobody_else(report, sent)
    return Outcome(
        kind,
        report.reason,
        report.code,
        report.status,
        report.text,
        report.scope,
        generic=report.generic or not dead,
        to_rcpt=to_rcpt(report.text),
    )


def _of_nobody_else(report: Report, sent: Sent) -> bool:
    """Whether what a report says is said of our recipient.

    An alias leads to several: its notice names it as the original recipient, or as the final
    one and only in the words the one of them who is gone.
    """
    ours = sent.mailbox.casefold()
    named = (report.recipient, *_IN_WORDS.findall(report.text))
    return all(one.casefold() == ours for one in named if one)


def _report_on(notice: Notice, sent: Sent | None) -> Report | None:
    """The part of a notice that speaks of this recipient.

    One message had one recipient: if another is named, it was forwarded.
    """
    for report in notice.reports:
        if sent and _speaks_of(report, sent):
            return report
    return next(iter(notice.reports), None)


def _speaks_of(report: Report, sent: Sent) -> bool:
    named = (report.recipient.casefold(), report.original.casefold())
    return sent.mailbox.casefold() in named


def _complaint(case: _Case) -> Judged:
    text = _by(case.notice, case.notice.feedback)
    if case.notice.feedback in _NO_COMPLAINT:
        return Judged("feedback", text)
    return _marked(case, EventKind.COMPLAINED, text)


def _autoreply(case: _Case) -> Judged:
    found = _marked(case, EventKind.AUTOREPLIED, _by(case.notice))
    # The mailbox works, and nobody reads it: what to do about that is for people.
    return (
        replace(found, result="departed") if case.notice.departed and found.facts else found
    )


def _marked(case: _Case, kind: EventKind, text: str) -> Judged:
    sent = case.tie.proven
    if sent is None:
        return _loose(case.tie, text)
    fact = case.fact(kind, sent, text)
    return Judged(kind.value, text, facts=(fact._replace(against=against(Outcome(kind))),))


def _loose(tie: Tie, text: str) -> Judged:
    """What a mail that nothing ties for certain comes to."""
    if tie.fault:
        return Judged(str(tie.fault), text)
    return Judged("weak" if tie.sent else "unmatched", text)


def _wish(case: _Case) -> Judged:
    """A wish to leave binds for the address that we mailed, and for the one that wrote."""
    author = parse_address(case.notice.author)
    leaving = [] if isinstance(author, Refusal) else [author.key]
    facts: tuple[Event, ...] = ()
    text = _by(case.notice)
    if case.notice.rule == ADDRESSED and case.tie.proven is None:
        return _loose(case.tie, text)
    if sent := case.tie.proven:
        leaving += [sent.key] if sent.key else []
        # The time that the law gives runs from the day on which the wish came, and mail may
        # have lain there for a while.  It cannot have come before what it answers.
        came = min(max(case.notice.arrived or case.now, sent.dated), case.now)
        facts = (case.fact(EventKind.UNSUBSCRIBED, sent, text, came),)
    if not leaving:
        return Judged("unmatched", text)
    wishes = tuple(Entry(key, Reason.UNSUBSCRIBED, text) for key in dict.fromkeys(leaving))
    return Judged("unsubscribed", text, "unsubscribed", facts, wishes=wishes)


def _words(case: _Case) -> Judged:
    """A person's own words are for people.  If they are the recipient's, they have it.

    Only theirs: a notice in a form that nobody knows yet comes to the return path as well, and
    is kept until it is known.
    """
    sent, text = case.tie.sent, _by(case.notice)
    if sent is None or case.tie.fault:
        return Judged("other", text)
    if not _is_theirs(case.notice.author, sent):
        return Judged("unmatched" if case.tie.by is By.RETURN_PATH else "other", text)
    if case.tie.proven is None:
        return Judged("replied", text)
    return Judged(
        "replied",
        text,
        "replied",
        (case.fact(EventKind.DELIVERED, sent, f"answered {text}"),),
    )


def _is_theirs(author: str, sent: Sent) -> bool:
    return key_of(author) == (sent.key or key_of(sent.mailbox))


def _challenge(case: _Case) -> Judged:
    return Judged("challenge", _by(case.notice))


def _aggregate(case: _Case) -> Judged:
    return Judged("report", _by(case.notice))


_OF_KIND: Mapping[Kind, Callable[[_Case], Judged]] = {
    Kind.BOUNCE: _bounce,
    Kind.COMPLAINT: _complaint,
    Kind.AUTOREPLY: _autoreply,
    Kind.UNSUBSCRIBE: _wish,
    Kind.CHALLENGE: _challenge,
    Kind.REPORT: _aggregate,
    Kind.NONE: _words,
}


def _by(notice: Notice, what: str = "") -> str:
    return " ".join(filter(None, (what, notice.author and f"by {notice.author}")))


def _short(text: str) -> str:
    return " ".join(text.split())[:MAX_TEXT]
