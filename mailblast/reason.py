"""Why a message did not arrive, and whose fault that is.

One taxonomy for what is said at the door and for what comes back later, so that both stand
in one table.  Every reason has a scope; only a fault of the recipient may ever suppress a
recipient.
"""

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files


class Scope(StrEnum):
    """Whom a failure concerns."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    DESTINATION = "destination"
    US = "us"


class Reason(StrEnum):
    """Why not.  The first fourteen come from servers, the others from us."""

    INVALID_RECIPIENT = "invalid-recipient"
    MAILBOX_FULL = "mailbox-full"
    MAILBOX_INACTIVE = "mailbox-inactive"
    DOMAIN_INVALID = "domain-invalid"
    BLOCKED_REPUTATION = "blocked-reputation"
    SPAM_CONTENT = "spam-content"
    POLICY_AUTH = "policy-auth"
    RATE_LIMITED = "rate-limited"
    NETWORK_TEMPORARY = "network-temporary"
    MESSAGE_TOO_LARGE = "message-too-large"
    EXPIRED = "expired"
    SYSTEM_ERROR = "system-error"
    RELAY_DENIED = "relay-denied"
    OTHER = "other"

    # Of a row of the recipients file: the disposition is `invalid`.
    ADDRESS_SYNTAX = "address-syntax"
    DUPLICATE = "duplicate"
    MALFORMED_ROW = "malformed-row"
    UNRENDERABLE = "unrenderable"

    # Of an entry in a suppression list: the disposition is `suppressed`.
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINT = "complaint"
    HARD_BOUNCE = "hard-bounce"
    LISTED = "listed"

    @property
    def scope(self) -> Scope:
        """Whom this reason concerns."""
        return _SCOPE.get(self, Scope.RECIPIENT)


_SCOPE = {
    Reason.BLOCKED_REPUTATION: Scope.US,
    Reason.POLICY_AUTH: Scope.US,
    Reason.RELAY_DENIED: Scope.US,
    Reason.SPAM_CONTENT: Scope.MESSAGE,
    Reason.MESSAGE_TOO_LARGE: Scope.MESSAGE,
    Reason.RATE_LIMITED: Scope.DESTINATION,
    Reason.NETWORK_TEMPORARY: Scope.DESTINATION,
    Reason.SYSTEM_ERROR: Scope.DESTINATION,
    Reason.EXPIRED: Scope.DESTINATION,
    Reason.OTHER: Scope.DESTINATION,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `replies.toml`: what a text, a status or a code means."""

    reason: Reason
    text: re.Pattern[str] | None
    status: re.Pattern[str] | None
    codes: frozenset[int]

    def fits(self, code: int, status: str, text: str) -> bool:
        """Whether all that this rule asks for is there."""
        return (
            (self.text is None or self.text.search(text) is not None)
            and (self.status is None or self.status.fullmatch(status) is not None)
            and (not self.codes or code in self.codes)
        )


def _read_rules() -> tuple[Rule, ...]:
    source = files("mailblast").joinpath("replies.toml").read_text(encoding="utf-8")
    return tuple(
        Rule(
            Reason(rule["reason"]),
            re.compile(rule["text"], re.IGNORECASE | re.VERBOSE)
            if "text" in rule
            else None,
            re.compile(rule["status"]) if "status" in rule else None,
            frozenset(rule.get("codes", ())),
        )
        for rule in tomllib.loads(source)["rule"]
    )


RULES = _read_rules()


def classify(code: int, status: str, text: str) -> Reason:
    """What a refusal means: the first rule of `replies.toml` that fits, else `other`.

    `code` is the SMTP code or 0, `status` the enhanced status code or "", `text` what was
    said.  The text comes first in the rules: providers reuse codes with meanings of their
    own, and say the true reason in words.
    """
    text = text[:2000]
    for rule in RULES:
        if rule.fits(code, status, text):
            return rule.reason
    return Reason.OTHER
