"""What was read from a mail that came back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """What a notice says of one recipient (RFC 3464 §2.3).

    `action` decides, `status` explains: a "failed" with 4.4.7 is final, a "delayed" with
    5.1.1 is not.  `recipient` and `original` are what the notice calls the recipient and
    what the sender had called it ("" if not said); neither is proven to be an address.
    `code` is the SMTP code in the diagnostic, 0 if there is none; its first digit may
    differ from that of `status`.  `text` is the diagnostic (at most 2,000 characters,
    unprintables escaped), `mta` who gave it.
    """

    recipient: str
    original: str
    action: str  # failed delayed delivered relayed expanded
    status: str = ""  # x.y.z
    code: int = 0
    text: str = ""
    mta: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail that reports on others.

    `addressed` are the addresses to which this mail came, the most reliable first: in one
    of them may stand the tag of a return path, which alone proves what is reported on.
    `message_id` is that of the returned message, in angle brackets.
    """

    reports: tuple[Report, ...]
    addressed: tuple[str, ...] = ()
    message_id: str = ""
    envelope_id: str = ""
