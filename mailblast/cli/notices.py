"""What messages that came back say, without a workspace: bounces explain."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from mailblast import bounce
from mailblast.bounce import Kind, Notice, Report
from mailblast.campaign import find_workspace
from mailblast.cli.source import MAILBOXES, source
from mailblast.errors import Refusal
from mailblast.terminal import Screen
from mailblast.terminal.notices import explained


@click.command("explain")
@MAILBOXES
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
def bounces_explain(mailboxes: tuple[str, ...], as_json: bool) -> None:
    """Say what each message in MAILBOXES is, of whom it speaks, and by which rule.

    Nothing is recorded, and no workspace is needed.
    """
    screen = Screen(json=as_json)
    for place, notice in _read(mailboxes, screen):
        if as_json:
            click.echo(json.dumps(_row(place, notice), ensure_ascii=False))
        else:
            for line in explained(place, notice):
                screen.say(line)


def _read(mailboxes: tuple[str, ...], screen: Screen) -> Iterator[tuple[str, Notice]]:
    """Every message, read; what could not be is told, and is of no kind."""
    for mailbox in mailboxes:
        with source(mailbox, find_workspace(Path())) as mails:
            for mail in mails:
                if isinstance(mail, Refusal):
                    screen.error(str(mail))
                    continue
                notice = bounce.read(mail.content)
                if isinstance(notice, Refusal):
                    screen.error(f"{mail.source}: {notice}")
                    notice = Notice(Kind.NONE, rule=str(notice))
                yield mail.source, notice


def _row(place: str, notice: Notice) -> dict[str, object]:
    recipients = [_recipient(report) for report in notice.reports]
    return {"file": place, "kind": str(notice.kind), "recipients": recipients}


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
