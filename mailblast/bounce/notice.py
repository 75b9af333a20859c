"""What was read from a mail that came back."""

from dataclasses import dataclass
from enum import StrEnum

from mailblast.reason import Meaning, Reason, Scope


class Kind(StrEnum):
    """What a mail is.  In this order they are looked for (RFC 6522 §3, RFC 3834 §5.2)."""

    COMPLAINT = "complaint"
    BOUNCE = "bounce"  # and delayed, relayed, delivered: whatever RFC 3464 reports
    REPORT = "report"  # DMARC and TLS aggregates: they speak of us, of no recipient
    CHALLENGE = "challenge"
    AUTOREPLY = "autoreply"
    UNSUBSCRIBE = "unsubscribe"
    NONE = "none"  # left for people


COMPLAINT = Meaning(Reason.COMPLAINT, Reason.COMPLAINT.scope)


@dataclass(frozen=True, slots=True)
class Report:
    """What a notice says of one recipient (RFC 3464 §2.3).

    `action` decides, `status` explains: a "failed" with 4.4.7 is final, a "delayed" with
    5.1.1 is not.  `recipient` and `original` are what the notice calls the recipient and
    what the sender had called it ("" if not said); neither is proven to be an address.
    `code` is the SMTP code in the diagnostic, 0 if there is none; its first digit may
    differ from that of `status`.  `text` is the diagnostic as sent (at most 2,000
    characters, unprintables escaped), `mta` who gave it and `reporting` who reports it.

    `meaning` is what all that comes to, None of what did not fail.  `permanent` is the class
    of the status; `hard` says that the address, or its domain, will not come back to life.
    `rule` names the reader and what it went by: "dsn", "exim", "address at the line start".
    """

    recipient: str
    original: str
    action: str  # failed delayed delivered relayed expanded
    status: str = ""  # x.y.z
    code: int = 0
    text: str = ""
    mta: str = ""
    reporting: str = ""
    meaning: Meaning | None = None
    permanent: bool = False
    hard: bool = False
    rule: str = ""

    @property
    def reason(self) -> Reason | None:
        """Why it failed; None of what did not."""
        return self.meaning.reason if self.meaning else None

    @property
    def scope(self) -> Scope | None:
        """Whom it concerns; None of what did not fail."""
        return self.meaning.scope if self.meaning else None

    @property
    def generic(self) -> bool:
        """Whether the words leave it open that the address does not exist."""
        return self.meaning is not None and self.meaning.generic


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail, read.

    `addressed` are the addresses to which this mail came, the most reliable first: in one
    of them may stand the tag of a return path, which alone proves what is reported on.
    `senders` are those that the returned message is said to have had as its return path:
    a tag may stand there too when the mail itself was forwarded.  `author` is who wrote
    (the address in From), `feedback` the Feedback-Type of a complaint (RFC 5965); `departed`
    is an automatic reply that says that the person is there no more.
    `message_id` is that of the returned message, in angle brackets, `returned` its header
    section as far as it came back.  `arrived` is when this mail came, in seconds since 1970,
    None if nobody says.  `rule` says why it is of this kind.
    """

    kind: Kind
    reports: tuple[Report, ...] = ()
    addressed: tuple[str, ...] = ()
    message_id: str = ""
    envelope_id: str = ""
    senders: tuple[str, ...] = ()
    author: str = ""
    feedback: str = ""
    departed: bool = False
    returned: tuple[tuple[str, str], ...] = ()
    arrived: float | None = None
    rule: str = ""
