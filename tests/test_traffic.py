"""What left lately, beside what is to leave: BULK-SPAMRATE, BULK-RAMP and BULK-STREAMS."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from checking import campaign, facts, findings, listed, says
from commands import letter, ok

from mailblast.check.traffic import Lately, Streams, Traffic

PACK = "bulk-senders"
DAY = date(2026, 11, 25)
YESTERDAY = DAY - timedelta(1)


def told(*groups, purpose="commercial"):
    return facts(campaign(message={"purpose": purpose}), *groups)


def traffic(planned=None, **lately):
    """`shop={1: (500, 3)}`: that shop took 500 messages a day ago, and 3 complained."""
    return Traffic(
        DAY, planned or {}, {name: days(given) for name, given in lately.items()}
    )


def days(given):
    each = {DAY - timedelta(ago): counts for ago, counts in given.items()}
    return Lately(
        {day: took for day, (took, _) in each.items()},
        {day: many for day, (_, many) in each.items() if many},
    )


# --- BULK-SPAMRATE ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({1: (10_000, 9)}, "pass"),
        ({1: (10_000, 10)}, "warn"),
        ({1: (10_000, 29)}, "warn"),
        ({1: (10_000, 30)}, "fail"),
        ({7: (10_000, 30), 1: (10_000, 1)}, "fail"),
        ({1: (100, 2)}, "pass"),
        ({1: (100, 3)}, "fail"),
        ({1: (10_000, 0)}, "skip"),
        ({}, "skip"),
    ],
)
def test_of_those_who_get_it_hardly_any_complain(given, expected):
    """Below 0.1 % on every day of the last week, and never 0.3 %; two angry readers are no
    rate; of silence nothing is known."""
    lately = {"yahoo": given} if given else {}

    assert says("BULK-SPAMRATE", told(traffic(**lately)), PACK).status == expected


def test_a_bad_day_is_told_with_where_and_when():
    """A destination is judged for itself, and only if something is to go there."""
    both = {"yahoo": {1: (1000, 5)}, "outlook": {2: (1000, 0)}, "comcast": {1: (1000, 9)}}
    found = findings(
        "BULK-SPAMRATE", told(traffic({"yahoo": 1, "outlook": 1}, **both)), PACK
    )

    assert [one.status for one in found] == ["fail", "skip"]
    assert found[0].message.startswith(f"yahoo got 0.5 % complaints on {YESTERDAY}.")
    assert "1,000 messages" in found[1].evidence


def test_what_gmail_knows_stands_elsewhere():
    """Gmail tells nobody who complained, and transactional mail is not asked about it."""
    gmail = traffic(google={1: (10_000, 0)})

    assert "Postmaster Tools" in says("BULK-SPAMRATE", told(gmail), PACK).evidence
    quiet = told(traffic(yahoo={1: (100, 9)}), purpose="transactional")
    assert says("BULK-SPAMRATE", quiet, PACK).status == "skip"


# --- BULK-RAMP --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "taken", "expected"),
    [
        (1_000, {}, "pass"),
        (1_001, {}, "warn"),
        (2_000, {1: (1_000, 0)}, "pass"),
        (2_001, {1: (1_000, 0)}, "warn"),
        (2_001, {1: (1_000, 0), 7: (1_001, 0)}, "pass"),
        (1_501, {0: (500, 0), 1: (1_000, 0)}, "warn"),
        (1_500, {0: (500, 0), 1: (1_000, 0)}, "pass"),
        (1_001, {0: (9_000, 0)}, "warn"),
    ],
)
def test_it_grows_slowly(planned, taken, expected):
    """Nobody gets more than twice what was the most on a day of the last week, today's share
    included; a thousand need no history."""
    given = traffic({"google": planned}, google=taken)

    assert says("BULK-RAMP", told(given, listed()), PACK).status == expected


def test_each_destination_has_its_own_past():
    """One finding each, the largest first; without the list nothing is known of today."""
    given = traffic({"a": 2_000, "b": 5_000, "c": 10}, a={1: (999, 0)}, c={1: (1, 0)})
    found = findings("BULK-RAMP", told(given, listed()), PACK)

    assert [one.evidence.split(":")[0] for one in found] == ["b", "a"]
    assert found[0].message.startswith("5,000 messages may go to b today")
    assert says("BULK-RAMP", told(given), PACK).status == "skip"


# --- BULK-STREAMS -----------------------------------------------------------------------------


def test_two_kinds_of_mail_have_nothing_in_common():
    """What a run of the other purpose has as well is told, with that run's campaign."""
    shared = Streams(3, {"From news@shop.example": "receipts"})

    assert says("BULK-STREAMS", told(Streams(3, {})), PACK).status == "pass"
    found = says("BULK-STREAMS", told(shared), PACK)
    assert (found.status, found.evidence) == (
        "warn",
        "receipts has it too, and is not commercial",
    )
    assert (
        found.message
        == "From news@shop.example is used for marketing and transactional mail."
    )
    assert says("BULK-STREAMS", told(object()), PACK).status == "skip"


