"""Gathering what there is to know of the list, and messages for its telling rows."""

import email
import email.policy
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from email.message import MIMEPart
from pathlib import Path

from mailblast.campaign import Campaign
from mailblast.check.facts import Messages, Sample, TriedOut
from mailblast.check.survey import Survey
from mailblast.due import Due
from mailblast.errors import Refusal, UserError
from mailblast.keys import dkim_keys, key_path
from mailblast.pool.workbench import Workbench, compose
from mailblast.recipients import Row, open_recipients
from mailblast.tag import Keyring

TOLD_EVERY = 5_000  # rows

Told = Callable[[str, int, int | None], None]  # a stage, how far, of how many


def read(campaign: Campaign, told: Told) -> tuple[Survey, Iterator[Row]]:
    """The list of a campaign, as rows that are counted in the survey as they are read.

    Raises UserError for a list that cannot be read, now or while it is gone through, and at
    its end for one in which nobody can be mailed.
    """
    settings = campaign.recipients
    recipients = open_recipients(
        settings.file, email=settings.email, encoding=settings.encoding
    )
    survey = Survey(recipients.columns)
    return survey, _watched(survey, recipients, settings.file.name, told)


def _watched(
    survey: Survey, recipients: Iterable[Row], file: str, told: Told
) -> Iterator[Row]:
    number, bad = 0, None
    for number, row in enumerate(survey.over(recipients), 1):
        bad = bad or (row if row.address is None else None)
        yield row
        if number % TOLD_EVERY == 0:
            told("looking at the list", number, None)
    told("looking at the list", number, number)
    if not any(survey.telling()):
        first = f"{file}:{bad.line}: {bad.why}" if bad else "it has no rows"
        raise UserError("nobody in the list can be mailed", first)


def messages(
    campaign: Campaign, workspace: Path, survey: Survey
) -> tuple[Messages | Refusal, TriedOut | Refusal]:
    """Compose for the telling rows.  Raises TemplateError for what is wrong for all rows."""
    # Tags that work are made when a run is; these here belong to nobody.
    keys = Keyring(0, {0: secrets.token_bytes(32)})
    bench = Workbench(
        campaign, survey.columns, "check", keys, _keys_if_there(campaign, workspace)
    )
    rows = list(survey.telling())
    composed = compose(bench.composer(), [Due.of(row, time.time()) for _, row in rows])
    samples, refused = [], []
    for (why, row), found in zip(rows, composed, strict=True):
        if isinstance(found, Refusal):
            refused.append(f"row {row.number}: {found}")
        else:
            samples.append(taken_apart(why, row.number, found.recipient, found.content))
    if not rows:
        nobody = Refusal("nobody in the list can be mailed")
        return nobody, nobody
    tried = TriedOut(len(samples), tuple(refused))
    return Messages(tuple(samples)) if samples else Refusal(refused[0]), tried


def _keys_if_there(campaign: Campaign, workspace: Path) -> tuple[bytes, ...]:
    """The keys that sign; a look makes none, and `send` insists on them."""
    keys = campaign.dkim.keys if campaign.dkim else ()
    if not all(key_path(key, workspace).exists() for key in keys):
        return ()
    return dkim_keys(campaign, workspace)


def taken_apart(why: str, row: int, recipient: str, content: bytes) -> Sample:
    """A message as its reader has it: nothing is known of it but its bytes."""
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    headers = tuple(_headers(content))
    unsubscribe = next((v for name, v in headers if name.lower() == "list-unsubscribe"), "")
    return Sample(
        why=why,
        row=row,
        recipient=recipient,
        content=content,
        headers=headers,
        subject=str(parsed["subject"] or ""),
        text=_text(text) if text else "",
        html=_text(html) if html else None,
        ways_out=tuple(re.findall(r"<([^>]*)>", unsubscribe)),
    )


def _text(part: "MIMEPart[str, str]") -> str:
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""  # it has parts instead of a text
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return octets.decode("latin-1")


def _headers(content: bytes) -> Iterator[tuple[str, str]]:
    """The header fields as they stand there, unfolded (RFC 5322 §2.2.3)."""
    head = content.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
    for line in re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n"):
        name, _, value = line.partition(":")
        yield name, value.strip(" \t")
