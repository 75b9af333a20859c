"""A zone on paper: what the DNS would answer, to an `Asking` that wants to know.

    told('''
    shop.example.  TXT  "v=spf1 mx -all"
    shop.example.  MX   !SERVFAIL
    ''', asking)

A line is a name, a type, and the record as zone files have it, or `!` and the name of a
`Failure`.  Names that are not there, and have nothing below them, do not exist.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dns.rdata

from mailblast.lookup import Asking, Failure, Lookup, Question
from mailblast.resolver import _READ

Zone = Mapping[tuple[str, str], list[str]]


def zone(text: str) -> Zone:
    """Read the lines."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, kind, record = line.split(None, 2)
        found.setdefault((kind, name.rstrip(".").lower()), []).append(record)
    return found


def told(
    text: str | Callable[[Question], Lookup[Any]],
    asking: Asking[Any],
    asked: list[Question] | None = None,
) -> Any:
    """What an `Asking` finds in a zone, or by a function that answers; its questions are
    added to `asked`."""
    reply = partial(answer, zone(text)) if isinstance(text, str) else text
    try:
        questions = next(asking)
        while True:
            if asked is not None:
                asked += questions
            questions = asking.send(tuple(map(reply, questions)))
    except StopIteration as end:
        return end.value


def answer(lines: Zone, question: Question) -> Lookup[Any]:
    """One answer, read as the resolver reads it."""
    name = question.name.lower().rstrip(".")
    records = lines.get((question.kind, name), [])
    if records and records[0].startswith("!"):
        return Lookup(failure=Failure[records[0][1:]])
    if records:
        read: Callable[[Any], Any] = _READ[question.kind]
        return Lookup(
            tuple(read(dns.rdata.from_text("IN", question.kind, one)) for one in records)
        )
    there = any(known == name or known.endswith(f".{name}") for _, known in lines)
    return Lookup(failure=Failure.NODATA if there else Failure.NXDOMAIN)
