"""Who lives in the practice Internet: what each domain does, as data.

Rule: a character is told which attempt this is and when it was first seen; it keeps no
state and has no chance in it, so a rehearsal repeats itself.

The replies are those that real servers give, in their own words, so that what reads them
is practised too.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Character:
    """What becomes of mail to one kind of address.

    `refusals` answer the first, second … RCPT to an address; after them `final` answers
    for good (its sentences in turn), and where there is none the mail is accepted.
    `patience`: seconds from first sight during which the first refusal stands, as greylists
    do.  `one_in`: one RCPT in so many meets the first refusal, the others are accepted.
    `delay`: seconds before each reply.  `sends_back`: what the postmaster writes once the
    mail was accepted.
    """

    name: str
    refusals: tuple[str, ...] = ()
    final: tuple[str, ...] = ()
    patience: float = 0.0
    one_in: int = 0
    delay: float = 0.0
    sends_back: str = ""

    @property
    def remembers(self) -> bool:
        """Whether its answer depends on what came before."""
        return bool(self.refusals or len(self.final) > 1)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known when a RCPT arrives; the counts include this one.

    `attempt`: how often this address was named; `age`: seconds since it first was;
    `turn`: how often any address of this character was named.
    """

    attempt: int = 1
    age: float = 0.0
    turn: int = 1


def answer(character: Character, sight: Sight) -> str:
    """Return the refusal of this RCPT, `{recipient}` still to be filled in; "" accepts."""
    refusals, final = character.refusals, character.final
    if character.one_in:
        return refusals[0] if sight.turn % character.one_in == 1 else ""
    if character.patience:
        return refusals[0] if sight.age < character.patience else ""
    if sight.attempt <= len(refusals):
        return refusals[sight.attempt - 1]
    return final[(sight.turn - 1) % len(final)] if final else ""


ACCEPTS = Character("accepts")

UNKNOWN = Character(
    "unknown",
    final=(
        # Postfix; Exchange Online; Gmail.
        "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown",
        (
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; "
            "Recipient {recipient} not found by SMTP address lookup"
        ),
        (
            "550-5.1.1 The email account that you tried to reach does not exist. Please\r\n"
            "550-5.1.1 try double-checking the recipient's email address for typos or\r\n"
            "550 5.1.1 unnecessary spaces. - gsmtp"
        ),
    ),
)

FULL = Character(
    "full",
    refusals=("452 4.2.2 <{recipient}>: Mailbox is over quota, try again later",) * 2,
    final=("552 5.2.2 <{recipient}>: Mailbox full, quota exceeded",),
)

GREYLISTS = Character(
    "greylists",
    refusals=(
        "451 4.7.1 <{recipient}>: Recipient address rejected: Greylisted, try again later",
    ),
    patience=1.0,
)

DEFERS = Character(
    "defers",
    refusals=(
        "451 4.3.0 <{recipient}>: Temporary lookup failure",
        "450 4.2.0 <{recipient}>: Mailbox busy, please retry",
    ),
)

LIMITS = Character(
    "limits",
    refusals=("421 4.7.0 Too many messages from your address in a short time, slow down",),
    one_in=5,
)

BLOCKS = Character(
    "blocks",
    final=(
        (
            "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using "
            "bl.blocklist.example; https://blocklist.example/query/127.0.0.1"
        ),
    ),
)

SLOW = Character("slow", delay=0.3)
BOUNCES_POSTFIX = Character("bounces-postfix", sends_back="postfix")
BOUNCES_EXIM = Character("bounces-exim", sends_back="exim")
BOUNCES_EXCHANGE = Character("bounces-exchange", sends_back="exchange")
AWAY = Character("away", sends_back="out-of-office")
COMPLAINS = Character("complains", sends_back="complaint")
UNSUBSCRIBES = Character("unsubscribes", sends_back="unsubscribe")

# By domain; every domain that is not named accepts.
DOMAINS: Mapping[str, Character] = {
    "inbox.example": ACCEPTS,
    "mail.example": ACCEPTS,
    "post.example": ACCEPTS,
    "unknown.example": UNKNOWN,
    "full.example": FULL,
    "greylist.example": GREYLISTS,
    "defers.example": DEFERS,
    "limits.example": LIMITS,
    "blocks.example": BLOCKS,
    "slow.example": SLOW,
    "bounces-postfix.example": BOUNCES_POSTFIX,
    "bounces-exim.example": BOUNCES_EXIM,
    "bounces-exchange.example": BOUNCES_EXCHANGE,
    "away.example": AWAY,
    "complains.example": COMPLAINS,
    "unsubscribes.example": UNSUBSCRIBES,
}

# By the beginning of the local part, at domains that are not named.
LOCAL_PARTS: Mapping[str, Character] = {
    "unknown": UNKNOWN,
    "full": FULL,
    "bounce": BOUNCES_POSTFIX,
}

# A rehearsal with a real list: of 1,000 addresses so many, the rest accepts.  Of the order
# that a list in good repair shows.
MIX: tuple[tuple[int, Character], ...] = (
    (20, UNKNOWN),
    (5, FULL),
    (10, GREYLISTS),
    (5, LIMITS),
    (3, BLOCKS),
    (4, BOUNCES_POSTFIX),
    (3, BOUNCES_EXIM),
    (3, BOUNCES_EXCHANGE),
    (5, AWAY),
    (1, COMPLAINS),
    (1, UNSUBSCRIBES),
)


def character(recipient: str, *, realistic: bool = False) -> Character:
    """Return who answers for an address.

    `realistic`: at domains that are not named a hash of the address decides, so that a
    list meets the same fates each time; local parts force nothing then, since a real name
    may well begin with "full".
    """
    local, _, domain = recipient.casefold().rpartition("@")
    named = DOMAINS.get(domain)
    if named is not None:
        return named
    if realistic:
        return _by_hash(recipient.casefold())
    for beginning, forced in LOCAL_PARTS.items():
        if local.startswith(beginning):
            return forced
    return ACCEPTS


def _by_hash(key: str) -> Character:
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    lot = int.from_bytes(digest[:4], "big") % 1000
    for share, fate in MIX:
        if lot < share:
            return fate
        lot -= share
    return ACCEPTS
