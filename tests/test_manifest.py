"""The manifest: what is content of a campaign, and what changes are told."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from mailblast.campaign import Campaign, declared, load
from mailblast.campaign.keys import HEADERS, KEYS
from mailblast.campaign.manifest import SETTINGS, changes, content_files, manifest_of
from mailblast.errors import UserError

PLAIN = """\
[sender]
from = "Example Shop <news@example.com>"
[message]
subject = "Hello"
[dkim]
selector = "mb1"
[delivery]
via = "sandbox"
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A campaign with an image below."""
    directory = tmp_path / "spring"
    (directory / "images").mkdir(parents=True)
    (directory / "campaign.toml").write_text(PLAIN)
    (directory / "message.html").write_text("<p>Hello")
    (directory / "images" / "logo.png").write_bytes(b"PNG")
    (directory / "recipients.csv").write_text("email\na@example.net\n")
    (directory / "suppression.txt").write_text("b@example.net\n")
    return directory


def read(directory: Path, text: str = PLAIN) -> Campaign:
    """Load the campaign with these settings."""
    (directory / "campaign.toml").write_text(text)
    return load(directory, directory.parent)


def told(directory: Path, change: Callable[[], object], text: str = PLAIN) -> list[str]:
    """What is said to have changed after a change to the files or the settings."""
    before = manifest_of(read(directory))
    change()
    after = manifest_of(read(directory, text))
    assert (before.digest == after.digest) is (before.entries == after.entries)
    return changes(before.entries, after.entries)


def test_same_content_same_digest(campaign: Path) -> None:
    """Reading twice gives one digest, wherever the campaign lies."""
    first = manifest_of(read(campaign))
    moved = campaign.rename(campaign.with_name("moved"))

    assert first == manifest_of(read(moved))
    assert len(first.digest) == 64


def test_files_are_content(campaign: Path) -> None:
    """Files of the directory are in it; the list is, but is not among the files to keep."""
    found = manifest_of(read(campaign))

    assert tuple(sorted(found.files)) == ("images/logo.png", "message.html")
    assert "recipients.csv" in found.entries
    assert "suppression.txt" not in found.entries
    assert "campaign.toml" not in found.entries


def test_changes_are_named(campaign: Path) -> None:
    """A changed, a removed and an added message are told by name; other new files are not
    part of any message."""

    def change() -> None:
        (campaign / "message.html").write_text("<p>Goodbye")
        (campaign / "rejected.csv").touch()
        (campaign / "message.txt").write_text("Goodbye")
        (campaign / "images" / "logo.png").unlink()

    assert told(campaign, change) == [
        "images/logo.png was removed",
        "message.html changed",
        "message.txt was added",
    ]


def test_list_is_content(campaign: Path) -> None:
    """Another list is another mailing."""
    path = campaign / "recipients.csv"

    assert told(campaign, lambda: path.write_text("email\n")) == ["recipients.csv changed"]


def test_list_elsewhere_is_content(campaign: Path) -> None:
    """A list outside the directory is told by its name as well."""
    (campaign / "recipients.csv").unlink()
    path = campaign.parent / "all.csv"
    path.write_text("email\n")
    found = read(campaign, PLAIN + '[recipients]\nfile = "../all.csv"\n')

    before = manifest_of(found)
    path.write_text("email\nx@example.net\n")
    assert changes(before.entries, manifest_of(found).entries) == [
        "recipients: all.csv changed"
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("news@", "letters@", ["[sender] from changed"]),
        ("Hello", "Goodbye", ["[message] subject changed"]),
        ('"mb1"', '"mb2"', ["[dkim] selector changed"]),
        (
            "[dkim]",
            '[dkim]\ned25519_selector = "mb2"',
            ["[dkim] ed25519_selector was added"],
        ),
        ("[dkim]", 'purpose = "transactional"\n[dkim]', ["[message] purpose changed"]),
        ("[dkim]", '[message.headers]\nX-A = "1"\n[dkim]', ["[message.headers] changed"]),
        (
            "[dkim]",
            '[unsubscribe]\nurl = "https://a.example"\n[dkim]',
            ["[unsubscribe] url changed"],
        ),
        ("[message]", "# only a comment\n[message]", []),
        ('"sandbox"', '"relay"\nhost = "mx.example.com"\nconnections = 3', []),
        ("[dkim]", '[throttle]\nrate = "1/s"\n[dkim]', []),
        ("[dkim]", '[dkim]\nkey = "elsewhere.pem"', []),
    ],
)
def test_settings_that_are_content(
    campaign: Path, old: str, new: str, said: list[str]
) -> None:
    """What a message is made from is content; how it is delivered may change in mid-run."""
    assert said == told(campaign, lambda: None, PLAIN.replace(old, new))


@pytest.mark.parametrize(
    "name",
    [".hidden", "message.html~", "#message.html#", ".git/x", "suppression.txt"],
)
def test_what_is_no_content(campaign: Path, name: str) -> None:
    """Hidden files, an editor's leftovers and the suppression list change nothing."""

    def change() -> None:
        (campaign / name).parent.mkdir(exist_ok=True)
        (campaign / name).write_text("new")

    assert told(campaign, change) == []


