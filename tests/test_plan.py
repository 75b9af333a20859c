"""`plan`: the schedule that sends, run in virtual time."""

import hashlib
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from commands import SETTINGS, letter, ok, relay, run, the_run
from hypothesis import given, settings
from hypothesis import strategies as st
from misbehaving import running

from mailblast import forecast as forecasts
from mailblast.campaign import Limits, Rate, Warmup
from mailblast.event import Disposition
from mailblast.forecast import HORIZON, Binding, Load, Means, forecast
from mailblast.reason import Reason
from mailblast.send import Request, prepared
from mailblast.throttle import DAY, Pace, Today

MONDAY = date(2026, 11, 23)
TODAY = Today(MONDAY, DAY / 2)  # it is noon
WIDE = Means(1_000)


def one(messages, limits, **more):
    """The forecast of one destination, and its lane."""
    found = forecast([Load("d", messages, limits, **more)], WIDE, TODAY)
    return found, found.lanes[0]


# --- What limits --------------------------------------------------------------------------


def test_a_rate():
    """Twenty a minute: the last of a hundred goes 99 gaps after the first."""
    _, lane = one(100, Limits(10, Rate(3.0)), seconds=1.0)

    assert (lane.begins, lane.ends, lane.binding) == (0.0, 99 * 3.0 + 1.0, Binding.RATE)


def test_connections():
    """Two at a time, each for half a second."""
    _, lane = one(100, Limits(2), seconds=0.5)

    assert (lane.ends, lane.binding) == (25.0, Binding.CONNECTIONS)


def test_a_cap():
    """What a day does not take goes after midnight (UTC)."""
    found, lane = one(250, Limits(10, Rate(per_day=100)), used=30)

    assert list(found.days.values()) == [70, 100, 80]
    assert list(found.days) == [MONDAY + timedelta(n) for n in range(3)]
    assert DAY / 2 + DAY < lane.ends < DAY / 2 + DAY + 60
    assert lane.binding is Binding.CAP


def test_a_warm_up():
    """Each day takes half as much again as the day before."""
    found, lane = one(1_000, Limits(10, warmup=Warmup(200, 1.5, MONDAY)))

    assert list(found.days.values()) == [200, 300, 450, 50]
    assert lane.binding is Binding.WARMUP


def test_a_rest():
    """A destination that asked for less begins when its rest is over, with one connection."""
    _, lane = one(10, Limits(10), pace=Pace(1, 600.0, 300.0), seconds=1.0)

    assert lane.begins == 300.0


def test_what_all_share():
    """Connections in all, and what this machine can compose."""
    many = [Load(f"d{n}", 100, Limits(10), seconds=1.0) for n in range(10)]
    few = forecast(many, Means(10), TODAY)
    slow = forecast(many, Means(1_000, speed=5.0), TODAY)

    assert few.seconds == pytest.approx(100, rel=0.05)
    assert {lane.binding for lane in few.lanes} == {Binding.ALL_CONNECTIONS}
    assert slow.seconds == pytest.approx(200, rel=0.02)
    assert {lane.binding for lane in slow.lanes} == {Binding.MACHINE}


def test_the_slowest_stands_first():
    """It is the bottleneck: the whole ends with it."""
    slow, quick = (
        Load("slow", 100, Limits(10, Rate(60.0))),
        Load("quick", 5_000, Limits(10)),
    )
    found = forecast([quick, slow], WIDE, TODAY)

    assert [lane.load.destination for lane in found.lanes] == ["slow", "quick"]
    assert found.seconds == found.lanes[0].ends > found.lanes[1].ends


@pytest.mark.parametrize("cap", [0, 1, 7])
def test_it_takes_years(cap):
    """It is not followed for ever: what is left after the horizon is said."""
    found, lane = one(10_000_000, Limits(10, Rate(per_day=cap)))

    assert lane.left == found.left == 10_000_000 - cap * HORIZON
    assert sum(found.days.values()) == cap * HORIZON


def test_nothing():
    """No load is no time."""
    assert forecast([], WIDE, TODAY).seconds == 0.0


# --- Properties ---------------------------------------------------------------------------

LIMITS = st.builds(
    Limits,
    connections=st.integers(1, 20),
    rate=st.builds(
        Rate,
        gap=st.sampled_from([0.0, 0.01, 0.5, 3.0]),
        per_day=st.none() | st.integers(200, 3_000),
    ),
    warmup=st.none()
    | st.builds(Warmup, st.integers(200, 900), st.just(1.5), st.just(MONDAY)),
)
LOADS = st.lists(
    st.builds(
        Load,
        destination=st.just(""),
        messages=st.integers(1, 3_000),
        limits=LIMITS,
        used=st.integers(0, 100),
        seconds=st.sampled_from([0.05, 0.3, 2.0]),
    ),
    min_size=1,
    max_size=4,
).map(lambda found: [replace(each, destination=f"d{n}") for n, each in enumerate(found)])


