"""What came back: read it, and take it into the account."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from mailblast import bounce
from mailblast.bounce import Kind, Notice, Report
from mailblast.campaign import load_policy
from mailblast.cli.base import json_option, opened, put_json, rehearsal_option
from mailblast.errors import Refusal
from mailblast.keys import keyring
from mailblast.mailbox import read as read_mailbox
from mailblast.reconcile import Reconcile
from mailblast.runbook import RunBook
from mailblast.send import comeback
from mailblast.send.surge import in_words
from mailblast.terminal import Screen
from mailblast.terminal.notices import explained

MAILBOXES = click.argument(
    "mailboxes", nargs=-1, required=True, type=click.Path(path_type=Path)
)


@click.group()
def bounces() -> None:
    """What came back."""


@bounces.command("import")
@MAILBOXES
@rehearsal_option
@json_option
def bounces_import(mailboxes: tuple[Path, ...], rehearsal: bool, as_json: bool) -> None:
    """Read notices from MAILBOXES (mbox, Maildir, .eml, or - for standard input)."""
    screen = Screen(json=as_json)
    with opened(Path(), rehearsal=rehearsal, make=True) as (workspace, ledger):
        policy, thresholds = load_policy(workspace)
        reconcile = Reconcile(ledger, keyring(ledger), policy)
        for path in mailboxes:
            reconcile.take_in(
                screen.counting(read_mailbox(path), "reading mail"), time.time
            )
        followed = comeback.follow(ledger, thresholds, reconcile.returns, time.time())
        name = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        document = {
            "sources": [str(path) for path in mailboxes],
            "counts": dict(reconcile.counts),
            "kinds": dict(reconcile.kinds),
            "tied": dict(reconcile.tied),
            "paused": [
                {"destination": one.destination, "reason": one.reason, "why": one.why}
                for one in followed.paused
            ],
            "held": {one.domain: one.lifted for one in followed.held},
        }
        RunBook(ledger.directory).put("imports", name, document)
    if as_json:
        put_json(document)
    else:
        screen.came_back(reconcile.counts, reconcile.kinds, reconcile.tied)
        screen.held(followed.paused, ())
        for line in in_words(followed.held):
            screen.say(line)


@bounces.command("explain")
@MAILBOXES
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
def bounces_explain(mailboxes: tuple[Path, ...], as_json: bool) -> None:
    """Say what each message in MAILBOXES is, of whom it speaks, and by which rule.

    Nothing is recorded, and no workspace is needed.
    """
    screen = Screen(json=as_json)
    for source, notice in _read(mailboxes, screen):
        if as_json:
            click.echo(json.dumps(_row(source, notice), ensure_ascii=False))
        else:
            for line in explained(source, notice):
                screen.say(line)


def _read(mailboxes: tuple[Path, ...], screen: Screen) -> Iterator[tuple[str, Notice]]:
    """Every message, read; what could not be is told, and is of no kind."""
    for path in mailboxes:
        for mail in read_mailbox(path):
            if isinstance(mail, Refusal):
                screen.error(str(mail))
                continue
            notice = bounce.read(mail.content)
            if isinstance(notice, Refusal):
                screen.error(f"{mail.source}: {notice}")
                notice = Notice(Kind.NONE, rule=str(notice))
            yield mail.source, notice


def _row(source: str, notice: Notice) -> dict[str, object]:
    recipients = [_recipient(report) for report in notice.reports]
    return {"file": source, "kind": str(notice.kind), "recipients": recipients}


def _recipient(report: Report) -> dict[str, object]:
    """What is not said is null; a complaint has a recipient and a reason alone."""
    return {
        "recipient": report.recipient or None,
        "action": report.action or None,
        "status": report.status or None,
        "replycode": str(report.code) if report.code else None,
        "reason": str(report.reason) if report.reason else None,
        "hard": report.hard,
        "permanent": report.permanent,
        "rule": report.rule or None,
    }
