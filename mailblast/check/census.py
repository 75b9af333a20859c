"""How healthy a list is: what its rows tell, counted as they pass by.

It holds counts and the first few of each kind, however many there are.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailblast.hygiene.generated import Suspicion
from mailblast.hygiene.role import is_role
from mailblast.recipients import Row

FIRST = 3  # of each kind, that are named

# Legal (RFC 5322 §3.2.3) and refused by some: Yahoo takes none with $ % ? { }.  The apostrophe
# is left out: O'Brien has one.
_UNUSUAL = re.compile(r"[!#$%*/=?^`{|}~]")


@dataclass(slots=True)
class Noted:
    """How many rows, and the first FIRST of them: where each stands, and a remark."""

    rows: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, remark: str = "") -> None:
        """One more."""
        self.rows += 1
        if len(self.first) < FIRST:
            self.first.append((line, remark))


@dataclass(frozen=True, slots=True)
class Hygiene:
    """What is to be said of the rows of a list.

    `unusual` have characters that some receivers refuse; `bounced` had a message that came to
    nothing, and are not suppressed for it yet; `suppressed` is None where there is no ledger
    to ask.  What can be said of domains is said of `Listed.domains`.
    """

    file: str
    rows: int
    invalid: Noted
    unusual: Noted
    duplicates: Noted
    roles: Noted
    bounced: Noted
    suppressed: Noted | None
    generated: tuple[Suspicion, ...]


@dataclass(frozen=True, slots=True)
class Mailable:
    """Which domains of the list take mail, as the DNS says.

    `asked` of `domains` were looked up, those with most rows first, and `unanswered` of them
    gave no answer; `dead` take no mail, each with a sentence that says why; `hosts` are the most
    preferred mail hosts of the others.
    """

    domains: int
    asked: int
    unanswered: int
    dead: Mapping[str, str]
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Census:
    """The counts, while a list is gone through."""

    def __init__(self) -> None:
        self._rows = 0
        self._invalid, self._unusual, self._duplicates = Noted(), Noted(), Noted()
        self._roles, self._bounced, self._suppressed = Noted(), Noted(), Noted()

    def take(self, row: Row, first: int, suppressed: str = "", against: str = "") -> None:
        """Count a row.

        `first` is the line where its address stood first, `suppressed` the reason for which it
        must not be mailed, `against` what its last message counts as against it.
        """
        self._rows += 1
        if row.address is None:
            self._invalid.add(row.line, row.why)
            return
        if first != row.line:
            self._duplicates.add(row.line, f"as line {first}")
            return
        if suppressed:
            self._suppressed.add(row.line, suppressed)
        elif against:
            self._bounced.add(row.line, against)
        mailbox = row.address.mailbox
        if is_role(mailbox):
            self._roles.add(row.line)
        if found := _UNUSUAL.search(mailbox):
            self._unusual.add(row.line, found[0])

    def hygiene(
        self, file: str, generated: Iterable[Suspicion], *, with_ledger: bool
    ) -> Hygiene:
        """The counts so far; `generated` is what the addresses together look like."""
        return Hygiene(
            file=file,
            rows=self._rows,
            invalid=self._invalid,
            unusual=self._unusual,
            duplicates=self._duplicates,
            roles=self._roles,
            bounced=self._bounced,
            suppressed=self._suppressed if with_ledger else None,
            generated=tuple(generated),
        )
