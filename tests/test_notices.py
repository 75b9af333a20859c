"""Mail that came back: every kind and every form is read, and each recipient judged.

The mails lie in tests/notices; what must be read from them stands in its expected.toml.
"""

import tomllib
from pathlib import Path

import pytest

from mailblast import bounce
from mailblast.bounce import Notice

MAILS = Path(__file__).parent / "notices"
EXPECTED = tomllib.loads((MAILS / "expected.toml").read_text())


def read(name: str) -> Notice:
    """The notice that a mail of ours is."""
    found = bounce.read((MAILS / f"{name}.eml").read_bytes())
    assert isinstance(found, Notice)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_kind(name: str) -> None:
    """Each mail is what it is, and says by which rule."""
    found = read(name)

    assert (found.kind, bool(found.rule)) == (EXPECTED[name]["kind"], True)


@pytest.mark.parametrize("name", EXPECTED)
def test_recipients(name: str) -> None:
    """Exactly the recipients are named, each with what is said of it and what that means."""
    expected = EXPECTED[name]["recipients"]
    found = [
        {key: getattr(report, key) for key in wanted}
        for report, wanted in zip(read(name).reports, expected, strict=True)
    ]

    assert found == expected
