"""Whose turn it is: a row of the list as the ledger gives it out, to be composed and offered."""

from typing import NamedTuple

from mailblast.recipients import Row


class Due(NamedTuple):
    """A recipient whose turn it is.

    `dated` is in seconds since 1970: the moment of the first claim, kept for all attempts.
    `attempt` is the number of this claim, `deferrals` how often it was put off before.
    """

    delivery: int
    row: int
    mailbox: str
    domain: str
    smtputf8: bool
    cells: tuple[str, ...]
    attempt: int
    dated: float
    deferrals: int = 0

    @classmethod
    def of(cls, row: Row, dated: float) -> "Due":
        """A row as it would be claimed for the first time.  Raises ValueError if it has no
        address."""
        if row.address is None:
            raise ValueError(f"row {row.number} has no address")
        to = row.address
        number = row.number
        return cls(number, number, to.mailbox, to.domain, to.smtputf8, row.cells, 1, dated)
