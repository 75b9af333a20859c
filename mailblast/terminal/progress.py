"""Progress: a small table that is redrawn, or plain lines where there is no terminal."""

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mailblast.send import Tally
from mailblast.terminal.words import ORDER, STYLE, duration, number, visible

PLAIN_EVERY = 10.0  # seconds between lines of progress where there is no terminal


class Watching:
    """The display of a sending that is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=5, transient=True)
        self._began = time.monotonic()
        self._told_at = self._began
        self._remark = ""

    def __enter__(self) -> "Watching":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, tally: Tally) -> None:
        """Show how far it is."""
        if self._console.is_terminal:
            self._live.update(self._table(tally))
            return
        if tally.remark != self._remark:
            self._remark = tally.remark
            self._console.print(visible(tally.remark or "connected"), soft_wrap=True)
        if time.monotonic() - self._told_at >= PLAIN_EVERY:
            self._told_at = time.monotonic()
            self._console.print(self._line(tally), soft_wrap=True)

    def _line(self, tally: Tally) -> str:
        counts = ", ".join(
            f"{number(n)} {one}" for one, n in tally.dispositions.items() if n
        )
        done = number(tally.rows - tally.due)
        counts = counts or "nothing settled yet"
        return f"{done} of {number(tally.rows)} ({self._pace(tally)}): {counts}"

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
        if tally.deferrals:
            table.add_row("deferrals", number(tally.deferrals), "")
        for name, has in tally.slowest(3):
            table.add_row(visible(name), f"{number(has.waiting)} waiting", "")
        if tally.remark:
            table.add_row("", visible(tally.remark), "")
        return table
