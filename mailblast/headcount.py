"""How many messages a list makes, by domain: what enrolment finds row by row, in one quick pass.

Rule: the same rows are left out, for the same reasons: those that cannot be mailed, those whose
address stood there before, and whom a suppression list names.  Ten million rows leave no time
for an index of addresses and no room for a set of them.  So of each good row twelve bytes are
kept, a hash of its address and the number of its domain, and counted at the end, a 256th of them
at a time.  Two addresses of ten million have the same hash once in 400,000 lists; nobody is
mailed or left out for it, for this is a count.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mailblast.address import BLANKS, Address, is_plain_local, parse, plain_domain

PARTS = 256  # of the hashes, each counted by itself

_BAD = -1  # a domain that no address can have
_ASK = -2  # one whose addresses are read one at a time: an IDN (RFC 5890), a long one


@dataclass(frozen=True, slots=True)
class Headcount:
    """How many `messages` each domain gets, and how many rows are left out, by why.

    A row is counted once: `invalid` before `duplicates` before `suppressed`.
    """

    messages: Mapping[str, int]
    invalid: int
    duplicates: int
    suppressed: int


def headcount(
    rows: Iterable[Sequence[str]], width: int, email: int, gone: Iterable[str]
) -> Headcount:
    """Count the rows of a list, the header's left out.

    `width` is the number of cells of the header, `email` that of the column of addresses (from
    0); `gone` are the keys of the suppression lists (`suppression.parse`).
    """
    lists, domains, heads = _Lists(gone), _Domains(), _Heads()
    invalid = 0
    for cells in rows:
        if len(cells) != width:
            invalid += 1
            continue
        text = cells[email].strip(BLANKS)
        local, _, name = text.rpartition("@")
        domain = domains[name]
        if domain >= 0 and is_plain_local(local):
            key = text.lower()
        elif domain != _BAD and isinstance(found := parse(text), Address):
            key, domain = found.key, domains.number(found.domain)
        else:
            invalid += 1
            continue
        heads.add(key, domain)
        if lists.digests and lists.has_digest(key):
            lists.add(key)
    duplicates, suppressed, counted = heads.counted(lists.addresses)
    messages = {}
    for name, number in domains.numbers.items():
        if lists.has_domain(name):
            suppressed += counted[number]
        elif counted[number]:
            messages[name] = counted[number]
    return Headcount(messages, invalid, duplicates, suppressed)


class _Domains(dict[str, int]):
    """The number of each domain, from 0, by how it is written in the list, or _BAD, or _ASK."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}  # by how it is written here: A-labels, lower case

    def number(self, domain: str) -> int:
        return self.numbers.setdefault(domain, len(self.numbers))

    def __missing__(self, text: str) -> int:
        if plain := plain_domain(text):
            self[text] = self.number(plain)
        else:
            self[text] = _ASK if isinstance(parse(f"x@{text}"), Address) else _BAD
        return self[text]


class _Lists:
    """Whom the suppression lists name: their own hashes of addresses, and the domains."""

    def __init__(self, gone: Iterable[str]) -> None:
        self.addresses = [array("q") for _ in range(PARTS)]
        self._domains: set[str] = set()
        self._sha256: set[bytes] = set()
        self._md5: set[bytes] = set()
        for key in gone:
            kind, _, digest = key.partition(":")
            if key.startswith("@"):
                self._domains.add(key[1:])
            elif kind == "sha256":
                self._sha256.add(bytes.fromhex(digest))
            elif kind == "md5":
                self._md5.add(bytes.fromhex(digest))
            else:
                self.add(key)
        self.digests = bool(self._sha256 or self._md5)

    def add(self, key: str) -> None:
        entered = hash(key)
        self.addresses[entered % PARTS].append(entered)

    def has_digest(self, key: str) -> bool:
        octets = key.encode()
        return (bool(self._sha256) and hashlib.sha256(octets).digest() in self._sha256) or (
            bool(self._md5)
            and hashlib.md5(octets, usedforsecurity=False).digest() in self._md5
        )

    def has_domain(self, domain: str) -> bool:
        """Whether it, or one above it, is on a list."""
        labels = domain.split(".")
        return any(".".join(labels[n:]) in self._domains for n in range(len(labels) - 1))


class _Heads:
    """The hash of each address, and beside it the number of its domain."""

    def __init__(self) -> None:
        self._parts = [(array("q"), array("I")) for _ in range(PARTS)]

    def add(self, key: str, domain: int) -> None:
        entered = hash(key)
        hashes, domains = self._parts[entered % PARTS]
        hashes.append(entered)
        domains.append(domain)

    def counted(self, gone: Sequence[Iterable[int]]) -> tuple[int, int, Mapping[int, int]]:
        """The duplicates, those who are `gone`, and how many remain of each domain."""
        duplicates = suppressed = 0
        remain: Counter[int] = Counter()
        for part, (hashes, domains) in enumerate(self._parts):
            # The last of each, for dict keeps it: which of two alike is counted is the same.
            heads = dict(zip(hashes, domains, strict=True))
            duplicates += len(hashes) - len(heads)
            for entered in set(gone[part]).intersection(heads):
                del heads[entered]
                suppressed += 1
            remain.update(heads.values())
        return duplicates, suppressed, remain
