"""Sending a campaign: what happens, in the order in which it happens.

1. `prepare`: the campaign is read, and held against the rules (`ready`); the list enters the
   ledger, where bad rows become `invalid` and suppressed ones `suppressed`; or the run that
   was begun before is taken up again.  Sending always means: to everyone still due.
2. `prove`: every row is rendered, and the first signature verified by another program.
3. Somebody agrees to the plan.
4. `execute`: `dispatch` claims, composes, offers and commits:
   `attempted` is durable before the final dot, so that a break is a visible doubt and never
   a silent second copy.
5. What destinations let us know is heeded (`standing`): they rest, or are paused.
6. The run is settled, or something is left: `outcome` says what.
"""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailblast.breaker import Breaker
from mailblast.errors import ConnectionFailed, LedgerError, MailblastError
from mailblast.event import Disposition
from mailblast.keys import key_path
from mailblast.ledger import Pause, Run
from mailblast.pool import SMALL, Pool
from mailblast.report import iso, with_due
from mailblast.runbook import RunBook
from mailblast.schedule import Schedule
from mailblast.send.book import Job, Ready
from mailblast.send.carrier import advice, carrier_of, inbox_of
from mailblast.send.dispatch import Dispatch, Road
from mailblast.send.outage import Watch, look_of
from mailblast.send.prepare import Plan, prepared, used_today
from mailblast.send.prove import prove
from mailblast.send.request import Request, Told, unheard
from mailblast.send.standing import Rest, Standing
from mailblast.send.tally import Tally
from mailblast.surge import Held, hold
from mailblast.throttle import Today

__all__ = [
    "Outcome",
    "Plan",
    "Request",
    "Tally",
    "deliver",
    "execute",
    "inbox_of",
    "pool_for",
    "prepared",
    "try_out",
]

