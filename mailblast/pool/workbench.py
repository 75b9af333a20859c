"""What composing needs, and the bounds within which it runs.

Rendering runs within bounds of memory and time, because Jinja2's sandbox has neither: a
template that makes a gigabyte, or never ends, is an error and not an outage.
"""

import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from mailblast.campaign import Campaign
from mailblast.compose import Composer, Message
from mailblast.due import Due
from mailblast.errors import Refusal
from mailblast.header import Columns
from mailblast.signing import Signer
from mailblast.tag import Keyring
from mailblast.template import TemplateError

SECONDS = 10.0  # of processor time for one batch; a batch of 50 takes some 30 ms
MEMORY = 1 << 30  # bytes above what the process holds already


@dataclass(frozen=True, slots=True)
class Workbench:
    """All that composing needs: the campaign with its files, the list's columns, the keys."""

    campaign: Campaign
    columns: Columns
    run: str
    keyring: Keyring
    dkim_keys: tuple[bytes, ...] = ()  # PEM, as `Dkim.keys`; none where nothing is signed

    def signers(self) -> tuple[Signer, ...]:
        """Whoever signs, with the keys at hand.  Raises UserError for a key that is none."""
        if self.campaign.dkim is None or not self.dkim_keys:
            return ()
        pairs = zip(self.campaign.dkim.keys, self.dkim_keys, strict=True)
        return tuple(Signer(pem, k.domain, k.selector, k.algorithm) for k, pem in pairs)

    def composer(self) -> Composer:
        """A composer; raises TemplateError when the campaign's own files are at fault."""
        signers = self.signers()
        with bounded():
            return Composer(self.campaign, self.columns, self.run, self.keyring, signers)


def compose(composer: Composer, batch: Sequence[Due]) -> list[Message | Refusal]:
    """Compose and sign a batch within the bounds of memory and time."""
    with bounded():
        return composer.compose_all(batch)


def check(composer: Composer, batch: Sequence[Due]) -> list[Refusal | None]:
    """Compose a batch without signing it, within the bounds."""
    with bounded():
        return [composer.check(due) for due in batch]


@contextmanager
def bounded() -> Iterator[None]:
    """Run within SECONDS and MEMORY; beyond them, TemplateError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, hard))
    before = signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    except (MemoryError, _TooLong) as error:
        what = "memory" if isinstance(error, MemoryError) else "time"
        raise TemplateError(
            f"rendering the templates takes too much {what}",
            "look for a loop or a repetition that grows",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _TooLong(BaseException):
    """Raised by the timer; no handler of a template or a library takes it for its own."""


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise _TooLong


def _address_space() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read once a batch
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux: RLIMIT_AS is not enforced there anyway
        return 1 << 40
