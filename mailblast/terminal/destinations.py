"""Destinations in words: their limits, what was learnt of them, and which rule won."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mailblast.campaign import Rate
from mailblast.quantity import counted, number
from mailblast.terminal.words import duration, moment, send_again, visible

if TYPE_CHECKING:
    from mailblast.campaign import Limits
    from mailblast.learnt import Learnt
    from mailblast.ledger import Pause
    from mailblast.provider import Destinations, Placed, Ruling
    from mailblast.send import Plan

LIFTED = send_again("", "--resume-paused")

SHOWN = 8  # destinations with limits of their own, in a plan


def limits_in_words(limits: Limits) -> str:
    """All limits of a destination in one line."""
    words = [f"{limits.connections} at a time", _rate(limits.rate)]
    words.append(f"{limits.messages_per_connection} a connection")
    if limits.warmup:
        words.append(f"warm-up: {limits.warmup}")
    if limits.tls == "required":
        words.append("TLS required")
    return ", ".join(words)


def _rate(rate: Rate) -> str:
    return f"at most {rate}" if rate != Rate() else "no rate limit"


def own_limits(plan: Plan) -> Iterator[str]:
    """The destinations of a plan that are treated in their own way, the largest first."""
    general = plan.table.limits("")
    own = []
    for placed, count in plan.by_destination().items():
        limits = plan.table.limits(placed.destination, placed.provider)
        if limits != general:
            own.append((count, placed.destination, limits))
    own.sort(key=lambda one: (-one[0], one[1]))
    for count, name, limits in own[:SHOWN]:
        yield f"{visible(name)} ({number(count)}): {limits_in_words(limits)}"
    if len(own) > SHOWN:
        yield f"and {counted(len(own) - SHOWN, 'destination')} more with limits of their own"


def rulings_as_json(rulings: Sequence[Ruling]) -> dict[str, dict[str, Any]]:
    """Each limit with its place, as plain values."""
    return {one.key: {"value": _plain(one.value), "where": one.where} for one in rulings}


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (int, str)) else str(value)


def listing(
    table: Destinations, learnt: Sequence[Learnt], paused: Sequence[Pause]
) -> Iterator[str]:
    """All that applies, a destination a line; what was learnt, and what is paused."""
    general = table.limits("")
    rows = [("every destination", limits_in_words(general))]
    others = []
    for name in table.named():
        limits = table.limits(name)
        if limits == general:
            others.append(name)
        else:
            rows.append((name, limits_in_words(limits)))
    yield from _aligned(rows)
    if others:
        yield ""
        yield f"One destination each, with the limits of every other: {', '.join(others)}"
    if learnt:
        yield ""
        yield "Learnt:"
        yield from _aligned([(one.name, _learnt(one)) for one in learnt])
    if paused:
        yield ""
        yield f"Paused, until {LIFTED}:"
        yield from _aligned([(one.destination, one.why) for one in paused])


def explanation(
    domain: str,
    placed: Placed,
    rulings: Sequence[Ruling],
    learnt: Learnt | None,
    paused: Pause | None,
) -> Iterator[str]:
    """Which rules decided for a domain."""
    yield f"{domain} belongs to the destination {placed.destination}: {placed.why}."
    rows = [
        (one.key, "none" if one.value is None else str(one.value), one.where)
        for one in rulings
    ]
    width = max(len(value) for _, value, _ in rows)
    yield from _aligned([(key, f"{value:{width}}  {where}") for key, value, where in rows])
    if learnt:
        yield f"Learnt: {_learnt(learnt)}"
    if paused:
        yield f"Paused, until {LIFTED}: {visible(paused.why)}"


def _aligned(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in rows)
    return (f"  {visible(name):{width}}  {visible(words)}" for name, words in rows)


def _learnt(one: Learnt) -> str:
    words = [f"{one.window} at a time"]
    if one.rate:
        words.append(one.rate)
    if one.rests:
        rest = f", the last {duration(one.rest)}" if one.rest else ""
        words.append(f"rested {counted(one.rests, 'time')}{rest}")
    if one.rests_until:
        words.append(f"until {moment(one.rests_until)}")
    if one.last_refusal:
        words.append(f"last refusal: {one.last_refusal}")
    return "; ".join(words)
