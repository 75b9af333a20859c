"""A message as it lay in a mailbox, and how large it may be."""

from dataclasses import dataclass

from mailblast.errors import Refusal

# What large providers let in and out (Gmail 25 MB, Exchange Online 35 MB by default); a
# notice that returns such a message whole is still read.
MAX_MESSAGE = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as it lay there; `source` says where: `inbox.mbox:3`, `new/1700.eml`."""

    source: str
    content: bytes


def too_large(source: str) -> Refusal:
    """Why a message is not read."""
    return Refusal(f"{source}: larger than {MAX_MESSAGE // 1024 // 1024} MB")
