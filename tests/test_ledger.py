"""The ledger: events move deliveries, claims are fenced, sums add up."""

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailblast.address import parse
from mailblast.campaign import Policy
from mailblast.disposition import after
from mailblast.errors import LedgerError, Refused, UserError
from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger import Claim, Ledger, Run
from mailblast.ledger.suppressions import FRESH
from mailblast.reason import Reason
from mailblast.recipients import Row
from mailblast.suppression import Entry

ADDRESSES = ("a@one.example", "b@one.example", "c@two.example", "d@two.example")


def begun(ledger, name="run", addresses=ADDRESSES):
    """A run with a row for each address."""
    run = ledger.runs.begin(
        Run(
            0, name, "letter", "campaign", "enrolling", 1.0, None, None, "d", {}, ("email",)
        )
    )
    rows = [
        Row(number, number + 1, (text,), parse(text), None, "")
        for number, text in enumerate(addresses, 1)
    ]
    ledger.enrolment(run, 1.0).enter(rows)
    ledger.runs.enter(run.number, "enrolled")
    return ledger.runs.numbered(run.number)


def claim(run, owner="me", at=10.0, **wants):
    names = {f"{name}.example": count for name, count in wants.items()}
    return Claim(run.number, run.campaign, owner, at, names)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / ".mailblast")
    yield ledger
    ledger.close()


OF_VERSION_1 = """
CREATE TABLE schema (version INTEGER NOT NULL);
INSERT INTO schema VALUES (1);
CREATE TABLE runs (number INTEGER NOT NULL, run TEXT NOT NULL, campaign TEXT NOT NULL,
    kind TEXT NOT NULL, state TEXT NOT NULL, created FLOAT NOT NULL, started FLOAT, ended FLOAT,
    digest TEXT NOT NULL, manifest TEXT NOT NULL, header TEXT NOT NULL, PRIMARY KEY (number));
INSERT INTO runs VALUES (1, 'run', 'letter', 'campaign', 'started', 1, 1, NULL, 'd', '{}', '[]');
CREATE TABLE deliveries (id INTEGER NOT NULL, run INTEGER NOT NULL, "row" INTEGER NOT NULL,
    line INTEGER NOT NULL, mailbox TEXT NOT NULL, "key" TEXT, destination TEXT NOT NULL,
    cells TEXT NOT NULL, disposition TEXT NOT NULL, reason TEXT, marks TEXT NOT NULL,
    attempt INTEGER NOT NULL, deferrals INTEGER NOT NULL, due FLOAT NOT NULL, owner TEXT,
    lease FLOAT, dated FLOAT, digest BLOB, settled FLOAT, PRIMARY KEY (id), UNIQUE (run, "key"));
CREATE INDEX deliveries_due ON deliveries (run, destination, due)
    WHERE disposition IN ('queued', 'deferred');
INSERT INTO deliveries VALUES (1, 1, 1, 2, 'a@one.example', 'a@one.example', 'one.example',
    '["a@one.example"]', 'deferred', NULL, '', 1, 1, 0, NULL, NULL, 1, NULL, NULL);
CREATE TABLE events (id INTEGER NOT NULL, delivery INTEGER NOT NULL, kind TEXT NOT NULL,
    at FLOAT NOT NULL, attempt INTEGER NOT NULL, reason TEXT, code INTEGER NOT NULL,
    status TEXT NOT NULL, text TEXT NOT NULL, host TEXT NOT NULL, digest BLOB, PRIMARY KEY (id));
CREATE TABLE suppressions (id INTEGER NOT NULL, scope TEXT NOT NULL, "key" TEXT NOT NULL,
    reason TEXT NOT NULL, note TEXT NOT NULL, source TEXT NOT NULL, added FLOAT NOT NULL,
    removed FLOAT, consent TEXT, PRIMARY KEY (id));
INSERT INTO suppressions VALUES (1, '', 'z@one.example', 'hard-bounce', '', 'send', 1, NULL, NULL);
INSERT INTO events VALUES (1, 1, 'deferred', 2, 1, NULL, 451, '', 'later', 'mx.one.example', NULL);
CREATE TABLE returned (digest BLOB NOT NULL, at FLOAT NOT NULL, source TEXT NOT NULL,
    result TEXT NOT NULL, PRIMARY KEY (digest));
INSERT INTO returned VALUES (x'00', 2, 'inbox.mbox:1', 'bounced');
"""


