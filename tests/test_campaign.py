"""Campaigns: what is read from both files, and which files there must be."""

from datetime import date
from pathlib import Path

import pytest
from campaigns import PLAIN, make, problem, read

from mailblast.campaign import (
    Campaign,
    Limits,
    Rate,
    SecretSource,
    Thresholds,
    Warmup,
    find_workspace,
    load,
)
from mailblast.provider import Destinations


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A directory with all that a campaign needs."""
    return make(tmp_path / "spring")


def limits(campaign: Campaign, destination: str) -> Limits:
    """The limits of a destination, by its name."""
    return Destinations.of(campaign).limits(destination)


def test_defaults(campaign: Path) -> None:
    """What is not given has the default that the docs name."""
    found = load(campaign, campaign.parent)

    assert found.name == "spring"
    assert found.sender.return_path.mailbox == "bounces@example.com"
    assert found.sender.organisation == "Example Shop"
    assert found.message.purpose == "commercial"
    assert campaign / "recipients.csv" == found.recipients.file
    assert found.delivery.retry == (900.0, 1800.0, 3600.0, 7200.0, 14400.0)
    assert found.delivery.give_up_after == 4 * 86400.0
    assert limits(found, "example.net") == Limits()
    assert found.breaker == Thresholds()
    assert found.dkim is None
    assert found.suppression_file is None


def test_all_keys(campaign: Path) -> None:
    """Every key there is can be given, and arrives."""
    (campaign / "terms.txt").write_text("…")
    found = read(
        campaign,
        instead="""\
[sender]
from = '"Shop, Inc." <news@example.com>'
reply_to = "help@example.com"
return_path = "b@bounce.example.com"
organisation = "Shop Inc."
postal_address = ["Shop Inc.", "1 Quay"]
[message]
subject = "Hello {{ name }}"
purpose = "transactional"
list_id = "news.example.com"
attachments = ["terms.txt", "keys/{{ name }}.txt"]
[message.headers]
X-Issue = "7 {{ name }}"
[recipients]
file = "recipients.csv"
email = "E-Mail"
encoding = "latin-1"
[unsubscribe]
url = "https://u.example.com/u/"
mailto = "stop@example.com"
[dkim]
domain = "example.com"
selector = "mb1"
key = "k.pem"
algorithm = "ed25519-sha256"
[delivery]
via = "relay"
host = "smtp.example.com"
security = "tls"
username = "u"
password = { file = "pw" }
ca_file = "ca.pem"
connections = 3
retry = ["1 s", "2 min"]
give_up_after = "1.5 h"
maildir = "out"
ehlo = "mail.example.com"
[throttle]
connections = 4
rate = "20/min"
messages_per_connection = 5
warmup = { start = 200, growth = 1.5, day-one = 2026-11-24 }
[throttle.destinations."bücher.example"]
rate = ["5 per s", "5000/day"]
connections = "2 connections"
[throttle.destinations.google]
messages_per_connection = 6
[breaker]
minimum = 100
minimum_destination = 10
hard = "4 %"
blocked = "20%"
complaints = "0.5 %"
authentication = 2
""",
    )

    assert found.sender.mailbox.name == "Shop, Inc."
    assert found.sender.postal_address == ("Shop Inc.", "1 Quay")
    assert found.message.headers == (("X-Issue", "7 {{ name }}"),)
    assert found.unsubscribe.url == "https://u.example.com/u"
    assert found.dkim
    assert campaign / "k.pem" == found.dkim.key
    assert found.delivery.port == 465
    assert SecretSource("file", str(campaign / "pw")) == found.delivery.password
    assert found.delivery.retry == (1.0, 120.0)
    assert found.delivery.give_up_after == 5400.0
    warmup = Warmup(200, 1.5, date(2026, 11, 24))
    assert limits(found, "xn--bcher-kva.example") == Limits(2, Rate(0.2, 5000), 5, warmup)
    assert limits(found, "elsewhere.example") == Limits(4, Rate(3.0), 5, warmup)
    assert limits(found, "google") == Limits(4, Rate(3.0), 6, warmup)
    assert found.breaker == Thresholds(100, 10, 0.04, 0.2, 0.005, 2)


def test_workspace_gives_defaults_key_by_key(campaign: Path) -> None:
    """campaign.toml wins over mailblast.toml, key by key, headers and domains included."""
    (campaign.parent / "mailblast.toml").write_text("""\
