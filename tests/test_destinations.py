"""`mailblast destinations`: what applies, what was learnt, and which rule won."""

from contextlib import closing
from pathlib import Path

import pytest
from commands import SANDBOX, letter, ok, run

from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger
from mailblast.runbook import RunBook

TENANT = "example-org.mail.protection.outlook.com"


def test_what_applies_without_anything(tmp_path: Path) -> None:
    """In an empty directory it lists the table that mailblast brings, and begins nothing."""
    said = ok(tmp_path, "destinations").out

    assert "google             5 at a time, no rate limit, 50 a connection, TLS" in said
    assert "every destination  2 at a time" in said
    assert "seznam" in said
    assert not list(tmp_path.iterdir())
    assert said == ok(tmp_path, "destinations", "list").out


def test_what_applies_to_a_campaign(tmp_path: Path) -> None:
    """Through a relay (or to the practice Internet) only what the user set applies."""
    own = '[throttle.destinations.yahoo]\nrate = ["20/min", "5000/day"]\n'
    letter(tmp_path, "", delivery=SANDBOX + own)
    said = ok(tmp_path, "destinations", "letter").out

    assert "every destination  10 at a time, no rate limit, 100 a connection\n" in said
    assert "yahoo              10 at a time, at most 20/min, 5000/day, 100 a" in said
    found = ok(tmp_path, "destinations", "letter", "--json").json
    assert found["destinations"]["yahoo"]["rate"] == {
        "value": "20/min, 5000/day",
        "where": "campaign.toml:19",
    }
    assert found["default"]["connections"] == {"value": 10, "where": "the default"}
    assert found["learnt"] == []


def test_explain(tmp_path: Path) -> None:
    """Which destination, because of what, and the place of each limit."""
    (tmp_path / "destinations.toml").write_text("[google]\nconnections = 3\n")
    said = ok(tmp_path, "destinations", "explain", "gmail.com").out

    assert said.startswith("gmail.com belongs to the destination google: gmail.com is in ")
    assert "  connections              3          destinations.toml:2\n" in said
    assert "  messages_per_connection  50         built-in destinations.toml:" in said
    assert "  rate                     unlimited  the default\n" in said


def test_explain_with_mail_hosts(tmp_path: Path) -> None:
    """Mail hosts are not looked up, but taken as given; any case and a last dot will do."""
    words = ("destinations", "explain", "Bücher.example", "--json")
    found = ok(tmp_path, *words, "--mx", f"{TENANT.upper()}.").json
    assert (found["domain"], found["destination"], found["provider"]) == (
        "xn--bcher-kva.example",
        TENANT,
        "m365",
    )
    assert found["limits"]["connections"]["value"] == 5
    assert found["learnt"] is None

    found = ok(tmp_path, *words, "--mx", "b.mx.example", "--mx", "a.mx.example").json
    assert (found["destination"], found["provider"]) == ("a.mx.example", "")


def test_what_was_learnt_is_shown(tmp_path: Path) -> None:
    """The run book's word on a destination, made safe for the screen."""
    letter(tmp_path, "")
    learnt = Learnt(
        name="google",
        provider="google",
        window=1,
        rate="20/min",
        rests=2,
        rest=1200.0,
        rests_until=1_795_483_800.0,
        last_refusal="421 4.7.28 \x1b[2J unusual rate",
    )
    RunBook(tmp_path / ".mailblast").put(KIND, "google", learnt.to_document())
    RunBook(tmp_path / ".mailblast").put(KIND, "broken", {"window": "many"})
    said = ok(tmp_path, "destinations").out

    assert (
        "google  1 at a time; 20/min; rested 2 times, the last 20 min; until 2026-11-2"
        in said
    )
    assert "; last refusal: 421 4.7.28 \\x1b[2J" in said
    assert "Learnt: 1 at a time" in ok(tmp_path, "destinations", "explain", "gmail.com").out
    found = ok(tmp_path, "destinations", "letter", "--json").json
    assert [one["name"] for one in found["learnt"]] == ["broken", "google"]