def test_a_ledger_of_version_1(tmp_path):
    """An older ledger is brought up when it is opened, and goes on from where it was."""
    (tmp_path / ".mailblast").mkdir(mode=0o700)
    with sqlite3.connect(tmp_path / ".mailblast/ledger.db") as old:
        old.executescript(OF_VERSION_1)
    old.close()
    ledger = Ledger(tmp_path / ".mailblast")
    run = ledger.runs.numbered(1)
    [due] = ledger.deliveries.claim(claim(run, one=1)).taken
    fact = Event(due.delivery, EventKind.ATTEMPTED, 3.0, due.attempt, tls="TLSv1.3")
    assert ledger.deliveries.record([fact]) == []

    assert [one.tls for one in ledger.deliveries.history(1)] == ["", "TLSv1.3"]
    assert ledger.runs.destinations(1) == {"one.example": {"doubtful": 1}}
    assert [one.events for one in ledger.suppressions.all()] == [()]
    ledger.close()
    Ledger(tmp_path / ".mailblast").close()  # once is enough


def test_a_claim_is_nobody_elses(ledger):
    """Two claims of one destination never have a delivery in common."""
    run = begun(ledger)
    first = ledger.deliveries.claim(claim(run, one=1)).taken
    second = ledger.deliveries.claim(claim(run, "you", one=5)).taken

    assert [due.mailbox for due in (*first, *second)] == ["a@one.example", "b@one.example"]
    assert ledger.deliveries.claim(claim(run, one=5)).taken == []


def test_what_was_given_back_is_due_again_and_its_owner_is_fenced_off(ledger):
    """Whoever comes back after losing the claim changes nothing any more."""
    run = begun(ledger)
    (old,) = ledger.deliveries.claim(claim(run, one=1)).taken
    ledger.deliveries.release(run.number)
    (new,) = [
        due
        for due in ledger.deliveries.claim(claim(run, "you", at=10_000.0, one=5)).taken
        if due.delivery == old.delivery
    ]
    late = Event(old.delivery, EventKind.ATTEMPTED, 10_001.0, old.attempt)

    assert new.attempt > old.attempt
    assert ledger.deliveries.record([late]) == [late]
    assert ledger.deliveries.numbered(old.delivery).disposition is Disposition.QUEUED
    assert ledger.deliveries.history(old.delivery) == []


def test_what_was_attempted_is_never_due_again(ledger):
    """Neither an expired lease nor a release gives a doubtful delivery back."""
    run = begun(ledger)
    (due,) = ledger.deliveries.claim(claim(run, one=1)).taken
    ledger.deliveries.record([Event(due.delivery, EventKind.ATTEMPTED, 11.0, due.attempt)])
    ledger.deliveries.release(run.number)

    again = ledger.deliveries.claim(claim(run, at=99_999.0, one=5)).taken
    assert due.delivery not in {one.delivery for one in again}
    doubtful = ledger.deliveries.claim_doubtful(claim(run, at=99_999.0)).taken
    assert [one.delivery for one in doubtful] == [due.delivery]
    assert ledger.deliveries.numbered(due.delivery).disposition is Disposition.DOUBTFUL


def test_what_came_back_meanwhile_is_not_offered_again(ledger):
    """A notice settles a doubt also while it is about to be offered once more."""
    run = begun(ledger)
    (due,) = ledger.deliveries.claim(claim(run, one=1)).taken
    ledger.deliveries.record([Event(due.delivery, EventKind.ATTEMPTED, 11.0, due.attempt)])
    (again,) = ledger.deliveries.claim_doubtful(claim(run, at=20.0)).taken
    ledger.deliveries.record([Event(due.delivery, EventKind.BOUNCED, 21.0)])
    late = Event(due.delivery, EventKind.ATTEMPTED, 22.0, again.attempt, digest=b"d")

    assert ledger.deliveries.record([late]) == [late]
    found = ledger.deliveries.numbered(due.delivery)
    assert (found.disposition, found.digest) == (Disposition.BOUNCED, None)


def test_a_claim_says_whom_it_struck(ledger):
    """Those who opted out count as taken from their destination: more may be due there."""
    run = begun(ledger)
    ledger.suppressions.add([Entry("a@one.example", "unsubscribed")], 5.0, "test")
    claimed = ledger.deliveries.claim(claim(run, one=1))

    assert (claimed.taken, claimed.struck) == ([], ("one.example",))
    assert len(ledger.deliveries.claim(claim(run, one=1)).taken) == 1


