"""Looking at one message: as it would be sent, or as it was.

A message is a function of the campaign, the run and the recipient, so it is composed again
rather than stored; that the bytes are those that were sent is proven by the digest that the
ledger keeps.
"""

import base64
import email
import email.message
import email.policy
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from mailblast import campaign as campaigns
from mailblast.campaign import Campaign
from mailblast.compose import Message
from mailblast.content import kept
from mailblast.due import Due
from mailblast.errors import Refusal, UserError
from mailblast.header import columns_of
from mailblast.keys import dkim_keys, key_path, keyring, read_key
from mailblast.ledger import Delivery, Ledger, Run
from mailblast.pool.workbench import Workbench, compose
from mailblast.recipients import Recipients, Row, open_recipients
from mailblast.runbook import RunBook
from mailblast.send.prove import as_due
from mailblast.tag import Keyring


@dataclass(frozen=True, slots=True)
class Seen:
    """A message to look at.  `proven` is None if it was not sent yet, else whether these are
    the bytes that were offered."""

    row: int
    message: Message
    proven: bool | None = None


def preview(directory: Path, row: int | None, address: str | None) -> Seen:
    """What one recipient of a campaign would get: of a row, of an address, or the first good
    one.  Raises UserError when there is none.
    """
    workspace = campaigns.find_workspace(directory)
    campaign = campaigns.load(directory, workspace)
    settings = campaign.recipients
    recipients = open_recipients(
        settings.file, email=settings.email, encoding=settings.encoding
    )
    found = _row(recipients, row, address)
    pems = _keys_if_there(campaign, workspace)
    # Tags that work are made when a run is; these here belong to nobody.
    keys = Keyring(0, {0: secrets.token_bytes(32)})
    bench = Workbench(campaign, recipients.columns, "preview", keys, pems)
    return Seen(found.number, _composed(bench, Due.of(found, time.time())))


def _keys_if_there(campaign: Campaign, workspace: Path) -> tuple[bytes, ...]:
    try:
        return dkim_keys(campaign, workspace)
    except UserError:
        return ()  # to look at a draft one needs no key; `send` insists on it


def _row(recipients: Recipients, row: int | None, address: str | None) -> Row:
    last = 0
    for one in recipients:
        last = one.number
        if row is not None and one.number != row:
            continue
        if row is not None and one.reason:
            raise UserError(f"row {row} cannot be mailed: {one.why}")
        if one.address is None:
            continue
        if address is None or one.address.key == address.strip().casefold():
            return one
    if row is not None:
        raise UserError(f"row {row} is not in the list, whose last row is {last}")
    if address is None:
        raise UserError("nobody in the list can be mailed")
    raise UserError(f"{address} is not in the list")


def _composed(bench: Workbench, due: Due) -> Message:
    found = compose(bench.composer(), [due])[0]
    if isinstance(found, Refusal):
        raise UserError(f"row {due.row} cannot be mailed: {found}")
    return found


def again(ledger: Ledger, workspace: Path, run: Run, delivery: Delivery) -> Seen:
    """Compose a message of a run once more, from what was kept, and hold it against the
    digest of what was offered.  Raises UserError when the content is gone.
    """
    campaign = kept(ledger.directory, run.campaign.rpartition("/")[2], run.digest)
    document = RunBook(ledger.directory).get("runs", run.run) or {}
    pems: tuple[bytes, ...] = ()
    if campaign.dkim is not None:
        known = document.get("dkim_key")
        first = Path(known) if known else key_path(campaign.dkim, workspace)
        paths = (first, *(key_path(key, workspace) for key in campaign.dkim.keys[1:]))
        pems = tuple(map(read_key, paths, campaign.dkim.keys))
    columns = columns_of(run.header, campaign.recipients.email)
    bench = Workbench(campaign, columns, run.run, keyring(ledger), pems)
    message = _composed(bench, as_due(delivery, time.time()))
    proven = None if delivery.digest is None else message.digest == delivery.digest
    return Seen(delivery.row, message, proven)


def readable(content: bytes) -> tuple[list[tuple[str, str]], str, list[str]]:
    """The headers, the text part and the names of the other parts of a message."""
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    text = parsed.get_body(("plain",))
    parts = [
        _label(part)
        for part in parsed.walk()
        if not part.is_multipart() and part is not text
    ]
    headers = [
        (name, re.sub(r"\s*\r?\n\s+", " ", str(value))) for name, value in parsed.items()
    ]
    return headers, text.get_content() if text else "", parts


def _label(part: email.message.EmailMessage) -> str:
    size = len(_bytes_of(part))
    name = part.get_filename() or part.get("Content-ID") or ""
    return f"{part.get_content_type()} {name} {size:,} bytes".replace("  ", " ")


def _bytes_of(part: email.message.Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def as_page(content: bytes) -> str:
    """The HTML part as a page that shows its images by itself.

    Raises UserError when there is no HTML part.
    """
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    body = parsed.get_body(("html",))
    if body is None:
        raise UserError("this message has no HTML part")
    page: str = body.get_content()
    for part in parsed.walk():
        if cid := part.get("Content-ID"):
            encoded = base64.b64encode(_bytes_of(part)).decode()
            address = f"data:{part.get_content_type()};base64,{encoded}"
            page = page.replace(f"cid:{cid.strip('<> ')}", address)
    return page
