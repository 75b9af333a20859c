"""The circuit breaker: it trips exactly at its thresholds, for the right one, and once."""

from hypothesis import given
from hypothesis import strategies as st

from mailblast.breaker import ADVICE, Breaker, Fault, leaving
from mailblast.campaign import Thresholds
from mailblast.event import Disposition, EventKind
from mailblast.reason import Reason

K, R = EventKind, Reason
ACCEPTED = (K.ACCEPTED, None)
DEAD = (K.REFUSED, R.INVALID_RECIPIENT)
BLOCKED = (K.REFUSED, R.BLOCKED_REPUTATION)
UNAUTHENTICATED = (K.REFUSED, R.POLICY_AUTH)
COMPLAINED = (K.COMPLAINED, R.COMPLAINT)


def trips(*outcomes, thresholds=None, destination="google"):
    """Let these happen, as (how often, (kind, reason)); the trips with their place."""
    breaker = Breaker(thresholds or Thresholds())
    told, number = [], 0
    for count, (kind, reason) in outcomes:
        for _ in range(count):
            number += 1
            if trip := breaker.happened(destination, number, kind, reason):
                told.append((number, trip))
    return told


def test_hard_bounces_pause_the_run():
    """More than 5 % of the first 200: at the 200th, not before, and with the counts."""
    (at, trip), *more = trips((11, DEAD), (300, ACCEPTED))

    assert at == 200
    assert (trip.destination, trip.fault, more) == ("", Fault.HARD_BOUNCES, [])
    assert trip.why == ("11 of 200 recipients do not exist any more: 5.5 %, more than 5 %.")
    assert "list" in ADVICE[trip.fault]


def test_five_percent_are_not_more_than_five():
    """Ten of 200 are borne; the next dead address is one too many."""
    assert trips((10, DEAD), (190, ACCEPTED)) == []
    assert [at for at, _ in trips((10, DEAD), (190, ACCEPTED), (1, DEAD))] == [201]


def test_a_blocking_destination_is_paused_alone():
    """More than 10 % of the first 20 at one destination; the run goes on."""
    ((at, trip),) = trips((17, ACCEPTED), (3, BLOCKED))

    assert at == 20
    assert (trip.destination, trip.fault) == ("google", Fault.BLOCKED)
    assert trip.why == (
        "3 of 20 recipients were refused by google as unwanted: 15 %, more than 10 %."
    )
    assert trips((18, ACCEPTED), (2, BLOCKED)) == []
    assert trips((19, BLOCKED)) == []


def test_deferrals_for_our_fault_count():
    """A block may come as a 4xx; what is put off for other reasons is no verdict."""
    deferred = (K.DEFERRED, R.BLOCKED_REPUTATION)

    assert [trip.fault for _, trip in trips((20, deferred))] == [Fault.BLOCKED]
    assert trips((500, (K.DEFERRED, R.RATE_LIMITED)), (500, (K.DEFERRED, None))) == []


def test_three_recipients_refused_for_authentication_pause_the_run():
    """Three different ones at one destination; the same one three times is one."""
    ((at, trip),) = trips((3, UNAUTHENTICATED))
    assert (at, trip.destination, trip.fault) == (3, "", Fault.AUTHENTICATION)
    assert trip.why == "google refuses our authentication: it said so of 3 recipients."

    breaker = Breaker(Thresholds())
    for _ in range(9):
        assert breaker.happened("google", 1, K.DEFERRED, R.POLICY_AUTH) is None
    for name in ("a.example", "b.example", "c.example"):
        assert breaker.happened(name, 2, *UNAUTHENTICATED) is None


def test_complaints_pause_the_run():
    """More than 0.3 %, and three at least; one that complains had been accepted before."""
    assert trips((200, ACCEPTED), (2, COMPLAINED)) == []
    ((at, trip),) = trips((1000, ACCEPTED), (4, COMPLAINED))
    assert (at, trip.destination, trip.fault) == (1004, "", Fault.COMPLAINTS)
    assert trip.why == "4 of 1,000 recipients complained: 0.4 %, more than 0.3 %."


def test_what_bounces_later_counts_once():
    """A bounce of what had been accepted adds to the bounces and not to the answers."""
    late = (K.BOUNCED, R.INVALID_RECIPIENT)
    ((at, trip),) = trips((200, ACCEPTED), (20, late))

    assert at == 211
    assert trip.why.startswith("11 of 200 ")


def test_faults_of_recipients_trip_nothing():
    """Full mailboxes, and whatever the recipients are to blame for, are no fault of ours."""
    full = (K.REFUSED, R.MAILBOX_FULL)

    assert trips((1000, full)) == []


@given(
    st.integers(1, 400),
    st.integers(1, 300),
    st.integers(1, 999),
    st.booleans(),
)
def test_it_trips_exactly_at_its_threshold(minimum, bad, per_mille, bad_first):
    """At the first message at which both the minimum and the share are passed."""
    thresholds = Thresholds(minimum=minimum, hard=per_mille / 1000)
    good = 400
    outcomes = [(bad, DEAD), (good, ACCEPTED)]
    told = trips(*(outcomes if bad_first else outcomes[::-1]), thresholds=thresholds)

    expected = []
    for number in range(1, good + bad + 1):
        dead = min(bad, number) if bad_first else max(0, number - good)
        if number >= minimum and 1000 * dead > per_mille * number:
            expected.append(number)
    assert [at for at, _ in told] == expected[:1]


