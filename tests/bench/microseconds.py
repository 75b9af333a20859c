"""Where a message's microseconds go: each step by itself, with the code that sends.

    make microseconds            20,000 messages; writes its section of docs/performance.md
    make microseconds N=2000     a short one; writes nothing

Processor time, not time that passes: what else the machine does, and how long the disk and
the receiver take, counts for little.  Then the whole program, all its processes included:
what one message more takes, which beyond the steps is the schedule, the tasks and the screen;
and what it takes once, which is its start.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop
from bench.versus.campaign import CONNECTIONS, written
from bench.versus.machine import WORK, described, need
from bench.versus.page import PERFORMANCE, rewrite, table
from bench.versus.receiver import receiver
from bench.versus.sending import of_mailblast
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailblast.compose import Message
from mailblast.due import Due
from mailblast.event import Event, EventKind
from mailblast.ledger import Claim
from mailblast.pool import Pool
from mailblast.send import Plan, Request, prepared
from mailblast.smtp.protocol import Envelope, Ready
from mailblast.smtp.session import Server, Session

FULL = 20_000
ROUNDS = 5  # the best of so many counts
ROUND = 200  # messages of a count
CLAIMED = 1_000  # messages claimed at a time, as `send.feeder` does
COMPOSED = 50  # messages composed at a time, as there


class Step(NamedTuple):
    """What is done, in which process, and how long it takes a processor for one message."""

    what: str
    where: str
    microseconds: float


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1])
    need({"smtp-sink": "postfix"})
    text = section(count, *measure(count))
    print(text)
    if count >= FULL:
        rewrite(PERFORMANCE, "microseconds", text)


def measure(count: int) -> tuple[list[Step], float]:
    """All steps and the whole; and the seconds that the whole takes once, at its start."""
    home = WORK / "microseconds"
    with receiver() as sink:
        steps = list(_steps(written(home, count, sink.port).absolute(), count, sink.port))
        few, many = (_whole(home, some, sink.port) for some in (count // 4, count))
    shutil.rmtree(home)
    each = (many - few) / (count - count // 4)
    steps += [
        Step("all these", "", sum(step.microseconds for step in steps)),
        Step("the whole program", "all", each),
    ]
    return steps, (many - each * count) / 1e6


def _whole(home: Path, count: int, port: int) -> float:
    """Microseconds of processor time that it takes to send so many."""
    sent = of_mailblast(written(home, count, port).absolute(), count)
    return sent.usage.processor * 1e6


def _steps(campaign: Path, count: int, port: int) -> Iterator[Step]:
    begun = time.process_time()
    with prepared(Request(campaign)) as plan:
        yield Step("read, checked and enrolled", "main", _since(begun, count))
        begun = time.process_time()
        dues = list(_claimed(plan))
        claiming = _since(begun, count)
        messages, rendered, built, composed = _composing(plan, dues)
        yield Step("rendered and built once before, to try it out", "worker", built)
        yield Step("claimed", "main", claiming)
        yield Step("rendered (Jinja2, tags)", "worker", rendered)
        yield Step("MIME parts and header", "worker", built - rendered)
        bare = _rsa(plan)
        yield Step("signed and hashed, without RSA", "worker", composed - built - bare)
        yield Step("RSA-2048 itself, in OpenSSL", "worker", bare)
        yield Step("handed over by the worker", "main", uvloop.run(_pool(plan, dues)))
        smtp = uvloop.run(_smtp(port, messages, count))
        yield Step("MAIL, RCPT, DATA, content, dot", "main", smtp)
        yield Step("`attempted` and `accepted`", "main", uvloop.run(_ledger(plan, dues)))


def _since(begun: float, count: int) -> float:
    return (time.process_time() - begun) / count * 1e6


def _claimed(plan: Plan) -> Iterator[Due]:
    """Everyone, in shares as large as the feeder takes them."""
    run, domains = plan.run, list(plan.domains)
    share = max(1, CLAIMED // len(domains))
    while True:
        wants = dict.fromkeys(domains, share)
        claim = Claim(run.number, run.campaign, "bench", time.time(), wants)
        taken = plan.ledger.deliveries.claim(claim).taken
        if not taken:
            return
        yield from taken


# --- Composing, in this process -------------------------------------------------------------


def _composing(
    plan: Plan, dues: Sequence[Due]
) -> tuple[list[Message], float, float, float]:
    """Some messages; and how long it takes to render, to build all but the signature, and
    to compose one."""
    composer, some = plan.workbench.composer(), dues[:ROUND]
    messages = [made for made in map(composer.compose, some) if isinstance(made, Message)]
    return (
        messages,
        _best(composer.render, some),
        _best(composer.check, some),
        _best(composer.compose, some),
    )


def _rsa(plan: Plan) -> float:
    """What of it nobody can save: OpenSSL."""
    key = load_pem_private_key(plan.workbench.dkim_keys[0], None)
    padding, algorithm = PKCS1v15(), SHA256()
    return _best(lambda data: key.sign(data, padding, algorithm), [b"x" * 1000] * ROUND)


def _best(work: Callable[[object], object], each: Sequence[object]) -> float:
    """Microseconds for one of them, in the best of some rounds."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for one in each:
            work(one)
        found.append(_since(begun, len(each)))
    return min(found)


