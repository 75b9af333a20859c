"""What a mail host is to do, whichever program it is: the tests have four that do the same.

    with opensmtpd.OpenSmtpd(MailHost("x.example", "127.0.6.4", port, …)) as server: …

Its people have their mailboxes in a Dovecot at the same address, to which it speaks LMTP.
It has no patience: after a second it warns of a delay, and after QUEUE seconds it gives up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

WARNING, QUEUE = 1, 12


@dataclass(frozen=True, slots=True)
class MailHost:
    """A host for one domain.

    It listens at `address` and `port`; the LMTP server is there too, at `lmtp`.  `people`
    are the local parts with a mailbox, `forwards` those whose mail goes on to an address.
    `routes` says at which address the host of another domain is, with the same port: mail
    for these is taken, whoever it is for.
    """

    domain: str
    address: str
    port: int
    lmtp: int
    people: tuple[str, ...]
    forwards: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it calls itself."""
        return f"mx.{self.domain}"
