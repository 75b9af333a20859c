"""`mailblast list clean`: what can be mailed stays as it stands, and nothing goes unsaid."""

import codecs
import csv
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from commands import ok
from hypothesis import given
from hypothesis import strategies as st
from nameservers import Nameservers, needs_nameservers

from mailblast.clean import Wanted, clean
from mailblast.errors import Problems, UserError
from mailblast.newfile import new_file
from mailblast.recipients import open_recipients

LIST = '''\
email,name,note
ann@inbox.example,"Ann, the ""first""","two
lines"
bad,Bad,
Ann@Inbox.example,Again,
short@inbox.example
cid@mailinator.com,Cid,
info@firm.example,=HYPERLINK(),
 bob@outlok.de ,Bob,
eve@gmial.com,Eve,
dan@inbox.example,Dan,=1+1
'''


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A workspace in which nothing was sent yet, with a list."""
    (tmp_path / "mailblast.toml").touch()
    (tmp_path / "list.csv").write_text(LIST, encoding="utf-8")
    return tmp_path


def cleaned(where: Path, *words: str, **more):
    return ok(where, "list", "clean", "list.csv", "-o", "clean.csv", *words, **more)


def explained(where: Path) -> dict[int, tuple[str, str]]:
    with (where / "why.csv").open(newline="", encoding="utf-8") as file:
        return {
            int(r["line"]): (r["reason"], r["explanation"]) for r in csv.DictReader(file)
        }


def test_what_stays_is_not_touched(where: Path) -> None:
    """Order, columns, quotes, blanks, formulas and line ends within a cell: to the byte."""
    said = cleaned(where).out
    lines = LIST.splitlines(keepends=True)

    kept = [lines[n] for n in (0, 1, 2, 7, 8, 9, 10)]
    assert (where / "clean.csv").read_bytes() == "".join(kept).encode()
    assert (where / "list.csv").read_text() == LIST
    assert "5 rows of 9 went to clean.csv." in said
    assert "No suppression list was looked at" in said
    mistyped = (
        "2 addresses that may be mistyped (list.csv:9 outlok.de → outlook.de, list.csv:10"
    )
    assert mistyped in " ".join(said.split())


def test_why_each_row_went(where: Path) -> None:
    """Line, cells, reason and a sentence; fit for a spreadsheet."""
    cleaned(where, "--reasons", "why.csv", "--roles")
    why = explained(where)

    assert {line: reason for line, (reason, _) in why.items()} == {
        4: "address-syntax",
        5: "duplicate",
        6: "malformed-row",
        7: "disposable",
        8: "role",
    }
    assert why[5][1] == "the same address as line 2"
    assert "'=HYPERLINK()" in (where / "why.csv").read_text()


def test_as_json(where: Path) -> None:
    """One object, whose sums add up."""
    document = cleaned(where, "--json", "--reasons", "why.csv").json

    assert document["rows"] == 9
    assert document["kept"] + sum(document["gone"].values()) == 9
    assert Counter(reason for reason, _ in explained(where).values()) == document["gone"]
    assert document["suppression_list"] is False
    assert document["output"] == "clean.csv"


def test_who_opted_out(where: Path) -> None:
    """The workspace's list is honoured: an address, a domain, a hash."""
    hashed = "sha256:6c1e0e3a0d0a7d5b2c1f3f0c0a5d9a1fd1b3a4c2e5f60718293a4b5c6d7e8f90"
    ok(where, "unsubscribe", "add", "Dan@inbox.example", "@firm.example", hashed)
    said = cleaned(where, "--reasons", "why.csv").out
    why = explained(where)

    assert why[11] == ("unsubscribed", "on the suppression list: unsubscribed")
    assert why[8][0] == "unsubscribed"
    assert "No suppression list" not in said


@pytest.mark.parametrize("taken", ["clean.csv", "why.csv"])
def test_nothing_is_written_over(where: Path, taken: str) -> None:
    """Whatever is there already stays, and the other file does not come."""
    (where / taken).write_text("mine")
    said = cleaned(where, "--reasons", "why.csv", status=1).err

    assert f"{taken} is there already" in said
    assert (where / taken).read_text() == "mine"
    assert {one.name for one in where.iterdir()} == {"mailblast.toml", "list.csv", taken}


