"""Whose delivery a mail speaks of, and how far that is proven.

Anyone can write a notice, and what is in it can be made up (RFC 3464 §4.1).  So a mail is
asked for what only somebody can know who had our message, or carried it.  In the order of
trust:

    return-path     the tag to which the mail came; else the one it reports on     80 bits
    link            the tag in the List-Unsubscribe of the returned header        128 bits
    envelope-id     the tag that came back as ENVID (RFC 3461 §4.4)                80 bits
    message-id      number and mark in the Message-ID returned or answered         36 bits
    address         a message to this address, not long ago: proves nothing        weak

Rule: the surest place that holds anything of ours decides.  If it is not genuine there, the
mail is forged, whatever else stands in it.  In an address, what has the form of a tag claims
to be ours; elsewhere only what names a delivery of ours does, for others too have identifiers
of 28 letters.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from mailblast import bounce, tag
from mailblast.address import parse as parse_address
from mailblast.bounce import Kind, Notice
from mailblast.errors import Refusal
from mailblast.tag import Keyring, Tag

# What comes much later was replayed.  RFC 5321 §4.5.4.1 has a server give up after four to
# five days, some take ten, and a mailbox may be read a week late.
OLDEST = 30 * 86400.0

MAX_CLAIMS = 50  # of one mail; ours has one or two
ADDRESSES = (0, 1)  # the places of claims that stand in addresses
# Whatever it says, and be it sent by a program: a mail to the `mailto:` of a List-Unsubscribe
# (RFC 2369 §3.2) asks for that, for nobody else knows the address.
ADDRESSED = "address"
_IN_ANY_WORDS = (Kind.NONE, Kind.AUTOREPLY)

# Delimited by anything else: `prvs=1234abcdef=bounces+TAG@` (BATV), `SRS0=…=bounces+TAG@`,
# `bounces-TAG@`.  No list of wrappings is needed, for the MAC proves what is in them.
_RUN = re.compile(
    rf"(?<![0-9A-Za-z])(?:[A-Za-z2-7]{{{tag.LENGTHS['return-path']}}}"
    rf"|[A-Za-z2-7]{{{tag.LENGTHS['unsubscribe']}}})(?![0-9A-Za-z])"
)
_ENCODED_PLUS = re.compile(r"[%=+]2b", re.IGNORECASE)  # URL, quoted-printable, xtext
_MESSAGE_ID = re.compile(
    rf"<[a-z0-9-]{{1,40}}\.(\d{{1,15}})\.([a-z2-7]{{{tag.MARK}}})@", re.IGNORECASE
)


class By(StrEnum):
    """How a mail was tied to a delivery."""

    RETURN_PATH = "return-path"
    LINK = "link"
    ENVELOPE_ID = "envelope-id"
    MESSAGE_ID = "message-id"
    ADDRESS = "address"  # weak


class Fault(StrEnum):
    """Why what would tie a mail does not count."""

    FORGED = "forged"  # not ours: another MAC, key, number, or nothing was ever offered
    EXPIRED = "expired"  # ours, and older than OLDEST


class Claim(NamedTuple):
    """What a mail brings to tie it to a delivery: a tag, or the mark in a Message-ID."""

    by: By
    place: int  # where it stood, the surest first
    delivery: int
    proof: Tag | str


@dataclass(frozen=True, slots=True)
class Read:
    """What one mail says, what may tie it to a delivery, and the keys of those whom it is about
    (only where no address of ours does).  Of the returned message nothing more is kept."""

    notice: Notice | Refusal
    claims: tuple[Claim, ...] = ()
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery as far as a tie needs to know it.

    `run` is the run's name, `dated` when the message was first claimed (seconds since 1970),
    `offered` whether it ever left, `sample` whether it went to ourselves for a look.
    """

    delivery: int
    run: str
    mailbox: str
    key: str | None
    dated: float
    offered: bool
    sample: bool


@dataclass(frozen=True, slots=True)
class Tie:
    """To which delivery a mail belongs, if to any, by what, and what is wrong with that."""

    by: By | None = None
    sent: Sent | None = None
    fault: Fault | None = None

    @property
    def proven(self) -> Sent | None:
        """The delivery, if the tie to it is proven: then the mail may change something."""
        return None if self.fault or self.by is By.ADDRESS else self.sent


