"""The templates of a campaign, read from its files and settings."""

from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.template import Source, Sources, TemplateError
from mailblast.template.environment import MAX_SOURCE


def sources(campaign: Campaign) -> Sources:
    """A campaign's templates.  Raises TemplateError for a file that cannot be read."""
    message = campaign.message
    return Sources(
        subject=Source("[message] subject", message.subject),
        html=_read(message.html),
        text=_read(message.text),
        markdown=_read(message.markdown),
        headers=tuple(
            (name, Source(f"[message.headers] {name}", value))
            for name, value in message.headers
        ),
        attachments=tuple(
            Source("[message] attachments", path) for path in message.attachments
        ),
        domain=campaign.sender.mailbox.address.domain,
    )


def _read(path: Path | None) -> Source | None:
    if path is None:
        return None
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{path.name} cannot be read: {error.strerror}") from None
    if len(raw) > 4 * MAX_SOURCE:
        raise TemplateError(f"{path.name} has more than {MAX_SOURCE:,} characters")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise TemplateError(f"{path.name}:{line}: not UTF-8 (byte 0x{byte:02x})") from None
    # Jinja counts lines so, and positions have to agree with it.
    return Source(path.name, text.replace("\r\n", "\n").replace("\r", "\n"))
