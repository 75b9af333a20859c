"""Rules under test: a campaign that is right, changed in one place, and what one rule says."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from commands import SETTINGS, letter

from mailblast.campaign import Attestation, Campaign, load
from mailblast.check import Facts, Finding, Pack, judge
from mailblast.check.facts import Consent, Listed, Messages, Sample, Seen
from mailblast.preflight.packs import found

TODAY = date(2026, 11, 25)
LINK = "https://u.shop.example/u/TOKEN"
ADDRESS = "Example Shop Ltd\nMain Road 7\n1234 Town"
TEXT = f"News for Ann\n\n{ADDRESS}\n\nUnsubscribe: {LINK}\n"
SHOWN = ADDRESS.replace("\n", "<br>")
HTML = f'<p>News for Ann</p><p>{SHOWN}</p><p><a href="{LINK}">Unsubscribe</a></p>'
DIRECT = '[delivery]\nvia = "direct"\nehlo = "mail.shop.example"\n'


@cache
def _base() -> Campaign:
    directory = Path(tempfile.mkdtemp(prefix="mailblast-rules-"))
    home = letter(directory, "ann@inbox.example,Ann\n", delivery=DIRECT)
    assert SETTINGS in (home / "campaign.toml").read_text()
    return load(home, directory)


def campaign(**changes: Mapping[str, Any]) -> Campaign:
    """The campaign with other settings: `campaign(declared={"brands": ("Shop",)})`."""
    base = _base()
    return replace(
        base, **{name: replace(getattr(base, name), **new) for name, new in changes.items()}
    )


def sample(text: str = TEXT, html: str | None = HTML, **changes: Any) -> Sample:
    """A message that is right."""
    given = {
        "why": "first row",
        "row": 1,
        "recipient": "ann@inbox.example",
        "content": b"",
        "headers": (("To", "ann@inbox.example"), ("Subject", "News for Ann")),
        "subject": "News for Ann",
        "text": text,
        "html": html,
        "ways_out": (LINK,),
    }
    return Sample(**{**given, **changes})


def listed(*rows: Consent, **changes: Any) -> Listed:
    """A list with a row for each of these."""
    given = {
        "file": "recipients.csv",
        "digest": "d1",
        "columns": ("email", "name", "consent"),
        "rows": len(rows),
        "invalid": 0,
        "domains": {"inbox.example": Seen(len(rows), 2)},
        "authorised": {},
        "consents": {row: Seen(1, number) for number, row in enumerate(rows, 2)},
    }
    return Listed(**{**given, **changes})


def facts(made: Campaign | None = None, *groups: object) -> Facts:
    """What is told to a rule: a campaign, and groups; without any, one good message."""
    given = groups or (Messages((sample(),)),)
    return Facts(TODAY, made or campaign(), "content", {type(one): one for one in given})


def attested(rule: str, digest: str, on: date = TODAY) -> dict[str, Any]:
    """For `campaign(declared=…)`: somebody's word for a rule."""
    return {"attested": {rule: Attestation("Ada Lovelace", on, digest)}}


@cache
def _pack(name: str) -> Pack:
    return found([name])[0]


def says(rule: str, told: Facts, pack: str = "can-spam") -> Finding:
    """The one finding of one rule."""
    (only,) = findings(rule, told, pack)
    return only


def findings(rule: str, told: Facts, pack: str = "can-spam") -> list[Finding]:
    """All findings of one rule."""
    whole = _pack(pack)
    terms = tuple(term for term in whole.terms if term.rule.id == rule)
    assert terms, f"{rule} is not in {pack}"
    found_ = judge(told, [replace(whole, terms=terms)])
    for one in found_:
        # What is shown is whole: a text where something is wrong, and no hole left in it.
        assert bool(one.message) == (one.status in ("fail", "warn"))
        assert "{" not in one.message.replace("{{", "")
        assert one.evidence
        assert one.cite
        assert one.fix or one.status not in ("fail", "warn")
    return found_


def status(rule: str, told: Facts, pack: str = "can-spam") -> str:
    """The status of the one finding of one rule."""
    return str(says(rule, told, pack).status)