def test_where_a_domain_was_found_is_known(tmp_path: Path) -> None:
    """What the ledger has of an earlier run counts, and --mx more; a look begins no workspace."""
    alone = ok(tmp_path, "destinations", "explain", "foo.example").out
    assert list(tmp_path.iterdir()) == []
    with closing(Ledger(tmp_path / ".mailblast")) as ledger:
        ledger.deliveries.place({"foo.example": "google", "bar.example": "mx.bar.example"})

    def said(*words: str) -> str:
        return ok(tmp_path, "destinations", "explain", *words).out.splitlines()[0]

    assert "destination foo.example" in alone
    assert said("foo.example").startswith("foo.example belongs to the destination google: ")
    assert "destination mx.bar.example: its mail host is" in said("bar.example")
    assert "destination mx.foo.example" in said("foo.example", "--mx", "mx.foo.example")


def test_a_plan_counts_destinations_and_not_domains(tmp_path: Path) -> None:
    """Two domains of one provider are one; so are those that were found to be, without DNS."""
    rows = "".join(
        f"ann@{name},N\n" for name in ("gmail.com", "googlemail.com", "foo.example")
    )
    letter(tmp_path, rows)
    assert "3 messages to 2 destinations" in ok(tmp_path, "send", "letter", "--dry-run").out

    direct = '[delivery]\nvia = "direct"\nehlo = "mail.shop.example"\n'
    letter(tmp_path, rows, delivery=direct)
    with closing(Ledger(tmp_path / ".mailblast")) as ledger:
        ledger.deliveries.place({"foo.example": "google"})
    planned = ok(tmp_path, "plan", "letter", "--no-dns", "--json").json
    assert [one["destination"] for one in planned["destinations"]] == ["google"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain", "a b"], 'a b: must be a domain, as "example.com"'),
        (["explain", "example.com", "--mx", "a b"], "a b: must be a host name"),
        (["nowhere"], "does not exist"),
        (["explain", "example.com", "nowhere"], "does not exist"),
        (["explain"], "Missing argument"),
    ],
)
def test_mistakes(tmp_path: Path, words: list[str], said: str) -> None:
    """What cannot be meant is refused with a sentence."""
    assert said in ok(tmp_path, "destinations", *words, status=1).err


def test_mistakes_in_the_files_are_told(tmp_path: Path) -> None:
    """A broken table is told with its line, whether a campaign is named or not."""
    letter(tmp_path, "")
    (tmp_path / "destinations.toml").write_text("[google]\nrate = 5\n")
    for words in ([], ["letter"], ["explain", "gmail.com"]):
        ended = run(tmp_path, "destinations", *words)
        assert ended.status == 1
        assert "destinations.toml:2: [google] rate must be a rate" in ended.err


def test_the_plan_says_who_is_treated_in_their_own_way(tmp_path: Path) -> None:
    """Destinations with limits of their own, with the messages for each, the largest first."""
    own = (
        "[throttle.destinations.google]\nconnections = 2\n"
        '[throttle.destinations."small.example"]\nrate = "10/min"\n'
        "[throttle.destinations.yahoo]\nconnections = 3\n"
    )
    rows = "a@gmail.com,A\nb@googlemail.com,B\nc@small.example,C\nd@other.example,D\n"
    letter(tmp_path, rows, delivery=SANDBOX + own)
    said = ok(tmp_path, "send", "letter", "--dry-run").out

    lines = [line.strip() for line in said.splitlines() if "at a time" in line]
    assert lines[0].endswith(
        "10 at a time, no rate limit, 100 a connection; 10 connections in all"
    )
    assert lines[1:] == [
        "google (2): 2 at a time, no rate limit, 100 a connection",
        "small.example (1): 10 at a time, at most 10/min, 100 a connection",
    ]
    assert "at least 6 s" in said
