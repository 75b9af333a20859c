"""Campaigns for the tests of what makes messages: written to disk, then loaded."""

from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

from mailblast.campaign import Campaign, load
from mailblast.compose import Composer, Message
from mailblast.due import Due
from mailblast.header import Columns
from mailblast.signing import Algorithm, Signer, new_key
from mailblast.tag import Keyring

KEYRING = Keyring(1, {1: b"k" * 32})
DATED = 1_795_478_400.5  # Tue, 24 Nov 2026 00:00:00 UTC

SETTINGS = """
[sender]
from = "Example Shop <news@example.com>"
reply_to = "help@example.com"
organisation = "Example Shop"
postal_address = ["Example Shop Ltd", "Main Road 7", "1234 Town & Vale"]
[message]
subject = "{subject}"
purpose = "{purpose}"
{message}
[unsubscribe]
{unsubscribe}
[delivery]
via = "sandbox"
"""
UNSUBSCRIBE = 'url = "https://u.example.com/u"\nmailto = "unsub@u.example.com"'


def campaign(
    directory: Path,
    *,
    subject: str = "News for {{ name }}",
    purpose: str = "commercial",
    message: str = "",
    unsubscribe: str = UNSUBSCRIBE,
    settings: str = SETTINGS,
    **files: str | bytes,
) -> Campaign:
    """A campaign in `directory/letter`; `message_html="…"` writes message.html."""
    home = directory / "letter"
    home.mkdir(exist_ok=True)
    toml = settings.format(
        subject=subject, purpose=purpose, message=message, unsubscribe=unsubscribe
    )
    files = {"campaign_toml": toml, "recipients_csv": "email,name\n", **files}
    for name, content in files.items():
        path = home / ".".join(name.rsplit("_", 1))
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load(home, directory)


@cache
def signer(algorithm: Algorithm = "rsa-sha256") -> Signer:
    """One key for all tests; making one takes a while."""
    return Signer(new_key(algorithm), "example.com", "mb1", algorithm)


def columns(*names: str) -> Columns:
    """The columns of a list whose first one is `email`."""
    return Columns(names=("email", *names), email=0, header=("email", *names))


def composer(
    of: Campaign,
    *names: str,
    signed: bool = True,
    run: str = "letter-1",
    by: Sequence[Signer] = (),
) -> Composer:
    """A composer for a list with these columns behind `email`; `name` if none is given.

    Signed by the usual key, or by others.
    """
    signers = (by or (signer(),)) if signed else ()
    return Composer(of, columns(*(names or ("name",))), run, KEYRING, signers)


def due(
    *cells: str, delivery: int = 7, mailbox: str = "jo@example.net", **more: Any
) -> Due:
    """A recipient whose turn it is, with these cells behind the address."""
    fields: dict[str, Any] = {
        "row": delivery,
        "domain": mailbox.rpartition("@")[2],
        "smtputf8": not mailbox.isascii(),
        "attempt": 1,
        "dated": DATED,
        **more,
    }
    return Due(delivery=delivery, mailbox=mailbox, cells=(mailbox, *cells), **fields)


def composed(by: Composer, *cells: str, **more: Any) -> Message:
    """The message for these cells, which must not be refused."""
    message = by.compose(due(*cells, **more))
    assert isinstance(message, Message), message
    return message


def parsed(message: Message) -> EmailMessage:
    """The message as the standard library understands it."""
    return message_from_bytes(message.content, policy=policy.default)


def bodies(message: EmailMessage) -> dict[str, str]:
    """The text parts by their subtype, with the line ends of Python."""
    return {
        part.get_content_subtype(): (part.get_payload(decode=True) or b"")
        .decode()
        .replace("\r\n", "\n")
        for part in message.walk()
        if part.get_content_maintype() == "text" and not part.get_filename()
    }


def structure(part: EmailMessage) -> Any:
    """The types of a message as nested tuples."""
    kind = part.get_content_subtype()
    return (kind, *map(structure, part.iter_parts())) if part.is_multipart() else kind
