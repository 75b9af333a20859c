"""Which goes next and how fast, in virtual time."""

import math
from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailblast.campaign import Limits, Rate, Warmup
from mailblast.pulse import LONGEST_REST, Pulse
from mailblast.schedule import (
    MOST_LANES,
    MOST_PREFERRED,
    MOST_READY,
    Heard,
    Schedule,
    next_attempt,
)
from mailblast.throttle import DAY, Pace, Throttle, Today, seconds_needed

NAMES = "abcde"
DAY_ONE = date(2026, 11, 24)
RATES = st.builds(
    Rate,
    gap=st.just(0.0) | st.floats(0.02, 20),
    per_day=st.none() | st.integers(1, 12),
)
WARMUPS = st.builds(
    Warmup, start=st.integers(1, 9), growth=st.floats(1.1, 4), day_one=st.just(DAY_ONE)
)
LIMITS = st.builds(
    Limits,
    connections=st.integers(1, 8),
    rate=RATES,
    messages_per_connection=st.integers(1, 9),
    warmup=st.none() | WARMUPS,
)
TODAY = Today(DAY_ONE, 50.0)
SEEN = st.sampled_from([Heard.ANSWER] * 6 + [Heard.SILENCE, Heard.SLOWER])
EVENTS = settings(max_examples=200, deadline=None)


def simulate(limits, items, seconds, seen=(Heard.ANSWER,), prefer=(None,), used=0):
    """Send everything in virtual time; returns (start, end, name, item), and what is left.

    Message n takes seconds[n], and its destination lets us know seen[n], each list beginning
    anew at its end.
    """
    schedule = Schedule(limits.__getitem__, TODAY, lambda _: used)
    for number, name in enumerate(items):
        schedule.add(name, number)
    now, flying, log = 0.0, [], []
    while len(schedule) or flying:
        while (got := schedule.next(now, prefer[len(log) % len(prefer)])) is not None:
            name, item = got
            flying.append((now + seconds[item % len(seconds)], name, item))
            log.append((now, flying[-1][0], name, item))
        times = [end for end, _, _ in flying]
        if (wake := schedule.wake()) is not None:
            times.append(wake)
        if not times:
            break
        now = max(now, min(times))
        for one in [one for one in flying if one[0] <= now]:
            flying.remove(one)
            schedule.heard(one[1], seen[one[2] % len(seen)], now, rest=60.0)
            schedule.done(one[1])
    return log, len(schedule)


def by_lane(log):
    """The log of each destination, as (start, end, item)."""
    lanes = defaultdict(list)
    for start, end, name, item in log:
        lanes[name].append((start, end, item))
    return lanes


# --- Limits -------------------------------------------------------------------------------


@EVENTS
@given(
    st.fixed_dictionaries(dict.fromkeys(NAMES, LIMITS)),
    st.lists(st.sampled_from(NAMES), max_size=60),
    st.lists(st.floats(0, 20), min_size=1, max_size=5),
    st.lists(SEEN, min_size=1, max_size=7),
    st.lists(st.none() | st.sampled_from(NAMES), min_size=1, max_size=3),
)
def test_limits_hold_and_all_go_out(limits, items, seconds, seen, prefer):
    """Everything added comes out once, in the order of its destination, never above a limit,
    whatever the destinations let us know and whichever of them is preferred."""
    if set(seen) == {Heard.SILENCE}:
        seen = [*seen, Heard.ANSWER]
    log, left = simulate(limits, items, seconds, seen, prefer)

    assert left == 0
    assert sorted(item for _, _, _, item in log) == list(range(len(items)))
    for name, lane in by_lane(log).items():
        assert [item for _, _, item in lane] == sorted(item for _, _, item in lane)
        busy = [
            sum(1 for s, e, _ in lane[:n] if e > start)
            for n, (start, _, _) in enumerate(lane)
        ]
        assert all(count < limits[name].connections for count in busy)
        starts = [start for start, _, _ in lane]
        gaps = [b - a for a, b in pairwise(starts)]
        assert all(gap >= limits[name].rate.gap - 1e-6 for gap in gaps)