def test_the_date_of_a_message_is_that_of_its_first_claim(ledger):
    """However often it is put off, the Date stays, and with it the bytes."""
    run = begun(ledger)
    (first,) = ledger.deliveries.claim(claim(run, at=10.0, one=1)).taken
    event = Event(first.delivery, EventKind.DEFERRED, 11.0, first.attempt, due=20.0)
    ledger.deliveries.record([event])
    again = ledger.deliveries.claim(claim(run, at=30.0, one=5)).taken

    assert [due.dated for due in again if due.delivery == first.delivery] == [10.0]
    assert [due.deferrals for due in again if due.delivery == first.delivery] == [1]


def test_suppressed_since_enrolment_is_not_claimed(ledger):
    """A whole domain that opted out after the list was read is not taken."""
    run = begun(ledger)
    ledger.suppressions.add([Entry("@two.example", "unsubscribed")], 5.0, "test")

    assert ledger.deliveries.claim(claim(run, two=5)).taken == []
    assert ledger.runs.dispositions(run.number) == {
        Disposition.QUEUED: 2,
        Disposition.SUPPRESSED: 2,
    }


@pytest.mark.parametrize("piece", [1, 2, 3, 1_000])
def test_a_run_is_counted_in_pieces_of_any_size(ledger, monkeypatch, piece):
    """Each delivery is counted once, and none of another run, whose numbers lie between."""
    monkeypatch.setattr("mailblast.ledger.runs.PIECE", piece)
    first, other = begun(ledger, "first"), begun(ledger, "other")
    rows = [
        Row(n, n + 1, (text,), parse(text), None, "")
        for n, text in enumerate(["e@one.example", "f@three.example", "g@three.example"], 5)
    ]
    ledger.enrolment(first, 1.0).enter(rows)
    ledger.suppressions.add([Entry("@three.example", "unsubscribed")], 5.0, "test")
    ledger.deliveries.claim(claim(first, three=5))

    assert ledger.runs.dispositions(first.number) == {"queued": 5, "suppressed": 2}
    assert ledger.runs.reasons(first.number) == {"unsubscribed": 2}
    assert ledger.runs.destinations(first.number) == {
        "one.example": {"queued": 3},
        "two.example": {"queued": 2},
        "three.example": {"suppressed": 2},
    }
    assert ledger.runs.dispositions(other.number) == {"queued": 4}
    assert ledger.runs.any_in(first.number, {Disposition.SUPPRESSED})
    assert not ledger.runs.any_in(other.number, {Disposition.SUPPRESSED})


def test_a_watch_sees_what_is_added_after_it_began(ledger):
    """The last look before MAIL FROM: new entries only, of this scope or the workspace."""
    ledger.suppressions.add([Entry("a@one.example", "listed")], 1.0, "test")
    watch = ledger.group_commit("letter", Policy()).watch
    keys = [["a@one.example"], ["b@one.example"], ["c@two.example"]]

    assert [watch.listed(lambda k=key: k) for key in keys] == [None, None, None]
    ledger.suppressions.add([Entry("b@one.example", "unsubscribed")], 2.0, "test")
    ledger.suppressions.add([Entry("c@two.example", "listed")], 2.0, "test", "other")
    time.sleep(2 * FRESH)
    assert [watch.listed(lambda k=key: k) for key in keys] == [None, "unsubscribed", None]


def test_an_entry_is_lifted_by_consent_and_kept(ledger):
    """Nothing is deleted: the entry and the consent stay as evidence."""
    ledger.suppressions.add([Entry("a@one.example", "unsubscribed")], 1.0, "test")

    assert ledger.suppressions.remove("a@one.example", 2.0, "form, 2026-11-24") == 1
    (entry,) = ledger.suppressions.check(["a@one.example"])
    assert (entry.removed, entry.consent) == (2.0, "form, 2026-11-24")
    assert list(ledger.suppressions.all()) == []


