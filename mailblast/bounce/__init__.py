"""What came back: mail read, whoever wrote it.

    parts        a mail within bounds: its fields and leaves
    charset      bytes to characters
    message      who wrote it, what it explains, what it returns
    notice       what is read from it: kind, reports of recipients, what ties it to a delivery

    feedback     complaints (RFC 5965)
    dsn          delivery status notices (RFC 3464, RFC 6533)
    aggregate    DMARC and TLS reports: set aside
    ses          notifications of Amazon SES
    plaintext    notices in words: forms (plaintext.toml), naming, passage
    autoreply    automatic answers, challenges, wishes to leave (signals.toml)

    diagnostic   code and status in the words of a server
    verdict      what all that comes to: reason, permanent, hard

Rule: readers are asked in order, what a standard defines before what one must guess, and the
first that reads the mail decides.  A reader takes a `Message` and gives a `Notice`, None for
what is not of its kind, or a `Refusal` for what is but exceeds a bound.  A new one is a module
and a name in `READERS`.
"""

from collections.abc import Callable
from dataclasses import replace

from mailblast.bounce import aggregate, autoreply, dsn, feedback, parts, plaintext, ses
from mailblast.bounce.message import Message
from mailblast.bounce.notice import Kind, Notice, Report
from mailblast.errors import Refusal

__all__ = ["Kind", "Notice", "Report", "read"]

Reader = Callable[[Message], Notice | Refusal | None]

READERS: tuple[Reader, ...] = (
    feedback.read,
    autoreply.challenge,
    dsn.read,
    aggregate.read,
    ses.read,
    autoreply.titled,
    plaintext.read,
    autoreply.read,
    autoreply.unsubscribe,
)


def read(content: bytes) -> Notice | Refusal:
    """Read a mail that came back; a `Refusal` says which bound it exceeds.

    Never raises, whatever the bytes.
    """
    found = parts.read(content)
    if isinstance(found, Refusal):
        return found
    message = Message(found)
    for reader in READERS:
        answer = reader(message)
        if isinstance(answer, Notice):
            return _tied(answer, message)
        if answer is not None:
            return answer
    return _tied(Notice(Kind.NONE, rule="nothing fits"), message)


def _tied(notice: Notice, message: Message) -> Notice:
    """The notice with all by which it can be tied to a delivery."""
    return replace(
        notice,
        addressed=message.addressed,
        message_id=notice.message_id or message.message_id,
        senders=notice.senders or message.returned_addresses("return-path"),
        author=message.author,
        returned=message.returned,
        arrived=message.arrived,
    )
