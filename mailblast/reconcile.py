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
from mailblast.disposition import Outcome, address_is_dead
from mailblast.errors import Refusal
from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger import Delivery, Ledger, Returned
from mailblast.mailbox import Mail
from mailblast.reason import Reason
from mailblast.suppression import Entry
from mailblast.tag import Keyring

# A notice comes within days; a tag seen much later was replayed.  RFC 5321 §4.5.4.1 and some
# servers' ten days of patience leave a wide margin.
OLDEST = 30 * 86400.0

# What changes nothing and was not counted on: left where it is, for people.
LEFT = frozenset(("unmatched", "other", "unreadable"))

_KINDS = {"failed": EventKind.BOUNCED, "delivered": EventKind.DELIVERED}


@dataclass(frozen=True, slots=True)
class _Found:
    """What one mail comes to."""

    result: str
    facts: tuple[Event, ...] = ()
    entries: tuple[Entry, ...] = ()


class Reconcile:
    """Takes in mail; `counts` says what it was."""

    def __init__(self, ledger: Ledger, keyring: Keyring) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self.counts: Counter[str] = Counter()

    def take_in(
        self,
        mails: Iterable[Mail | Refusal],
        clock: Callable[[], float],
        settled: Callable[[Mail | Refusal, str], None] = lambda _mail, _result: None,
    ) -> None:
        """Read every mail and record what it says, each at most once.

        `settled` is told of each what it was, once that is durable; of one that was recorded
        before, what it was then.
        """
        for mail in mails:
            if isinstance(mail, Refusal):
                self.counts["unreadable"] += 1
                settled(mail, "unreadable")
            else:
                settled(mail, self._take(mail, clock()))

    def _take(self, mail: Mail, now: float) -> str:
        digest = hashlib.sha256(mail.content).digest()
        result = self._ledger.imports.known(digest)
        if result is not None:
            self.counts["known"] += 1
            return result
        found = self._judge(mail.content, digest, now)
        returned = Returned(digest, mail.source, found.result)
        new = self._ledger.imports.enter(returned, now, found.facts, found.entries)
        self.counts[found.result if new else "known"] += 1
        if new and found.entries:
            self.counts["suppressed"] += len(found.entries)
        return found.result

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
            report.scope, generic=report.generic,
        )  # fmt: skip
        fact = Event(
            delivery.id, kind, now, 0, outcome.reason, report.code, report.status,
            report.text, report.mta, digest=digest,
        )  # fmt: skip
        entries: tuple[Entry, ...] = ()
        sample = self._ledger.runs.numbered(delivery.run).kind == "sample"
        if address_is_dead(outcome) and delivery.key and not sample:
            said = " ".join(f"{report.status} {report.text}".split())
            entries = (Entry(delivery.key, Reason.HARD_BOUNCE, said),)
        return _Found(kind.value, (fact,), entries)

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