@given(LIMITS, st.lists(st.floats(0, 30), min_size=1, max_size=20))
def test_what_is_offered_keeps_the_rate(limits, opening):
    """However long it takes each to get a line: never closer than the rate, in no case before
    the line is there, and never later than for the slowest line."""
    throttle, now = Throttle(limits, TODAY), 1000.0
    began = []
    for _ in opening:
        now = max(now, throttle.not_before())
        throttle.begin(now)
        throttle.end()
        began.append(now)
    ready = sorted(at + seconds for at, seconds in zip(began, opening, strict=True))
    offered = [throttle.turn(at) for at in ready]

    assert all(b - a >= limits.rate.gap - 1e-6 for a, b in pairwise(offered))
    assert all(turn >= at for turn, at in zip(offered, ready, strict=True))
    assert offered[-1] <= began[-1] + max(opening) + 1e-6


@EVENTS
@given(LIMITS, st.integers(1, 60), st.integers(0, 15))
def test_no_day_sees_more_than_its_cap(limits, count, used):
    """In no calendar day more messages go than its cap, today's counted that went before."""
    log, left = simulate({"a": limits}, "a" * count, [0.5], used=used)

    assert left == 0
    sent = defaultdict(int)
    for start, *_ in log:
        sent[math.floor((start - TODAY.ends) / DAY) + 1] += 1
    for day, messages in sent.items():
        cap = limits.cap(DAY_ONE + timedelta(day))
        before = used if day == 0 else 0
        assert cap is None or messages + before <= max(cap, before)


def test_a_cap_is_used_up_and_the_next_day_goes_on():
    """Ten a day: what is left of today goes now, the rest at midnight and a day later."""
    log, _ = simulate({"a": Limits(rate=Rate(per_day=10))}, "a" * 18, [0.0], used=7)

    assert [start for start, *_ in log] == [0.0] * 3 + [50.0] * 10 + [50.0 + DAY] * 5


def test_a_warm_up_grows_from_day_to_day():
    """Two on day one, then four, then eight."""
    log, _ = simulate({"a": Limits(warmup=Warmup(2, 2.0, DAY_ONE))}, "a" * 14, [0.0])

    assert [start for start, *_ in log] == ([0.0] * 2 + [50.0] * 4 + [50.0 + DAY] * 8)


def test_what_was_not_offered_is_not_used_up():
    """A message that was put back leaves its place in the day to another."""
    throttle = Throttle(Limits(rate=Rate(per_day=1)), TODAY)
    throttle.begin(0.0)
    assert throttle.not_before() == 50.0
    throttle.put_back()
    assert throttle.not_before() == 0.0


def test_what_is_put_back_after_midnight_adds_nothing_to_the_new_day():
    """One that began yesterday and is put back today was never counted today."""
    throttle = Throttle(Limits(rate=Rate(per_day=2)), TODAY)
    for now in (0.0, 60.0, 60.0):
        throttle.begin(now)
    throttle.put_back()

    assert throttle.not_before() == 50.0 + DAY


@pytest.mark.parametrize(
    ("wall", "day", "ends"),
    [
        (0.0, date(1970, 1, 1), 7.0 + DAY),
        (DAY - 1, date(1970, 1, 1), 8.0),
        (1_795_478_400.0, date(2026, 11, 24), 7.0 + DAY),
    ],
)
def test_today(wall, day, ends):
    """A day is one of UTC, and ends at the next midnight."""
    assert Today.of(wall, 7.0) == Today(day, ends)


def test_a_day_passes_while_nothing_goes():
    """After three days of silence it is the fourth."""
    assert TODAY.at(50.0 + 2.5 * DAY) == Today(date(2026, 11, 27), 50.0 + 3 * DAY)
    assert TODAY.at(49.9) is TODAY


def test_nothing_is_caught_up_after_a_pause():
    """After an hour of silence the rate is the rate, and no burst follows."""
    throttle = Throttle(Limits(rate=Rate(1.0)))
    throttle.begin(0.0)
    throttle.begin(3600.0)

    assert throttle.not_before() == 3601.0


