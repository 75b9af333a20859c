"""A list of any size and make: read row by row, or refused with file, line and reason."""

import contextlib
import csv
import io
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined

from mailblast.errors import Problems, UserError
from mailblast.header import column_name
from mailblast.reason import Reason
from mailblast.recipients import MAX_FIELD, MAX_ROW, open_recipients


@pytest.fixture
def write(tmp_path):
    """Writes the list: text as UTF-8, bytes as they are."""

    def write(content):
        path = tmp_path / "recipients.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal(path, **options):
    with pytest.raises(Problems) as caught:
        list(open_recipients(path, **options))
    return str(caught.value)


PLAIN = "email,first_name\nada@example.com,Ada\nbob@example.com,Böb\n"


def test_a_row_knows_its_number_and_its_line(write):
    """The number counts rows, the line is that of the file; blank lines are neither."""
    path = write('email,note\n\na@b.example,"two\nlines"\n  \nc@d.example,x\n')

    assert [(row.number, row.line) for row in open_recipients(path)] == [(1, 3), (2, 6)]


def test_a_line_end_within_quotes_is_data(write):
    """It stays in the cell as it came; whether a header may have it is not decided here."""
    [row] = open_recipients(write('email,note\r\na@b.example,"one\r\ntwo"\r\n'))

    assert row.cells == ("a@b.example", "one\r\ntwo")
    assert row.reason is None


def test_a_bad_address_is_a_row_with_a_reason(write):
    """It does not stop the run, and its cells are kept as they came."""
    path = write("email,first_name\na@x> AUTH=<b,Ada\n b@y.example ,Bob\n")
    bad, good = open_recipients(path)

    assert bad.cells == ("a@x> AUTH=<b", "Ada")
    assert (bad.address, bad.reason) == (None, Reason.ADDRESS_SYNTAX)
    assert bad.why
    assert (good.reason, good.why) == (None, "")
    assert good.address.mailbox == "b@y.example"


@pytest.mark.parametrize(
    "cells", ["a@x, b@y", "a@b.example\nBcc: c@d.example", "", "a@b\0"]
)
def test_a_cell_holds_exactly_one_address(write, cells):
    """Two addresses, a line end, nothing: the row is there, and it is invalid."""
    path = write(f'email,n\n"{cells}",1\n'.replace("\0", "\u200b"))

    assert [row.reason for row in open_recipients(path)] == [Reason.ADDRESS_SYNTAX]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a@b.example,Ada,x", "3 cells where the header has 2"),
        ("a@b.example", "1 cell where the header has 2"),
    ],
)
def test_a_row_of_another_width_is_malformed(write, line, says):
    """One separator too many or too few, and nobody knows which cell is which."""
    [row] = open_recipients(write(f"email,first_name\n{line}\n"))

    assert (Reason.MALFORMED_ROW, says, None) == (row.reason, row.why, row.address)


def test_rows_without_values_are_not_dropped(write):
    """A spreadsheet leaves `,,` at the end; it is a row of the file, so it is accounted for."""
    rows = list(open_recipients(write("email,a,b\na@b.example,1,2\n,,\n")))

    assert [row.reason for row in rows] == [None, Reason.ADDRESS_SYNTAX]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf_16"]
)
def test_unicode_is_recognised(write, encoding):
    """UTF-8 and UTF-16, with a byte order mark and without."""
    recipients = open_recipients(write(PLAIN.encode(encoding)))

    assert recipients.columns.header == ("email", "first_name")
    assert [row.cells[1] for row in recipients] == ["Ada", "Böb"]