# --- What goes over a socket or to the disk -------------------------------------------------


async def _pool(plan: Plan, dues: Sequence[Due]) -> float:
    """This process's part in having messages composed by a worker."""
    batches = [dues[at : at + COMPOSED] for at in range(0, len(dues), COMPOSED)]
    with _closing(Pool(plan.workbench, 1)) as pool:
        await pool.compose(batches[0])  # its start
        begun = time.process_time()
        for batch in batches:
            await pool.compose(batch)
        return _since(begun, len(dues))


@contextmanager
def _closing(pool: Pool) -> Iterator[Pool]:
    try:
        yield pool
    finally:
        pool.close()


async def _smtp(port: int, messages: Sequence[Message], count: int) -> float:
    """Sessions that have nothing else to do."""
    server = Server("127.0.0.1", port, security="none")
    sessions = [await Session.open(server) for _ in range(CONNECTIONS)]
    share = count // CONNECTIONS

    async def carry(session: Session) -> None:
        for n in range(share):
            message = messages[n % len(messages)]
            envelope = Envelope(message.return_path, message.recipient)
            ready = await session.offer(envelope, message.content)
            assert isinstance(ready, Ready), ready
            answer = await session.commit()
            assert answer.accepted, answer

    begun = time.process_time()
    await asyncio.gather(*map(carry, sessions))
    spent = _since(begun, share * CONNECTIONS)
    await asyncio.gather(*(session.quit() for session in sessions))
    return spent


async def _ledger(plan: Plan, dues: Sequence[Due]) -> float:
    """As many writers as there are connections, in one group commit."""
    commit = plan.ledger.group_commit(plan.run.campaign, plan.campaign.suppression)
    turns = iter(dues)

    async def account() -> None:
        for due in turns:
            now = time.time()
            made = Event(
                due.delivery, EventKind.ATTEMPTED, now, due.attempt, digest=bytes(32)
            )
            assert await commit.durable(made) is True
            said = Event(due.delivery, EventKind.ACCEPTED, now, due.attempt, code=250)
            commit.note(said)

    return await _timed(account, commit.close, len(dues))


async def _timed(
    work: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]], count: int
) -> float:
    begun = time.process_time()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    await end()
    return _since(begun, count)


def section(count: int, steps: Sequence[Step], once: float) -> str:
    """The section of docs/performance.md."""
    rows = [(step.what, step.where, f"{step.microseconds:,.0f}") for step in steps]
    return f"""\
{count:,} messages of 11 kB, {CONNECTIONS} connections. {described()}.

{table(("step", "process", "µs of a processor"), rows)}
The start of the program and its workers takes {once:.1f} s of a processor, once."""


if __name__ == "__main__":
    main()
