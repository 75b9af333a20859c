"""Whatever bytes come in, the reader of bounces yields an answer within its bounds.

The seeds are the project's own fixtures, and a larger corpus where it lies beside the
checkout or above it (shared/bounces); where it does not, that is said.
"""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_notices import EXPECTED, MAILS

from mailblast import bounce
from mailblast.bounce import Kind, Notice
from mailblast.bounce.parts import MAX_READ
from mailblast.errors import Refusal

PLACES = [above / "shared" / "bounces" / "dev" for above in Path(__file__).parents[2:]]
CORPUS = next((place for place in PLACES if place.is_dir()), PLACES[0])
OWN = [path.read_bytes() for path in sorted(MAILS.glob("*.eml"))]
bounce.read(OWN[0])  # the rules are read once, outside of what Hypothesis times
ACTIONS = {"", "failed", "delayed", "delivered", "relayed", "expanded"}

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="no corpus of other people's mail in ../shared/bounces"
)


def within_bounds(content: bytes) -> None:
    """An answer, or a refusal with a reason; every value short and safe to show."""
    found = bounce.read(content)
    if isinstance(found, Refusal):
        assert found.why
        return
    assert len(found.reports) <= 1000
    assert found.kind in (Kind.BOUNCE, Kind.COMPLAINT) or not found.reports
    for report in found.reports:
        lines = report.text.split("\n")
        short = (report.recipient, report.original, report.mta, report.reporting)
        assert all(value.isprintable() for value in (*short, *lines))
        assert max(map(len, short)) <= 320
        assert len(report.text) <= 2000
        assert report.action in ACTIONS
        assert report.code == 0 or 200 <= report.code <= 559
    values = (*found.addressed, *found.senders, found.author, found.message_id)
    assert all(value.isprintable() and len(value) <= 1000 for value in values)


@given(content=st.sampled_from(OWN), cut=st.floats(0, 1))
def test_cut_anywhere(content: bytes, cut: float) -> None:
    """A mail cut off anywhere is read within bounds."""
    within_bounds(content[: int(len(content) * cut)])


@given(content=st.sampled_from(OWN), at=st.floats(0, 1), put=st.binary(max_size=40))
def test_changed_anywhere(content: bytes, at: float, put: bytes) -> None:
    """A mail with any bytes in any place is read within bounds."""
    place = int(len(content) * at)
    within_bounds(content[:place] + put + content[place + len(put) // 2 :])


@given(first=st.sampled_from(OWN), second=st.sampled_from(OWN), at=st.floats(0, 1))
def test_grown_together(first: bytes, second: bytes, at: float) -> None:
    """Two mails grown into one are read within bounds."""
    within_bounds(first[: int(len(first) * at)] + second[int(len(second) * at) :])


@given(lines=st.lists(st.sampled_from(b"\n".join(OWN).split(b"\n")), max_size=60))
def test_lines_in_any_order(lines: list[bytes]) -> None:
    """Lines of mails in any order are read within bounds."""
    within_bounds(b"\n".join(lines))


@pytest.mark.parametrize("name", EXPECTED)
def test_line_ends(name: str) -> None:
    """A mail with CRLF at the ends of its lines reads as the one without."""
    content = (MAILS / f"{name}.eml").read_bytes()

    assert judged(content.replace(b"\n", b"\r\n")) == judged(content)


@pytest.mark.parametrize("name", EXPECTED)
def test_repeated_to_the_limit(name: str) -> None:
    """A mail whose body is repeated up to two megabytes is read soon."""
    head, _, body = (MAILS / f"{name}.eml").read_bytes().partition(b"\n\n")
    content = head + b"\n\n" + body * (MAX_READ // max(len(body), 1))
    began = time.process_time()
    within_bounds(content)

    assert time.process_time() - began < 3


def judged(content: bytes) -> object:
    """What matters of a mail that was read: the kind, and each recipient's verdict."""
    found = bounce.read(content)
    assert isinstance(found, Notice)
    return found.kind, [
        (report.recipient, report.action, report.status, report.code, report.reason)
        for report in found.reports
    ]


# --- Other people's mail ------------------------------------------------------------------


def corpus() -> list[dict[str, object]]:
    """What must be read from each mail of the corpus."""
    lines = (CORPUS / "expected.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


THEIRS = sorted((CORPUS / "eml").glob("*.eml"))


@needs_corpus
@given(path=st.sampled_from(THEIRS or [CORPUS]), cut=st.floats(0, 1))
def test_theirs_cut_anywhere(path: Path, cut: float) -> None:
    """Mail of other projects, whole or cut off anywhere, is read within bounds."""
    content = path.read_bytes()
    within_bounds(content[: int(len(content) * cut)])


@needs_corpus
@given(
    first=st.sampled_from(THEIRS or [CORPUS]),
    second=st.sampled_from(THEIRS or [CORPUS]),
    at=st.floats(0, 1),
    put=st.binary(max_size=40),
)
def test_theirs_changed_and_grown_together(
    first: Path, second: Path, at: float, put: bytes
) -> None:
    """Two of them grown into one, with any bytes between, are read within bounds."""
    head, tail = first.read_bytes(), second.read_bytes()
    within_bounds(head[: int(len(head) * at)] + put + tail[int(len(tail) * at) :])


@needs_corpus
def test_the_corpus_within_bounds() -> None:
    """Mail of other projects, whole and cut in half, is read within bounds."""
    for path in sorted((CORPUS / "eml").iterdir()):
        content = path.read_bytes()
        within_bounds(content)
        within_bounds(content[: len(content) // 2])


@needs_corpus
def test_the_corpus_is_read_right() -> None:
    """Of the corpus at least 98 % of the kinds and 98 % of the recipients are right, and
    nobody is blamed in mail that is no bounce."""
    kinds = found = named = wanted = 0
    rows = [row for row in corpus() if row["kind"]]
    for row in rows:
        notice = bounce.read((CORPUS / "eml" / str(row["file"])).read_bytes())
        assert isinstance(notice, Notice)
        kind = Kind.NONE if notice.kind is Kind.REPORT else notice.kind
        kinds += kind == row["kind"]
        if row["kind"] != "bounce":
            assert notice.kind is not Kind.BOUNCE or not notice.reports, row["file"]
        elif row["recipients_complete"]:
            names = {report.recipient.lower() for report in notice.reports}
            alike = [_names(one) for one in row["recipients"]]
            wanted, named = wanted + len(alike), named + len(names)
            found += sum(not names.isdisjoint(one) for one in alike)

    assert kinds >= 0.98 * len(rows)
    assert found >= 0.98 * wanted
    assert found >= 0.998 * named


def _names(recipient: dict[str, object]) -> set[str]:
    return {
        str(name).lower() for name in (recipient["recipient"], *recipient["alt"]) if name
    }
