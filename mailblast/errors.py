"""What goes wrong, by whose fault.

A refusal is a value: a bad row, a 550, an unknown key are results, and travel as `Refusal`
or `Problem`.  An exception is for what stops the work:

    MailblastError              exit status
    ├── UserError                   1     the user can mend it: a file, an option, a setting
    │   └── Problems                1     all that is wrong with a file, not the first alone
    ├── Refused                     2     mailblast declines: the law, a change, no consent
    │   └── NotReady                4     the campaign breaks a rule of level error
    ├── LedgerError                 1     the ledger cannot be read or written
    ├── ConnectionFailed            –     no session came about; nothing was offered
    │   └── EncryptionFailed        –     because TLS did not come about
    └── ConnectionBroken            –     a session broke; the phase says what may have happened

Of the last three only a relay that cannot be reached is told to a user, with the settings that
it is about; all others `send` turns into events.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not taken: one short sentence without a full stop."""

    why: str

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where (`campaign.toml:12`), what, and what to do."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}; {self.hint}" if self.hint else text


class MailblastError(Exception):
    """Any error of ours.  Its text is for the user; `hint` is what to run next."""

    exit_status = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class UserError(MailblastError):
    """The user can mend it."""


class Problems(UserError):
    """All that is wrong with what the user wrote."""

    def __init__(self, problems: Sequence[Problem], hint: str = "") -> None:
        super().__init__("\n".join(map(str, problems)), hint)
        self.problems = tuple(problems)


class Refused(MailblastError):
    """mailblast declines to do this."""

    exit_status = 2


class NotReady(Refused):
    """The campaign is not ready: it breaks a rule that nobody has overridden."""

    exit_status = 4


class LedgerError(MailblastError):
    """The ledger cannot be read or written; no further message may leave."""


class ConnectionFailed(MailblastError):
    """No session came about: name, connect, greeting, TLS or AUTH failed.

    `permanent` says that trying again changes nothing (a wrong certificate, a refused
    password); `code` is what the server replied, if it replied anything; `about` names the
    settings by which it can be mended.
    """

    def __init__(
        self,
        what: str,
        *,
        permanent: bool = False,
        code: int = 0,
        about: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what)
        self.permanent = permanent
        self.code = code
        self.about = about


class EncryptionFailed(ConnectionFailed):
    """TLS did not come about, or the server showed the wrong certificate.

    Where nothing demands TLS, clear text is worth a try (RFC 7435 §3).
    """


class ConnectionBroken(MailblastError):
    """The session is no more: closed, reset, timed out, or no longer speaking SMTP."""
