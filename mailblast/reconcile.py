"""Tying what came back to what was sent.

A notice is text that anyone can write.  It changes something only if it was addressed to a
return path that we made: the tag in it names the delivery and proves that we sent it (RFC
3464 §4.1 says why one should be careful).  Everything else is counted and changes nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailblast import bounce, tag
from mailblast.bounce import Kind, Notice, Report
from mailblast.bounce.diagnostic import to_rcpt
from mailblast.campaign import Policy
from mailblast.disposition import Outcome
from mailblast.errors import Refusal
from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger import Delivery, Ledger, Returned
from mailblast.mailbox import Mail
from mailblast.send import comeback
from mailblast.suppression.policy import against
from mailblast.tag import Keyring

# A notice comes within days; a tag seen much later was replayed.  RFC 5321 §4.5.4.1 and some
# servers' ten days of patience leave a wide margin.
OLDEST = 30 * 86400.0

_KINDS = {"failed": EventKind.BOUNCED, "delivered": EventKind.DELIVERED}


@dataclass(frozen=True, slots=True)
class _Found:
    """What one mail comes to."""

    result: str
    facts: tuple[Event, ...] = ()
    stops: frozenset[int] = frozenset()


class Reconcile:
    """Takes in mail; `counts` says what it was."""

    def __init__(
        self, ledger: Ledger, keyring: Keyring, policy: Policy | None = None
    ) -> None:
        """`policy` says who is suppressed for what came back; None is the usual one."""
        self._ledger = ledger
        self._policy = policy or Policy()
        self._keyring = keyring
        self.counts: Counter[str] = Counter()
        self.concerned: set[int] = set()  # of whom something came back that may pause
        self.stops: set[int] = (
            set()
        )  # of whom it was said that it is the same for everybody

    def take_in(self, mails: Iterable[Mail | Refusal], clock: Callable[[], float]) -> None:
        """Read every mail and record what it says, each at most once."""
        for mail in mails:
            if isinstance(mail, Refusal):
                self.counts["unreadable"] += 1
                continue
            digest = hashlib.sha256(mail.content).digest()
            if self._ledger.imports.known(digest):
                self.counts["known"] += 1
                continue
            found = self._judge(mail.content, digest, clock())
            returned = Returned(digest, mail.source, found.result)
            entered = self._ledger.imports.enter(
                returned, clock(), found.facts, self._policy
            )
            self.counts[found.result if entered is not None else "known"] += 1
            if entered is not None:
                told = filter(comeback.counts, found.facts)
                self.concerned.update(fact.delivery for fact in told)
                self.stops |= found.stops
                if entered:
                    self.counts["suppressed"] += len(entered)

    def _judge(self, content: bytes, digest: bytes, now: float) -> _Found:
        notice = bounce.read(content)
        if isinstance(notice, Refusal) or notice.kind is not Kind.BOUNCE:
            return _Found("other")
        if not notice.reports:
            return _Found("other")
        delivery = self._delivery(notice, now)
        if delivery is None:
            return _Found("unmatched")
        report = _report_on(notice, delivery)
        kind = _KINDS.get(report.action)
        if kind is None:
            return _Found("delayed" if report.action == "delayed" else "other")
        return self._event(kind, report, delivery, digest, now)

    def _event(
        self, kind: EventKind, report: Report, delivery: Delivery, digest: bytes, now: float
    ) -> _Found:
        outcome = Outcome(
            kind, report.reason, report.code, report.status, report.text,
            report.scope, generic=report.generic or not report.hard, to_rcpt=to_rcpt(report.text),
        )  # fmt: skip
        fact = Event(
            delivery.id, kind, now, 0, outcome.reason, report.code, report.status,
            report.text, report.mta, digest=digest, against=against(outcome),
        )  # fmt: skip
        pause = report.meaning is not None and report.meaning.pause
        return _Found(kind.value, (fact,), frozenset({delivery.id} if pause else ()))

    def _delivery(self, notice: Notice, now: float) -> Delivery | None:
        """The delivery whose return path this mail was sent to, if we made that path."""
        for address in notice.addressed:
            local = address.rpartition("@")[0]
            read = tag.read(local.rpartition("+")[2])
            delivery = read and self._ledger.deliveries.numbered(read.delivery)
            if not read or not delivery or delivery.dated is None:
                continue
            run = self._ledger.runs.numbered(delivery.run)
            genuine = tag.genuine(self._keyring, "return-path", run.run, read)
            if genuine and now - delivery.dated <= OLDEST and _was_offered(delivery):
                return delivery
        return None


def _was_offered(delivery: Delivery) -> bool:
    # Nothing can come back from a message that never left.
    return delivery.disposition in (
        Disposition.ACCEPTED,
        Disposition.DELIVERED,
        Disposition.DOUBTFUL,
        Disposition.BOUNCED,
    )


def _report_on(notice: Notice, delivery: Delivery) -> Report:
    """The part of a notice that speaks of this recipient; one message, one recipient."""
    theirs = delivery.mailbox.casefold()
    for report in notice.reports:
        if theirs in (report.recipient.casefold(), report.original.casefold()):
            return report
    return notice.reports[0]  # forwarded: the final recipient is somebody we do not know
