"""How we stand with each destination: what it lets us know, and what follows.

A reply that says *slower* rests it, silence makes it dead for a while, refusals for our own
fault pause it or the run.  How fast, whether alive and when to stop are decided by rules
(`throttle`, `pulse`, `breaker`); here they are told what happened, and what they decide is done:
what waits is given back, a pause is written down, what was learnt is kept for the next process.

Rule: nobody is suppressed, and nothing is refused, because a destination is held.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from mailblast.breaker import Breaker, Fault, Trip
from mailblast.destination import Route
from mailblast.disposition import Outcome
from mailblast.due import Due
from mailblast.errors import LedgerError
from mailblast.event import EventKind
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger, Pause, Run
from mailblast.provider import Destinations
from mailblast.reason import Reason
from mailblast.runbook import RunBook
from mailblast.schedule import Heard, Schedule
from mailblast.send.book import Ready
from mailblast.suppression.policy import doubts_us
from mailblast.throttle import LONGEST_REST, Pace
from mailblast.warned import keep_warnings

SHORT = 2.0  # seconds: for so long a destination may rest with messages at the ready


class Rest(NamedTuple):
    """A destination that has to wait, until when (seconds since 1970).

    `spent`: it has had what its day allows; else `said` is the reply it rests for.
    """

    destination: str
    until: float
    said: str = ""
    spent: bool = False


class Standing:
    """Tells the rules, and does what they decide."""

    def __init__(
        self,
        schedule: Schedule[Ready],
        table: Destinations,
        breaker: Breaker,
        ledger: Ledger,
        runbook: RunBook,
        *,
        practice: bool = False,
    ) -> None:
        """In practice nobody rests: waiting for hours would teach nothing."""
        self.on_held: Callable[[list[Ready]], None] = lambda _waiting: None
        self.on_stop: Callable[[], None] = lambda: None
        self.on_warned: Callable[[str], None] = lambda _why: None
        self._schedule = schedule
        self._table = table
        self._breaker = breaker
        self._ledger = ledger
        self._pauses = ledger.pauses
        self._runbook = runbook
        self._practice = practice
        self._down: dict[str, Outcome] = {}  # what the last silence of a dead one was
        self._last: dict[str, str] = {}  # what was said when it asked for less
        self._rests: dict[str, int] = {}
        self._providers: dict[str, str] = {}
        self._run: Run | None = None
        self._warned: set[tuple[str, Fault]] = set()  # what is told to be near a pause
        self._heeded: set[str] = set()  # where a pause was seen; "" is the run
        self._changed: set[str] = set()  # of whom something was learnt that is not kept

    # --- Before ----------------------------------------------------------------------------

    def recall(self, run: Run) -> None:
        """Go on with what earlier processes have learnt, and with the pauses that stand."""
        for document in () if self._practice else self._runbook.all(KIND):
            learnt = Learnt.from_document(document)
            if learnt.name and learnt.rest:
                self._recall(learnt)
        since = self._pauses.last_lifted(run.number)
        for verdict in self._ledger.runs.verdicts(run.number, since):
            self._breaker.take_over(*verdict)
        self._run = run
        self._heed(run)

    def _heed(self, run: Run) -> None:
        """Do what pauses ask for that were not here before: ours, or of what came back."""
        for pause in self._pauses.standing(run.number):
            if pause.destination in self._heeded:
                continue
            self._heeded.add(pause.destination)
            if pause.destination:
                self.on_held(self._schedule.pause(pause.destination))
            else:
                self.on_stop()

    def _recall(self, learnt: Learnt) -> None:
        # A clock that was set, or a slip of the pen, must not make a rest of years.
        left = min(learnt.rests_until - time.time(), LONGEST_REST)
        pace = Pace(learnt.window, learnt.rest, time.monotonic() + left)
        self._schedule.recall(learnt.name, pace)
        self._rests[learnt.name] = learnt.rests
        self._last[learnt.name] = learnt.last_refusal

    def provider(self, destination: str) -> str:
        """Who runs this destination, if that is known."""
        found = self._providers.get(destination)
        if found is None:
            found = self._providers[destination] = self._table.provider_of(destination)
        return found

    def down(self, destination: str) -> Outcome | None:
        """What keeps a dead destination from being tried now; None when it may be."""
        if self._schedule.dead_until(destination) <= time.monotonic():
            return None
        return self._down.get(destination)

    def held(self, destination: str) -> bool:
        """Whether nothing goes there for longer than is worth staying at the ready for."""
        return self._schedule.not_before(destination) > time.monotonic() + SHORT

    def let_go(self, destination: str) -> None:
        """Give back what waits for a destination, if it is held."""
        if self.held(destination):
            self.on_held(self._schedule.drain(destination))

    # --- What happened ---------------------------------------------------------------------

    def concluded(self, run: Run, route: Route, due: Due, outcome: Outcome) -> None:
        """A message came to its outcome at the destination of this route."""
        destination = route.destination
        if outcome.rest and not self._practice:
            self._asked_for_less(destination, outcome)
        elif outcome.code:
            self._schedule.heard(destination, Heard.ANSWER, time.monotonic())
        elif route.hosts:  # of the silence of a relay the destination knows nothing
            self._silent(destination, outcome)
        self.judged(run, destination, due, outcome)

    def accepted(self, run: Run, destination: str, due: Due) -> None:
        """The same for the most frequent outcome."""
        self._schedule.heard(destination, Heard.ANSWER, 0.0)
        self.judged(run, destination, due, _ACCEPTED)

    def judged(self, run: Run, destination: str, due: Due, outcome: Outcome) -> None:
        """A delivery came to its outcome, with or without a word from the destination."""
        if run.kind == "sample":
            return  # counted nowhere
        # A rule of the recipient's own is no fault of our authentication.
        theirs = outcome.reason is Reason.POLICY_AUTH and not doubts_us(outcome)
        reason = None if theirs else outcome.reason
        trip = self._breaker.happened(
            destination, due.delivery, outcome.kind, reason, stop=outcome.pause
        )
        if trip is not None:
            self.pause(run, trip)

    def pause(self, run: Run, trip: Trip) -> None:
        """Pause a destination, or the run, and write down why."""
        of_run = None if trip.destination else run.number
        self._pauses.add(Pause(of_run, trip.destination, trip.fault, trip.why, time.time()))
        if trip.destination:
            self.on_held(self._schedule.pause(trip.destination))
        else:
            self.on_stop()

    def _asked_for_less(self, destination: str, outcome: Outcome) -> None:
        now = time.monotonic()
        if self._schedule.pace(destination).until <= now:  # else it was on its way already
            self._rests[destination] = self._rests.get(destination, 0) + 1
        self._last[destination] = f"{outcome.code} {outcome.text}"
        self._changed.add(destination)
        self._schedule.heard(destination, Heard.SLOWER, now, outcome.rest)
        self.let_go(destination)

    def _silent(self, destination: str, outcome: Outcome) -> None:
        now = time.monotonic()
        self._schedule.heard(destination, Heard.SILENCE, now)
        if self._schedule.dead_until(destination) > now:
            self._down[destination] = outcome
            self.let_go(destination)

    def resting(self) -> tuple[Rest, ...]:
        """The destinations that rest, and those of whose day nothing is left."""
        now, wall = time.monotonic(), time.time()
        until = {name: self._schedule.pace(name).until for name in self._rests}
        rests = [
            Rest(name, wall + at - now, self._last[name])
            for name, at in until.items()
            if at > now
        ]
        spent = self._schedule.spent(now)
        return (*rests, *(Rest(name, wall + at - now, spent=True) for name, at in spent))

    # --- After -----------------------------------------------------------------------------

    def keep(self, *, all_known: bool = False) -> None:
        """Write down what was learnt since the last time; or all that is known, in the end.

        And see whether somebody else has paused something, for mail comes back meanwhile, and
        what is near a pause.
        """
        if self._run is not None:
            # If it lasts, the next event that cannot be written tells.
            with suppress(LedgerError):
                self._heed(self._run)
            self._warn(self._run)
        names = set(self._rests) if all_known else self._changed
        self._changed = set()
        if names:
            documents = {name: self._learnt(name).to_document() for name in names}
            self._runbook.put_all(KIND, documents)

    def _warn(self, run: Run) -> None:
        """Tell, once, what is near a pause."""
        near = [
            one
            for one in self._breaker.near()
            if (one.destination, one.fault) not in self._warned
        ]
        if near:
            self._warned.update((one.destination, one.fault) for one in near)
            keep_warnings(self._runbook, run.run, near, time.time())
            for one in near:
                self.on_warned(one.why)

    def _learnt(self, name: str) -> Learnt:
        now, wall, pace = time.monotonic(), time.time(), self._schedule.pace(name)
        return Learnt(
            name,
            self.provider(name),
            pace.window,
            rests=self._rests[name],
            rest=pace.rest,
            rests_until=max(0.0, wall + pace.until - now),
            last_refusal=self._last[name],
            at=wall,
        )


_ACCEPTED = Outcome(EventKind.ACCEPTED)
