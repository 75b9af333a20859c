"""Taking in what came back: read, tied to its delivery, judged, and entered in the ledger.

    known already?     ledger.imports   by the digest of the mail
    read               reading          here, or in worker processes
    whose it is        tie              what is brought, and what of it is genuine
    what it says       judging          events, suppressions, or nothing
    entered            ledger.imports   a batch at a time, all of it or nothing

What changes nothing is kept beside the ledger: `unmatched.mbox` has the mail that nothing ties
for certain, `quarantine.mbox` what was forged, expired, replayed, or beyond the bounds.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mailblast import tie
from mailblast.bounce import Kind
from mailblast.bounce.parts import MAX_READ
from mailblast.campaign import Policy
from mailblast.comeback import Returns
from mailblast.errors import LedgerError, Refusal
from mailblast.judging import judged
from mailblast.ledger import Change, Ledger, Taken
from mailblast.mailbox import Mail, append_all
from mailblast.reading import read_all
from mailblast.tag import Keyring
from mailblast.tie import OLDEST, Read, Sent, Tie

# Of one transaction.  It holds the ledger for some milliseconds, and what a batch holds stands
# in the memory several times.
BATCH = 100
BATCH_BYTES = 4 * 1024 * 1024

UNMATCHED = "unmatched.mbox"
QUARANTINE = "quarantine.mbox"
_KEPT = {
    "unmatched": UNMATCHED,
    "weak": UNMATCHED,
    "forged": QUARANTINE,
    "expired": QUARANTINE,
    "replayed": QUARANTINE,
    "unreadable": QUARANTINE,
}
FOR_PEOPLE = frozenset(("other", "replied", "departed"))
LEFT = FOR_PEOPLE | _KEPT.keys()  # what somebody may want to see

USUAL = Policy()

Settled = Callable[[Mail | Refusal, str], None]


@dataclass(slots=True)
class _Fresh:
    """A batch of mails that are not known yet."""

    mails: list[Mail] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)


class Reconcile:
    """Takes in mail.

    `counts` says what came of it, `kinds` what it was, `tied` by what it was tied; `returns`
    are those of whom something came back from which more may follow (`comeback.follow`).
    """

    def __init__(self, ledger: Ledger, keyring: Keyring, policy: Policy = USUAL) -> None:
        """`policy` says who is suppressed for what came back."""
        self._ledger = ledger
        self._policy = policy
        self._keyring = keyring
        self.counts: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.tied: Counter[str] = Counter()
        self.returns = Returns()
        self._settled: Settled = lambda _mail, _result: None

    def take_in(
        self,
        mails: Iterable[Mail | Refusal],
        clock: Callable[[], float],
        settled: Settled = lambda _mail, _result: None,
    ) -> None:
        """Read every mail and record what it says, each at most once.

        `settled` is told of each mail what came of it, once that is durable; of one that was
        entered before, what came of it then.  Raises LedgerError where the ledger cannot be
        written; what was taken in before stays, and the same mail can be given again.
        """
        self._settled = settled
        ahead: list[_Fresh] = []

        def contents() -> Iterator[list[bytes]]:
            for fresh in self._fresh(mails):
                ahead.append(fresh)
                yield [mail.content[:MAX_READ] for mail in fresh.mails]

        with closing(read_all(contents())) as batches:
            for reads in batches:
                self._enter(ahead.pop(0), reads, clock())

    def _fresh(self, mails: Iterable[Mail | Refusal]) -> Iterator[_Fresh]:
        """The mails in batches, those left out that were entered before."""
        for batch in _batches(self._readable(mails)):
            digests = [digest_of(mail.content) for mail in batch]
            known = self._ledger.imports.known(digests)
            fresh = _Fresh()
            for mail, digest in zip(batch, digests, strict=True):
                if digest in known:
                    self.counts["known"] += 1
                    self._settled(mail, known[digest])
                else:
                    fresh.mails.append(mail)
                    fresh.digests.append(digest)
            if fresh.mails:
                yield fresh

    def _readable(self, mails: Iterable[Mail | Refusal]) -> Iterator[Mail]:
        for mail in mails:
            if isinstance(mail, Refusal):
                self.counts["unreadable"] += 1
                self._settled(mail, "unreadable")
            else:
                yield mail

    def _enter(self, fresh: _Fresh, reads: Sequence[Read], now: float) -> None:
        ties = self._ties(reads, now)
        changes = [
            Change(digest, mail.source, _kind(read), tied, judged(read, tied, digest, now))
            for mail, digest, read, tied in zip(
                fresh.mails, fresh.digests, reads, ties, strict=True
            )
        ]

        def keep(taken: Sequence[Taken]) -> None:
            self._keep(fresh.mails, taken, now)

        entered = self._ledger.imports.enter(changes, now, self._policy, keep)
        for change, taken in zip(changes, entered.taken, strict=True):
            self._count(change, taken)
        if entered.suppressed:
            self.counts["suppressed"] += entered.suppressed
        for mail, taken in zip(fresh.mails, entered.taken, strict=True):
            self._settled(mail, taken.result)

    def _count(self, change: Change, taken: Taken) -> None:
        if not taken.new:
            self.counts["known"] += 1
            return
        self.counts[taken.result] += 1
        self.kinds[change.kind] += 1
        self.returns.add(change.judged.facts, stop=change.judged.stop)
        if change.tie.by and change.tie.sent and not change.tie.fault:
            self.tied[str(change.tie.by)] += 1

    def _ties(self, reads: Sequence[Read], now: float) -> list[Tie]:
        """To which delivery each mail belongs."""
        numbers = {claim.delivery for read in reads for claim in read.claims}
        keys = {key for read in reads for key in read.people}
        imports = self._ledger.imports
        sent = imports.sent(numbers) if numbers else {}
        latest = imports.sent_to(keys, now - OLDEST) if keys else {}
        return [self._tie(read, sent, latest, now) for read in reads]

    def _tie(
        self, read: Read, sent: Mapping[int, Sent], latest: Mapping[str, Sent], now: float
    ) -> Tie:
        # Who wants to hear no more of us may say so at any time.
        lasting = _kind(read) in (Kind.UNSUBSCRIBE, Kind.COMPLAINT)
        found = tie.tie(read.claims, sent, self._keyring, now, lasting=lasting)
        return tie.weak(read.people, latest) if found is tie.LOOSE else found

    def _keep(self, mails: Sequence[Mail], taken: Sequence[Taken], now: float) -> None:
        """Write what changed nothing to where people find it, before the ledger says so.

        What is for people stays where it lies; only from standard input is it kept, for then
        it lies nowhere.
        """
        kept: dict[str, list[bytes]] = {}
        for mail, (result, new) in zip(mails, taken, strict=True):
            piped = mail.source.partition(":")[0] == "-" and result in FOR_PEOPLE
            name = UNMATCHED if piped else _KEPT.get(result)
            if new and name:
                kept.setdefault(name, []).append(mail.content)
        for name, contents in kept.items():
            path = self._ledger.directory / name
            try:
                append_all(path, contents, "", now)
                _on_disk(path)
            except OSError as error:
                raise LedgerError(f"{path}: {error.strerror or error}") from error


def digest_of(content: bytes) -> bytes:
    """The SHA-256 of a mail, the same whatever the line ends and however many end it: one mail
    lies in an mbox with LF, in a Maildir or on a server with CRLF."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n").rstrip(b"\n")).digest()


def _kind(read: Read) -> str:
    return "" if isinstance(read.notice, Refusal) else str(read.notice.kind)


def _batches(mails: Iterable[Mail]) -> Iterator[list[Mail]]:
    batch: list[Mail] = []
    size = 0
    for mail in mails:
        batch.append(mail)
        size += len(mail.content)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _on_disk(path: Path) -> None:
    """The ledger is durable when it has written; so must this be."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