def in_parcels(loads, connections):
    """The forecast of single messages, and that of many at a time."""
    exact = forecast(loads, Means(connections), TODAY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forecasts, "STEPS", 100)
        return exact, forecast(loads, Means(connections), TODAY)


def uncapped(load):
    """The same without a cap a day."""
    limits = load.limits
    rate = replace(limits.rate, per_day=None)
    return replace(load, limits=replace(limits, rate=rate, warmup=None))


@given(LOADS.map(lambda loads: list(map(uncapped, loads))), st.integers(5, 40))
@settings(max_examples=40, deadline=None)
def test_parcels_end_when_single_messages_do(loads, connections):
    """Many messages that go as one take as long as they would one by one, but for what a
    parcel takes.  Where all wait for the same few connections the order differs, and with it
    when a single destination is done: then that holds for the whole."""
    exact, rough = in_parcels(loads, connections)
    parcels = [
        (each.messages / forecasts.OF_A_LANE + 1) * (each.seconds + each.limits.rate.gap)
        for each in loads
    ]
    room = 0.12 * exact.seconds + 3 * max(parcels)

    assert abs(rough.seconds - exact.seconds) <= room
    alone = {lane.load.destination: lane for lane in exact.lanes}
    for lane in rough.lanes:
        other = alone[lane.load.destination]
        if Binding.ALL_CONNECTIONS not in (lane.binding, other.binding):
            assert abs(lane.ends - other.ends) <= room


@given(LOADS, st.integers(5, 40))
@settings(max_examples=40, deadline=None)
def test_parcels_take_as_many_days(loads, connections):
    """A cap holds as many parcels as fit into it, a hundredth less at most: where just
    everything fits into a day, a few go on the next."""
    exact, rough = in_parcels(loads, connections)

    assert sum(rough.days.values()) == sum(exact.days.values())
    assert len(exact.days) <= len(rough.days) <= len(exact.days) + 1


@pytest.mark.parametrize(
    "loads",
    [
        [Load(f"d{n}", 3_333_333, Limits(20)) for n in range(3)],
        [Load(f"d{n}", 500, Limits(10)) for n in range(20_000)],
        [Load("d", 10_000_000, Limits(20, warmup=Warmup(2_000, 1.5, MONDAY)))],
    ],
    ids=["three", "twenty thousand", "warm-up"],
)
def test_ten_million_take_few_steps(monkeypatch, loads):
    """Parcels, and not messages, are counted: the time does not grow with the list."""
    taken = 0
    begin = forecasts.Schedule.next

    def counting(schedule, now):
        nonlocal taken
        got = begin(schedule, now)
        taken += got is not None
        return got

    monkeypatch.setattr(forecasts.Schedule, "next", counting)
    found = forecast(loads, Means(100, 1_800.0), TODAY)

    assert sum(found.days.values()) + found.left == sum(load.messages for load in loads)
    assert taken <= forecasts.STEPS + forecasts.MOST


# --- The command --------------------------------------------------------------------------


def rows(count: int) -> str:
    return "".join(f"r{n}@inbox.example,R\n" for n in range(count))


RATE = '[throttle]\nrate = "5/s"\n'


def test_send_takes_as_long_as_plan_said(tmp_path: Path) -> None:
    """A real run with a rate, after its own forecast."""
    with running() as server:
        letter(tmp_path, rows(21), delivery=relay(server.port, 5) + RATE)
        planned = ok(tmp_path, "plan", "letter", "--json").json
        begun = time.monotonic()
        ok(tmp_path, "send", "letter", "--yes")
        took = time.monotonic() - begun

    assert planned["messages"] == 21
    assert (planned["bottleneck"], planned["destinations"][0]["binding"]) == (
        "inbox.example",
        "rate",
    )
    assert planned["seconds"] == pytest.approx(20 / 5, abs=0.5)
    assert planned["seconds"] - 0.5 <= took <= planned["seconds"] + 5


