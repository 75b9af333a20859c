"""Destinations in words: their limits, what was learnt of them, and which rule won."""

from collections.abc import Iterator, Mapping, Sequence

from mailblast.campaign import Limits, Rate
from mailblast.learnt import Learnt
from mailblast.provider import Placed, Ruling
from mailblast.send import Plan
from mailblast.terminal.words import counted, duration, moment, number, visible

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
