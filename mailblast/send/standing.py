"""How we stand with each destination: what it lets us know, and what follows.

A reply that says *slower* rests it, silence makes it dead for a while, refusals for our own
fault pause it or the run.  How fast, whether alive and when to stop are decided by rules
(`throttle`, `pulse`, `breaker`); here they are told what happened, and what they decide is done:
what waits is given back, a pause is written down, what was learnt is kept for the next process.

Rule: nobody is suppressed, and nothing is refused, because a destination is held.
"""

import math
import time
from collections.abc import Callable

from mailblast.breaker import Breaker, Trip
from mailblast.compose import Due
from mailblast.destination import Route
from mailblast.disposition import Outcome
from mailblast.event import EventKind
from mailblast.learnt import KIND, Learnt
from mailblast.ledger import Ledger, Pause
from mailblast.provider import Destinations
from mailblast.runbook import RunBook
from mailblast.schedule import Heard, Schedule
from mailblast.send.book import Ready
from mailblast.throttle import Pace

SHORT = 2.0  # seconds: for so long a destination may rest with messages at the ready


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
        self.trips: list[Trip] = []  # of this process
        self.on_held: Callable[[list[Ready]], None] = lambda _waiting: None
        self.on_stop: Callable[[], None] = lambda: None
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
        self._changed = False  # since what was learnt was kept

    # --- Before ----------------------------------------------------------------------------

    def recall(self, run: int) -> None:
        """Go on with what earlier processes have learnt, and with the pauses that stand."""
        now, wall = time.monotonic(), time.time()
        for document in self._runbook.all(KIND):
            learnt = Learnt.from_document(document)
            if learnt.name and (learnt.rests_until > wall or learnt.rest):
                until = now + learnt.rests_until - wall
                self._schedule.recall(learnt.name, Pace(learnt.window, learnt.rest, until))
                self._rests[learnt.name] = learnt.rests
                self._last[learnt.name] = learnt.last_refusal
        since = self._pauses.last_lifted(run)
        for verdict in self._ledger.runs.verdicts(run, since):
            self._breaker.take_over(*verdict)
        for pause in self._pauses.standing(run):
            if pause.destination:
                self._schedule.pause(pause.destination)

    def provider(self, destination: str) -> str:
        """Who runs this destination, if that is known."""
        found = self._providers.get(destination)
        if found is None:
            found = self._providers[destination] = self._table.provider_of(destination)
        return found

    def down(self, destination: str) -> Outcome | None:
        """What keeps a dead destination from being tried now; None when it may be."""
        outcome = self._down.get(destination)
        if outcome is None or self._schedule.not_before(destination) <= time.monotonic():
            return None
        return outcome

    def hold(self, destination: str) -> None:
        """Give back what waits for a destination that will rest for long."""
        if self._schedule.not_before(destination) > time.monotonic() + SHORT:
            waiting = self._schedule.drain(destination)
            if waiting:
                self.on_held(waiting)

    # --- What happened ---------------------------------------------------------------------

    def concluded(self, run: int, route: Route, due: Due, outcome: Outcome) -> None:
        """A message came to its outcome at the destination of this route."""
        destination = route.destination
        if outcome.rest and not self._practice:
            self._asked_for_less(destination, outcome)
        elif outcome.code:
            self._down.pop(destination, None)
            self._schedule.heard(destination, Heard.ANSWER, time.monotonic())
        elif route.hosts:  # of the silence of a relay the destination knows nothing
            self._silent(destination, outcome)
        trip = self._breaker.happened(
            destination, due.delivery, outcome.kind, outcome.reason, stop=outcome.pause
        )
        if trip is not None:
            self._tripped(run, trip)

    def accepted(self, run: int, destination: str, due: Due) -> None:
        """The same for the most frequent outcome."""
        self._schedule.heard(destination, Heard.ANSWER, 0.0)
        trip = self._breaker.happened(destination, due.delivery, EventKind.ACCEPTED)
        if trip is not None:
            self._tripped(run, trip)

    def _asked_for_less(self, destination: str, outcome: Outcome) -> None:
        self._rests[destination] = self._rests.get(destination, 0) + 1
        self._last[destination] = f"{outcome.code} {outcome.text}"
        self._changed = True
        self._schedule.heard(destination, Heard.SLOWER, time.monotonic(), outcome.rest)
        self.hold(destination)

    def _silent(self, destination: str, outcome: Outcome) -> None:
        now = time.monotonic()
        if self._schedule.heard(destination, Heard.SILENCE, now) > now + SHORT:
            self._down[destination] = outcome
            self.hold(destination)

    def _tripped(self, run: int, trip: Trip) -> None:
        self.trips.append(trip)
        self._changed = True
        of_run = None if trip.destination else run
        self._pauses.add(Pause(of_run, trip.destination, trip.fault, trip.why, time.time()))
        if trip.destination:
            self.on_held(self._schedule.pause(trip.destination))
        else:
            self.on_stop()

    def resting(self) -> tuple[tuple[str, float], ...]:
        """The destinations that rest, each until when, in seconds since 1970."""
        now, wall = time.monotonic(), time.time()
        until = {name: self._schedule.not_before(name) for name in self._rests}
        return tuple(
            (name, wall + at - now) for name, at in until.items() if now < at < math.inf
        )

    # --- After -----------------------------------------------------------------------------

    def keep(self) -> None:
        """Write down what was learnt, if there is anything new."""
        if not self._changed:
            return
        self._changed = False
        now, wall = time.monotonic(), time.time()
        paused = {trip.destination: trip.why for trip in self.trips}
        for name in {*self._schedule.troubled(), *self._rests, *paused} - {""}:
            pace = self._schedule.pace(name)
            learnt = Learnt(
                name,
                self.provider(name),
                pace.window,
                rests=self._rests.get(name, 0),
                rest=pace.rest,
                rests_until=max(0.0, wall + pace.until - now) if pace.rest else 0.0,
                last_refusal=self._last.get(name, ""),
                paused=paused.get(name, ""),
                at=wall,
            )
            self._runbook.put(KIND, name, learnt.to_document())