def test_the_estimate_is_that_of_the_slowest():
    """600 messages at 10 a second take a minute, whatever the others take; caps take days."""
    limits = {"a": Limits(rate=Rate(0.1)), "b": Limits()}
    capped = Limits(rate=Rate(per_day=100))
    warming = Limits(warmup=Warmup(100, 2.0, DAY_ONE))
    today = Today(DAY_ONE, 9.0)

    assert seconds_needed({"a": 600, "b": 10_000}, limits, today) == 60.0
    assert seconds_needed({"b": 10_000}, limits, today) == 0.0
    assert seconds_needed({"c": 100}, {"c": capped}, today) == 0.0
    assert seconds_needed({"c": 101}, {"c": capped}, today) == 9.0
    assert seconds_needed({"c": 301}, {"c": capped}, today) == 9.0 + 2 * DAY
    assert seconds_needed({"c": 10**9}, {"c": capped}, today) > 10**6 * DAY
    assert seconds_needed({"c": 301}, {"c": warming}, today) == 9.0 + DAY
    # What went today has used up today's and nothing of tomorrow's.
    assert seconds_needed({"c": 50}, {"c": capped}, today, lambda _: 50) == 0.0
    assert seconds_needed({"c": 51}, {"c": capped}, today, lambda _: 50) == 9.0
    assert seconds_needed({"c": 151}, {"c": capped}, today, lambda _: 50) == 9.0 + DAY
    assert seconds_needed({"c": 200}, {"c": warming}, today, lambda _: 999) == 9.0


# --- The window ---------------------------------------------------------------------------


def exchange(throttle, heard, now=0.0, rest=60.0):
    """Keep the window full until as many messages as it holds met the same answer."""
    count = throttle.window
    for _ in range(count):
        throttle.begin(now)
    for _ in range(count):
        if heard is Heard.ANSWER:
            throttle.answered()
        elif heard is Heard.SILENCE:
            throttle.unreachable()
        else:
            throttle.slower(rest, now)
    for _ in range(count):
        throttle.end()


def test_the_window_grows_by_one_a_window():
    """Beginning with five, each whole window of answers adds one, up to the limit."""
    throttle = Throttle(Limits(connections=8))
    windows = []
    for _ in range(5):
        windows.append(throttle.window)
        exchange(throttle, Heard.ANSWER)

    assert windows == [5, 6, 7, 8, 8]


def test_the_window_shrinks_at_the_first_failure_and_once_a_window():
    """One failure takes one off at once; a whole window of them no more than one other."""
    throttle = Throttle(Limits(connections=5))
    throttle.unreachable()
    assert throttle.window == 4
    exchange(throttle, Heard.SILENCE)
    assert throttle.window == 3
    for _ in range(20):
        exchange(throttle, Heard.SILENCE)
    assert throttle.window == 1


def test_failure_and_success_in_turn_do_not_swing():
    """A destination of which every other connection fails keeps about its window."""
    throttle = Throttle(Limits(connections=20))
    windows = set()
    for _ in range(200):
        throttle.begin(0.0)
        throttle.answered()
        throttle.unreachable()
        throttle.end()
        windows.add(throttle.window)

    assert max(windows) - min(windows) <= 5


def test_a_window_that_is_not_used_does_not_grow():
    """One message after the other proves nothing about twenty at once."""
    throttle = Throttle(Limits(connections=20))
    for _ in range(1000):
        throttle.begin(0.0)
        throttle.answered()
        throttle.end()

    assert throttle.window <= 6


def test_slower_rests_and_comes_back_with_one():
    """Nothing goes while it rests, then one at a time, then one more for each window."""
    throttle = Throttle(Limits(connections=4))
    throttle.begin(0.0)
    throttle.slower(600.0, 10.0)
    throttle.end()
    windows = []
    assert throttle.not_before() == 610.0
    for _ in range(5):
        windows.append(throttle.window)
        exchange(throttle, Heard.ANSWER, 2000.0)

    assert windows == [1, 2, 3, 4, 4]


def test_what_was_on_its_way_warns_no_second_time():
    """Four messages of one moment that are all told to go slower make one rest."""
    throttle = Throttle(Limits(connections=4))
    exchange(throttle, Heard.SLOWER, 0.0, rest=600.0)

    assert throttle.pace() == Pace(1, 600.0, 600.0)


def test_slower_right_after_doubles_up_to_four_hours():
    """600 s, twice that, and so on; a longer rest in the table of replies holds as it is."""
    throttle = Throttle(Limits())
    now, rests = 0.0, []
    for _ in range(7):
        throttle.slower(600.0, now)
        rests.append(throttle.until - now)
        now = throttle.until + 1.0
    assert rests == [600.0, 1200.0, 2400.0, 4800.0, 9600.0, 14400.0, 14400.0]

    throttle.slower(86400.0, now)
    assert throttle.until == now + 86400.0