def test_rearmed_it_counts_anew():
    """After somebody looked: for one destination, or for the run with all of them."""
    breaker = Breaker(Thresholds(minimum_destination=2))
    assert breaker.happened("a", 1, *BLOCKED) is None
    assert breaker.happened("a", 2, *BLOCKED)
    assert breaker.happened("a", 3, *BLOCKED) is None
    breaker.rearm("a")
    assert breaker.happened("a", 4, *BLOCKED) is None
    assert breaker.happened("a", 5, *BLOCKED)

    for number in range(2):
        breaker.happened("b", number, *UNAUTHENTICATED)
    assert breaker.happened("b", 2, *UNAUTHENTICATED)
    assert breaker.happened("b", 3, *UNAUTHENTICATED) is None
    breaker.rearm()
    assert [bool(breaker.happened("b", n, *UNAUTHENTICATED)) for n in range(3)] == [
        False,
        False,
        True,
    ]


def test_what_an_earlier_process_counted():
    """A run that goes out in small pieces is one run."""
    breaker = Breaker(Thresholds())
    breaker.take_over("a", Disposition.ACCEPTED, None, 188)
    breaker.take_over("a", Disposition.REFUSED, Reason.INVALID_RECIPIENT, 11)

    assert breaker.happened("b", 1, *ACCEPTED)

    breaker = Breaker(Thresholds())
    breaker.take_over("a", Disposition.REFUSED, Reason.POLICY_AUTH, 2)

    assert breaker.happened("b", 1, *UNAUTHENTICATED) is None
    assert breaker.happened("a", 2, *UNAUTHENTICATED)


def near(*outcomes, thresholds=None):
    """What is near a pause after these happened."""
    breaker = Breaker(thresholds or Thresholds())
    number = 0
    for count, (kind, reason) in outcomes:
        for _ in range(count):
            number += 1
            breaker.happened("google", number, kind, reason)
    return [(one.destination, one.fault, one.why) for one in breaker.near()]


def test_what_is_near_is_told():
    """From 2 % of hard bounces on where 5 % pause, and so for each threshold; after as many
    answers as it takes."""
    said = "5 of 200 recipients do not exist any more: 2.5 %; more than 5 % pause the run."
    assert near((5, DEAD), (195, ACCEPTED)) == [("", Fault.HARD_BOUNCES, said)]
    assert near((4, DEAD), (196, ACCEPTED)) == []
    assert near((5, DEAD), (194, ACCEPTED)) == []

    ((where, fault, why),) = near((2, BLOCKED), (38, ACCEPTED))
    assert (where, fault) == ("google", Fault.BLOCKED)
    assert why.endswith("by google as unwanted: 5 %; more than 10 % pause it.")
    assert near((1, BLOCKED), (19, ACCEPTED)) == []

    ((where, fault, why),) = near((1, UNAUTHENTICATED), (1, UNAUTHENTICATED))
    assert (where, fault) == ("google", Fault.AUTHENTICATION)
    assert why.endswith("it said so of 2 recipients; 3 pause the run.")

    ((_, fault, why),) = near((1_000, ACCEPTED), (2, COMPLAINED))
    assert (fault, why) == (
        Fault.COMPLAINTS,
        "2 of 1,000 recipients complained: 0.2 %; more than 0.3 % pause the run.",
    )


def test_what_is_paused_is_near_nothing():
    """A destination that tripped; and all of them, when the run did."""
    assert near((17, ACCEPTED), (3, BLOCKED)) == []
    assert near((180, ACCEPTED), (18, DEAD), (2, BLOCKED)) == []


@given(st.integers(2, 60), st.integers(1, 999), st.booleans())
def test_it_is_near_before_it_trips(good, per_mille, bad_first):
    """Whatever trips was near at the answer before, if it could be told by then."""
    breaker = Breaker(Thresholds(minimum=2, hard=per_mille / 1000))
    outcomes = [ACCEPTED] * good + [DEAD] * 1_000
    before = []
    for number, outcome in enumerate(outcomes[::-1] if bad_first else outcomes):
        trip = breaker.happened("google", number, *outcome)
        dead = number + 1 if bad_first else number + 1 - good
        if trip is not None:
            # The share grows by one answer at a time; two dead are the least that is told.
            jumped = 5 * (dead - 1) * 1000 <= 2 * per_mille * number
            assert before or jumped or dead - 1 < 2 or number < 2
            return
        before = breaker.near()


def test_many_leave():
    """More than 1 % of 200 or more, opt-outs and complaints together."""
    taken = {Disposition.ACCEPTED: 250, Disposition.BOUNCED: 50, Disposition.QUEUED: 900}
    marks = {"unsubscribed": 3, "complained": 1, "autoreplied": 90}

    said = "4 of 300 recipients opted out or complained: 1.33 %, more than 1 %."
    assert leaving(taken, marks) == said
    assert leaving(taken, {**marks, "unsubscribed": 2}) is None
    assert leaving({Disposition.ACCEPTED: 199}, marks) is None