def test_output_keys_and_secrets_are_no_content(campaign: Path) -> None:
    """The maildir, the key, the certificates and the password may lie in the directory."""
    text = PLAIN.replace(
        '"mb1"\n[delivery]\nvia = "sandbox"',
        '"mb1"\nkey = "k.pem"\n[delivery]\nvia = "maildir"\nmaildir = "./out"\n'
        'ca_file = "ca.pem"\nusername = "u"\npassword = { file = "pw" }',
    )
    (campaign / "out/new").mkdir(parents=True)
    for name in ("k.pem", "ca.pem", "pw", "out/new/1.eml"):
        (campaign / name).touch()

    assert {"message.html", "images/logo.png", "recipients.csv"} == {
        name for name, _ in content_files(read(campaign, text))
    }


def test_links(campaign: Path) -> None:
    """A link that leaves the directory, or goes round, is no content; one within it is."""
    (campaign.parent / "outside").touch()
    (campaign / "leaves").symlink_to("../outside")
    (campaign / "round").symlink_to("round")
    (campaign / "up").symlink_to(campaign.parent)
    (campaign / "within").symlink_to("message.html")
    names = [name for name, _ in content_files(read(campaign))]

    assert names == ["message.html", "recipients.csv", "within", "images/logo.png"]


def test_file_called_like_a_setting(campaign: Path) -> None:
    """A file cannot stand in for a setting."""
    (campaign / "[sender] from").touch()
    found = manifest_of(read(campaign))

    assert {"[sender] from", "./[sender] from"} <= set(found.entries)


def test_unreadable_file(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that vanishes between look and read is told by name."""
    found = read(campaign)
    (campaign / "message.html").unlink()
    monkeypatch.setattr(
        "mailblast.campaign.manifest.content_files",
        lambda _: [("message.html", campaign / "message.html")],
    )
    with pytest.raises(UserError, match=r"message\.html cannot be read"):
        manifest_of(found)


def test_a_run_that_is_older_than_a_setting(campaign: Path) -> None:
    """A setting that is younger than runs under way, and not given, changes none of them."""
    assert "[dkim] ed25519_selector" not in manifest_of(read(campaign)).entries


def test_every_key_is_content_or_not() -> None:
    """A new key must be told apart: what is neither here nor there would be forgotten."""
    not_content = {"[dkim] key", "[unsubscribe] url_ends"} | {
        str(key)
        for key in KEYS
        if key.table.startswith(("delivery", "throttle", "breaker")) or key in declared.KEYS
    }
    named = {"[message.headers]" if key.table == HEADERS else str(key) for key in KEYS}

    assert named - not_content == set(SETTINGS)


def test_every_field_of_the_message_is_looked_at(campaign: Path) -> None:
    """Each part of a campaign that messages are made from has a setting in the table."""
    looked_at = {name.partition("]")[0].strip("[").partition(".")[0] for name in SETTINGS}
    parts = {each.name for each in fields(read(campaign))}

    how = {"delivery", "throttle", "providers", "breaker", "suppression", "declared"}
    assert parts - {"name", "directory", "suppression_file", *how} == looked_at
