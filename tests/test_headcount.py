"""The quick count of a list: what reading it row by row would find."""

import hashlib
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from mailblast.address import Address, parse
from mailblast.headcount import Headcount, headcount
from mailblast.suppression import keys

LOCALS = st.sampled_from(
    ["a", "A", "o'b", "x.y", "x..y", "é", '"q"', "l" * 64, "l" * 65, ""]
)
DOMAINS = st.sampled_from([
    "d.example", "D.Example", "s.d.example", "e.example", "bücher.example", "invalid",
    "xn--bcher-kva.example", "x_y.example", "localhost", "l" * 60 + ".example", "",
    ".".join(["ü" * 20] * 4) + ".example", ".".join(["a" * 60] * 4),
])  # fmt: skip
CELLS = st.builds("{}@{}".format, LOCALS, DOMAINS) | st.text(max_size=12)
CELLS |= CELLS.map(" {}\u00a0".format)
GOOD = ["a@d.example", "o'b@s.d.example", "é@e.example", "a@xn--bcher-kva.example"]


def listed(key: str) -> list[str]:
    """The ways in which a list may name an address."""
    octets = key.encode()
    md5 = hashlib.md5(octets, usedforsecurity=False)
    domain = "@" + key.rpartition("@")[2]
    sha256 = hashlib.sha256(octets)
    return [
        key,
        f"sha256:{sha256.hexdigest()}",
        f"md5:{md5.hexdigest()}",
        domain,
        "@d.example",
    ]


GONE = st.lists(st.sampled_from(GOOD).flatmap(lambda key: st.sampled_from(listed(key))))


def row_by_row(rows: list[list[str]], gone: frozenset[str]) -> Headcount:
    """The count by what enrolment asks of each row."""
    messages: Counter[str] = Counter()
    seen: set[str] = set()
    invalid = duplicates = suppressed = 0
    for cells in rows:
        address = parse(cells[1]) if len(cells) == 2 else None
        if not isinstance(address, Address):
            invalid += 1
        elif address.key in seen:
            duplicates += 1
        else:
            seen.add(address.key)
            if not gone.isdisjoint(keys(address)):
                suppressed += 1
            else:
                messages[address.domain] += 1
    return Headcount(messages, invalid, duplicates, suppressed)


@given(st.lists(st.tuples(st.just("1"), CELLS).map(list) | st.just(["2"])), GONE)
@example([["1", "a@d.example"], ["1", "A@D.example"], ["1", "\u212a@d.example"]], [])
def test_it_counts_as_enrolment_does(rows, gone):
    """Whatever stands in the list, and whoever is suppressed, however."""
    assert headcount(rows, 2, 1, gone) == row_by_row(rows, frozenset(gone))


def test_many():
    """More than one a part: each address twice, a third of them suppressed."""
    rows = [["", f"r{n % 3_000}@d{n % 7}.example"] for n in range(42_000)]
    gone = [f"r{n}@d{m}.example" for n in range(0, 3_000, 3) for m in range(7)]

    assert headcount(rows, 2, 1, gone) == row_by_row(rows, frozenset(gone))
