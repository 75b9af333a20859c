"""Writing an attestation into campaign.toml.

The file is a person's: it stays as it is, to the character, but for the one line.  What comes
out must read as before with that one entry more; if it does not, nothing is written and the
line is given to be written by hand.
"""

import re
import tomllib
from datetime import date
from pathlib import Path

from mailblast.campaign.declared import ATTEST
from mailblast.campaign.settings import CAMPAIGN_FILE
from mailblast.check import Finding
from mailblast.check.attestation import line
from mailblast.errors import UserError

_TABLE = re.compile(rf"^[ \t]*\[[ \t]*{ATTEST}[ \t]*\][ \t]*(?:#.*)?$", re.MULTILINE)


def attest(directory: Path, finding: Finding, by: str, on: date) -> str:
    """Write that somebody attests this; gives back the line.

    Raises UserError where nothing is asked, or where the line cannot be put in.
    """
    if not finding.digest:
        raise UserError(
            f"{finding.id} is not for a person to attest: {finding.evidence or 'it is decided'}",
            finding.fix,
        )
    written = line(finding.id, by, on, finding.digest)
    path = directory / CAMPAIGN_FILE
    old = path.read_text(encoding="utf-8")
    new = _with(old, finding.id, written)
    if not _as_meant(old, new, written):
        raise UserError(
            f"{path.name}: the line cannot be put in without a change to others",
            f"write it below [{ATTEST}] yourself: {written}",
        )
    fresh = path.with_suffix(".toml.new")
    fresh.write_text(new, encoding="utf-8")
    fresh.chmod(path.stat().st_mode & 0o777)
    fresh.replace(path)
    return written


def _with(text: str, rule: str, written: str) -> str:
    table = _TABLE.search(text)
    if table is None:
        return f"{text.rstrip()}\n\n[{ATTEST}]\n{written}\n"
    end = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, table.end())
    stop = end.start() if end else len(text)
    below = text[table.end() : stop]
    there = re.compile(rf"^[ \t]*{re.escape(rule)}[ \t]*=.*$", re.MULTILINE)
    if there.search(below):
        below = there.sub(lambda _: written, below, count=1)
    else:
        below = f"\n{written}{below or chr(10)}"
    return text[: table.end()] + below + text[stop:]


def _as_meant(old: str, new: str, written: str) -> bool:
    try:
        before, after = tomllib.loads(old), tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        return False
    before.setdefault(ATTEST, {}).update(tomllib.loads(written))
    return before == after
