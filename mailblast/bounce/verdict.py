"""What a report of a recipient comes to: reason, permanent or not, hard or not.

Rule: the words decide first, the status and the code next, and `Action` alone says whether
it is over (RFC 3464 §2.3.3).  Words are those of the diagnostic; only where these say
nothing do those of the explanation count.
"""

import re
from dataclasses import dataclass

from mailblast.bounce import diagnostic
from mailblast.bounce.diagnostic import after_data, of_filter, to_mail, to_rcpt
from mailblast.bounce.notice import Report
from mailblast.reason import Meaning, Reason, meaning
from mailblast.smtp.reply import printable

MAX_HOST = 255
MAX_ADDRESS = 320  # 64 + "@" + 255: RFC 5321 §4.5.3.1
_OVER = frozenset({"failed", "delayed"})
# RFC 3463 §3.2: the mailbox or the domain does not exist, or has moved; Microsoft's 5.1.10
# and 5.1.351: not found by the destination.
_NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.1.351"})
_IS_THERE = ".2.1"  # the mailbox exists, and takes nothing
_UNSPECIFIC = (".0.0", ".4.7")
# OpenSMTPD before 7 tells that it has given up as one more delay, with 4.4.7: no other notice
# will come.
_GIVEN_UP = "envelope expired"
# Too little to tell one failure from another: what stands around it may say more.
_VAGUE = frozenset({Reason.OTHER, Reason.SYSTEM_ERROR})
# That time has passed is no cause.
_NO_CAUSE = frozenset({Reason.OTHER, Reason.EXPIRED})
# What is said of an address or a domain, be it the sender's: in answer to MAIL it is (RFC 5321
# §3.3: the recipients are named afterwards).
_OF_RECIPIENT = frozenset(
    {Reason.INVALID_RECIPIENT, Reason.DOMAIN_INVALID, Reason.MAILBOX_INACTIVE}
)
_SENDER_REFUSED = Meaning(
    Reason.POLICY_AUTH, Reason.POLICY_AUTH.scope, "in answer to MAIL", pause=True
)
_WORD = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a reader found of one recipient, as it stands there.

    `said` is the diagnostic, `around` the words of the explanation that concern this
    recipient, `context` all that was said where nobody else is concerned, `reason` what the
    form of a notice says by itself; `filter` is true of what a filter in front of the
    mailboxes says, `nobody` where the reporter itself judged that no such mailbox exists.
    """

    recipient: str
    action: str = "failed"
    status: str = ""
    said: str = ""
    around: str = ""
    context: str = ""
    original: str = ""
    mta: str = ""
    reporting: str = ""
    reason: Reason | None = None
    filter: bool = False
    nobody: bool = False

    @property
    def told(self) -> tuple[str, str, str]:
        """All that was said, where the command may stand that it answered."""
        return self.said, self.around, self.context


def report(finding: Finding, rule: str) -> Report:
    """Judge a finding; `rule` says how it was found."""
    said = diagnostic.said(finding.said)
    around = diagnostic.said(finding.around) if finding.around else said
    status = _specific(finding.status, said.status, around.status)
    code = said.code or _agreeing(around.code, status)
    action = "failed" if _given_up(finding) else finding.action
    means = _meaning(finding, said.text, code, status) if action in _OVER else None
    permanent = _permanent(action, status, code)
    return Report(
        recipient=printable(finding.recipient)[:MAX_ADDRESS],
        original=printable(finding.original)[:MAX_ADDRESS],
        action=action,
        status=status,
        code=code,
        text=printable(finding.said or finding.around),
        mta=printable(finding.mta)[:MAX_HOST],
        reporting=printable(finding.reporting)[:MAX_HOST],
        meaning=means,
        permanent=permanent,
        hard=means is not None and permanent and _dead(finding, means, status),
        rule=f"{rule}; {means.rule}" if means and means.rule else rule,
    )


def _given_up(finding: Finding) -> bool:
    words = finding.said or finding.around
    return finding.action == "delayed" and words.strip().lower() == _GIVEN_UP


def _meaning(finding: Finding, words: str, code: int, status: str) -> Meaning:
    means = _read(words, code, status) if _tells(words) else _beside(finding, code, status)
    if means.reason in _VAGUE and finding.around:
        second = _read(finding.around)
        means = means if second.reason in _VAGUE else second
    if finding.reason is not None and means.reason in _NO_CAUSE:
        return Meaning(finding.reason, finding.reason.scope)
    if means.reason in _OF_RECIPIENT and any(map(to_mail, finding.told)):
        return _SENDER_REFUSED
    return means


def _beside(finding: Finding, code: int, status: str) -> Meaning:
    """Where the diagnostic has no words, those beside the recipient stand in their place.

    Below "the account is disabled" there may stand of the recipient "550 user unknown".
    """
    if finding.around == finding.context:
        return _read("", code, status)
    means = _read(finding.around, code, status)
    if means.reason is Reason.INVALID_RECIPIENT:
        second = _read(finding.context.partition(finding.recipient)[0])
        return second if second.reason is Reason.MAILBOX_INACTIVE else means
    return means


def _read(words: str, code: int = 0, status: str = "") -> Meaning:
    return meaning(code, status, " ".join(words.split()))


def _tells(words: str) -> bool:
    """Whether there is a word in it, and not only codes, dots and dashes."""
    return _WORD.search(words) is not None


def _specific(status: str, said: str, around: str) -> str:
    """The status given, unless the server said more.

    Exim writes 5.0.0 ("other undefined", RFC 3463 §3.1) whatever the server's own code was,
    and x.4.7 ("delivery time expired") only says that a queue gave up, not at what.
    """
    for other in (said, around):
        if not status or (other and status[0] == other[0] and status[1:] in _UNSPECIFIC):
            status = other or status
    return status


def _agreeing(code: int, status: str) -> int:
    """A code found elsewhere, if it is of the class of the status."""
    return code if not status or str(code)[0] == status[0] else 0


def _permanent(action: str, status: str, code: int) -> bool:
    if status:
        return status[0] == "5"
    return code // 100 == 5 if code else action == "failed"


def _dead(finding: Finding, means: Meaning, status: str) -> bool:
    """Whether it is known that the address or its domain will not come back to life.

    A status that says so proves it, and so does a refusal in answer to RCPT.  A server that
    refuses with the message knew the recipient before.  What else a server said may be of a
    filter, or of a mailbox that is there; and words alone count where no server is quoted.
    """
    if means.reason is Reason.DOMAIN_INVALID:
        return True
    if means.reason is not Reason.INVALID_RECIPIENT or any(map(after_data, finding.told)):
        return False
    if status in _NO_SUCH_ADDRESS and not of_filter(finding.said):
        return True
    if any(map(to_rcpt, finding.told)) or (finding.nobody and status[1:] != _IS_THERE):
        return True
    return not (diagnostic.code(finding.said) or means.generic or finding.filter)