def test_not_onto_itself(where: Path) -> None:
    """The list is no place for the cleaned list."""
    ok(where, "list", "clean", "list.csv", "-o", "list.csv", status=1)

    assert (where / "list.csv").read_text() == LIST


def test_a_damaged_list(where: Path) -> None:
    """Nothing appears that looks like a whole list."""
    (where / "list.csv").write_bytes(LIST.encode() + b'\xff@x.example,"\n')
    said = cleaned(where, status=1).err

    assert "list.csv:12: not UTF-8" in said
    assert not list(where.glob("*clean*"))
    assert not list(where.glob(".*csv*"))


@needs_nameservers
def test_domains_that_take_no_mail(where: Path) -> None:
    """--dns takes them out; who gives no answer stays."""
    zones = {
        "inbox.example": "@ MX 10 mx\nmx A 9.9.9.9",
        "firm.example": "@ MX 0 .",
        "forged.example": "@ MX 10 mx\nmx A 9.9.9.9",
    }
    with (where / "list.csv").open("a") as file:
        file.write("eve@forged.example,Eve,\n")
    with Nameservers(zones, forged={"forged.example": ("9.9.9.9", "9.9.9.8")}) as dns:
        cleaned(where, "--reasons", "why.csv", "--dns", "--resolver", dns.resolver)

    assert explained(where)[8] == (
        "domain-invalid",
        "firm.example takes no mail (null MX, RFC 7505)",
    )
    assert "eve@forged.example" in (where / "clean.csv").read_text()
    assert "dan@inbox.example" in (where / "clean.csv").read_text()


def test_another_column(where: Path) -> None:
    """--email names it; a list without it is refused."""
    (where / "list.csv").write_text("Name;Mail\nAnn;ann@inbox.example\n")

    assert "no column" in cleaned(where, status=1).err
    cleaned(where, "--email", "Mail")
    assert (where / "clean.csv").read_text() == "Name;Mail\nAnn;ann@inbox.example\n"


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"", "utf-16-le"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_encoding(where: Path, mark: bytes, codec: str, end: str) -> None:
    """The byte order mark and the line ends stay too; the last line may have none."""
    text = f"email,name{end}ann@inbox.example,Ännchen{end}bob@inbox.example,鮑勃"
    (where / "list.csv").write_bytes(mark + text.encode(codec))
    cleaned(where)

    assert (where / "clean.csv").read_bytes() == (where / "list.csv").read_bytes()


def test_a_named_encoding(where: Path) -> None:
    """Latin-1 stays Latin-1."""
    (where / "list.csv").write_bytes(
        "email,name\nann@inbox.example,Ännchen\n".encode("latin-1")
    )
    cleaned(where, "--encoding", "latin-1")

    assert (where / "clean.csv").read_bytes() == (where / "list.csv").read_bytes()


CELLS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6
)


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
def test_good_rows_come_out_as_they_went_in(rows, tmp_path_factory) -> None:
    """Whatever stands in the other cells."""
    home = tmp_path_factory.mktemp("list")
    with (home / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["email", "a", "b"],
                *([f"u{n}@x.example", *row] for n, row in enumerate(rows)),
            ]
        )
    with suppress(
        Problems
    ):  # a lone carriage return is a line end to one and not the other
        done = clean(
            open_recipients(home / "list.csv"),
            home / "out.csv",
            None,
            Wanted(),
            lambda *_: None,
        )
        assert done.kept == len(rows)
        assert (home / "out.csv").read_bytes() == (home / "list.csv").read_bytes()


def test_two_at_once(tmp_path: Path) -> None:
    """Of two that write the same name one wins, whole, and the other is told."""
    both = threading.Barrier(2)
    ended: list[str] = []

    def write(word: str) -> None:
        try:
            with new_file(tmp_path / "out", "utf-8") as file:
                both.wait(30)
                file.write(word * 1000)
            ended.append(word)
        except UserError:
            ended.append("")

    threads = [threading.Thread(target=write, args=(word,)) for word in "ab"]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)

    (won,) = [word for word in ended if word]
    assert (tmp_path / "out").read_text() == won * 1000
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