def test_slower_after_calm_begins_anew():
    """It answered well for as long as it had rested: the next rest is the first again."""
    throttle = Throttle(Limits())
    throttle.slower(600.0, 0.0)
    throttle.answered()
    throttle.slower(600.0, 1199.0)
    assert throttle.until == 1199.0 + 1200.0
    throttle.answered()
    throttle.slower(600.0, throttle.until + 1200.0)
    assert throttle.pace().rest == 600.0


@EVENTS
@given(st.integers(1, 100), st.lists(SEEN, max_size=60), st.floats(1, 14_400))
def test_full_speed_again_in_bounded_time(connections, past, rest):
    """Whatever was: a destination that says nothing wrong has its whole window again after
    the rest and no more windows than it has connections."""
    throttle = Throttle(Limits(connections=connections))
    now = 0.0
    for heard in past:
        exchange(throttle, heard, now, rest)
        now = max(now + 1, throttle.until)
    assert throttle.until <= now
    assert throttle.pace().rest <= 14_400
    for _ in range(connections):
        exchange(throttle, Heard.ANSWER, now)

    assert throttle.window == connections


def test_what_was_learnt_is_gone_on_with():
    """Another process rests as long, and begins as gently; nonsense is held within bounds."""
    throttle = Throttle(Limits(connections=4))
    throttle.recall(Pace(2, 600.0, 1000.0))
    assert (throttle.window, throttle.not_before()) == (2, 1000.0)
    throttle.slower(600.0, 1001.0)
    assert throttle.until == 1001.0 + 1200.0

    throttle.recall(Pace(-5, 1e99, -math.inf))
    assert throttle.pace() == Pace(1, 14_400.0, -math.inf)


# --- The pulse ----------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "failures"), [(1, 3), (3, 3), (5, 5), (20, 20)])
def test_a_failed_cohort_is_death(window, failures):
    """As many failures in a row as the window holds, three at least."""
    pulse = Pulse()
    for _ in range(failures - 1):
        pulse.missed(window, 0.0)
    assert not pulse.dead
    pulse.missed(window, 0.0)

    assert (pulse.dead, pulse.until) == (True, 60.0)


def test_an_answer_between_begins_the_count_anew():
    """Only failures in a row count."""
    pulse = Pulse()
    for _ in range(20):
        pulse.missed(3, 0.0)
        pulse.missed(3, 0.0)
        assert not pulse.beat()

    assert not pulse.dead


def test_probes_go_out_after_a_minute_doubling_to_an_hour():
    """What fails while it rests is of before; a failed probe doubles the rest."""
    pulse = Pulse()
    now, rests = 0.0, []
    for _ in range(3):
        pulse.missed(1, now)
    for _ in range(8):
        pulse.missed(1, pulse.until - 1)
        rests.append(pulse.until - now)
        now = pulse.until
        pulse.missed(1, now)
    assert rests == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]

    assert pulse.beat()
    assert not pulse.dead


@EVENTS
@given(st.lists(st.floats(0, 4000), min_size=1, max_size=40), st.integers(1, 50))
def test_a_dead_destination_is_probed_within_an_hour(waits, window):
    """However long the failures last: the next probe is at most an hour away."""
    pulse, now = Pulse(), 0.0
    for wait in waits:
        pulse.missed(window, now)
        assert pulse.until <= now + LONGEST_REST
        now += wait


def test_a_dead_lane_is_probed_by_one_and_revived():
    """While it rests nothing goes; then one alone; its answer opens the lane."""
    schedule = Schedule(lambda _: Limits(connections=3))
    for number in range(9):
        schedule.add("a", number)
    for _ in range(3):
        schedule.next(0.0)
        schedule.heard("a", Heard.SILENCE, 0.0)
        schedule.done("a")
    assert schedule.not_before("a") == 60.0
    assert schedule.next(10.0) is None
    assert schedule.room("a", 10.0) < 0
    assert schedule.wake() == 60.0
    assert schedule.next(59.9) is None
    assert schedule.next(60.0) == ("a", 3)
    assert schedule.next(60.0) is None
    schedule.heard("a", Heard.ANSWER, 61.0)
    schedule.done("a")

    assert [schedule.next(61.0) for _ in range(4)] == [("a", 4), ("a", 5), ("a", 6), None]