Watched = Callable[[Tally], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a `send` ended.  `next_due` is in seconds since 1970."""

    run: Run
    dispositions: dict[Disposition, int]
    next_due: float | None
    interrupted: bool
    error: MailblastError | None = None
    paused: tuple[Pause, ...] = ()  # what holds the run, or destinations
    resting: tuple[Rest, ...] = ()
    held: tuple[Held, ...] = ()  # domains that called nearly everybody unknown
    inbox: Path | None = None  # of the practice Internet, if that was it

    @property
    def settled(self) -> bool:
        """Whether nothing is due and nothing doubtful."""
        return not any(self.dispositions.get(one, 0) for one in _UNSETTLED)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the sending itself ended."""

    interrupted: bool = False
    resting: tuple[Rest, ...] = ()


_UNSETTLED = (Disposition.QUEUED, Disposition.DEFERRED, Disposition.DOUBTFUL)


def pool_for(plan: Plan) -> Pool:
    """Workers, one a core; none where the run is too small for them to pay."""
    return Pool(plan.workbench, (os.cpu_count() or 1) if plan.due > SMALL else 0)


def try_out(plan: Plan, pool: Pool, told: Told, *, all_rows: bool) -> Plan:
    """Render every row and verify the first message; gives back the plan as it is then."""
    return asyncio.run(prove(plan, pool, told, all_rows=all_rows))


def execute(plan: Plan, pool: Pool, watched: Watched, limit: int | None = None) -> Outcome:
    """Send.  `watched` is called several times a second with what has happened so far.

    Ctrl-C lets every session finish its message; a second one breaks off.  An error that
    stopped the sending is in the outcome: what was sent before is no less true.
    """
    ledger, run = plan.ledger, plan.run
    book = RunBook(ledger.directory)
    book.put("runs", run.run, _settings(plan))
    if plan.resume_paused:
        ledger.pauses.lift(run.number, time.time())
    ledger.runs.enter(run.number, "started", started=run.started or time.time())
    error: MailblastError | None = None
    ended = _Ended()
    _collect_seldom()
    try:
        ended = _runner()(_send(plan, pool, watched, limit))
    except ConnectionFailed as found:
        found.hint = advice(found)
        error = found
    except MailblastError as found:
        error = found
    outcome = _outcome(plan, error, ended)
    try:
        return _conclude(plan, book, outcome)
    except LedgerError as found:
        # On a full disk: what was sent is in the ledger, and is told all the same.
        return replace(outcome, error=outcome.error or found)


def _collect_seldom() -> None:
    """What was made up to here stays; what a message leaves behind has no cycles in it."""
    gc.freeze()
    gc.set_threshold(50_000)


def _conclude(plan: Plan, book: RunBook, outcome: Outcome) -> Outcome:
    """Write down that the run has ended, if it has, and its sums."""
    runs, run = plan.ledger.runs, outcome.run
    ended = time.time() if outcome.settled else None
    if ended:
        runs.enter(run.number, "ended", ended=ended)
        outcome = replace(outcome, run=runs.numbered(run.number))
    document = {"ended": iso(ended), "dispositions": outcome.dispositions}
    book.put("runs", run.run, document)
    return replace(outcome, held=tuple(hold(plan.ledger, run.number, time.time())))


def deliver(plan: Plan, limit: int | None = None) -> Outcome:
    """Try out and send without a screen and without asking; for programs.

    Raises TemplateError or Refused when nothing may be sent.
    """
    pool = pool_for(plan)
    try:
        plan = try_out(plan, pool, unheard, all_rows=True)
        return execute(plan, pool, lambda _: None, limit)
    finally:
        pool.close()


def _runner() -> Callable[[Coroutine[None, None, _Ended]], _Ended]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _outcome(plan: Plan, error: MailblastError | None, ended: _Ended) -> Outcome:
    now = plan.again()
    due = with_due(plan.ledger.runs.destinations(plan.run.number))
    return Outcome(
        run=plan.ledger.runs.numbered(plan.run.number),
        dispositions=now.dispositions,
        next_due=now.next_due,
        interrupted=ended.interrupted,
        error=error,
        paused=tuple(plan.ledger.pauses.standing(plan.run.number)),
        resting=tuple(one for one in ended.resting if one.destination in due),
        inbox=inbox_of(plan) if plan.campaign.delivery.via == "sandbox" else None,
    )


def _settings(plan: Plan) -> dict[str, Any]:
    """What the run book says of a run: enough to know later how it went out."""
    delivery, dkim = plan.campaign.delivery, plan.campaign.dkim
    return {
        "campaign": plan.run.campaign,
        "started": iso(plan.run.started or time.time()),
        "digest": plan.run.digest,
        "from": plan.campaign.sender.mailbox.address.mailbox,
        "via": delivery.via,
        "host": delivery.host,
        "dkim_key": str(key_path(dkim, plan.workspace)) if dkim else "",
        "machine": socket.gethostname(),
        **plan.readiness.document(),
    }


async def _send(plan: Plan, pool: Pool, watched: Watched, limit: int | None) -> _Ended:
    """Send what is due; says how it ended."""
    job, tally = _job(plan, limit), Tally(plan.dispositions)
    schedule: Schedule[Ready] = Schedule(
        plan.table.limits,
        Today.of(time.time(), time.monotonic()),
        used_today(plan.ledger, plan.table),
    )
    standing = Standing(
        schedule,
        plan.table,
        Breaker(plan.campaign.breaker),
        plan.ledger,
        RunBook(plan.ledger.directory),
        practice=plan.campaign.delivery.via == "sandbox",
    )
    standing.recall(plan.run)
    async with AsyncExitStack() as stack:
        road = Road(schedule, standing, await carrier_of(plan, stack), pool)
        dispatch = Dispatch(job, road, plan.ledger, tally)
        pressed = _answer_ctrl_c(dispatch, tally)
        beside = [_tick(watched, tally)]
        if look := look_of(plan):
            beside.append(Watch(plan, standing).keep(look))
        tasks = [asyncio.create_task(one) for one in beside]
        try:
            await dispatch.go()
        finally:
            for task in tasks:
                task.cancel()
            watched(tally)
        return _Ended(bool(pressed), standing.resting())


def _job(plan: Plan, limit: int | None) -> Job:
    delivery = plan.campaign.delivery
    return Job(
        run=plan.run,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        connections=delivery.connections,
        retry=delivery.retry,
        give_up_after=delivery.give_up_after,
        wait=plan.wait,
        resend_doubtful=plan.resend_doubtful,
        limit=limit,
        policy=plan.campaign.suppression,
    )


def _answer_ctrl_c(dispatch: Dispatch, tally: Tally) -> list[int]:
    """The first asks every line to finish its message; the second breaks off."""
    pressed: list[int] = []

    def answer() -> None:
        tally.remark = "finishing what is on its way; Ctrl-C once more breaks off"
        (dispatch.abort if pressed else dispatch.stop)()
        pressed.append(1)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, answer)
    return pressed


async def _tick(watched: Watched, tally: Tally) -> None:
    while True:
        watched(tally)
        await asyncio.sleep(0.2)
