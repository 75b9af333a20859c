"""One message for one recipient: the bytes that are signed, and sent as they are.

    Due ─▶ fields, tags ─▶ Template.render ─▶ MIME parts ─▶ header ─▶ signature ─▶ Message

Everything that is the same for all recipients is worked out once a campaign.  A message is
a function of the campaign, the run and the `Due`: no clock, no chance.  Composed again, a
year later, it is the same to the byte.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from mailblast import tag, template
from mailblast.campaign import Campaign
from mailblast.compose.attachment import MAX_TOTAL, Files, attachment, inline_image
from mailblast.compose.fields import Header, Personal, slug
from mailblast.compose.sources import sources
from mailblast.compose.structure import Structure, header_lines
from mailblast.due import Due
from mailblast.errors import Refusal
from mailblast.header import Columns
from mailblast.signing import Fields, Signer, Unsigned, hashed
from mailblast.tag import Keyring
from mailblast.template import COURTESY, RESERVED, Rendered, TemplateError

__all__ = ["Composer", "Message", "Rendered", "TemplateError"]


class Message(NamedTuple):
    """A message as it is sent: CRLF, signed, not dot-stuffed.  `digest` is its SHA-256."""

    delivery: int
    return_path: str
    recipient: str
    content: bytes
    digest: bytes
    smtputf8: bool


@dataclass(frozen=True, slots=True)
class _Tags:
    return_path: str
    links: tuple[str, ...]  # of unsubscribing, in the order of preference
    mark: str


class _Draft(NamedTuple):
    """A message, written and not yet signed; `unsigned` are its signatures to be."""

    due: Due
    tags: _Tags
    header: bytes
    body: bytes
    unsigned: tuple[Unsigned, ...]


class Composer:
    """Composes the messages of one run."""

    def __init__(
        self,
        campaign: Campaign,
        columns: Columns,
        run: str,
        keyring: Keyring,
        signers: Sequence[Signer],
    ) -> None:
        """Compile all that is the same for every recipient.

        Of several `signers` each signs, and the signature of the first is on top.
        Raises TemplateError (or another UserError) for what the campaign's own files are at
        fault for: a template, an image or an attachment that is the same for all.
        """
        _check_columns(columns)
        self._campaign = campaign
        self._columns = columns.names
        self._run = run
        self._keyring = keyring
        self._signers = tuple(signers)
        self._files = Files(campaign.directory, _kept(campaign))
        self._template = template.compile(sources(campaign))
        self._header = Header(campaign)
        self._given = {
            "organisation": campaign.sender.organisation,
            "sender_name": campaign.sender.mailbox.name,
            "postal_address": "\n".join(campaign.sender.postal_address),
        }
        self._structure, self._personal_files = self._compiled_parts()
        self._smtputf8 = campaign.sender.mailbox.address.smtputf8

    def compose(self, due: Due) -> Message | Refusal:
        """The message for one recipient; a Refusal when the row cannot be mailed.

        Raises TemplateError when the template is at fault and no row could be.
        """
        return self.compose_all([due])[0]

    def compose_all(self, batch: Iterable[Due]) -> list[Message | Refusal]:
        """The same for many, which takes less: they are written first, and then signed."""
        drafts = [self._draft(due) for due in batch]
        signatures = [self._signature(draft) for draft in drafts]
        return [
            draft if isinstance(draft, Refusal) else self._message(draft, signature)
            for draft, signature in zip(drafts, signatures, strict=True)
        ]

    def _draft(self, due: Due) -> _Draft | Refusal:
        tags = self._tags(due)
        written = self._written(due, tags)
        if isinstance(written, Refusal):
            return written
        header, body = written
        unsigned: tuple[Unsigned, ...] = ()
        if self._signers:
            ready, at = hashed(header, body), int(due.dated)
            unsigned = tuple(signer.prepare(ready, at) for signer in self._signers)
        return _Draft(due, tags, header_lines(header), body, unsigned)

    def _signature(self, draft: _Draft | Refusal) -> bytes:
        if isinstance(draft, Refusal):
            return b""
        pairs = zip(self._signers, draft.unsigned, strict=True)
        return b"".join(signer.complete(unsigned) for signer, unsigned in pairs)

    def check(self, due: Due) -> Refusal | None:
        """Why a row cannot be mailed, if it cannot: everything but the signature is made.

        Raises TemplateError as `compose` does.
        """
        written = self._written(due, self._tags(due))
        return written if isinstance(written, Refusal) else None

    def _written(self, due: Due, tags: _Tags) -> tuple[Fields, bytes] | Refusal:
        """The header fields and the body."""
        rendered = self._rendered(due, tags)
        if isinstance(rendered, Refusal):
            return rendered
        more = self._attachments(rendered)
        if isinstance(more, Refusal):
            return more
        try:
            fields, body = self._structure.message(rendered.text, rendered.html, more)
            header = self._header.write(self._personal(due, rendered, tags), fields)
        except UnicodeEncodeError:
            return Refusal("a lone surrogate, which is no character, is in the message")
        if len(body) > MAX_TOTAL:
            return Refusal(
                f"the message has {len(body):,} bytes; {MAX_TOTAL:,} are the most"
            )
        return header if isinstance(header, Refusal) else (header, body)

    def render(self, due: Due) -> Rendered | Refusal:
        """What the templates make of a recipient, before MIME."""
        return self._rendered(due, self._tags(due))

    def _rendered(self, due: Due, tags: _Tags) -> Rendered | Refusal:
        fields = dict(zip(self._columns, due.cells, strict=True))
        link = tags.links[0] if tags.links else ""
        given = {**self._given, "email": due.mailbox, "unsubscribe_url": link}
        for name in COURTESY:
            if name in fields:
                del given[name]  # the list speaks of the recipient's organisation
        return self._template.render(fields, given)

    def _tags(self, due: Due) -> _Tags:
        local, _, domain = self._campaign.sender.return_path.mailbox.rpartition("@")
        back = tag.make(self._keyring, "return-path", self._run, due.delivery)
        return _Tags(
            f"{local}+{back}@{domain}", self._links(due.delivery), back[-tag.MARK :]
        )

    def _links(self, delivery: int) -> tuple[str, ...]:
        url, mailto = self._campaign.unsubscribe.url, self._campaign.unsubscribe.mailto
        if not url and not mailto:
            return ()
        mark = tag.make(self._keyring, "unsubscribe", self._run, delivery)
        links = []
        if url:
            links.append(tag.link(url, mark))
        if mailto:
            local, _, domain = quote(mailto, safe="@+").rpartition("@")
            links.append(f"mailto:{local}+{mark}@{domain}?subject=unsubscribe")
        return tuple(links)

    def _personal(self, due: Due, rendered: Rendered, tags: _Tags) -> Personal:
        domain = self._campaign.sender.mailbox.address.domain
        return Personal(
            due.mailbox,
            rendered.subject,
            f"<{slug(self._run)}.{due.delivery}.{tags.mark}@{domain}>",
            int(due.dated),
            tags.links,
            rendered.headers,
        )

    def _message(self, draft: _Draft, signature: bytes) -> Message:
        due = draft.due
        content = b"%b%b\r\n%b" % (signature, draft.header, draft.body)
        return Message(
            due.delivery,
            draft.tags.return_path,
            due.mailbox,
            content,
            hashlib.sha256(content).digest(),
            self._smtputf8 or due.smtputf8,
        )

    def _attachments(self, rendered: Rendered) -> list[bytes] | Refusal:
        """This recipient's own; a path that renders to nothing attaches nothing."""
        parts = []
        for number in self._personal_files:
            name = rendered.attachments[number].strip()
            if name:
                path = self._files.find(name)
                if isinstance(path, Refusal):
                    return Refusal(f"attachment {path}")
                parts.append(attachment(path))
        return parts

    def _compiled_parts(self) -> tuple[Structure, list[int]]:
        """The parts that every message has, and which attachments are personal."""
        images = [
            inline_image(self._found(image.name, image.where), image.content_id)
            for image in self._template.images
        ]
        own = self._template.attachments
        shared = [each.source.text.strip() for each in own if each.template is None]
        files = [attachment(self._found(name, "[message] attachments")) for name in shared]
        if sum(map(len, images + files)) > MAX_TOTAL:
            raise TemplateError(
                f"images and attachments have more than {MAX_TOTAL:,} bytes as sent"
            )
        personal = [number for number, each in enumerate(own) if each.template]
        return Structure(self._run, images, files), personal

    def _found(self, name: str, where: str) -> Path:
        path = self._files.find(name)
        if isinstance(path, Refusal):
            raise TemplateError(f"{where}: {path}")
        return path


def _kept(campaign: Campaign) -> list[Path]:
    """What lies in the campaign's directory and is not for recipients."""
    names = ("campaign.toml", "mailblast.toml", "message.html", "message.md", "message.txt")
    kept = [campaign.directory / name for name in names]
    optional = (campaign.suppression_file, campaign.dkim.key if campaign.dkim else None)
    return [*kept, campaign.recipients.file, *filter(None, optional)]


def _check_columns(columns: Columns) -> None:
    for name in RESERVED:
        if name in columns.names:
            raise TemplateError(
                f'recipients.csv: a column is called "{name}", which is the sender\'s own',
                f'call the column something else, for example "recipient_{name}"',
            )