@pytest.mark.parametrize("mark", [b"\xfe\xff", b""])
def test_utf16_in_big_endian(write, mark):
    """The byte order mark of either order is understood."""
    recipients = open_recipients(write(mark + PLAIN.encode("utf-16-be")))

    assert [row.cells[1] for row in recipients] == ["Ada", "Böb"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ISO-8859-15"])
def test_other_encodings_by_option(write, encoding):
    """A list in Latin-1 is read when it is said to be."""
    recipients = open_recipients(write(PLAIN.encode(encoding)), encoding=encoding)

    assert [row.cells[1] for row in recipients] == ["Ada", "Böb"]


def test_latin1_by_surprise_is_pointed_at(write):
    """The line, the byte, the column, and what to write where."""
    rows = "".join(f"r{n}@example.com,x\n" for n in range(15)).encode()
    path = write(b"email,city\n" + rows + b"a@b.example,Orl\xe9ans\n")

    assert refusal(path) == (
        "recipients.csv:17: not UTF-8 (byte 0xe9 at column 16); "
        'if the file is Latin-1, say encoding = "latin-1" in [recipients]'
    )


def test_a_bad_byte_far_into_the_file_is_pointed_at(write):
    """The place is that of the byte, wherever the buffers end; a true U+FFFD is none."""
    rows = "a@b.example,\ufffd\n".encode() * 5000
    path = write(b"email,city\n" + rows + b"\xff\n" + rows)

    assert refusal(path).startswith(
        "recipients.csv:5002: not UTF-8 (byte 0xff at column 1)"
    )


def test_a_bad_byte_in_the_header(write):
    """The header is read by the same rules."""
    assert refusal(write(b"email,stra\xdfe\n")).startswith("recipients.csv:1: not UTF-8")


def test_broken_utf16_is_refused(write):
    """A file cut within a character is a damaged file."""
    path = write(PLAIN.encode("utf-16") + b"\0")

    assert "not UTF-16" in refusal(path)


@pytest.mark.parametrize("encoding", ["utf-99", "hex", "rot13", "a\0b", "undefined", ""])
def test_an_unknown_encoding_is_refused(write, encoding):
    """Nothing that is not an encoding of text."""
    with pytest.raises(UserError, match="unknown encoding"):
        open_recipients(write(PLAIN), encoding=encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_found(write, separator, end):
    """Comma, semicolon and tab; the line ends of three systems."""
    lines = ["email{}city", "a@b.example{}x", 'c@d.example{}"y,;\tz"']
    path = write(end.join(lines).format(*separator * 3))

    assert [(r.line, r.cells[1]) for r in open_recipients(path)] == [
        (2, "x"),
        (3, "y,;\tz"),
    ]


def test_separators_within_quotes_do_not_count(write):
    """A header cell may contain the others."""
    path = write('email;"a,b,c,d"\n')

    assert "a,b,c,d" in refusal(path)
    assert "cannot say" in refusal(path)


def test_one_column_is_enough(write):
    """A list of nothing but addresses has no separator at all."""
    recipients = open_recipients(write("E-Mail\na@b.example\n"), email="e-mail")

    assert [row.cells for row in recipients] == [("a@b.example",)]


def test_column_names_are_tolerant(write):
    """Case, spaces and dashes do not matter; the header is kept as it came."""
    path = write(" EMail , First Name,Licence-Key,Größe\na@b.example,1,2,3\n")
    columns = open_recipients(path).columns

    assert columns.names == ("email", "first_name", "licence_key", "größe")
    assert columns.header == (" EMail ", " First Name", "Licence-Key", "Größe")
    assert columns.email == 0


def test_the_email_column_can_be_another(write):
    """It is named in the settings, by the same tolerant rules."""
    columns = open_recipients(write("id,Work Mail\n"), email="work mail").columns

    assert columns.email == 1


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("e-mail,name", 'did you mean "e_mail"? Then say email = "e_mail" in [recipients]'),
        ("work_mail_address,name", 'did you mean "work_mail_address"?'),
        ("a,b", "the columns are a, b"),
    ],
)
def test_a_missing_email_column_is_helped_with(write, header, says):
    """The message names the column that was probably meant."""
    said = refusal(write(f"{header}\n"))

    assert said.startswith('recipients.csv:1: no column "email"; ')
    assert says in said


def test_all_that_is_wrong_with_a_header_is_told_at_once(write):
    """One run of the program, all there is to mend; and no escape sequence to a terminal."""
    path = write("\nname,Name,,first name (given),if,2nd,\x1b[31m\n")
    unsayable = [
        f'recipients.csv:2: a template cannot say the column name "{name}"; use letters, '
        "digits and _, a letter first"
        for name in ("first name (given)", "if", "2nd", "\ufffd[31m")
    ]

    assert refusal(path).splitlines() == [
        'recipients.csv:2: two columns are called "name": 1 and 2; rename one',
        "recipients.csv:2: column 3 has no name; name it or take it out",
        *unsayable,
        (
            'recipients.csv:2: no column "email"; the columns are '
            "name, name, , first_name_(given), if, 2nd, \ufffd[31m"
        ),
    ]


@given(
    st.one_of(
        st.text(),
        st.sampled_from(
            ["and", "or", "in", "is", "if", "self", "loop", "For", "set", "NONE"]
        ),
    )
)
def test_a_column_that_is_taken_can_be_said_in_a_template(tmp_path_factory, name):
    """Whatever name passes the header shows its own value and nothing else."""
    path = tmp_path_factory.mktemp("list") / "recipients.csv"
    with path.open("w", encoding="utf-8", errors="ignore", newline="") as file:
        csv.writer(file).writerow(["email", name])
    try:
        said = open_recipients(path).columns.names[1]
    except Problems:
        return
    template = Environment(undefined=StrictUndefined, autoescape=True).from_string(
        "{{ %s }}" % said  # noqa: UP031
    )
    assert template.render({said: "its value"}) == "its value"


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "  \n"])
def test_an_empty_file_is_refused(write, content):
    """A list without a header is no list."""
    assert refusal(write(content)).startswith("recipients.csv:1: the file is empty")


def test_a_header_without_rows_is_an_empty_list(write):
    """Nobody is on it; that is no error of reading."""
    assert list(open_recipients(write("email"))) == []