LOOSE = Tie()


def read(content: bytes) -> Read:
    """Read one mail.  Never raises, whatever the bytes."""
    notice = bounce.read(content)
    if isinstance(notice, Refusal):
        return Read(notice)
    found = claims(notice)
    if notice.kind in _IN_ANY_WORDS and any(c.by is By.LINK and not c.place for c in found):
        notice = replace(notice, kind=Kind.UNSUBSCRIBE, rule=ADDRESSED)
    certain = any(claim.place in ADDRESSES for claim in found)
    return Read(replace(notice, returned=()), found, () if certain else people(notice))


def claims(notice: Notice) -> tuple[Claim, ...]:
    """Everything in a mail that may tie it to a delivery, the surest first.  Nothing of it is
    believed yet."""
    reported = (a for one in notice.reports for a in (one.recipient, one.original))
    links = (value for name, value in notice.returned if name == "list-unsubscribe")
    places: tuple[tuple[By | None, Iterable[str]], ...] = (
        (None, map(_local, notice.addressed)),
        (None, map(_local, (*notice.senders, *reported))),
        (By.LINK, links),
        (By.ENVELOPE_ID, [notice.envelope_id]),
    )
    found = [
        Claim(_by(one) if by is None else by, place, one.delivery, one)
        for place, (by, texts) in enumerate(places)
        for text in texts
        for one in _tags(text)
    ]
    if answered := _MESSAGE_ID.match(notice.message_id):
        number, mark = answered.groups()
        found.append(Claim(By.MESSAGE_ID, len(places), int(number), mark))
    return tuple(dict.fromkeys(found))[:MAX_CLAIMS]


def _by(found: Tag) -> By:
    """In an address stands the tag of a return path, or that of a `mailto:` to leave."""
    return By.RETURN_PATH if tag.purpose(found) == "return-path" else By.LINK


def _local(address: str) -> str:
    return address.rpartition("@")[0]


def _tags(text: str) -> Iterator[Tag]:
    for form in (text, _ENCODED_PLUS.sub("+", text)):
        yield from filter(None, map(tag.read, _RUN.findall(form)))


def tie(
    found: Iterable[Claim],
    sent: Mapping[int, Sent],
    keyring: Keyring,
    now: float,
    *,
    lasting: bool = False,
) -> Tie:
    """The tie that the claims of a mail prove; `sent` has the deliveries that they name.

    `lasting`: what they prove holds however old it is, as for a wish to leave.
    """
    for _, some in groupby(found, key=lambda claim: claim.place):
        group = list(some)
        for claim in group:
            known = sent.get(claim.delivery)
            if known and known.offered and _genuine(claim, known, keyring):
                late = now - known.dated > OLDEST and not lasting
                return Tie(claim.by, known, Fault.EXPIRED if late else None)
        if group[0].place in ADDRESSES or any(one.delivery in sent for one in group):
            return Tie(group[0].by, None, Fault.FORGED)
    return LOOSE


def _genuine(claim: Claim, known: Sent, keyring: Keyring) -> bool:
    if isinstance(claim.proof, str):
        return tag.marked(keyring, known.run, claim.delivery, claim.proof)
    purpose = tag.purpose(claim.proof)
    return tag.genuine(keyring, purpose, known.run, claim.proof)


def people(notice: Notice) -> tuple[str, ...]:
    """The keys of those whom a mail names, or by whom it was written if it names nobody.

    By these it can be tied weakly, where there is no claim.
    """
    named = [a for one in notice.reports for a in (one.original, one.recipient) if a]
    found = map(parse_address, named[:MAX_CLAIMS] or [notice.author])
    return tuple(dict.fromkeys(one.key for one in found if not isinstance(one, Refusal)))


def weak(keys: Iterable[str], latest: Mapping[str, Sent]) -> Tie:
    """The tie by address alone; `latest` has the latest delivery to each."""
    known = next((latest[key] for key in keys if key in latest), None)
    return Tie(By.ADDRESS, known) if known else LOOSE
