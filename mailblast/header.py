"""The header of a list: the names of its columns, and what is wrong with them."""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailblast.errors import Problem

# In a template these are not names of variables but words of Jinja's own.
_TAKEN = frozenset({
    "and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "self", "super",
    "true",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """The header: `names` as templates know them, `email` the number of the address column
    (from 0), `header` the cells as they came."""

    names: tuple[str, ...]
    email: int
    header: tuple[str, ...]


def column_name(cell: str) -> str:
    """The name of a column from its header: `First-Name ` is `first_name`."""
    return re.sub(r"[\s-]+", "_", unicodedata.normalize("NFC", cell).strip().lower())


def aligned(cells: Sequence[str], width: int) -> list[str]:
    """A row's cells, one for each column: those missing are empty, those too many stand in the
    last, so that what is written behind them has a column of its own."""
    filled = [*cells, *[""] * (width - len(cells))]
    return [*filled[: width - 1], ", ".join(filled[width - 1 :])]


def columns_of(header: Sequence[str], email: str) -> Columns:
    """The columns of a header that was read and found good before."""
    names = tuple(map(column_name, header))
    return Columns(names, names.index(column_name(email)), tuple(header))


def wrong_with(header: Sequence[str], where: str, email: str, naming: str) -> list[Problem]:
    """What is wrong with a header, nothing if it can be used.

    `where` is the place to tell, `email` the column that has to be there, `naming` how another
    is named: `--email {}`.
    """
    names = tuple(map(column_name, header))
    return list(_no_header(where, header)) or [
        *_misnamed(where, header, names),
        *_no_email(where, names, column_name(email), naming),
    ]


def _no_header(where: str, header: Sequence[str]) -> Iterator[Problem]:
    """That the first line names no columns."""
    named = "the first line has to name the columns, one of them email"
    if any("@" in cell for cell in header):
        yield Problem(where, "this looks like a row, and not like a header", named)
    elif header[0].lower().startswith("sep="):
        yield Problem(
            where, "Excel's sep= line stands where the header has to", "take it out"
        )
    elif len(header) == 1 and "|" in header[0]:
        yield Problem(where, 'cells are parted by ",", ";" or a tab, not by "|"', named)


def _misnamed(where: str, header: Sequence[str], names: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with the names: each must be one that a template can say."""
    first: dict[str, int] = {}
    for number, (cell, name) in enumerate(zip(header, names, strict=True), 1):
        before = first.setdefault(name, number)
        if not name:
            yield Problem(where, f"column {number} has no name", "name it or take it out")
        elif before != number:
            what = f'two columns are called "{shown(name)}": {before} and {number}'
            yield Problem(where, what, "rename one")
        elif name in _TAKEN or not name.isidentifier():
            what = f'a template cannot say the column name "{shown(cell)}"'
            yield Problem(where, what, "use letters, digits and _, a letter first")


def _no_email(
    where: str, names: Sequence[str], email: str, naming: str
) -> Iterator[Problem]:
    if email in names:
        return
    near = difflib.get_close_matches(email, names, 1) or [n for n in names if "mail" in n]
    if near:
        name = shown(near[0])
        hint = f'did you mean "{name}"? Then say {naming.format(name)}'
    else:
        hint = f"the columns are {', '.join(map(shown, names[:10]))}"
    yield Problem(where, f'no column "{shown(email)}"', hint)


def shown(text: str) -> str:
    """What came from outside, fit for a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:60])
