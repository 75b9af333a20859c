"""Progress: what is redrawn on a terminal, or plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mailblast.errors import Refusal
from mailblast.quantity import counted, number
from mailblast.terminal.words import ORDER, STYLE, duration, visible, volume, warning

if TYPE_CHECKING:
    from mailblast.intake import Source
    from mailblast.mailbox import Mail
    from mailblast.send import Tally

REDRAW_EVERY = 0.2  # seconds, on a terminal
PLAIN_EVERY = 10.0  # seconds between lines of progress where there is no terminal


class Watching:
    """The display of a sending that is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=5, transient=True)
        self._began = time.monotonic()
        self._told_at = self._began
        self._remark = ""
        self._warned = 0  # how many warnings were shown

    def __enter__(self) -> Watching:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, tally: Tally) -> None:
        """Show how far it is."""
        for why in tally.warnings[self._warned :]:  # above what is drawn anew
            self._console.print(warning(why), soft_wrap=True)
        self._warned = len(tally.warnings)
        if self._console.is_terminal:
            self._live.update(self._table(tally))
            return
        if tally.remark != self._remark:
            self._remark = tally.remark
            self._console.print(visible(tally.remark or "going on"), soft_wrap=True)
        if time.monotonic() - self._told_at >= PLAIN_EVERY:
            self._told_at = time.monotonic()
            self._console.print(self._line(tally), soft_wrap=True)

    def _line(self, tally: Tally) -> str:
        counts = [f"{number(n)} {one}" for one, n in tally.dispositions.items() if n]
        if tally.awaiting:
            counts.append(f"{number(tally.awaiting)} awaiting an answer")
        done = number(tally.rows - tally.due)
        told = ", ".join(counts) or "nothing settled yet"
        return f"{done} of {number(tally.rows)} ({self._pace(tally)}): {told}"

    def _pace(self, tally: Tally) -> str:
        seconds = time.monotonic() - self._began
        rate = tally.settled_now / seconds if seconds > 0.5 else 0.0
        left = f", {duration(tally.due / rate)} left" if rate > 0 and tally.due else ""
        return f"{rate:,.0f} a second{left}"

    def _table(self, tally: Tally) -> Table:
        table = Table.grid(padding=(0, 2))
        done = tally.rows - tally.due
        table.add_row("done", f"{number(done)} of {number(tally.rows)}", self._pace(tally))
        for one in ORDER:
            if count := tally.dispositions.get(one, 0):
                table.add_row(Text(one, style=STYLE.get(one, "")), number(count), "")
        if tally.awaiting:
            table.add_row("awaiting", f"{number(tally.awaiting)} answers", "")
        if tally.deferrals:
            table.add_row("deferrals", number(tally.deferrals), "")
        for name, has in tally.slowest(3):
            table.add_row(visible(name), f"{number(has.waiting)} waiting", "")
        if tally.remark:
            table.add_row("", visible(tally.remark), "")
        return table


def followed(console: Console, source: Source) -> Iterator[Mail | Refusal]:
    """The mails of a source, counted as they go by."""
    began = told_at = time.monotonic()
    every = REDRAW_EVERY if console.is_terminal else PLAIN_EVERY
    live = Live(console=console, auto_refresh=False, transient=True)
    if console.is_terminal:
        live.start()
    try:
        for count, mail in enumerate(source, 1):
            yield mail
            now = time.monotonic()
            if now - told_at < every:
                continue
            told_at = now
            line = _how_far(source, count, now - began)
            if console.is_terminal:
                live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            else:
                console.print(line, soft_wrap=True)
    finally:
        live.stop()


def _how_far(source: Source, count: int, seconds: float) -> str:
    """`reading inbox.mbox: 45 % of 2.1 GB, 12,345 mails (812 a second, 40 s left)`."""
    done, total = source.done, source.total
    rate = f"{count / seconds:,.0f} a second"
    if not total:
        return f"reading {visible(source.source)}: {counted(count, 'mail')} ({rate})"
    of = volume(total) if source.unit == "bytes" else f"{number(total)} {source.unit}"
    left = duration(seconds * (total - done) / done) if done else "?"
    share = f"{100 * done / total:.0f} % of {of}, {counted(count, 'mail')}"
    return f"reading {visible(source.source)}: {share} ({rate}, {left} left)"
