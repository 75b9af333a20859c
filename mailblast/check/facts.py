"""What rules are told: facts, gathered by the edges, in groups.

A group that was not gathered is a `Refusal` that says why.  A rule asks for what it looks at
with `facts.of(Messages)`; where that group is not there, the rule ends there and its finding is
`skip`, with the reason.  So no rule can pass what was not looked at, and none has to ask.

To add a group: a frozen dataclass (here, or in a module of its own), and what gathers it in
`preflight`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from mailblast.campaign import Campaign
from mailblast.errors import Refusal

G = TypeVar("G")


class NotGathered(Exception):
    """A rule asked for what was not gathered.  `pack.verdicts` alone catches it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All there is to look at.

    `content` is the digest of what the messages are made from, without the list.  `groups`
    holds each group under its class, or a Refusal: why it was not gathered.
    """

    today: date
    campaign: Campaign
    content: str
    groups: Mapping[type, object] = field(default_factory=dict)

    def of(self, kind: type[G]) -> G:
        """A group.  Raises NotGathered, which a rule lets pass."""
        found = self.groups.get(kind, _NOBODY)
        if isinstance(found, kind):
            return found
        raise NotGathered(str(found))


_NOBODY = Refusal("mailblast does not look at this yet")


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as it would be sent, and why it was chosen ("the longest row").

    `headers` are unfolded and otherwise as they stand in the message; `subject` is decoded.
    `html` is None in a message of text alone.  `ways_out` are what List-Unsubscribe offers.
    """

    why: str
    row: int
    recipient: str
    content: bytes
    headers: tuple[tuple[str, str], ...]
    subject: str
    text: str
    html: str | None
    ways_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """How evidence calls it."""
        return f"row {self.row} ({self.why})"


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages for a few telling rows: the first, the longest, the emptiest, non-ASCII."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class TriedOut:
    """How many telling rows were composed, and why others could not be: "row 3: …"."""

    composed: int
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consent:
    """What the list says of a recipient's consent; the same for many rows.

    `basis` is one of `survey.BASES`, "" where the row says nothing, "?" where it says a word
    that none of them is.  `at` is the day from which the basis counts; `odd` names a column
    whose date is no date.
    """

    basis: str = ""
    at: date | None = None
    expires: date | None = None
    withdrawn: bool = False
    country: str = ""
    confirmed: bool = False  # double opt-in
    corporate: bool = False
    soft_opt_in: bool = False  # customer, similar products, an objection was offered
    odd: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """How many rows, and the line of the first."""

    rows: int
    line: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The list, as statistics: its size is bounded by how varied the rows are.

    `digest` is of the file.  `invalid` rows have no address that can be mailed, and count in
    nothing else.
    `authorised` are the rows of each domain that carry a `wireless_authorisation`.
    """

    file: str
    digest: str
    columns: tuple[str, ...]
    rows: int
    invalid: int
    domains: Mapping[str, Seen]
    authorised: Mapping[str, int]
    consents: Mapping[Consent, Seen]


@dataclass(frozen=True, slots=True)
class Late:
    """Mail to an address that had asked for none; in seconds since 1970."""

    asked: float
    mailed: float


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger says of opt-outs: how many stand, and whom mail reached after theirs.

    `late` has the last message to each such address.
    """

    opt_outs: int
    late: tuple[Late, ...]


@dataclass(frozen=True, slots=True)
class WirelessDomains:
    """The FCC's list of wireless domains, as the operator supplies it."""

    domains: frozenset[str]
    dated: date  # when the file was last changed


@dataclass(frozen=True, slots=True)
class Symbol:
    """A rule of a spam filter that a message meets, and its points."""

    name: str
    points: float
    says: str


@dataclass(frozen=True, slots=True)
class Score:
    """What a spam filter thinks of one message (`Sample.name`).

    `action` is what it would have done, in its own words: "no action", "add header", "reject"
    of rspamd, "ham" and "spam" of SpamAssassin.  At `limit` points it refuses, or says spam.
    """

    message: str
    points: float
    limit: float
    action: str
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class SpamScores:
    """What a spam filter thinks of all samples; `elsewhere` if it runs on another host."""

    filter: str
    elsewhere: bool
    scores: tuple[Score, ...]
