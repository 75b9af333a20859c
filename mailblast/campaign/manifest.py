"""What the content of a campaign is, as digests: so that a run goes on with what it began.

A run may last days, and its messages must be the same to the end.  Content is every file of
the campaign's directory and every setting that a message is made from.  It is not: how mail
is delivered and how fast (one may mend that in mid-run), who is suppressed (the list grows
all the time), secrets and keys, hidden files, and the leftovers of an editor.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailblast.address import Mailbox
from mailblast.campaign import Campaign
from mailblast.campaign.files import SUPPRESSION_FILES, inside
from mailblast.campaign.settings import CAMPAIGN_FILE
from mailblast.errors import UserError


@dataclass(frozen=True, slots=True)
class Manifest:
    """The SHA-256, in hex, of each part of the content by its name.

    A file's name is its path seen from the campaign's directory, with slashes; a setting's
    is `[sender] from`.  `files` are the names of the files, without the list of recipients.
    """

    entries: Mapping[str, str]
    files: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256, in hex, of all of it."""
        return _digest(json.dumps(sorted(self.entries.items())).encode())

    @property
    def message_digest(self) -> str:
        """The SHA-256, in hex, of what messages are made from, without the list."""
        kept = {
            n: d for n, d in self.entries.items() if n.startswith("[") or n in self.files
        }
        return _digest(json.dumps(sorted(kept.items())).encode())

    @property
    def list_digest(self) -> str:
        """The SHA-256, in hex, of the list of recipients."""
        (name,) = (n for n in self.entries if not n.startswith("[") and n not in self.files)
        return self.entries[name]


def manifest_of(campaign: Campaign) -> Manifest:
    """Read the whole content once; raises UserError for a file that cannot be read."""
    entries = dict(settings_of(campaign))
    found = dict(content_files(campaign))
    for name, path in found.items():
        entries[name] = _file_digest(path)
    listed = campaign.recipients.file
    return Manifest(entries, tuple(name for name, path in found.items() if path != listed))


def settings_of(campaign: Campaign) -> Mapping[str, str]:
    """The SHA-256, in hex, of each setting that a message is made from, by its name."""
    taken = {name: take(campaign) for name, take in SETTINGS.items()}
    return {
        name: _digest(json.dumps(found).encode())
        for name, found in taken.items()
        # Younger than runs that are under way, which it must not change by being absent.
        if found or name != _SECOND_KEY
    }


def manifest_as_kept(entries: Mapping[str, str], campaign: Campaign) -> Manifest:
    """The manifest of a run, from its entries; `campaign` is its campaign as it was kept."""
    directory, path = campaign.directory, campaign.recipients.file
    if inside(directory, path):
        listed = _named(path.relative_to(directory).as_posix())
    else:
        listed = f"recipients: {path.name}"
    files = (name for name in entries if not name.startswith("[") and name != listed)
    return Manifest(entries, tuple(files))


def content_files(campaign: Campaign) -> Iterator[tuple[str, Path]]:
    """The files of the content with their names, in order; the list of recipients too."""
    directory, listed = campaign.directory, campaign.recipients.file
    if not inside(directory, listed):
        yield f"recipients: {listed.name}", listed
    apart = _apart(campaign)
    for top, folders, names in os.walk(directory):
        folders[:] = sorted(
            name for name in folders if not _passed_over(Path(top, name), apart)
        )
        for name in sorted(names):
            path = Path(top, name)
            if not _passed_over(path, apart) and path.is_file() and inside(directory, path):
                yield _named(path.relative_to(directory).as_posix()), path


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs between the entries of two manifests, a sentence each.

    As "message.html changed", "[sender] from changed", "message.txt was added".  A file that
    came to lie beside the others, such as an exported report, is no part of any message.
    """
    sentences = []
    for name in sorted({*old, *new}):
        if name not in new:
            sentences.append(f"{name} was removed")
        elif name not in old:
            if not name.startswith(("message.", "[")):
                continue
            sentences.append(f"{name} was added")
        elif old[name] != new[name]:
            sentences.append(f"{name} changed")
    return sentences


def _apart(campaign: Campaign) -> frozenset[Path]:
    """Paths that may lie in the directory and are no content."""
    delivery, dkim = campaign.delivery, campaign.dkim
    secret = delivery.password
    paths = [
        campaign.directory / CAMPAIGN_FILE,
        *(campaign.directory / name for name in SUPPRESSION_FILES),
        delivery.maildir,
        delivery.ca_file,
        dkim.key if dkim else None,
        Path(secret.value) if secret and secret.kind == "file" else None,
    ]
    return frozenset(Path(os.path.normpath(path)) for path in paths if path)


def _passed_over(path: Path, apart: frozenset[Path]) -> bool:
    # "~" and "#": what editors leave beside a file.
    return path.name.startswith((".", "#")) or path.name.endswith("~") or path in apart


def _named(path: str) -> str:
    # A file may be called "[sender] from".
    return f"./{path}" if path.startswith("[") else path


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _mailbox(mailbox: Mailbox | None) -> tuple[str, str]:
    return (mailbox.name, mailbox.address.mailbox) if mailbox else ("", "")


_SECOND_KEY = "[dkim] ed25519_selector"

# Every setting that a message is made from.
SETTINGS: Mapping[str, Callable[[Campaign], object]] = {
    "[sender] from": lambda c: _mailbox(c.sender.mailbox),
    "[sender] reply_to": lambda c: _mailbox(c.sender.reply_to),
    "[sender] return_path": lambda c: c.sender.return_path.mailbox,
    "[sender] organisation": lambda c: c.sender.organisation,
    "[sender] postal_address": lambda c: c.sender.postal_address,
    "[message] subject": lambda c: c.message.subject,
    "[message] purpose": lambda c: c.message.purpose,
    "[message] list_id": lambda c: c.message.list_id,
    "[message] attachments": lambda c: c.message.attachments,
    "[message.headers]": lambda c: c.message.headers,
    "[recipients] file": lambda c: c.recipients.file.name,
    "[recipients] email": lambda c: c.recipients.email,
    "[recipients] encoding": lambda c: c.recipients.encoding,
    "[unsubscribe] url": lambda c: c.unsubscribe.url,
    "[unsubscribe] mailto": lambda c: c.unsubscribe.mailto,
    "[dkim] domain": lambda c: c.dkim.domain if c.dkim else "",
    "[dkim] selector": lambda c: c.dkim.selector if c.dkim else "",
    "[dkim] algorithm": lambda c: c.dkim.algorithm if c.dkim else "",
    _SECOND_KEY: lambda c: c.dkim.second.selector if c.dkim and c.dkim.second else "",
}