def test_a_nul_byte_is_refused(write):
    """Text has none; the csv module of Python would let it through."""
    path = write("email,n\na@b.example,1\nc@d.example,x\0y\n")

    assert refusal(path) == "recipients.csv:3: a NUL byte; this is not a text file"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_quote_left_open_is_pointed_at(write, separator):
    """The line is where the quote was opened, not where the row begins or the file ends."""
    rows = 'email,a,b\na@b.example,1,2\nc@d.example,"x\ny","z\n' + "e@f.example,1,2\n" * 9

    assert refusal(write(rows.replace(",", separator))) == (
        "recipients.csv:4: a quote is opened here and never closed; "
        "within quotes a quote is written twice"
    )


def test_a_quote_left_open_that_another_closes_is_pointed_at(write):
    """The next quote in the list seems to close it, many lines below."""
    rows = "e@f.example,1\n" * 9
    path = write(f'email,a\na@b.example,"x\n{rows}c@d.example,"y"\n')

    assert refusal(path).startswith(
        "recipients.csv:2: a quote is opened here, and text follows"
    )


def test_a_quote_left_open_swallows_no_more_than_a_cell_may_hold(write):
    """In a large list it is found after so many characters, not at the end."""
    path = write('email,a\na@b.example,"x\n' + "e@f.example,1\n" * 50_000)

    assert refusal(path) == (
        "recipients.csv:2: a cell of more than 100,000 characters; is a quote left open?"
    )


def test_quotes_within_a_plain_cell_are_data(write):
    """Only a quote at the beginning of a cell quotes it."""
    [row] = open_recipients(write('email,n\na@b.example,6" pipe\n'))

    assert row.cells[1] == '6" pipe'


def test_a_cell_has_a_limit(write):
    """100,000 characters pass, one more does not."""
    [row] = open_recipients(write("email,n\na@b.example," + "x" * MAX_FIELD))

    assert len(row.cells[1]) == MAX_FIELD
    said = refusal(write("email,n\n\na@b.example," + "x" * (MAX_FIELD + 1)))
    assert said.startswith("recipients.csv:3: a cell of more than 100,000 characters")


@pytest.mark.parametrize(
    "rest", ["x," * MAX_ROW, '"\n",' * (MAX_ROW // 4 + 1)], ids=["one line", "many lines"]
)
def test_a_row_has_a_limit(write, rest):
    """A file without line ends, or with a row of endless cells, is not read into memory."""
    assert "a row of more than 1,000,000 characters" in refusal(write("email,n\n" + rest))


def test_columns_have_a_limit(write):
    """A thousand are enough for anybody."""
    header = ",".join(f"c{n}" for n in range(1000))

    assert "more than 1,000 columns" in refusal(write(f"email,{header}\n"))


def test_a_file_that_is_not_there(tmp_path):
    """The operating system's reason, without a traceback."""
    said = refusal(tmp_path / "nobody.csv")

    assert said == "nobody.csv: cannot be read (No such file or directory)"
    assert "Is a directory" in refusal(tmp_path)


def test_a_list_can_be_read_twice(write):
    """Once to check it, once to enrol it."""
    recipients = open_recipients(write(PLAIN))

    assert list(recipients) == list(recipients)


def test_memory_does_not_grow_with_the_list(write):
    """A hundred thousand rows take no more than a hundred."""
    rows = (f"reader{n}@d{n}.example.net,Reader{n},City\n" for n in itertools.count())
    path = write("email,name,city\n" + "".join(itertools.islice(rows, 100_000)))

    def peak(most):
        tracemalloc.start()
        for _ in itertools.islice(open_recipients(path), most):
            pass
        return tracemalloc.get_traced_memory()[1], tracemalloc.stop()

    peak(100)
    assert peak(100_000)[0] < peak(100)[0] + 50_000


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    st.lists(st.tuples(_CELLS, _CELLS, _CELLS), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
)
def test_every_row_that_was_written_is_read(tmp_path_factory, rows, separator, encoding):
    """Whatever the cells contain, each row comes out once, in order, with the same cells."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("email", "a", "b"), *rows])
    path = tmp_path_factory.mktemp("list") / "recipients.csv"
    path.write_bytes(text.getvalue().encode(encoding))

    read = list(open_recipients(path))

    assert rows == [row.cells for row in read]
    assert list(range(1, len(rows) + 1)) == [row.number for row in read]
    assert all((row.address is None) == bool(row.why) for row in read)


@given(st.sampled_from(",;\t"), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, separator, content):
    """A file is rows or a Problem; nothing else escapes, and it ends."""
    path = tmp_path_factory.mktemp("list") / "recipients.csv"
    path.write_bytes('email,n\na@b.example,"'.replace(",", separator).encode() + content)

    with contextlib.suppress(Problems):
        assert all(row.line > 1 for row in open_recipients(path))


def test_column_name():
    """Spaces and dashes of any number become one underscore."""
    assert column_name(" E - Mail\u00a0Address ") == "e_mail_address"