# --- From a real ledger -----------------------------------------------------------------------

MAILDIR = '[delivery]\nvia = "maildir"\nmaildir = "../out"\n'
ROWS = "".join(
    f"u{n}@{domain},N\n" for domain in ("yahoo.com", "inbox.example") for n in range(6)
)


def change(workspace: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(workspace / ".mailblast/ledger.db")) as ledger, ledger:
        ledger.execute(statement, values)


def found(workspace: Path, rule: str, name: str = "letter", status: int = 0):
    document = ok(workspace, "check", name, "--json", status=status).json
    return [one for one in document["findings"] if one["id"] == rule]


def test_what_left_lately(tmp_path: Path) -> None:
    """The ledger's messages by destination and day: complaints of the last week count, what is
    older and what was no campaign does not."""
    letter(tmp_path, ROWS, delivery=MAILDIR)
    assert [one["status"] for one in found(tmp_path, "BULK-SPAMRATE")] == ["skip"]
    ok(tmp_path, "send", "letter", "--yes")
    theirs = "mailbox LIKE '%@yahoo.com'"
    change(
        tmp_path, f"UPDATE deliveries SET marks = 'complained' WHERE {theirs} AND row < 4"
    )
    change(tmp_path, f"UPDATE deliveries SET dated = dated - 86400 WHERE {theirs}")
    day = datetime.now(UTC).date() - timedelta(1)

    yahoo, silent = found(tmp_path, "BULK-SPAMRATE", status=4)
    assert (yahoo["status"], yahoo["evidence"]) == ("fail", f"yahoo: 3 of 6 on {day}")
    assert "a complaint of 6 messages" in silent["evidence"]
    (ramp,) = found(tmp_path, "BULK-RAMP", status=4)
    assert ramp["status"] == "pass"
    change(tmp_path, f"UPDATE deliveries SET dated = dated - 8 * 86400 WHERE {theirs}")
    (only,) = found(tmp_path, "BULK-SPAMRATE")
    assert only["status"] == "skip"


def test_what_may_leave_today(tmp_path: Path) -> None:
    """The rows of a provider's domains together, as far as the limits let them go."""
    rows = "".join(
        f"u{n}@{'gmail.com' if n % 2 else 'googlemail.com'},N\n" for n in range(1200)
    )
    letter(tmp_path, rows, delivery=MAILDIR)
    (ramp,) = found(tmp_path, "BULK-RAMP")
    assert (ramp["status"], ramp["evidence"].split(":")[0]) == ("warn", "google")
    assert ramp["message"].startswith("1,200 messages may go to google today")

    for limit in ('rate = "900/day"', 'rate = "30/h"'):
        letter(tmp_path, rows, delivery=f"{MAILDIR}[throttle]\n{limit}\n")
        assert [one["status"] for one in found(tmp_path, "BULK-RAMP")] == ["pass"]


def test_two_kinds_of_mail_of_one_workspace(tmp_path: Path) -> None:
    """A receipt that comes from the same address as last week's letter is told; after a month
    it is forgotten."""
    letter(tmp_path, ROWS, delivery=MAILDIR)
    ok(tmp_path, "send", "letter", "--yes")
    assert [one["status"] for one in found(tmp_path, "BULK-STREAMS")] == ["pass"]
    home = letter(tmp_path, ROWS, delivery=MAILDIR, name="receipts")
    toml = home / "campaign.toml"
    toml.write_text(
        toml.read_text().replace("[message]", '[message]\npurpose = "transactional"')
    )

    (only,) = found(tmp_path, "BULK-STREAMS", "receipts", status=4)
    assert (only["status"], only["evidence"]) == (
        "warn",
        "letter has it too, and is not transactional",
    )
    change(tmp_path, "UPDATE runs SET ended = ended - 31 * 86400")
    (only,) = found(tmp_path, "BULK-STREAMS", "receipts", status=4)
    assert only["status"] == "pass"