def test_what_is_left_of_a_run(tmp_path: Path) -> None:
    """`send` would go on with it, so it is what is planned; --new-run is the whole list."""
    letter(tmp_path, rows(30))
    ok(tmp_path, "send", "letter", "--yes", "--limit", "10", status=3)
    name = the_run(tmp_path)["run"]

    left = ok(tmp_path, "plan", "letter", "--json").json
    assert (left["run"], left["messages"]) == (name, 20)
    whole = ok(tmp_path, "plan", "letter", "--new-run", "--json").json
    assert (whole["run"], whole["messages"]) == (None, 30)
    ok(tmp_path, "send", "letter", "--yes")
    done = run(tmp_path, "plan", "letter")
    assert done.status == 1
    assert "has nothing that is due" in done.err
    assert "--new-run" in done.err


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_plan_counts_whom_send_would_mail(tmp_path: Path) -> None:
    """By address, hash and domain, and what is below it; on the workspace's list and the
    campaign's: the very rows that enrolment leaves out."""
    bad = "nobody,No\nx@,No\nb@ex ample.com,No\nc@inbox.example,No,one cell more\n"
    gone = "a@sub.gone.example,A\nb@gone.example,B\nR2@Inbox.Example,R\nR5@inbox.example,\n"
    idn = "jo@bücher.example,J\njo@xn--bcher-kva.example,twice\nJö@bücher.example,J\n"
    home = letter(tmp_path, rows(10) + gone + idn + bad, delivery=relay(9, 5))
    (home / "suppression.txt").write_text(
        f"@gone.example\nr3@inbox.example\n{sha256('r4@inbox.example')}\n"
        f"{hashlib.md5(b'r6@inbox.example').hexdigest()}\n"
    )
    ok(tmp_path, "unsubscribe", "add", "r2@inbox.example")

    planned = ok(tmp_path, "plan", "letter", "--json").json
    said = ok(tmp_path, "plan", "letter").out
    with prepared(Request(home)) as plan:
        enrolled = {name: plan.dispositions.get(name, 0) for name in Disposition}
        reasons = plan.ledger.runs.reasons(plan.run.number)

    assert planned["messages"] == enrolled[Disposition.QUEUED] == 8
    assert planned["suppressed"] == enrolled[Disposition.SUPPRESSED] == 6
    assert planned["duplicates"] == reasons[Reason.DUPLICATE] == 3
    assert planned["invalid"] + 3 == enrolled[Disposition.INVALID] == 7
    assert "left out: 13 rows (6 suppressed, 4 invalid, 3 duplicates)" in said


def test_a_suppression_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Whoever stands in such a line would be counted: it is told, as `send` tells it."""
    (letter(tmp_path, rows(3)) / "suppression.txt").write_text("r1@inbox.example\nr2\n")
    refused = ok(tmp_path, "plan", "letter", status=1).err

    assert "suppression.txt:2: neither an address nor a hash" in refused


def test_a_warm_up_of_weeks(tmp_path: Path) -> None:
    """Each day has its line, and the last one says when it is over."""
    warmup = (
        f"[throttle]\nwarmup = {{ start = 2, growth = 1.5, day-one = {date.today()} }}\n"
    )
    letter(tmp_path, rows(40), delivery=relay(25, 5) + warmup)
    said = ok(tmp_path, "plan", "letter").out

    assert "each day (UTC)" in said
    assert "waits for the warm-up: 2 on" in said
    assert "It waits for inbox.example: the warm-up" in " ".join(said.split())


def test_it_is_never_done(tmp_path: Path) -> None:
    """A cap of one a day and a list of a thousand."""
    letter(tmp_path, rows(1_000), delivery=relay(25, 5) + '[throttle]\nrate = "1/day"\n')
    found = ok(tmp_path, "plan", "letter", "--json").json

    assert (found["end"], found["seconds"]) == (None, None)
    assert found["left"] == found["destinations"][0]["left"] == 1_000 - HORIZON
    said = " ".join(ok(tmp_path, "plan", "letter").out.split())
    assert "After 400 days 600 of 1,000 are left." in said


def test_whoever_cannot_be_mailed(tmp_path: Path) -> None:
    """Rows without an address are no messages; a list without any is told by its name."""
    letter(tmp_path, rows(3) + "nobody,No\nx@,No\n,\n")
    assert ok(tmp_path, "plan", "letter", "--json").json["messages"] == 3
    letter(tmp_path, "nobody,No\n")
    assert (
        "nobody in the list can be mailed" in ok(tmp_path, "plan", "letter", status=1).err
    )
    assert run(tmp_path, "plan", "nowhere").status == 1
    assert not (tmp_path / ".mailblast").exists()


@pytest.mark.parametrize("columns", ["60", "100"])
def test_the_width_of_the_terminal(tmp_path: Path, columns: str) -> None:
    """No line is wider; bars stand where there is room for them."""
    many = "".join(f"a@d{n}.example,A\n" for n in range(30))
    letter(tmp_path, many, campaign_toml=SETTINGS + relay(25, 5))
    said = ok(tmp_path, "plan", "letter", env={"COLUMNS": columns}).out

    assert max(map(len, said.splitlines())) <= int(columns)
    assert ("█" in said) == (columns == "100")
    assert "22 other destinations, 22 messages" in said
