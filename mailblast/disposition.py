"""What an answer means, and what has become of a delivery.

Rule: this module is told everything and asks nothing.  `judge` turns what a server said into
the fact to be recorded; `after` is the whole state machine of a delivery.  A delivery is in
exactly one disposition at any time, and only the pairs in the table below move it: whatever
else happens is kept as an event and changes nothing.
"""

from dataclasses import dataclass, replace

from mailblast.event import Disposition, EventKind
from mailblast.reason import Reason, Scope, meaning
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
# Whoever answers a message has it.  But where it was given back, a machine that answers for a
# mailbox does not outweigh the server that could not put it there.
_ANSWERED = {
    _E.COMPLAINED: _D.DELIVERED,
    _E.AUTOREPLIED: _D.DELIVERED,
    _E.UNSUBSCRIBED: _D.DELIVERED,
}

TRANSITIONS: dict[Disposition, dict[EventKind, Disposition]] = {
    _D.QUEUED: _DUE,
    _D.DEFERRED: _DUE,
    _D.DOUBTFUL: {**_DUE, _E.ACCEPTED: _D.ACCEPTED, **_CAME_BACK, **_ANSWERED},
    _D.ACCEPTED: {**_CAME_BACK, **_ANSWERED},
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
    """What one attempt came to: the fact to be recorded, without its time.

    The last but one are those of `reason.Meaning`; `scope` is None where nothing was refused.
    `to_rcpt`: it was said in answer to RCPT, and so of the recipient.
    """

    kind: EventKind
    reason: Reason | None = None
    code: int = 0
    status: str = ""
    text: str = ""
    scope: Scope | None = None
    rest: float = 0.0
    pause: bool = False
    generic: bool = False
    to_rcpt: bool = False


def judge(
    reply: Reply | None,
    why: str,
    *,
    after_dot: bool,
    to_rcpt: bool = False,
    provider: str = "",
) -> Outcome | None:
    """The outcome of an attempt, or None when nobody can know it.

    `reply` is the server's answer, None when the session broke; `why` says how it broke;
    `after_dot` and `to_rcpt` say to what it answers; `provider` is who runs the destination,
    if that is known (`reason.meaning`).
    Only the first digit decides (RFC 5321 §4.2.1).  A break before the final dot leaves the
    message with us; after the dot, both sides may hold it (RFC 1047), and that is a doubt.
    """
    if reply is None:
        if after_dot:
            return None
        return Outcome(
            _E.DEFERRED, Reason.NETWORK_TEMPORARY, text=why, scope=Scope.DESTINATION
        )
    if after_dot and reply.positive:
        return Outcome(_E.ACCEPTED, None, reply.code, reply.status, reply.text)
    if after_dot and not (reply.transient or reply.permanent):
        return None
    # Before the dot a 2xx or 3xx in the wrong place accepts nothing: it can be tried again.
    kind = _E.REFUSED if reply.permanent else _E.DEFERRED
    outcome = _outcome(kind, reply.code, reply.status, reply.text, provider)
    return replace(outcome, to_rcpt=True) if to_rcpt else outcome


def _outcome(kind: EventKind, code: int, status: str, text: str, provider: str) -> Outcome:
    found = meaning(code, status, text, provider)
    return Outcome(
        kind, found.reason, code, status, text,
        found.scope, found.rest, found.pause, found.generic,
    )  # fmt: skip


def unroutable(
    reason: Reason, why: str, code: int, status: str, *, permanent: bool
) -> Outcome:
    """The outcome for a message to whose domain no way leads; nothing was attempted."""
    return Outcome(_E.REFUSED if permanent else _E.DEFERRED, reason, code, status, why)


def unreachable(
    why: str, code: int, provider: str = "", *, permanent: bool, unencrypted: bool = False
) -> Outcome:
    """The outcome for a message to whose hosts no connection came about.

    `code` is that of the greeting, 0 when there was none; `permanent` says that every host
    greets with a refusal for good; `unencrypted`, that TLS did not come about, which is
    demanded by us or between the two hosts.  A greeting speaks of the host and of us: of the
    address it says nothing, of the domain at most that it takes no mail.
    """
    kind = _E.REFUSED if permanent else _E.DEFERRED
    if code:
        outcome = replace(_outcome(kind, code, "", why, provider), generic=True)
        if outcome.scope is Scope.RECIPIENT and outcome.reason is not Reason.DOMAIN_INVALID:
            outcome = replace(outcome, scope=Scope.DESTINATION)
        return outcome
    scope = Scope.US if unencrypted else Scope.DESTINATION
    return Outcome(kind, Reason.NETWORK_TEMPORARY, text=why, scope=scope)


def address_is_dead(outcome: Outcome) -> bool:
    """Whether this outcome alone shows that the address does not exist.

    Only an explicit word from the receiver counts.  A block, a spam verdict, a full mailbox,
    a bare 550 or "mailbox unavailable" is not the recipient's fault, or not certain.
    """
    return (
        outcome.kind in (_E.REFUSED, _E.BOUNCED)
        and outcome.reason is Reason.INVALID_RECIPIENT
        and not outcome.generic
    )
