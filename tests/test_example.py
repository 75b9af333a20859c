"""The example campaigns and the docs: they say what is so, and run as they are."""

import json
import re
import struct
import zlib
from pathlib import Path

import pytest

from mailblast.campaign import find_workspace, load
from mailblast.campaign.example import FILES, write_example
from mailblast.campaign.keys import KEYS, Key
from mailblast.campaign.settings import WORKSPACE_KEYS
from mailblast.errors import UserError
from mailblast.recipients import open_recipients

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "campaigns-example"


def row(key: Key) -> str:
    """The row of a key in docs/campaign.md."""
    default = key.otherwise or f"`{json.dumps(key.default)}`"
    name = "*name*" if key.name == "*" else f"`{key.name}`"
    return f"| {name} | {key.form.words} | {default} | {key.meaning} |"


@pytest.mark.parametrize("key", WORKSPACE_KEYS, ids=str)
def test_docs_have_every_key(key: Key) -> None:
    """docs/campaign.md says of each key what the program knows."""
    sections = (ROOT / "docs/campaign.md").read_text("utf-8").split("\n## ")
    (section,) = (each for each in sections if each.startswith(f"[{key.table}]\n"))

    assert row(key) in section.splitlines()


def test_docs_have_no_other_key() -> None:
    """A row for a key that is no more would mislead."""
    rows = re.findall(
        r"^\| (?:`\w+`|\*name\*) \|.*$",
        (ROOT / "docs/campaign.md").read_text("utf-8"),
        re.MULTILINE,
    )

    assert sorted(map(row, WORKSPACE_KEYS)) == sorted(rows)


def test_every_default_has_the_form_of_its_key() -> None:
    """A default that its own form refuses would be shown and not be used."""
    for key in WORKSPACE_KEYS:
        assert (key.default is None) == bool(key.otherwise)
        if key.default is not None:
            assert not hasattr(key.form.take(key.default), "why")


@pytest.mark.parametrize("name", ["newsletter", "purchase"])
def test_examples_are_good(name: str) -> None:
    """Both example campaigns load as they are, and go to the practice Internet."""
    directory = EXAMPLES / name
    found = load(directory, find_workspace(directory))

    assert found.delivery.via == "sandbox"
    assert find_workspace(directory) == EXAMPLES


def test_newsletter_list() -> None:
    """The newsletter's list has rows of each kind: good, mistyped, short, twice."""
    found = load(EXAMPLES / "newsletter", EXAMPLES)
    rows = list(open_recipients(found.recipients.file))
    keys = [row.address.key for row in rows if row.address]

    assert 60 <= len(rows) <= 100
    assert sorted(str(row.reason) for row in rows if row.reason) == [
        "address-syntax",
        "malformed-row",
    ]
    assert len(keys) - len(set(keys)) == 1
    assert any(row.address.smtputf8 for row in rows if row.address)
    assert any(key.endswith("@xn--bcher-kva.example") for key in keys)


def test_purchase_attachments_are_there() -> None:
    """Every buyer has a file with the licence."""
    found = load(EXAMPLES / "purchase", EXAMPLES)
    rows = open_recipients(found.recipients.file, email=found.recipients.email)
    column = rows.columns.names.index("licence_key")

    keys = [row.cells[column] for row in rows]
    assert len(keys) == 6
    for key in keys:
        assert key in (EXAMPLES / f"purchase/licences/{key}.txt").read_text("utf-8")


def test_logo_is_a_png() -> None:
    """The inline image is a whole one: every chunk with its checksum."""
    data = (EXAMPLES / "newsletter/logo.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    rest, names = data[8:], []
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        chunk, (crc,) = (
            rest[4 : 8 + length],
            struct.unpack(">I", rest[8 + length : 12 + length]),
        )
        assert crc == zlib.crc32(chunk)
        names.append(chunk[:4])
        rest = rest[12 + length :]
    assert names == [b"IHDR", b"IDAT", b"IEND"]


def test_init_example_is_good(tmp_path: Path) -> None:
    """What `mailblast init` writes loads as it stands."""
    directory = tmp_path / "new" / "campaign"
    written = write_example(directory)
    found = load(directory, find_workspace(directory))

    assert [directory / name for name in FILES] == written
    assert (found.delivery.via, found.message.purpose) == ("sandbox", "commercial")
    assert found.suppression_file
    assert found.sender.postal_address


def test_init_example_has_every_key() -> None:
    """Every key stands in the example, given or as a comment."""
    text = (ROOT / "mailblast/example/campaign.toml").read_text("utf-8")
    for key in KEYS:
        if key.name != "*":
            assert re.search(rf"^(# )?{key.name} = ", text, re.MULTILINE), key


def test_init_example_is_good_with_its_comments_taken(tmp_path: Path) -> None:
    """Each line that the example offers can be used as it is written."""
    write_example(tmp_path)
    path = tmp_path / "campaign.toml"
    offered = re.sub(
        r"^# (?=\[[a-z.\"]+\]$|[\w-]+ = )", "", path.read_text("utf-8"), flags=re.MULTILINE
    )
    # Of the three ways to give a password one; files that a beginner has not got; a rate.
    offered = re.sub(
        r"^(password = \{ (env|file)|attachments = ).*\n", "", offered, flags=re.MULTILINE
    )
    path.write_text(offered)

    assert "yourprovider" in load(tmp_path, tmp_path).delivery.host


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """One file that is there already stops it before anything is written."""
    (tmp_path / "message.txt").write_text("mine")
    with pytest.raises(UserError, match=r"already has message\.txt; nothing was written"):
        write_example(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["message.txt"]
    assert (tmp_path / "message.txt").read_text() == "mine"


def test_init_where_it_cannot_write(tmp_path: Path) -> None:
    """A path below a file is told, not raised."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        write_example(tmp_path / "file" / "below")
