"""A campaign to test with, and ways to load it."""

from pathlib import Path

import pytest

from mailblast.campaign import Campaign, load
from mailblast.errors import Problems

PLAIN = """\
[sender]
from = "Example Shop <news@example.com>"
[message]
subject = "Hello"
[delivery]
via = "sandbox"
"""


def make(directory: Path) -> Path:
    """Write all that a campaign needs into a new directory."""
    directory.mkdir()
    (directory / "campaign.toml").write_text(PLAIN)
    (directory / "message.txt").write_text("Hello {{ name }}\n")
    (directory / "recipients.csv").write_text("email,name\na@example.net,A\n")
    return directory


def read(directory: Path, more: str = "", *, instead: str = PLAIN) -> Campaign:
    """Load the campaign with a setting or two more."""
    (directory / "campaign.toml").write_text(instead + more)
    return load(directory, directory.parent)


def problems(directory: Path, more: str = "", *, instead: str = PLAIN) -> list[str]:
    """What is wrong with the campaign, in sentences."""
    with pytest.raises(Problems) as caught:
        read(directory, more, instead=instead)
    return [str(problem) for problem in caught.value.problems]


def problem(directory: Path, more: str = "", *, instead: str = PLAIN) -> str:
    """The one thing that is wrong."""
    (only,) = problems(directory, more, instead=instead)
    return only
