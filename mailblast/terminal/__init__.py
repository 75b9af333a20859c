"""The screen: everything that is shown, and nothing that is decided.

Text for people goes to standard error when standard output carries JSON or a message;
colours and redrawing only where there is a terminal (NO_COLOR is honoured).  What came from a
list, a mail or a server is shown with its control characters made visible.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mailblast.event import Disposition
from mailblast.quantity import counted, number
from mailblast.terminal.destinations import limits_in_words, own_limits
from mailblast.terminal.notices import imported, in_short, marked, story
from mailblast.terminal.progress import PLAIN_EVERY, Watching, followed
from mailblast.terminal.words import (
    MEANING,
    ORDER,
    STYLE,
    after_report,
    duration,
    holds,
    in_doubt,
    moment,
    next_steps,
    rules_of,
    visible,
    visible_lines,
)

if TYPE_CHECKING:
    from mailblast.compose import Message
    from mailblast.errors import Refusal
    from mailblast.event import Event
    from mailblast.intake import Source
    from mailblast.keys import PublicKey
    from mailblast.learnt import Learnt
    from mailblast.ledger import Delivery, Pause, Returned, Run
    from mailblast.mailbox import Mail
    from mailblast.reason import Reason
    from mailblast.report import RunReport
    from mailblast.send import Outcome, Plan

REASONS_SHOWN = 10  # of rows that cannot be mailed, where nobody can

NAME_WIDTH = 24  # for names of destinations; on a narrower screen they stand in lines


class Screen:
    """Where things are shown."""

    def __init__(self, *, json: bool = False) -> None:
        # No markup, no emoji: "[Offer]" in a subject is a word, and "[/]" must not stop a run.
        self.out = _console(stderr=json)
        self.err = _console(stderr=True)
        self._told_at = 0.0
        self._stage = ""

    # --- Words -----------------------------------------------------------------------------

    def say(self, text: str = "", style: str = "") -> None:
        """A line."""
        self.out.print(Text(text, style=style), soft_wrap=True)

    def note(self, text: str) -> None:
        """A line for people, which is no part of what was asked for."""
        self.err.print(Text(text), soft_wrap=True)

    def _table(self, table: Table) -> None:
        """A table, without the blanks that fill up its lines: they make noise in a file."""
        if self.out.is_terminal:
            self.out.print(table)
            return
        with self.out.capture() as captured:
            self.out.print(table)
        for line in captured.get().splitlines():
            self.say(line.rstrip())

    def error(self, what: str, hint: str = "") -> None:
        """What went wrong, and what to do."""
        self.err.print(Text(visible_lines(what), style="red"), soft_wrap=True)
        if hint:
            self.err.print(Text(visible_lines(hint)), soft_wrap=True)

    def ask(self, question: str) -> bool:
        """A question to be answered with y; anything else is no."""
        self.err.print(f"{question} [y/N] ", end="")
        try:
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        except KeyboardInterrupt:
            return False

    def told(self, stage: str, done: int, total: int | None) -> None:
        """How far a stage has come: one line, redrawn on a terminal."""
        now = time.monotonic()
        new = stage != self._stage
        finished = done == total
        every = 0.1 if self.err.is_terminal else PLAIN_EVERY
        if not new and not finished and now - self._told_at < every:
            return
        self._stage, self._told_at = stage, now
        of = f" of {number(total)}" if total is not None else ""
        line = f"{stage}: {number(done)}{of}"
        if self.err.is_terminal:
            self.err.print(Text(line), end="\n" if finished else "\r")
        elif not new or finished:
            self.err.print(line)

    # --- The plan --------------------------------------------------------------------------

    def plan(self, plan: Plan, limit: int | None) -> None:
        """What will happen; `limit` is how many messages at most."""
        campaign, delivery = plan.campaign, plan.campaign.delivery
        rows = sum(plan.dispositions.values())
        table = Table.grid(padding=(0, 2))
        table.add_row("Run", plan.run.run + (", taken up again" if plan.resumed else ""))
        counts = ", ".join(
            f"{number(plan.dispositions[one])} {one}"
            for one in ORDER
            if plan.dispositions.get(one)
        )
        table.add_row("List", f"{number(rows)} rows: {counts}")
        table.add_row("Due now", _due(plan))
        if limit is not None and limit < plan.due:
            table.add_row("", f"only {number(limit)} of them go now (--limit)")
        if plan.to_me is not None:
            table.add_row("To", f"{visible(plan.to_me.mailbox)}: samples of these rows")
        sender = campaign.sender.mailbox
        table.add_row("From", visible(f"{sender.name} <{sender.address.mailbox}>".strip()))
        table.add_row("Subject", visible(campaign.message.subject))
        table.add_row("Via", _via(plan))
        table.add_row(
            "Limits",
            f"a destination: {limits_in_words(plan.table.limits(''))}; "
            f"{delivery.connections} connections in all",
        )
        for line in own_limits(plan):
            table.add_row("", line)
        if later := plan.another_day:
            what = counted(later, "message")
            table.add_row("", f"the caps of today (UTC) leave {what} for another day")
        if plan.unfinished:
            goes_on = "goes on without --new-run; who has had its message gets this one too"
            table.add_row("Begun", f"{plan.unfinished} is not finished, and {goes_on}")
        for pause in plan.paused:
            table.add_row("Paused", visible(f"{pause.destination}: {pause.why}"))
        keys = campaign.dkim.keys if campaign.dkim else ()
        signed = [f"{k.algorithm}, {k.selector}._domainkey.{k.domain}" for k in keys]
        signed += [f"a practice key was made: {path.name}" for path in plan.new_keys]
        for n, line in enumerate(signed or ["no"]):
            table.add_row("" if n else "Signed", line)
        for line in rules_of(plan.readiness, campaign.directory):
            table.add_row("Rules", line)
        if plan.unrendered:
            table.add_row(
                "Rendered",
                f"{number(plan.due - plan.unrendered)} rows were tried out, "
                f"{number(plan.unrendered)} not: --render-all tries them all",
            )
        least = plan.seconds
        table.add_row(
            "Time",
            f"at least {duration(least)}" if least else "as fast as the server takes it",
        )
        self._table(table)

    # --- Sending ---------------------------------------------------------------------------

    def watching(self) -> Watching:
        """The display of a run that is going on; a context manager."""
        return Watching(self.err)

    def outcome(self, outcome: Outcome) -> None:
        """How the sending ended, and what to do next."""
        self.say()
        self._dispositions(outcome.dispositions)
        for line in next_steps(outcome):
            self.say(line)

    def nothing_due(self, plan: Plan, rejected: Iterable[tuple[Delivery, str]]) -> None:
        """There is nothing to send; `rejected` are the rows that cannot be mailed, and why."""
        if plan.resumed:
            self.say(
                "Nothing is due. To send it to the whole list again as a new mailing: --new-run."
            )
        else:
            self._nobody(plan, rejected)
        if doubtful := plan.dispositions.get(Disposition.DOUBTFUL, 0):
            self.say(in_doubt(doubtful, plan.run.run))

    def _nobody(self, plan: Plan, rejected: Iterable[tuple[Delivery, str]]) -> None:
        """Why nobody can be mailed: the sums, and the first rows with their reasons."""
        self.say("Nobody in the list can be mailed.")
        self._dispositions(plan.dispositions)
        name = plan.campaign.recipients.file.name
        for row, why in islice(rejected, REASONS_SHOWN):
            self.say(visible(f"{name}:{row.line}: {why}"))

    # --- Messages --------------------------------------------------------------------------

    def message(
        self, message: Message, headers: list[tuple[str, str]], text: str, parts: list[str]
    ) -> None:
        """A message in readable form."""
        self.say(f"Return-Path: <{visible(message.return_path)}>", "dim")
        for name, value in headers:
            self.say(visible(f"{name}: {value}"))
        self.say()
        self.say(visible_lines(text.replace("\r\n", "\n")))
        for part in parts:
            self.say(visible(f"[{part}]"), "dim")

    def proof(self, proven: bool | None) -> None:
        """Whether the bytes shown are those that were sent."""
        said = {
            True: "These are the bytes that were offered: their SHA-256 is the ledger's.",
            False: "These are NOT the bytes that were offered: their SHA-256 differs.",
            None: "This message was not offered yet.",
        }
        self.err.print(said[proven], soft_wrap=True)

    def public_key(self, key: PublicKey) -> None:
        """What to publish for a new key."""
        self.say(f"wrote {key.path} (only you can read it)")
        self.say("Publish this TXT record:")
        self.say()
        self.out.print(Text(f"{key.name}. IN TXT ( {_txt(key.record)} )"), soft_wrap=True)

    # --- What came back --------------------------------------------------------------------

    def reading(self, source: Source) -> Iterator[Mail | Refusal]:
        """The mails of a source, counted on the screen as they go by."""
        return followed(self.err, source)

    def came_back(
        self, counts: Mapping[str, int], kinds: Mapping[str, int], tied: Mapping[str, int]
    ) -> None:
        """What an import found."""
        for line in imported(counts, kinds, tied):
            self.say(line)

    # --- Reports ---------------------------------------------------------------------------

    def report(self, report: RunReport, *, rehearsal: bool = False) -> None:
        """One run in sums."""
        run = report.run
        ended = f", ended {moment(run.ended)}" if run.ended else ", not ended"
        self.say(f"{run.run}  ({run.campaign})", "bold")
        self.say(f"started {moment(run.started or run.created)}{ended}")
        self.say()
        self._dispositions(report.dispositions)
        for line in marked(report.marks):
            self.say(line)
        if report.reasons:
            self._reasons(report.reasons)
        if report.destinations:
            self._destinations(report.destinations)
        if report.came_back:
            self.say(f"What came back: {in_short(report.came_back)}.")
        for line in after_report(report, rehearsal=rehearsal):
            self.say(line)

    def _dispositions(self, counts: dict[Disposition, int]) -> None:
        rows = sum(counts.values())
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column("disposition")
        table.add_column("rows", justify="right")
        table.add_column("share", justify="right")
        table.add_column("what it means", overflow="fold", style="dim")
        for one in ORDER:
            if count := counts.get(one, 0):
                share = f"{100 * count / rows:.1f} %"
                name = Text(one, style=STYLE.get(one, ""))
                table.add_row(name, number(count), share, MEANING[one])
        table.add_row("all rows", number(rows), "", "")
        self._table(table)
        self.say()

    def _reasons(self, reasons: dict[Reason, int]) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column("reason")
        table.add_column("rows", justify="right")
        table.add_column("whose matter")
        for reason, count in reasons.items():
            table.add_row(reason, number(count), reason.scope)
        self._table(table)
        self.say()

    def _destinations(
        self, destinations: dict[str, dict[Disposition, int]], most: int = 15
    ) -> None:
        shown = [one for one in ORDER if any(one in has for has in destinations.values())]
        ranked = sorted(destinations.items(), key=lambda item: -sum(item[1].values()))
        if self.out.width < NAME_WIDTH + sum(len(one) + 2 for one in shown):
            for name, has in ranked[:most]:
                counts = (f"{number(has[one])} {one}" for one in shown if one in has)
                self.say(f"{visible(name)}: {', '.join(counts)}")
        else:
            self._table(_columns(shown, ranked[:most]))
        if len(ranked) > most:
            self.say(
                f"and {number(len(ranked) - most)} more destinations; --json has them all"
            )
        self.say()

    def runs(self, runs: Iterable[Run]) -> None:
        """Runs, a line each."""
        for run in runs:
            self.say(
                f"{run.run}  {run.state}  started {moment(run.started or run.created)}"
            )

    def story(
        self,
        run: Run,
        delivery: Delivery,
        history: Sequence[Event],
        returned: Sequence[Returned],
    ) -> None:
        """What happened to one recipient in one run."""
        self.say(f"{visible(delivery.mailbox)}  {run.run}, row {delivery.row}", "bold")
        for line in story(delivery, history, returned):
            self.say(line)

    def held(
        self,
        pauses: Iterable[Pause],
        resting: Iterable[Learnt],
        campaign: str = "",
        *,
        rehearsal: bool = False,
    ) -> None:
        """What holds the mail that is due, of this campaign or of any."""
        for line in holds(pauses, resting, campaign, rehearsal=rehearsal):
            self.say(line)


def _columns(
    shown: Sequence[Disposition], ranked: Sequence[tuple[str, Mapping[Disposition, int]]]
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("destination", overflow="fold")
    for one in shown:
        table.add_column(one, justify="right")
    for name, has in ranked:
        cells = (number(has[one]) if one in has else "" for one in shown)
        table.add_row(visible(name), *cells)
    return table


def _console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def _txt(record: str) -> str:
    # A character-string in a TXT record holds 255 octets (RFC 1035 §3.3).
    return " ".join(f'"{record[at : at + 250]}"' for at in range(0, len(record), 250))


def _due(plan: Plan) -> str:
    due = f"{counted(plan.due, 'message')} to {counted(len(plan.by_destination()), 'destination')}"
    if plan.doubtful:
        due = f"{counted(plan.due, 'message')}, {number(plan.doubtful)} of them doubtful till now"
    if plan.next_due:
        due += f"; more are deferred, the next until {moment(plan.next_due)}"
    return due


def _via(plan: Plan) -> str:
    delivery = plan.campaign.delivery
    if delivery.via == "sandbox":
        return "the practice Internet on this machine: nothing leaves it"
    if delivery.via == "maildir":
        return f"files in {delivery.maildir}"
    if delivery.via == "direct":
        source = f", from {' and '.join(delivery.source)}" if delivery.source else ""
        loopback = "; loopback is open" if delivery.allow_loopback else ""
        return f"direct to each domain's mail hosts, as {delivery.ehlo}{source}{loopback}"
    who = f" as {delivery.username}" if delivery.username else ""
    return f"relay {delivery.host}:{delivery.port}, {delivery.security}{who}"
