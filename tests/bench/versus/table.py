"""What the benchmark beside nodemailer prints: the section of the page, and the last line."""

from dataclasses import dataclass

from bench.versus.campaign import CONNECTIONS
from bench.versus.machine import described
from bench.versus.page import table
from bench.versus.sending import Sending


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured.  Rates are messages a second, `delay` is in seconds.

    `near` and `far` have nodemailer's sending and ours; `waiting` is the near and the far one of
    the nodemailer that does not pipeline.  `postfix`, and `signing` with OpenDKIM beside it, are
    None where they could not be had; `wall` has the signatures a second of one processor and of
    all.
    """

    near: tuple[Sending, Sending]
    far: tuple[Sending, Sending]
    waiting: tuple[Sending, Sending]
    delay: float
    postfix: float | None
    signing: float | None
    wall: tuple[float, float]


def figures(measured: Measured) -> dict[str, float]:
    """What programs read: rates in messages a second, the main process's peak in MB."""
    theirs, ours = measured.near
    return {
        "mailblast": round(ours.rate, 1),
        "nodemailer": round(theirs.rate, 1),
        "ratio": round(ours.rate / theirs.rate, 2),
        "wall": round(measured.wall[1], 1),
        "peak_mb": round(ours.usage.main_mb),
        "recipients": ours.count,
    }


def section(measured: Measured) -> str:
    """The section of docs/benchmarks.md."""
    theirs, ours = measured.near
    far = measured.far[1]
    most = CONNECTIONS / (2 * measured.delay)
    return f"""\
{ours.count:,} recipients, {CONNECTIONS} connections, a personal letter in HTML and text, signed
with RSA-2048; {far.count:,} recipients where the receiver is a round trip of
{measured.delay * 1000:.0f} ms away. {described()}.

{table(("messages a second", "mailblast", "nodemailer", "ratio", "goal"), _pairs(measured))}
With the delay, two round trips a message leave {most:,.0f} at the most on so many connections.
The older nodemailer awaits the reply to each command; the newer one pipelines, as mailblast does.

{table(("a second", "", "mailblast to it", "goal"), _beside(measured))}
{table(("memory at the peak, MB", "mailblast", "nodemailer"), [
    _row("main process", ours.usage.main_mb, theirs.usage.main_mb),
    _row("all processes together", ours.usage.all_mb, theirs.usage.all_mb),
])}"""  # fmt: skip


def _pairs(measured: Measured) -> list[tuple[str, ...]]:
    theirs, ours = measured.near
    far_theirs, far_ours = measured.far
    near_older, far_older = measured.waiting
    far = f"{measured.delay * 1000:.0f} ms away"
    return [
        _compared("while sending", ours.rate, theirs.rate, "≥ 6"),
        _compared("while sending, beside nodemailer 10.0", ours.rate, near_older.rate, "≥ 6"),
        _compared("from the command to its end", ours.whole_rate, theirs.whole_rate),
        _compared("for each second of one processor", ours.per_processor_second,
                  theirs.per_processor_second),
        _compared(far, far_ours.rate, far_theirs.rate),
        _compared(f"{far}, beside nodemailer 10.0", far_ours.rate, far_older.rate, "≥ 1.9"),
    ]  # fmt: skip


def _compared(what: str, ours: float, theirs: float, goal: str = "") -> tuple[str, ...]:
    return *_row(what, ours, theirs), f"{ours / theirs:.2f}", goal


def _row(what: str, ours: float, theirs: float) -> tuple[str, ...]:
    return what, f"{ours:,.0f}", f"{theirs:,.0f}"


def _beside(measured: Measured) -> list[tuple[str, ...]]:
    ours = measured.near[1].rate
    found = [
        ("Postfix as a relay: unsigned, queued with fsync, delivered", measured.postfix,
         "≥ 3"),
        ("the same, each message signed with RSA-2048 by OpenDKIM", measured.signing, "≥ 3"),
        ("`openssl`, RSA-2048 signatures, one core", measured.wall[0], ""),
        ("the same, all cores: the wall", measured.wall[1], ""),
    ]  # fmt: skip
    return [
        (what, f"{rate:,.0f}", f"{ours / rate:.2f}", goal)
        for what, rate, goal in found
        if rate
    ]
