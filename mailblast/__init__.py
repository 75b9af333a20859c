"""mailblast: bulk mail, and what became of each message.

The way of one message, and the modules in the order in which it meets them:

    campaign.toml, mailblast.toml ──▶ Campaign        campaign, secret
    is it ready? ───────────────────▶ Finding         check, preflight       facts in, findings out
    recipients.csv ─────────────────▶ Row             header, recipients     bad rows: `invalid`
                                      ├ suppressed?   suppression            Event suppressed
    message.html, .md, .txt ────────▶ Rendered        template
                                    ▶ Message         compose, tag, signing  bytes, signed
    whose limits, which next, how fast                provider, schedule, throttle
    MAIL RCPT DATA, content ────────▶ Ready           smtp, destination      before the dot:
                                      Event attempted ledger                 durable
    the final dot ──────────────────▶ Answer          smtp
                                      Outcome         disposition, reason    what, why, whose fault
                                      Event           ledger
    … hours or days later …
    mbox, Maildir, IMAP, an MTA ────▶ Notice          mailbox, imap, bounce
                                      Tie             tie              whose, and how it is proven
                                      Event bounced   judging, reconcile, intake
    at any time                       RunReport       report

`send` does it all in this order (read `send/__init__.py` next), with `pool` for the
processor's work; `runbook` has what people like to open and read, `content` and `preview`
print a message again, `keys` and `optout` look after keys and opt-outs.  `cli` and `terminal`
are the only ones to ask and to show.  `sandbox` is an Internet for practice.

Words, rules, edges, jobs, faces: which module may import which is tests/test_layers.py.

From Python:

    from pathlib import Path

    import mailblast

    with mailblast.prepared(mailblast.Request(Path("letter"))) as plan:
        outcome = mailblast.deliver(plan)
        print(mailblast.account(plan.ledger, outcome.run).as_json())

The names re-exported here are the public interface; everything else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailblast.bounce import Notice
    from mailblast.campaign import Campaign, load
    from mailblast.errors import MailblastError, NotReady, Problems, Refused, UserError
    from mailblast.event import Disposition, Event, EventKind
    from mailblast.ledger import Ledger
    from mailblast.reason import Reason, Scope, classify
    from mailblast.report import RunReport, account
    from mailblast.send import Outcome, Plan, Request, deliver, prepared

__version__ = "0.1.0"

__all__ = [
    "Campaign",
    "Disposition",
    "Event",
    "EventKind",
    "Ledger",
    "MailblastError",
    "NotReady",
    "Notice",
    "Outcome",
    "Plan",
    "Problems",
    "Reason",
    "Refused",
    "Request",
    "RunReport",
    "Scope",
    "UserError",
    "account",
    "classify",
    "deliver",
    "load",
    "prepared",
]

_HOMES = {
    "bounce": ("Notice",),
    "campaign": ("Campaign", "load"),
    "errors": ("MailblastError", "NotReady", "Problems", "Refused", "UserError"),
    "event": ("Disposition", "Event", "EventKind"),
    "ledger": ("Ledger",),
    "reason": ("Reason", "Scope", "classify"),
    "report": ("RunReport", "account"),
    "send": ("Outcome", "Plan", "Request", "deliver", "prepared"),
}


def __getattr__(name: str) -> Any:
    # When it is asked for, not before: a worker process needs a fifth of all this.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"mailblast.{home}"), name)
    raise AttributeError(f"module 'mailblast' has no attribute {name!r}")