def test_an_answer_that_comes_late_revives_at_once():
    """What was on its way when the destination was declared dead may prove the contrary."""
    schedule = Schedule(lambda _: Limits(connections=4))
    for number in range(9):
        schedule.add("a", number)
    for _ in range(4):
        schedule.next(0.0)
    for _ in range(3):
        schedule.heard("a", Heard.SILENCE, 0.0)
        schedule.done("a")
    schedule.heard("a", Heard.SILENCE, 0.0)
    assert schedule.not_before("a") == 60.0
    schedule.heard("a", Heard.ANSWER, 1.0)
    schedule.done("a")

    assert schedule.next(1.0) == ("a", 4)


# --- Which next ---------------------------------------------------------------------------


def test_lanes_take_turns():
    """A large destination does not make a small one wait for its end."""
    schedule = Schedule(lambda _: Limits(connections=100))
    for number in range(50):
        schedule.add("large", number)
    schedule.add("small", 99)

    first = [schedule.next(0.0)[0] for _ in range(3)]
    assert "small" in first


def test_a_full_lane_does_not_hold_up_others():
    """One that answers slowly costs the others nothing."""
    schedule = Schedule(lambda _: Limits(connections=1))
    for number in range(3):
        schedule.add("slow", number)
        schedule.add("quick", number)

    assert {schedule.next(0.0)[0], schedule.next(0.0)[0]} == {"slow", "quick"}
    schedule.done("quick")
    assert schedule.next(0.0) == ("quick", 1)
    assert schedule.next(0.0) is None


def test_what_was_not_offered_goes_first_again():
    """A message whose connection did not come about keeps its place."""
    schedule = Schedule(lambda _: Limits(connections=1))
    schedule.add("a", 1)
    schedule.add("a", 2)
    name, item = schedule.next(0.0)
    schedule.put_back(name, item)

    assert schedule.next(0.0) == ("a", 1)


def test_an_open_connection_is_preferred():
    """Whoever has a connection gets a message for it, if one may go."""
    schedule = Schedule(lambda _: Limits(connections=2))
    for name in "abab":
        schedule.add(name, name)

    assert schedule.next(0.0, "b")[0] == "b"
    assert schedule.next(0.0, "b")[0] == "b"
    assert schedule.next(0.0, "b")[0] == "a"
    assert schedule.next(0.0, "unheard of")[0] == "a"


@EVENTS
@given(
    st.lists(st.sampled_from("bcdef"), min_size=1, max_size=20),
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=9),
)
def test_nobody_starves(others, prefer):
    """However often one destination with no end of mail is preferred, each lane that may send
    has its turn after as many preferences as may be for each other lane."""
    schedule = Schedule(lambda _: Limits(connections=5))
    for number in range(10_000):
        schedule.add("a", number)
    for name in others:
        schedule.add(name, -1)
    bound = (MOST_PREFERRED + 1) * (len(set(others)) + 2) * len(others)
    seen = []
    for turn in range(bound):
        name, _ = schedule.next(float(turn), prefer[turn % len(prefer)])
        schedule.done(name)
        seen.append(name)

    assert sorted(name for name in seen if name != "a") == sorted(others)


def test_new_destinations_do_not_pass_those_that_wait():
    """A list of domains that each come once does not keep the large one waiting."""
    schedule = Schedule(lambda _: Limits(connections=5))
    for number in range(50):
        schedule.add("large", number)
    seen = []
    for turn in range(40):
        schedule.add(f"new{turn}", turn)
        name, _ = schedule.next(float(turn))
        schedule.done(name)
        seen.append(name)

    assert seen.count("large") >= 5


def test_a_paused_lane_gives_back_what_waits():
    """Nothing goes to a paused destination, in order it gives back what waited, and resumed
    it takes up what is added."""
    schedule = Schedule(lambda _: Limits())
    for number in range(3):
        schedule.add("a", number)
        schedule.add("b", number)

    assert schedule.pause("a") == [0, 1, 2]
    assert len(schedule) == 3
    assert schedule.not_before("a") == math.inf
    schedule.add("a", 9)
    assert [schedule.next(0.0)[0] for _ in range(3)] == ["b"] * 3
    assert schedule.next(0.0) is None
    assert schedule.room("a", 0.0) < 0
    schedule.resume("a")
    assert schedule.next(0.0) == ("a", 9)


