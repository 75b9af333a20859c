"""The ledger: everything that happened, and what has become of each delivery.

A file in the workspace (`.mailblast/ledger.db`).  Its parts are named after what they keep:
`runs`, `deliveries`, `history`, `suppressions`, `imports`, `policies`; `commit` writes the
events of a running `send`.  Nothing else in mailblast knows SQL.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailblast.campaign import Policy
from mailblast.errors import Refused, UserError
from mailblast.ledger.commit import GroupCommit, Struck
from mailblast.ledger.database import BUSY_SECONDS, Database
from mailblast.ledger.deliveries import (
    Claim,
    Claimed,
    Deliveries,
    Delivery,
    keys_of,
    suppression_reason,
)
from mailblast.ledger.enrolment import BATCH, Enrolment
from mailblast.ledger.history import History, Mishap
from mailblast.ledger.imports import Change, Imports, Returned, Taken
from mailblast.ledger.optouts import OptOut, OptOuts
from mailblast.ledger.pauses import Pause, Pauses
from mailblast.ledger.policies import Kept, Policies
from mailblast.ledger.runs import Run, Runs
from mailblast.ledger.suppressions import WORKSPACE, Suppression, Suppressions, Watch
from mailblast.ledger.traffic import Traffic
from mailblast.secret import write_secret

__all__ = [
    "BATCH",
    "BUSY_SECONDS",
    "WORKSPACE",
    "Change",
    "Claim",
    "Claimed",
    "Deliveries",
    "Delivery",
    "Enrolment",
    "GroupCommit",
    "History",
    "Kept",
    "Ledger",
    "Mishap",
    "OptOut",
    "Pause",
    "Pauses",
    "Policies",
    "Returned",
    "Run",
    "Struck",
    "Suppression",
    "Taken",
    "Watch",
    "keys_of",
    "suppression_reason",
]


class Ledger:
    """The ledger in a directory, made if it is not there.

    `patience` is how long to wait for another program that writes, in seconds.
    """

    def __init__(self, directory: Path, patience: float = BUSY_SECONDS) -> None:
        self.directory, self.patience = directory, patience
        self._database = Database(directory / "ledger.db", patience)
        self.runs = Runs(self._database)
        self.deliveries = Deliveries(self._database)
        self.suppressions = Suppressions(self._database)
        self.history = History(self._database)
        self.imports = Imports(self._database)
        self.pauses = Pauses(self._database)
        self.policies = Policies(self._database)
        self.opt_outs = OptOuts(self._database)
        self.traffic = Traffic(self._database)

    def enrolment(self, run: Run, at: float) -> Enrolment:
        """The way for a list into a run."""
        return Enrolment(self._database, run, at)

    def group_commit(self, campaign: str, policy: Policy) -> GroupCommit:
        """The one writer of the events of a run of this campaign."""
        return GroupCommit(self._database, Watch(self._database, campaign), policy)

    @contextmanager
    def lock(self, what: str, command: str = "send") -> Iterator[None]:
        """Only one `send` of a campaign at a time; raises Refused if another is at it.

        Or one run of another command with something else.

        The system gives the lock back when its holder ends, however it ends: nothing is left
        behind by a kill, and nobody has to judge whether an old lock is dead.
        """
        path = self._lock_file(what)
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _hold(descriptor)
        except OSError as error:
            raise Refused(
                f"another `mailblast {command}` is at work on {what}",
                "let it finish, or end it with Ctrl-C; this one has changed nothing",
            ) from error
        else:
            yield
        finally:
            os.close(descriptor)

    def locked(self, what: str) -> bool:
        """Whether somebody holds the lock of this name just now."""
        try:
            descriptor = os.open(self._lock_file(what), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _lock_file(self, what: str) -> Path:
        name = what.strip("./").replace("/", "_") or "campaign"
        return self.directory / "locks" / f"{name}.lock"

    def secret(self, fresh: str) -> str:
        """The text of `secret.key`; `fresh` is written if there is none yet.

        The key makes return paths and unsubscribe links unforgeable.  Raises UserError when
        others can read the file.
        """
        path = self.directory / "secret.key"
        write_secret(path, fresh.encode())
        if path.stat().st_mode & 0o077:
            raise UserError(f"{path}: others can read the key", f"chmod 600 {path}")
        return path.read_text()

    def close(self) -> None:
        """Give the file back."""
        self._database.close()


def _hold(descriptor: int) -> None:
    """Lock an open file for ourselves alone.  Raises OSError where somebody else holds it."""
    for _ in range(5):  # `locked` holds it for an instant
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
