"""What an answer means, and what has become of a delivery.

Rule: this module is told everything and asks nothing.  `judge` turns what a server said into
the fact to be recorded; `after` is the whole state machine of a delivery.  A delivery is in
exactly one disposition at any time, and only the pairs in the table below move it: whatever
else happens is kept as an event and changes nothing.
"""

from dataclasses import dataclass

from mailblast.event import Disposition, EventKind
from mailblast.reason import Reason, classify
from mailblast.smtp.reply import Reply

_D, _E = Disposition, EventKind

# What may happen to a delivery that is still due.
_DUE = {
    _E.SUPPRESSED: _D.SUPPRESSED,
    _E.INVALID: _D.INVALID,
    _E.ATTEMPTED: _D.DOUBTFUL,  # until the answer to the final dot is known
    _E.DEFERRED: _D.DEFERRED,
    _E.REFUSED: _D.REFUSED,
    _E.EXPIRED: _D.EXPIRED,
}
# What mail that comes back says about a message that may have been accepted.
_CAME_BACK = {_E.BOUNCED: _D.BOUNCED, _E.DELIVERED: _D.DELIVERED}

TRANSITIONS: dict[Disposition, dict[EventKind, Disposition]] = {
    _D.QUEUED: _DUE,
    _D.DEFERRED: _DUE,
    _D.DOUBTFUL: {**_DUE, _E.ACCEPTED: _D.ACCEPTED, **_CAME_BACK},
    _D.ACCEPTED: _CAME_BACK,
    _D.DELIVERED: _CAME_BACK,
    _D.BOUNCED: _CAME_BACK,
    _D.SUPPRESSED: {},
    _D.INVALID: {},
    _D.REFUSED: {},
    _D.EXPIRED: {},
}

DUE = frozenset({_D.QUEUED, _D.DEFERRED})  # what `send` still has to do
OPEN = DUE | {_D.DOUBTFUL}  # what is not settled


def after(current: Disposition, kind: EventKind) -> Disposition:
    """The disposition of a delivery once `kind` has happened to it."""
    return TRANSITIONS[current].get(kind, current)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to: the fact to be recorded, without its time."""

    kind: EventKind
    reason: Reason | None = None
    code: int = 0
    status: str = ""
    text: str = ""


def judge(reply: Reply | None, why: str, *, after_dot: bool) -> Outcome | None:
    """The outcome of an attempt, or None when nobody can know it.

    `reply` is the server's answer, None when the session broke; `why` says how it broke.
    Only the first digit decides (RFC 5321 §4.2.1).  A break before the final dot leaves the
    message with us; after the dot, both sides may hold it (RFC 1047), and that is a doubt.
    """
    if reply is None:
        if after_dot:
            return None
        return Outcome(_E.DEFERRED, Reason.NETWORK_TEMPORARY, text=why)
    if after_dot and reply.positive:
        return Outcome(_E.ACCEPTED, None, reply.code, reply.status, reply.text)
    if after_dot and not (reply.transient or reply.permanent):
        return None
    # Before the dot a 2xx or 3xx in the wrong place accepts nothing: it can be tried again.
    refused = reply.permanent
    reason = classify(reply.code, reply.status, reply.text)
    kind = _E.REFUSED if refused else _E.DEFERRED
    return Outcome(kind, reason, reply.code, reply.status, reply.text)


def unroutable(
    reason: Reason, why: str, code: int, status: str, *, permanent: bool
) -> Outcome:
    """The outcome for a message to whose domain no way leads; nothing was attempted."""
    return Outcome(_E.REFUSED if permanent else _E.DEFERRED, reason, code, status, why)


def address_is_dead(outcome: Outcome) -> bool:
    """Whether this outcome alone shows that the address does not exist.

    Only an explicit word from the receiver counts.  A block, a spam verdict or a bare 550 is
    not the recipient's fault, or not certain.
    """
    return (
        outcome.kind in (_E.REFUSED, _E.BOUNCED)
        and outcome.reason is Reason.INVALID_RECIPIENT
    )
