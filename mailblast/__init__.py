"""mailblast: bulk mail, and what became of each message.

The way of one message, and the modules in the order in which it meets them:

    campaign.toml, mailblast.toml ──▶ Campaign        campaign, secret
    recipients.csv ─────────────────▶ Row             recipients, address    bad rows: `invalid`
                                      ├ suppressed?   suppression            Event suppressed
    message.html, .md, .txt ────────▶ Rendered        template
                                    ▶ Message         compose, tag, signing  bytes, signed
    which goes next, how fast                         schedule, throttle
    MAIL RCPT DATA, content ────────▶ Ready           smtp, destination      before the dot:
                                      Event attempted ledger                 durable
    the final dot ──────────────────▶ Answer          smtp
                                      Outcome         disposition, reason    what, why, whose fault
                                      Event           ledger
    … hours or days later …
    mbox, Maildir, .eml ────────────▶ Notice          mailbox, bounce
                                      Event bounced   reconcile
    at any time                       RunReport       report

`send` does it all in this order (read `send/__init__.py` next), with `pool` for the
processor's work; `runbook` has what people like to open and read, `content` and `preview`
print a message again, `keys` and `optout` look after keys and opt-outs.  `cli` and `terminal`
are the only ones to ask and to show.  `sandbox` is an Internet for practice.

Words, rules, edges, jobs, faces: which module may import which is tests/test_layers.py.

From Python:

    import mailblast

    request = mailblast.Request(Path("letter"))
    with mailblast.prepared(request) as plan:
        outcome = mailblast.deliver(plan)
    report = mailblast.report(plan.ledger, outcome.run)

The names re-exported here are the public interface; everything else may change.
"""

__version__ = "0.1.0"