def test_a_duplicate_is_told_with_its_line(ledger):
    """The second row of an address is invalid, also in another batch."""
    run = begun(ledger, addresses=("a@one.example", "A@One.example"))
    rows = [Row(3, 4, ("a@one.example",), parse("a@one.example"), None, "")]
    ledger.enrolment(run, 1.0).enter(rows)
    found = list(ledger.deliveries.those(run.number, Disposition.INVALID))

    assert [one.reason for one in found] == [Reason.DUPLICATE, Reason.DUPLICATE]
    texts = [ledger.deliveries.history(one.id)[0].text for one in found]
    assert texts == ["the same address as line 2"] * 2


kinds = st.sampled_from([kind for kind in EventKind if kind is not EventKind.DEFERRED])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.integers(0, 3), kinds, st.integers(0, 2)), max_size=25))
def test_the_projection_is_the_fold_of_the_events(tmp_path_factory, facts):
    """Whatever happens in whatever order: dispositions add up, and events explain them."""
    ledger = Ledger(tmp_path_factory.mktemp("fold"))
    run = begun(ledger)
    first = ledger.deliveries.at_row(run.number, 1).id
    state = dict.fromkeys(range(4), Disposition.QUEUED)
    events = [
        Event(first + row, kind, float(n), stale)
        for n, (row, kind, stale) in enumerate(facts)
    ]
    late = ledger.deliveries.record(events)
    for event in events:
        if event not in late:
            row = event.delivery - first
            state[row] = after(state[row], event.kind)

    found = {row: ledger.deliveries.numbered(first + row).disposition for row in range(4)}
    assert found == state
    assert {event.attempt for event in late} <= {1, 2}
    assert sum(ledger.runs.dispositions(run.number).values()) == 4
    ledger.close()


def test_two_writers_lose_nothing(tmp_path):
    """Opt-outs added while events are recorded: both are there in the end."""
    ledger, other = Ledger(tmp_path), Ledger(tmp_path)
    run = begun(ledger)
    first = ledger.deliveries.at_row(run.number, 1).id

    def opt_out():
        for number in range(100):
            other.suppressions.add([Entry(f"x{number}@one.example", "listed")], 1.0, "test")

    thread = threading.Thread(target=opt_out)
    thread.start()
    for number in range(100):
        ledger.deliveries.record([Event(first, EventKind.COMPLAINED, float(number))])
    thread.join()

    assert len(list(ledger.suppressions.all())) == 100
    assert len(ledger.deliveries.history(first)) == 100
    ledger.close()
    other.close()


def test_a_newer_ledger_is_left_alone(tmp_path):
    """A ledger of a later version is refused with a sentence, and not touched."""
    Ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE schema SET version = 99")
    connection.close()
    before = (tmp_path / "ledger.db").read_bytes()

    with pytest.raises(LedgerError, match="newer mailblast"):
        Ledger(tmp_path)
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_something_else_is_no_ledger(tmp_path):
    """A file that is no database is told as such."""
    (tmp_path / "ledger.db").write_bytes(b"PK\x03\x04" * 1000)

    with pytest.raises(LedgerError, match="not a database"):
        Ledger(tmp_path)


def test_one_send_at_a_time(ledger):
    """The lock of a campaign is held once, and given back by whatever end."""
    with ledger.lock("letter"):
        with pytest.raises(Refused, match="another"), ledger.lock("letter"):
            pass
        with ledger.lock("other"):
            pass
    with ledger.lock("letter"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    """Nobody has to remove anything after a kill -9."""
    source = (
        "import sys, time; from pathlib import Path; from mailblast.ledger import Ledger\n"
        "with Ledger(Path(sys.argv[1])).lock('letter'): print(flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", source, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        ledger = Ledger(tmp_path)
        with pytest.raises(Refused), ledger.lock("letter"):
            pass
        process.kill()
    with ledger.lock("letter"):
        pass
    ledger.close()


def test_a_look_at_the_lock_refuses_nobody(ledger):
    """Whoever asks whether somebody is at work holds nobody up."""
    asked = threading.Event()

    def look():
        while not asked.is_set():
            ledger.locked("letter")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            with ledger.lock("letter"):
                assert ledger.locked("letter")
    finally:
        asked.set()
        looking.join()
    assert not ledger.locked("letter")
    assert not ledger.locked("never locked")


def test_the_secret_key_is_private(tmp_path):
    """It is made once with mode 0600, and refused when others can read it."""
    ledger = Ledger(tmp_path)
    key = Path(tmp_path / "secret.key")

    assert ledger.secret("first") == ledger.secret("second") == "first"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(UserError, match="others can read"):
        ledger.secret("third")
    ledger.close()
