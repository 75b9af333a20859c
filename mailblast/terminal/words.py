"""Words and figures: how things are called on the screen, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mailblast.breaker import ADVICE, OPT_OUTS, Fault
from mailblast.campaign import find_workspace
from mailblast.campaign.files import pasted
from mailblast.event import Disposition
from mailblast.quantity import number
from mailblast.reason import Meaning, Scope

if TYPE_CHECKING:  # for their names alone: the screen is there before what it shows
    from mailblast.learnt import Learnt
    from mailblast.ledger import Pause
    from mailblast.report import RunReport
    from mailblast.send import Outcome
    from mailblast.send.ready import Readiness
    from mailblast.surge import Held

STYLE = {
    Disposition.ACCEPTED: "green",
    Disposition.DELIVERED: "green",
    Disposition.DEFERRED: "yellow",
    Disposition.DOUBTFUL: "yellow",
    Disposition.REFUSED: "red",
    Disposition.BOUNCED: "red",
    Disposition.EXPIRED: "red",
}
ORDER = (
    Disposition.ACCEPTED,
    Disposition.DELIVERED,
    Disposition.BOUNCED,
    Disposition.REFUSED,
    Disposition.EXPIRED,
    Disposition.DOUBTFUL,
    Disposition.DEFERRED,
    Disposition.QUEUED,
    Disposition.SUPPRESSED,
    Disposition.INVALID,
)
MEANING = {
    Disposition.ACCEPTED: "the server took it; it may still come back",
    Disposition.DELIVERED: "proven, or nothing came back in time",
    Disposition.BOUNCED: "accepted, then given back",
    Disposition.REFUSED: "refused at the door",
    Disposition.EXPIRED: "put off until the deadline passed",
    Disposition.DOUBTFUL: "the answer to the last dot is unknown",
    Disposition.DEFERRED: "put off; it will be tried again",
    Disposition.QUEUED: "not offered yet",
    Disposition.SUPPRESSED: "on a suppression list; not offered",
    Disposition.INVALID: "a row that cannot be mailed",
}


CONCERNS = {
    Scope.RECIPIENT: "this recipient",
    Scope.MESSAGE: "this message",
    Scope.DESTINATION: "this destination",
    Scope.US: "us",
}

MARKS = {
    "complained": "called it spam",
    "autoreplied": "a machine answered, so it was delivered",
    "unsubscribed": "asked for no more",
}

# What came of the mail that came back: what changed something, what did not, and why not.
CAME_BACK = {
    "bounced": "bounced",
    "delivered": "delivered, the server says so",
    "complained": "complained: the recipient called it spam",
    "unsubscribed": "unsubscribed: they asked for no more",
    "autoreplied": "autoreplied: a machine answered, so it was delivered",
    "departed": "departed: a machine answered that they are gone; left for people to read",
    "suppressed": "addresses suppressed now",
    "delayed": "delayed: the server still tries",
    "relayed": "relayed to where no notices come from; that proves nothing",
    "expanded": "passed on to several others; that proves nothing",
    "weak": "tied by address and time alone; nothing was changed",
    "unmatched": "tied to no delivery, or in a form not known; nothing was changed",
    "forged": "forged: the tag is none of ours; nothing was changed",
    "expired": "expired: too late to be believed; nothing was changed",
    "replayed": "replayed: other mail had said it; nothing was changed",
    "challenge": "challenge: asks whether a person sent it; nobody answers",
    "feedback": "feedback that is no complaint",
    "report": "report of DMARC or TLS; set aside",
    "replied": "replied: a recipient's own words; left for people to read",
    "other": "other mail; left for people to read",
    "known": "taken in before; nothing was changed",
    "unreadable": "could not be read",
}


def visible(text: str) -> str:
    """Text from outside, with what a terminal would obey made visible."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def volume(octets: int) -> str:
    """A size in the unit that gives it two to four digits."""
    for unit, each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if octets >= each:
            return f"{octets / each:.1f} {unit}"
    return f"{octets} bytes"


