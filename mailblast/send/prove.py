"""What is tried before anything leaves: every row rendered, the first signature verified.

A row whose values cannot be mailed becomes `invalid`; a template that breaks on any row
stops the whole campaign while nothing was sent, so that row 40,312 cannot break at 3 a.m.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

from mailblast.due import Due
from mailblast.errors import Refusal, Refused
from mailblast.event import Disposition, Event, EventKind
from mailblast.ledger import Delivery
from mailblast.pool import Pool
from mailblast.reason import Reason
from mailblast.send.enrol import in_batches
from mailblast.send.prepare import Plan
from mailblast.send.request import Told
from mailblast.signing import verify

# Rows rendered without being asked to: some ten seconds on two cores.
RENDERED_UNASKED = 100_000

BATCH = 200
AT_ONCE = 4  # batches on their way to the pool


async def prove(plan: Plan, pool: Pool, told: Told, *, all_rows: bool) -> Plan:
    """Render what is due and verify the first message; gives back the plan as it is then.

    A row that cannot be mailed is `invalid` from then on.  Without `all_rows` only the first
    RENDERED_UNASKED rows are rendered.  A run that is taken up again has been through this.
    Raises TemplateError, or Refused when the signature does not hold.
    """
    await _verify_first(plan, pool)
    if plan.resumed:
        return plan
    most = plan.due if all_rows else min(plan.due, RENDERED_UNASKED)
    if await _render(plan, pool, told, most):
        plan = plan.again()
    return replace(plan, unrendered=max(0, plan.due - most))


async def _render(plan: Plan, pool: Pool, told: Told, most: int) -> int:
    """Render the first rows; says how many of them cannot be mailed."""
    rows = _due(plan, most)
    running: set[asyncio.Task[list[Event]]] = set()
    done = bad = 0
    for batch in in_batches(rows, BATCH):
        running.add(asyncio.create_task(_check(batch, pool)))
        if len(running) >= AT_ONCE:
            finished, running = await asyncio.wait(
                running, return_when=asyncio.FIRST_COMPLETED
            )
            bad += _record(plan, finished)
        done += len(batch)
        told("rendering every row", done, most)
    if running:
        bad += _record(plan, (await asyncio.wait(running))[0])
    return bad


def _record(plan: Plan, finished: set[asyncio.Task[list[Event]]]) -> int:
    facts = [fact for task in finished for fact in task.result()]
    plan.ledger.deliveries.record(facts)
    return len(facts)


async def _check(batch: list[Due], pool: Pool) -> list[Event]:
    now = time.time()
    return [
        Event(
            due.delivery, EventKind.INVALID, now, reason=Reason.UNRENDERABLE, text=found.why
        )
        for due, found in zip(batch, await pool.check(batch), strict=True)
        if found is not None
    ]


def _due(plan: Plan, most: int) -> Iterator[Due]:
    wanted = (Disposition.QUEUED, Disposition.DEFERRED)
    for number, delivery in enumerate(
        plan.ledger.deliveries.those(plan.run.number, *wanted)
    ):
        if number == most:
            return
        yield as_due(delivery, time.time())


def as_due(delivery: Delivery, now: float) -> Due:
    """A delivery as it would be claimed now."""
    return Due(
        delivery=delivery.id,
        row=delivery.row,
        mailbox=delivery.mailbox,
        domain=delivery.domain,
        smtputf8=not delivery.mailbox.isascii(),
        cells=delivery.cells,
        attempt=delivery.attempt,
        dated=now if delivery.dated is None else delivery.dated,
    )


async def _verify_first(plan: Plan, pool: Pool) -> None:
    """Have another implementation verify a message that we signed (RFC 6376 §6)."""
    signers = plan.workbench.signers()
    if not signers:
        return
    for due in _due(plan, 20):
        message = (await pool.compose([due]))[0]
        if isinstance(message, Refusal):
            continue
        if not all(verify(message.content, one.name, one.record()) for one in signers):
            raise Refused(
                "the DKIM signature of the first message does not verify",
                "nothing was sent; this is a fault of mailblast: please report it",
            )
        return
