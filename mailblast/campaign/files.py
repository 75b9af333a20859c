"""The files of a campaign: which there must be, and that none lies outside.

Rule: what becomes part of a message lies in the campaign's directory, links resolved; only
the list of recipients may be anywhere.
"""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from mailblast.campaign.settings import CAMPAIGN_FILE, Settings
from mailblast.errors import Problem

MESSAGE_FILES = ("message.html", "message.md", "message.txt")
SUPPRESSION_FILES = ("suppression.txt", "suppression.csv")


def existing(path: Path) -> Path | None:
    """The path when there is a file, else None."""
    return path if path.is_file() else None


def recipients(settings: Settings, directory: Path) -> Path:
    """Where the list of recipients should be."""
    return settings.path("recipients", "file") or directory / "recipients.csv"


def suppression(directory: Path) -> Path | None:
    """The campaign's own suppression list, if it has one."""
    return next(
        filter(None, (existing(directory / name) for name in SUPPRESSION_FILES)), None
    )


def inside(directory: Path, path: Path) -> bool:
    """Whether a path stays in the (resolved) directory, all links followed."""
    try:
        return path.resolve().is_relative_to(directory)
    except (OSError, RuntimeError):  # a loop of links
        return False


def missing(settings: Settings, directory: Path) -> Iterator[Problem]:
    """What is missing or out of place among the files, but for the list."""
    yield from _messages(directory)
    yield from _suppression(directory)
    yield from _attachments(settings, directory)


def missing_list(settings: Settings, directory: Path) -> Iterator[Problem]:
    """Whether the list of recipients is missing."""
    where = settings.where("recipients", "file")
    file = recipients(settings, directory)
    if not file.is_file():
        yield Problem(
            where,
            f"no recipients: {file.name} is not there",
            f"put a CSV file with a column `email` at {file}, "
            f'or name another in {CAMPAIGN_FILE}: [recipients] file = "…"',
        )


def _messages(directory: Path) -> Iterator[Problem]:
    found = [name for name in MESSAGE_FILES if (directory / name).is_file()]
    if not found:
        yield Problem(
            str(directory.name),
            "no message",
            f"write one in {directory / 'message.html'}, message.md or message.txt",
        )
    if {"message.html", "message.md"} <= set(found):
        yield Problem(
            "message.md",
            "there is a message.html too, and both make the HTML part",
            "keep one of them",
        )
    for name in found:
        if not inside(directory, directory / name):
            yield Problem(name, "is a link that leaves the campaign's directory")


def _suppression(directory: Path) -> Iterator[Problem]:
    if all((directory / name).is_file() for name in SUPPRESSION_FILES):
        yield Problem(
            "suppression.csv", "there is a suppression.txt too", "put them into one file"
        )


def _attachments(settings: Settings, directory: Path) -> Iterator[Problem]:
    """Those whose name is no template; the others are judged recipient by recipient."""
    where = settings.where("message", "attachments")
    for name in settings.get("message", "attachments") or ():
        if "{{" in name or "{%" in name or "{#" in name:
            continue
        if not (directory / name).is_file():
            yield Problem(
                where, f"attachment {name} is not there", f"looked in {directory}"
            )
        elif not inside(directory, directory / name):
            yield Problem(where, f"attachment {name} leads out of the campaign's directory")


def pasted(directory: Path) -> str:
    """The way to a directory from the current one, quoted as a shell wants it: for hints."""
    return shlex.quote(os.path.relpath(directory))