def duration(seconds: float) -> str:
    """A span of time in words, to the precision that matters."""
    for size, one, many in ((86400, "day", "days"), (3600, "h", "h"), (60, "min", "min")):
        if seconds >= 2 * size or (size < 86400 and seconds >= size):
            count = round(seconds / size)
            return f"{count} {one if count == 1 else many}"
    return f"{max(1, round(seconds))} s"


def moment(at: float) -> str:
    """A moment in the user's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def visible_lines(text: str) -> str:
    """`visible`, but lines stay lines."""
    return "\n".join(map(visible, text.split("\n")))


def in_doubt(doubtful: int, run: str) -> str:
    """What to do about doubtful ones."""
    return (
        f"{number(doubtful)} doubtful: `mailblast report {run}` lists them; they are not "
        "sent again unless you say --resend-doubtful."
    )


def rules_of(readiness: Readiness, campaign: Path) -> list[str]:
    """What the plan says of the rules: which were overridden, which would stop real mail."""
    lines = [
        f"{name} is overridden: {visible(why)}" for name, why in readiness.overrides.items()
    ]
    if readiness.blocking:
        ids = ", ".join(readiness.blocking)
        lines.append(
            f"real mail would be refused for {ids}: mailblast check {pasted(campaign)}"
        )
    return lines


def send_again(campaign: str, *options: str) -> str:
    """The command that takes up the run of a campaign, to be pasted here; CAMPAIGN if it may be
    of any.  `campaign` is as the ledger has it: the way from the workspace."""
    named = pasted(find_workspace(Path()) / campaign) if campaign else "CAMPAIGN"
    return " ".join(("mailblast send", named, *options))


# Those that these are counted of may be suppressed, each for themselves.
_OF_PEOPLE = (Fault.HARD_BOUNCES, Fault.COMPLAINTS)


def paused(pause: Pause, campaign: str, *, rehearsal: bool = False) -> str:
    """Why something is paused, and what to do.  A rehearsal is not taken up: it begins anew."""
    what = f"{visible(pause.destination)} is paused" if pause.destination else "Paused"
    why = f"{what}: {visible(pause.why)}"
    if rehearsal:
        return f"{why} Of what is sent in truth the same would be paused."
    return (
        f"{why} {'' if pause.reason in _OF_PEOPLE else 'Nobody was suppressed for it. '}"
        f"{ADVICE[Fault(pause.reason)]} Then: {send_again(campaign, '--resume-paused')}"
    )


def warning(why: str, reason: str = "") -> str:
    """What came near a pause; or, by its reason, that many leave."""
    return f"{'Many leave' if reason == OPT_OUTS else 'Near a pause'}: {visible(why)}"


def rests(destination: str, until: float, said: str = "", *, spent: bool = False) -> str:
    """Why a destination gets nothing for now; `spent`: its cap of the day; else what it said."""
    name, at = visible(destination), moment(until)
    if spent:
        return f"{name} has had what today's cap allows; it goes on at {at}."
    what = "refuses us" if said.startswith("5") else "asked for less"
    return f"{name} {what} and rests until {at}: {visible(said[:200])}"


def held_back(held: Iterable[Held]) -> list[str]:
    """What is told of domains that suddenly know nobody any more, a line each."""
    return [
        f"{one.domain} says of {one.unknown:,} of {one.of:,} recipients that they do not exist: "
        "maybe an error of theirs. They are not suppressed unless it says so again a day later."
        for one in held
    ]


def next_steps(outcome: Outcome) -> list[str]:
    """What the last lines after a sending say."""
    counts, run = outcome.dispositions, outcome.run.run
    if outcome.run.kind == "sample" and outcome.settled:
        return ["These were samples; they are in no report."]
    lines: list[str] = held_back(outcome.held)
    if doubtful := counts.get(Disposition.DOUBTFUL, 0):
        lines.append(in_doubt(doubtful, run))
    if outcome.settled:
        lines.append(
            f"Settled. What comes back: `mailblast bounces import {_inbox(outcome)}`; the "
            f"account: `mailblast report {run}`."
        )
        # What tripped the run with its last messages; a destination's pause may be of another.
        mine = (one for one in outcome.paused if not one.destination)
        return lines + [f"{visible(one.why)} {ADVICE[Fault(one.reason)]}" for one in mine]
    lines += _still_due(outcome)
    lines += [
        rests(one.destination, one.until, one.said, spent=one.spent)
        for one in outcome.resting
    ]
    lines += [paused(one, outcome.run.campaign) for one in outcome.paused]
    return lines


def _still_due(outcome: Outcome) -> list[str]:
    """What is left, and when to go on: never at once where the whole run is paused."""
    run_is_paused = any(not one.destination for one in outcome.paused)
    lines = []
    if queued := outcome.dispositions.get(Disposition.QUEUED, 0):
        stopped = "Stopped" if outcome.interrupted else "Not finished"
        lines.append(f"{stopped}: {number(queued)} not offered yet.")
        if not run_is_paused:
            again = "run the same command again (without --new-run) to go on"
            if outcome.error:
                again = f"mend what stopped it, which is told below; then {again}"
            lines[-1] += f" {again[0].upper()}{again[1:]}; nobody gets it twice."
    if outcome.next_due:
        deferred = number(outcome.dispositions.get(Disposition.DEFERRED, 0))
        lines.append(f"{deferred} deferred; the next is due at {moment(outcome.next_due)}.")
        if not run_is_paused:
            lines[-1] += " Run the same command again (without --new-run) then."
    return lines


def _inbox(outcome: Outcome) -> str:
    return pasted(outcome.inbox) if outcome.inbox else "MAILBOX"


def after_report(report: RunReport, *, rehearsal: bool) -> list[str]:
    """What the last lines of a report say."""
    lines = []
    campaign, practised = report.run.campaign, " --rehearsal" if rehearsal else ""
    if report.doubtful and report.sending:
        lines.append(
            "It is being sent: what is doubtful waits for the answer to its last dot."
        )
    elif report.doubtful:
        lines.append(
            "Doubtful (the connection broke after the last dot; they may have it):"
        )
        lines += [f"  {visible(address)}" for address in report.doubtful[:20]]
        if len(report.doubtful) > 20:
            lines.append(f"  and {len(report.doubtful) - 20} more; --json lists them")
        if not rehearsal:
            again = send_again(campaign, "--resend-doubtful")
            lines.append(f"Send to them once more with: {again}")
    accepted = report.dispositions.get(Disposition.ACCEPTED)
    if accepted and report.open_until and not rehearsal:
        lines.append(
            "Accepted is not delivered: notices may come back until "
            f"{moment(report.open_until)}. Import them with: mailblast bounces import MAILBOX"
        )
    if report.dispositions.get(Disposition.INVALID):
        lines.append(
            "The invalid rows as they came: "
            f"mailblast report {report.run.run} --export rejected.csv{practised}"
        )
    due = (Disposition.QUEUED, Disposition.DEFERRED)
    run_is_paused = any(not one.destination for one in report.paused)
    if any(report.dispositions.get(one) for one in due) and not run_is_paused:
        option = ["--rehearse"] if rehearsal else []
        lines.append(f"Something is still due: {send_again(campaign, *option)}")
    lines += [warning(one["why"], one["reason"]) for one in report.warnings]
    return lines + holds(report.paused, report.resting, campaign, rehearsal=rehearsal)


def holds(
    pauses: Iterable[Pause],
    resting: Iterable[Learnt],
    campaign: str = "",
    *,
    rehearsal: bool = False,
) -> list[str]:
    """What holds the mail that is due, a line each."""
    lines = [rests(one.name, one.rests_until, one.last_refusal) for one in resting]
    return lines + [paused(one, campaign, rehearsal=rehearsal) for one in pauses]


_LASTING = {True: ", for good", False: ", for now", None: ""}


def explained(found: Meaning, does: str, *, permanent: bool | None) -> list[str]:
    """What a refusal means, by which rule, and what follows from it: a line each.

    Without a server's code nothing follows (`does` is ""), and without a status either it is
    not known whether it is for good.
    """
    return [
        f"{found.reason}{_LASTING[permanent]}; it concerns {CONCERNS[found.scope]}",
        f"rule: {found.rule or 'none fits'}",
        f"mailblast {does}."
        if does
        else "What mailblast does depends on the code (4yz or 5yz), and there is none in it.",
    ]