[sender]
organisation = "The Company"
reply_to = "help@example.com"
[message.headers]
X-One = "workspace"
X-Two = "workspace"
[throttle.destinations."example.net"]
rate = "1/s"
connections = 9
""")
    found = read(
        campaign,
        """\
[message.headers]
x-two = "campaign"
[throttle.destinations."EXAMPLE.net"]
rate = "2/s"
""",
        instead=PLAIN.replace("[message]", 'organisation = "This One"\n[message]'),
    )

    assert found.sender.organisation == "This One"
    assert found.sender.reply_to
    assert {("X-One", "workspace"), ("x-two", "campaign")} == set(found.message.headers)
    assert limits(found, "example.net") == Limits(9, Rate(0.5))


def test_paths_are_seen_from_their_file(campaign: Path) -> None:
    """A path in mailblast.toml is relative to the workspace, not to the campaign."""
    (campaign.parent / "mailblast.toml").write_text(
        '[dkim]\nselector = "mb1"\nkey = "keys/a.pem"\n'
        '[delivery]\nusername = "u"\npassword = { file = "pw" }\n'
    )
    found = read(campaign)

    assert found.dkim
    assert campaign.parent / "keys/a.pem" == found.dkim.key
    assert SecretSource("file", str(campaign.parent / "pw")) == found.delivery.password


def test_bom_and_crlf(campaign: Path) -> None:
    """A file as Notepad writes it is read."""
    text = PLAIN.replace("\n", "\r\n")
    (campaign / "campaign.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert load(campaign, campaign.parent).message.subject == "Hello"


def test_workspace_is_the_nearest_upward(tmp_path: Path) -> None:
    """mailblast.toml or .mailblast/ makes a workspace; without one it is the start."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert below == find_workspace(below)

    (tmp_path / "mailblast.toml").touch()
    assert tmp_path == find_workspace(below)

    (tmp_path / "a" / ".mailblast").mkdir()
    assert tmp_path / "a" == find_workspace(below)


def test_markdown_excludes_html(campaign: Path) -> None:
    """message.md and message.html would both be the HTML part."""
    (campaign / "message.md").write_text("x")
    assert (campaign / "message.md") == load(campaign, campaign.parent).message.markdown

    (campaign / "message.html").write_text("x")
    assert "keep one of them" in problem(campaign)


def test_suppression_file_is_found_and_is_one(campaign: Path) -> None:
    """Either form of the list is taken; of both at once one would be overlooked."""
    (campaign / "suppression.csv").touch()
    assert campaign / "suppression.csv" == load(campaign, campaign.parent).suppression_file

    (campaign / "suppression.txt").touch()
    assert "put them into one file" in problem(campaign)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("terms.pdf", "attachment terms.pdf is not there"),
        ("../../etc/passwd", "must be a path inside the campaign's directory"),
        ("{{ x }}/../../y", "must be a path inside the campaign's directory"),
        ("/etc/passwd", "must be a path inside the campaign's directory"),
        ("link.txt", "attachment link.txt leads out of the campaign's directory"),
    ],
)
def test_attachments_stay_inside(campaign: Path, name: str, said: str) -> None:
    """An attachment is a file of the campaign's directory, links followed."""
    (campaign.parent / "secret.txt").touch()
    (campaign / "link.txt").symlink_to("../secret.txt")
    text = PLAIN.replace("[delivery]", f'attachments = ["{name}"]\n[delivery]')

    assert said in problem(campaign, instead=text)


def test_message_may_not_be_a_link_out(campaign: Path) -> None:
    """A template that lies elsewhere would be no part of the content's digest."""
    (campaign.parent / "message.txt").touch()
    (campaign / "message.txt").unlink()
    (campaign / "message.txt").symlink_to("../message.txt")

    assert (
        problem(campaign) == "message.txt: is a link that leaves the campaign's directory"
    )


def test_list_may_be_elsewhere(campaign: Path) -> None:
    """Several campaigns may go to one list."""
    (campaign / "recipients.csv").rename(campaign.parent / "all.csv")
    found = read(campaign, '[recipients]\nfile = "../all.csv"')

    assert (campaign.parent / "all.csv").samefile(found.recipients.file)


def test_a_kept_copy_needs_no_list(campaign: Path) -> None:
    """What was sent can be printed again when the list is gone."""
    (campaign / "recipients.csv").unlink()
    assert "recipients.csv is not there" in problem(campaign)

    found = load(campaign, campaign.parent, listed=False)
    assert found.recipients.file == campaign / "recipients.csv"
