"""Which goes next and how fast, in virtual time."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mailblast.campaign import Limits
from mailblast.schedule import Schedule, next_attempt
from mailblast.throttle import Throttle, seconds_needed

NAMES = "abcde"
LIMITS = st.builds(
    Limits,
    connections=st.integers(1, 4),
    rate=st.none() | st.floats(0.05, 50),
    messages_per_connection=st.integers(1, 9),
)


def simulate(limits, items, seconds):
    """Send everything in virtual time; returns (start, end, name, item), and what is left."""
    schedule = Schedule(limits.__getitem__)
    for number, name in enumerate(items):
        schedule.add(name, number)
    now, flying, log = 0.0, [], []
    while len(schedule) or flying:
        while (got := schedule.next(now)) is not None:
            name, item = got
            flying.append((now + seconds[item % len(seconds)], name))
            log.append((now, flying[-1][0], name, item))
        times = [end for end, _ in flying]
        if (wake := schedule.wake()) is not None:
            times.append(wake)
        if not times:
            break
        now = max(now, min(times))
        for end, name in [one for one in flying if one[0] <= now]:
            flying.remove((end, name))
            schedule.done(name)
    return log, len(schedule)


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(NAMES, LIMITS)),
    st.lists(st.sampled_from(NAMES), max_size=60),
    st.lists(st.floats(0, 20), min_size=1, max_size=5),
)
def test_limits_hold_and_all_go_out(limits, items, seconds):
    """Everything added comes out once, in the order of its destination, never above a limit."""
    log, left = simulate(limits, items, seconds)

    assert left == 0
    assert sorted(item for _, _, _, item in log) == list(range(len(items)))
    lanes = defaultdict(list)
    for start, end, name, item in log:
        lanes[name].append((start, end, item))
    for name, lane in lanes.items():
        assert [item for _, _, item in lane] == sorted(item for _, _, item in lane)
        busy = [
            sum(1 for s, e, _ in lane[:n] if e > start)
            for n, (start, _, _) in enumerate(lane)
        ]
        assert all(count < limits[name].connections for count in busy)
        if limits[name].rate:
            starts = [start for start, _, _ in lane]
            gaps = [b - a for a, b in pairwise(starts)]
            assert all(gap >= 1 / limits[name].rate - 1e-6 for gap in gaps)


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


def test_nothing_is_caught_up_after_a_pause():
    """After an hour of silence the rate is the rate, and no burst follows."""
    throttle = Throttle(Limits(rate=1.0))
    throttle.begin(0.0)
    throttle.begin(3600.0)

    assert throttle.not_before() == 3601.0


def test_the_estimate_is_that_of_the_slowest():
    """600 messages at 10 a second take a minute, whatever the others take."""
    limits = {"a": Limits(rate=10.0), "b": Limits()}

    assert seconds_needed({"a": 600, "b": 10_000}, limits) == 60.0
    assert seconds_needed({"b": 10_000}, limits) == 0.0


@given(st.integers(0, 50), st.floats(0, 400_000))
def test_retries_end_at_the_deadline(deferrals, age):
    """The next attempt lies ahead, never beyond the deadline; after it there is none."""
    later = next_attempt(1000.0 + age, deferrals, 1000.0, (900.0, 3600.0), 345_600.0)

    if age >= 345_600.0:
        assert later is None
    else:
        assert 1000.0 + age <= later <= 1000.0 + 345_600.0


def test_pauses_grow_and_the_last_repeats():
    """15 minutes, then an hour, then an hour."""
    waits = [next_attempt(0.0, n, 0.0, (900.0, 3600.0), 1e9) for n in range(4)]

    assert waits == [900.0, 3600.0, 3600.0, 3600.0]
