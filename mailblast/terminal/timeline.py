"""A timeline: when each destination's mail goes out, and what it waits for."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from mailblast.campaign import Limits
from mailblast.forecast import HORIZON, Binding, Forecast, Lane
from mailblast.headcount import Headcount
from mailblast.quantity import counted, number
from mailblast.report import iso
from mailblast.terminal.words import duration, moment, visible
from mailblast.timeline import SECONDS, Timeline

SHOWN = 8  # destinations, and days: the others are summed
WIDE = 80  # columns, from which on there is room for bars
BAR = 20
NAME = 20
NOTICED = 60.0  # seconds of rest: less is not told


def lines(timeline: Timeline, width: int) -> Iterator[str]:
    """The timeline, each destination in a line, those that end last first."""
    found = timeline.forecast
    what = f"what is left of {timeline.run.run}" if timeline.run else "the whole list"
    total = counted(found.messages, "message")
    destinations = counted(len(found.lanes), "destination")
    yield f"{visible(timeline.campaign)}: {total} to {destinations}, {what}"
    if left_out := _left_out(timeline.heads):
        yield f"left out: {left_out}"
    yield f"begun now, {moment(timeline.start)}"
    yield ""
    for lane in found.lanes[:SHOWN]:
        yield from _lane(lane, timeline, width)
    if others := found.lanes[SHOWN:]:
        yield from _others(others, timeline)
    yield ""
    if len(found.days) > 1:
        yield from _days(found, width)
        yield ""
    for sentence in (_end(timeline), _taken_for_granted(timeline)):
        yield from textwrap.wrap(sentence, max(min(width, 92), 30), break_on_hyphens=False)


def _left_out(heads: Headcount | None) -> str:
    """The rows that nobody mails, and why."""
    if heads is None:
        return ""  # they were left out when the run began
    parts = (
        ("suppressed", heads.suppressed),
        ("invalid", heads.invalid),
        ("duplicate" if heads.duplicates == 1 else "duplicates", heads.duplicates),
    )
    total = counted(sum(rows for _, rows in parts), "row")
    said = ", ".join(f"{number(rows)} {word}" for word, rows in parts if rows)
    return said and f"{total} ({said})"


def _lane(lane: Lane, timeline: Timeline, width: int) -> Iterator[str]:
    name = visible(lane.load.destination)
    waits = _waits(lane, timeline)
    messages = number(lane.load.messages)
    ends = _when(timeline, lane)
    if width < WIDE:
        yield f"{name}: {messages}, {ends}"
        yield f"  waits for {waits}"
        return
    bar = _bar(lane.begins, lane.ends, timeline.forecast.seconds)
    if len(name) > NAME:
        name = f"{name[: NAME - 1]}…"
    yield f"{name:{NAME}} {messages:>11}  {bar}  {ends}"
    yield f"{'':{NAME}} waits for {waits}"


def _when(timeline: Timeline, lane: Lane) -> str:
    if lane.left:
        return f"not within {HORIZON} days: {number(lane.left)} are left"
    return f"done {moment(timeline.start + lane.ends)}"


def _bar(begins: float, ends: float, whole: float) -> str:
    """A bar of BAR columns: from when to when of the whole."""
    first = int(BAR * begins / whole) if whole else 0
    last = max(first + 1, round(BAR * ends / whole) if whole else BAR)
    first = min(first, BAR - 1)
    last = min(last, BAR)
    return "·" * first + "█" * (last - first) + "·" * (BAR - last)


def _others(others: Sequence[Lane], timeline: Timeline) -> Iterator[str]:
    messages = sum(lane.load.messages for lane in others)
    last = timeline.start + max(lane.ends for lane in others)
    rest = f"{counted(len(others), 'other destination')}, {counted(messages, 'message')}"
    yield f"{rest}: done {moment(last)}"


def _days(found: Forecast, width: int) -> Iterator[str]:
    """How many messages go on each day."""
    most = max(found.days.values())
    shown = list(found.days.items())
    yield "each day (UTC)"
    for day, count in shown[:SHOWN]:
        bar = "█" * max(1, round(BAR * count / most)) if width >= WIDE else ""
        yield f"  {day}  {number(count):>11}  {bar}".rstrip()
    if left := shown[SHOWN:]:
        total = number(sum(count for _, count in left))
        yield f"  and {counted(len(left), 'day')} more, until {left[-1][0]}: {total}"


def _end(timeline: Timeline) -> str:
    found = timeline.forecast
    last = found.lanes[0]
    name = visible(last.load.destination)
    waits = _waits(last, timeline)
    if found.left:
        return (
            f"After {HORIZON} days {number(found.left)} of {number(found.messages)} are left. "
            f"It waits for {name}: {waits}."
        )
    done = f"Done in {duration(found.seconds)}, {moment(timeline.start + found.seconds)}."
    return f"{done} It waits for {name}: {waits}."


def _taken_for_granted(timeline: Timeline) -> str:
    known = len(timeline.measured)
    answers = (
        f", and at {counted(known, 'destination')} as long as the last answers took"
        if known
        else ""
    )
    return (
        "Taken for granted: everybody accepts at the first attempt; a message takes "
        f"{SECONDS:g} s on a connection{answers}; this machine composes and signs "
        f"{number(round(timeline.means.speed))} a second; every row can be rendered."
    )


def _waits(lane: Lane, timeline: Timeline) -> str:
    words, pace = in_words(lane.binding, lane.load.limits, timeline), lane.load.pace
    if pace is None or pace.until < NOTICED:
        return words
    return f"its rest, until {moment(timeline.start + pace.until)}; then {words}"


def in_words(binding: Binding, limits: Limits, timeline: Timeline) -> str:
    """What a destination's mail waits for."""
    return {
        Binding.RATE: f"its rate, {limits.rate}",
        Binding.CAP: f"the next day: {limits.rate}",
        Binding.WARMUP: f"the warm-up: {limits.warmup}",
        Binding.CONNECTIONS: f"its answers, on {counted(limits.connections, 'connection')}",
        Binding.ALL_CONNECTIONS: f"answers, on {timeline.means.connections} connections in all",
        Binding.MACHINE: "this machine: composing and signing",
    }[binding]


def as_json(timeline: Timeline) -> dict[str, Any]:
    """The form of `plan --json`; `begins` and `ends` are in seconds from `start`."""
    found, heads = timeline.forecast, timeline.heads
    return {
        "campaign": timeline.campaign,
        "run": timeline.run.run if timeline.run else None,
        "start": iso(timeline.start),
        "end": None if found.left else iso(timeline.start + found.seconds),
        "seconds": None if found.left else round(found.seconds, 1),
        "messages": found.messages,
        "suppressed": heads.suppressed if heads else 0,
        "invalid": heads.invalid if heads else 0,
        "duplicates": heads.duplicates if heads else 0,
        "left": found.left,
        "bottleneck": found.lanes[0].load.destination,
        "connections": timeline.means.connections,
        "composed_a_second": timeline.means.speed,
        "days": {_day(day): count for day, count in found.days.items()},
        "destinations": [_lane_as_json(lane, timeline) for lane in found.lanes],
    }


def _day(day: date) -> str:
    return day.isoformat()


def _lane_as_json(lane: Lane, timeline: Timeline) -> dict[str, Any]:
    return {
        "destination": lane.load.destination,
        "messages": lane.load.messages,
        "begins": round(lane.begins, 1),
        "ends": None if lane.left else round(lane.ends, 1),
        "left": lane.left,
        "binding": lane.binding,
        "limit": in_words(lane.binding, lane.load.limits, timeline),
        "seconds_a_message": lane.load.seconds,
    }
