"""What left lately, beside what is to leave: how it grows, who complained, in which streams.

A day is one of UTC, and a message belongs to that on which it was first offered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from mailblast.check.facts import Facts, Listed
from mailblast.check.finding import Verdict, failed, passed, skipped, warned
from mailblast.check.pack import Check
from mailblast.check.scope import commercial
from mailblast.quantity import counted

DAYS = 7  # before today: as long as Gmail remembers a bad rate (GFAQ)
STREAM_DAYS = 30

# User-reported spam (GFAQ, YREQ): below 0.1 %, and never 0.3 %.
HIGH, TOO_HIGH = 0.001, 0.003
LEAST_COMPLAINTS = 3  # one angry reader of 200 is no trend

FEW = 1_000  # messages a day that need no history
DOUBLE = 2
MOST = 8  # findings of one rule

# They tell nobody who complained; what Gmail tells, it shows in its Postmaster Tools.
SILENT = ("google", "icloud", "m365")


@dataclass(frozen=True, slots=True)
class Lately:
    """What a destination took, day by day, and of how many of these somebody complained."""

    taken: Mapping[date, int] = field(default_factory=dict)
    complaints: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last DAYS days and today, by destination.

    `planned` is what may go to each today by the list and the limits; empty where the list
    was not looked at.
    """

    today: date
    planned: Mapping[str, int]
    lately: Mapping[str, Lately]


@dataclass(frozen=True, slots=True)
class Streams:
    """How many runs the last STREAM_DAYS days had, and what those of the other purpose have in
    common with this campaign: "From a@b.example", and the campaign that has it too."""

    runs: int
    shared: Mapping[str, str]


def complained(facts: Facts) -> Iterator[Verdict]:
    """BULK-SPAMRATE: of what a destination took on a day, hardly anything was called spam."""
    traffic = facts.of(Traffic)
    quiet = 0
    for name, lately in traffic.lately.items():
        if traffic.planned and name not in traffic.planned:
            continue  # nothing goes there
        if lately.complaints:
            yield _rate(name, lately)
        else:
            quiet += sum(lately.taken.values())
    if quiet:
        sent = counted(quiet, "message")
        known = f"nobody reported a complaint of {sent} of the last {DAYS} days"
        silent = any(name in traffic.lately for name in SILENT)
        more = "; what Gmail knows is in its Postmaster Tools" if silent else ""
        yield skipped(f"{known}, and not everybody reports them{more}")
    elif not traffic.lately:
        yield skipped(f"nothing was sent from here in the last {DAYS} days")


def _rate(name: str, lately: Lately) -> Verdict:
    """The worst day of a destination; a few complaints are no rate."""
    days = {day: many / lately.taken[day] for day, many in lately.complaints.items()}
    day = max(days, key=lambda one: days[one])
    many, of = lately.complaints[day], lately.taken[day]
    seen = f"{name}: {many:,} of {of:,} on {day}"
    said = {"provider": name, "date": day, "rate": f"{100 * days[day]:.2g} %"}
    if many < LEAST_COMPLAINTS or days[day] < HIGH:
        return passed(f"{seen}, by the complaints that were reported")
    return (failed if days[day] >= TOO_HIGH else warned)(seen, **said)


def grown(facts: Facts) -> Iterator[Verdict]:
    """BULK-RAMP: nobody gets twice as much in a day as in any day of the last week."""
    facts.of(Listed)
    traffic = facts.of(Traffic)
    found = 0
    for name in sorted(traffic.planned, key=lambda one: -traffic.planned[one])[:MOST]:
        taken = dict(traffic.lately.get(name, Lately()).taken)
        today = traffic.planned[name] + taken.pop(traffic.today, 0)
        most = max(taken.values(), default=0)
        if today > max(FEW, DOUBLE * most):
            found += 1
            evidence = f"{name}: at most {most:,} on one of the last {DAYS} days"
            yield warned(evidence, n=f"{today:,}", provider=name, most=f"{most:,}")
    if not found:
        yield passed(f"no more than {FEW:,} a day to anybody, or twice what was")


def apart(facts: Facts) -> Iterator[Verdict]:
    """BULK-STREAMS: marketing and transactional mail share neither From nor signature."""
    streams, purpose = facts.of(Streams), facts.campaign.message.purpose
    for what, campaign in streams.shared.items():
        yield warned(f"{campaign} has it too, and is not {purpose}", sender=what)
    if not streams.shared:
        yield passed(f"runs of the last {STREAM_DAYS} days: {streams.runs}")


CHECKS: dict[str, Check] = {
    "BULK-SPAMRATE": commercial(complained),
    "BULK-RAMP": grown,
    "BULK-STREAMS": apart,
}
