"""The forms of notices in words alone, as data: `plaintext.toml`.

Rule: knowledge of a form is a block of data with its sample; code is for what all share.
"""

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mailblast.bounce.passage import ADDRESS
from mailblast.reason import Reason

_FLAGS = re.IGNORECASE | re.VERBOSE | re.MULTILINE


@dataclass(frozen=True, slots=True)
class Form:
    """One form: `sign` is found in sender, subject or words; the rest is optional.

    `recipient` finds each recipient (group `address`, or `local` for one at the reporting
    domain), `said` what is said of all of them; `action` and `reason` are what the form
    means by itself; `filter` says that a filter in front of the mailboxes writes it, whose
    "unknown user" proves nothing; `alone` that the sign is enough, though no machine seems
    to have sent it and the subject says nothing.
    """

    name: str
    sample: str
    sign: re.Pattern[str]
    recipient: re.Pattern[str] | None
    said: re.Pattern[str] | None
    action: str
    reason: Reason | None
    filter: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Signs:
    """By what a bounce of no known form is known, and whom it names."""

    sender: re.Pattern[str]
    subject: re.Pattern[str]
    words: re.Pattern[str]
    delayed: re.Pattern[str]
    bystander: re.Pattern[str]
    postmaster: re.Pattern[str]
    named: re.Pattern[str]


# A blank of a pattern that stands for itself: not in brackets, not repeated or left out.
_BLANK = re.compile(r"(\[(?:\\.|[^\]])*\]|\\[^ ])|\\[ ](?![?*+{])")


def across_lines(pattern: str) -> str:
    """The pattern with every blank a place where a line may have been wrapped."""
    return _BLANK.sub(lambda found: found[1] or r"\s{1,3}", pattern)


def _pattern(text: str | list[str]) -> re.Pattern[str]:
    text = across_lines(text if isinstance(text, str) else "|".join(text))
    return re.compile(text.replace("ADDRESS", f"(?P<address>{ADDRESS})"), _FLAGS)


def _form(block: dict[str, Any]) -> Form:
    return Form(
        block["name"],
        block["sample"],
        _pattern(block["sign"]),
        _pattern(block["recipient"]) if "recipient" in block else None,
        _pattern(block["said"]) if "said" in block else None,
        block.get("action", ""),
        Reason(block["reason"]) if "reason" in block else None,
        block.get("filter", False),
        block.get("alone", False),
    )


_DATA = tomllib.loads(
    files("mailblast.bounce").joinpath("plaintext.toml").read_text("utf-8")
)

SIGNS = Signs(**{name: _pattern(text) for name, text in _DATA["signs"].items()})
FORMS = tuple(_form(block) for block in _DATA["form"])