def test_a_lane_that_rests_can_be_drained():
    """What waits for a destination that will rest is given back; the lane stays."""
    schedule = Schedule(lambda _: Limits())
    for number in range(3):
        schedule.add("a", number)
    schedule.next(0.0)
    assert schedule.heard("a", Heard.SLOWER, 0.0, rest=600.0) == 600.0
    schedule.done("a")

    assert schedule.drain("a") == [1, 2]
    assert len(schedule) == 0
    # With nothing in any lane nobody asks what is next; there is room again all the same.
    assert schedule.room("a", 500.0) == 0
    assert schedule.room("a", 600.0) == MOST_READY
    assert schedule.next(700.0) is None
    schedule.add("a", 7)
    assert schedule.next(700.0) == ("a", 7)
    assert schedule.pace("a") == Pace(1, 600.0, 600.0)


def test_room_is_none_while_it_cannot_be_used():
    """Where a destination rests, or has used up its day, nothing is to be claimed."""
    schedule = Schedule(lambda _: Limits(rate=Rate(per_day=2)), TODAY, lambda _: 1)
    assert schedule.room("a", 0.0) == 1
    schedule.add("a", 0)
    schedule.next(0.0)
    assert schedule.room("a", 0.0) == 0
    assert list(schedule.spent(0.0)) == [("a", TODAY.ends)]
    schedule.done("a")
    schedule.next(60.0)
    assert schedule.room("a", 60.0) > 0
    assert list(schedule.spent(60.0)) == []


def test_what_another_process_learnt_of_a_lane():
    """A destination that was to rest for long is not tried by the next process either."""
    schedule = Schedule(lambda _: Limits())
    schedule.recall("a", Pace(1, 600.0, 500.0))
    schedule.add("a", 0)

    assert schedule.next(499.0) is None
    assert schedule.next(500.0) == ("a", 0)


def test_lanes_of_a_long_list_are_forgotten():
    """Of a million domains with one message each, few are remembered: those in trouble."""
    schedule = Schedule(lambda _: Limits())
    for number in range(5 * MOST_LANES):
        schedule.add(f"{number}.example", number)
        name, _ = schedule.next(float(number))
        heard = Heard.ANSWER if number % 1000 else Heard.SLOWER
        schedule.heard(name, heard, float(number), rest=10.0)
        schedule.done(name)

    assert len(schedule._lanes) <= 2 * MOST_LANES
    troubled = sum(lane.throttle.troubled for lane in schedule._lanes.values())
    assert troubled == 5 * MOST_LANES // 1000


# --- Retries ------------------------------------------------------------------------------

RETRY = (900.0, 3600.0)


@given(st.integers(0, 50), st.floats(0, 400_000), st.integers(0, 10**9))
def test_retries_end_at_the_deadline(deferrals, age, delivery):
    """The next attempt lies ahead, never beyond the deadline; after it there is none."""
    later = next_attempt(
        1000.0 + age, deferrals, 1000.0, RETRY, 345_600.0, delivery=delivery
    )

    if age >= 345_600.0:
        assert later is None
    else:
        assert 1000.0 + age < later <= 1000.0 + 345_600.0


@given(st.integers(0, 10**9))
def test_pauses_grow_and_the_last_repeats(delivery):
    """15 minutes, then an hour, then an hour; each a tenth more or less."""
    waits = [next_attempt(0.0, n, 0.0, RETRY, 1e9, delivery=delivery) for n in range(4)]

    for wait, pause in zip(waits, (900.0, 3600.0, 3600.0, 3600.0), strict=True):
        assert 0.9 * pause <= wait <= 1.1 * pause


def test_what_was_put_off_together_does_not_come_back_together():
    """A thousand neighbours spread over the whole span, and the same always."""

    def waits():
        return [next_attempt(0.0, 0, 0.0, RETRY, 1e9, delivery=n) for n in range(1000)]

    parts = defaultdict(int)
    for wait in waits():
        parts[int((wait - 810.0) // 18.0)] += 1
    assert waits() == waits()
    assert sorted(parts) == list(range(10))
    assert all(90 <= count <= 110 for count in parts.values())
