"""What can happen to a message, and what has become of it.

An `Event` is a fact with a time; events are appended and never changed.  A `Disposition` is
what a delivery's events add up to: exactly one at any time (`disposition.after`).  There are
no other words for outcomes: not *sent*, not *success*, not *failed*.
"""

from enum import StrEnum
from typing import NamedTuple

from mailblast.reason import Reason


class EventKind(StrEnum):
    """Everything that can happen to a message."""

    SUPPRESSED = "suppressed"  # not offered: the address is on a suppression list
    INVALID = "invalid"  # not offered: the row cannot be mailed
    ATTEMPTED = "attempted"  # the content is with the server; the final dot goes out now
    ACCEPTED = "accepted"  # the server took responsibility (RFC 5321 §4.2.5)
    DEFERRED = "deferred"  # not accepted; to be tried again
    REFUSED = "refused"  # not accepted, for good, at the door
    EXPIRED = "expired"  # deferred until the deadline passed
    BOUNCED = "bounced"  # came back after acceptance
    DELIVERED = "delivered"  # a positive notice, or the bounce window closed in silence
    COMPLAINED = "complained"
    AUTOREPLIED = "autoreplied"
    UNSUBSCRIBED = "unsubscribed"


class Disposition(StrEnum):
    """What has become of a delivery."""

    QUEUED = "queued"
    SUPPRESSED = "suppressed"
    INVALID = "invalid"
    DEFERRED = "deferred"
    DOUBTFUL = "doubtful"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    REFUSED = "refused"
    BOUNCED = "bounced"
    EXPIRED = "expired"


class Against(StrEnum):
    """What an event may count as against its address (`suppression.policy`).

    From the gravest to the lightest; the first needs no other to confirm it.
    """

    COMPLAINT = "complaint"  # called it spam
    NONEXISTENT = "nonexistent"  # the receiver says that there is no such address
    RESTRICTED = "restricted"  # it takes mail from chosen senders only
    PERMANENT = "permanent"  # refused for good, without an explicit reason
    POLICY = "policy"  # a rule of the recipient's own, or of their organisation
    FULL = "full"  # the mailbox is full
    SOFT = "soft"  # any other failure of theirs, after all attempts


class Event(NamedTuple):
    """One fact about one delivery.

    `at` is in seconds since 1970 (UTC).  `attempt` is the number of the claim under which it
    happened: a write with an old number is refused (fencing).  `code`, `text` and `host` are
    what was said and by whom, as sent; `tls` is how the line to them was protected; `status`
    is the enhanced status code we derived (RFC 3463).  `due` is the next attempt of a
    `deferred`; `digest` the SHA-256 of the message of an `attempted`, or of the mail that a
    later event was read from; `against` is what it counts as against the address, if it does.
    """

    delivery: int
    kind: EventKind
    at: float
    attempt: int = 0
    reason: Reason | None = None
    code: int = 0
    status: str = ""
    text: str = ""
    host: str = ""
    tls: str = ""
    due: float | None = None
    digest: bytes | None = None
    against: Against | None = None
