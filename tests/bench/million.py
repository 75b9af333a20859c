"""A million recipients: does it stay linear, small, and quick to take up again?

    make million            1,000,000; writes its section of docs/benchmarks.md
    make million N=20000    a short one; writes nothing

First a run from beginning to end: how soon it sends after the command, whether the last
tenth goes out as fast as the first, and how much memory the main process takes.  Then one
that is killed (SIGKILL) at half: how soon the next command sends again, and whether everyone
is accounted for afterwards.  The last line is one JSON object.
"""

import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.versus.campaign import CONNECTIONS, written
from bench.versus.machine import WORK, described, need
from bench.versus.page import BENCHMARKS, rewrite, table
from bench.versus.receiver import Receiver, receiver
from bench.versus.sending import ledger_of, of_mailblast, send
from bench.versus.usage import Usage

FULL = 1_000_000
UNSETTLED = 3  # the exit status of a run with doubtful ones left


@dataclass(frozen=True, slots=True)
class Whole:
    """A run from beginning to end.

    `start` is in seconds from the command to the first `attempted`; `first` and `last` are
    the rates of its first and last tenth, in messages a second.
    """

    start: float
    rate: float
    first: float
    last: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run that was killed with `accepted` messages accepted, and taken up again.

    `start` is in seconds from the second command to its first `attempted`.
    """

    accepted: int
    start: float
    doubtful: int


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    count = int(sys.argv[1])
    need({"smtp-sink": "postfix"})
    whole, resumed = undisturbed(count), broken_off(count)
    shutil.rmtree(WORK / "million")
    text = section(count, whole, resumed)
    print(text)
    if count >= FULL:
        rewrite(BENCHMARKS, "million", text)
    print(json.dumps(figures(count, whole, resumed)))


# --- The two runs ---------------------------------------------------------------------------


def undisturbed(count: int) -> Whole:
    """Send to everyone, and look at how that went."""
    with receiver() as sink:
        campaign = written(WORK / "million", count, sink.port).absolute()
        sent = of_mailblast(campaign, count)
        sink.reached(count)
    with ledger_of(campaign) as ledger:
        begun = ledger.execute(_FIRST, {"after": 0}).fetchone()[0]
        query = "SELECT at FROM events WHERE kind = 'accepted' ORDER BY at"
        times = [at for (at,) in ledger.execute(query)]
    tenth = max(2, count // 10)
    return Whole(
        start=begun - sent.usage.begun,
        rate=sent.rate,
        first=_rate(times[:tenth]),
        last=_rate(times[-tenth:]),
        usage=sent.usage,
    )


_FIRST = "SELECT min(at) FROM events WHERE kind = 'attempted' AND id > :after"


def _rate(times: list[float]) -> float:
    """Messages a second, from the first of them to the last."""
    return (len(times) - 1) / (times[-1] - times[0])


def broken_off(count: int) -> Resumed:
    """Send to half of them, be killed, and send to the others."""
    with receiver() as sink:
        campaign = written(WORK / "million", count, sink.port).absolute()
        _kill_at_half(campaign, count, sink)
        with ledger_of(campaign) as ledger:
            last = ledger.execute("SELECT max(id) FROM events").fetchone()[0]
            accepted = _in_disposition(campaign, "accepted")
        usage = send(campaign).ended(well=(0, UNSETTLED))
        doubtful = _in_disposition(campaign, "doubtful")
        if _in_disposition(campaign, "accepted") + doubtful != count:
            sys.exit("some are neither accepted nor doubtful")
        # What is doubtful may have arrived or not; nobody else may be missing, nobody twice.
        if not count - doubtful <= sink.count <= count:
            sys.exit(f"{sink.count} messages arrived, with {doubtful} doubtful")
    with ledger_of(campaign) as ledger:
        begun = ledger.execute(_FIRST, {"after": last}).fetchone()[0]
    return Resumed(accepted, begun - usage.begun, doubtful)


def _kill_at_half(campaign: Path, count: int, sink: Receiver) -> None:
    program = send(campaign)
    while sink.count < count // 2:
        if not program.running():
            sys.exit("the run ended before it had sent to half of them")
        time.sleep(0.005)
    program.kill()


def _in_disposition(campaign: Path, name: str) -> int:
    query = "SELECT count(*) FROM deliveries WHERE disposition = ?"
    with ledger_of(campaign) as ledger:
        return int(ledger.execute(query, (name,)).fetchone()[0])


# --- What is printed ------------------------------------------------------------------------


def figures(count: int, whole: Whole, resumed: Resumed) -> dict[str, object]:
    """What programs read: seconds, messages a second, MB."""
    found = {**asdict(whole), "main_mb": whole.usage.main_mb, "all_mb": whole.usage.all_mb}
    del found["usage"]
    found |= {f"resumed_{name}": value for name, value in asdict(resumed).items()}
    return {"recipients": count, **{key: round(found[key], 2) for key in found}}


def section(count: int, whole: Whole, resumed: Resumed) -> str:
    """The section of docs/benchmarks.md."""
    change, usage = whole.last / whole.first - 1, whole.usage
    tenth = f"{count // 10:,}"
    rows = [
        ("from the command to the first message", f"{whole.start:.1f} s", "≤ 60 s"),
        (f"the first {tenth}", f"{whole.first:,.0f} a second", ""),
        (f"the last {tenth}", f"{whole.last:,.0f} a second ({change:+.1%})", "within 10 %"),
        ("all, while sending", f"{whole.rate:,.0f} a second", ""),
        ("from the command to its end", f"{usage.whole:,.0f} s", ""),
        ("memory of the main process, at the peak", f"{usage.main_mb:,.0f} MB", "< 300 MB"),
        ("of all processes together", f"{usage.all_mb:,.0f} MB", ""),
        ("killed at half: from the next command to its first message",
         f"{resumed.start:.1f} s", "≤ 5 s"),
        ("doubtful afterwards", f"{resumed.doubtful}", f"≤ {CONNECTIONS}"),
    ]  # fmt: skip
    return f"""\
{count:,} recipients, {CONNECTIONS} connections, the same letter and list, the
receiver on the same machine. {described()}.

{table(("", "figure", "goal"), rows)}"""


if __name__ == "__main__":
    main()
