"""What stands on a suppression list, and which addresses it binds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.address import Address
from mailblast.address import parse as parse_address
from mailblast.errors import Problem, Problems, Refusal
from mailblast.suppression import Entry, keys, parse, read

SHA256 = hashlib.sha256(b"ada@example.com").hexdigest()
MD5 = hashlib.md5(b"ada@example.com").hexdigest()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ada@Example.com", "ada@example.com"),
        (" ada@example.com \n", "ada@example.com"),
        ("Jürgen@Bücher.example", "jürgen@xn--bcher-kva.example"),
        ("@Example.com", "@example.com"),
        ("@bücher.example", "@xn--bcher-kva.example"),
        (SHA256.upper(), f"sha256:{SHA256}"),
        (f"SHA256:{SHA256}", f"sha256:{SHA256}"),
        (MD5, f"md5:{MD5}"),
        (f"md5:{MD5}", f"md5:{MD5}"),
    ],
)
def test_an_entry_has_one_key(text, key):
    """An address, a domain, a hash: however written, one key."""
    assert key == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com", "*@example.com", "@", "@com", "@example.com.", "@localhost",
        "@a@b.c",
        "a@b, c@d", "<ada@example.com>", SHA256[1:], f"md5:{SHA256}", f"sha256:{MD5}",
        f"sha1:{SHA256[:40]}", "g" * 64, "@" + "x" * 300, "ada@example.com\nbob@example.com",
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(text):
    """Refused with a reason, rather than kept as a key that no address has."""
    assert isinstance(parse(text), Refusal)


def test_a_domain_is_written_with_its_at():
    """Whoever wants a whole domain is told how to write it."""
    for text in ("example.com", "*@example.com"):
        refused = parse(text)
        assert isinstance(refused, Refusal)
        assert '"@example.com"' in refused.why


def test_keys_of_an_address():
    """Itself, its domain and those above it (but no top-level domain), and both hashes."""
    address = parse_address("Ada@News.Example.com")
    assert isinstance(address, Address)
    key = b"ada@news.example.com"

    assert keys(address) == (
        "ada@news.example.com",
        "@news.example.com",
        "@example.com",
        f"sha256:{hashlib.sha256(key).hexdigest()}",
        f"md5:{hashlib.md5(key).hexdigest()}",
    )


@given(
    st.from_regex(r"[A-Za-zäÖß]{1,9}@([a-zü]{1,5}\.){1,4}(example|com)", fullmatch=True),
    st.integers(0, 10),
)
def test_an_address_stands_under_each_of_its_keys(text, pick):
    """Whichever key of an address is on a list, it is read back as that key."""
    address = parse_address(text)
    if isinstance(address, Address):
        key = keys(address)[pick % len(keys(address))]
        assert key == parse(key)


def test_one_entry_a_line(tmp_path):
    """Comments and blank lines are passed over; a # within an address is none."""
    path = tmp_path / "suppression.txt"
    path.write_text(
        "# who asked to be left alone\n\nAda@example.com   # by phone\n@example.net\r\n"
        f"   \n  #nothing\n{SHA256}\na#b@example.com\n"
    )

    assert list(read(path)) == [
        Entry("ada@example.com", "listed", line=3),
        Entry("@example.net", "listed", line=4),
        Entry(f"sha256:{SHA256}", "listed", line=7),
        Entry("a#b@example.com", "listed", line=8),
    ]


def test_a_bad_line_is_a_problem_and_reading_goes_on(tmp_path):
    """No line is dropped in silence: each is an entry or says what is wrong with it."""
    path = tmp_path / "suppression.txt"
    path.write_text("ada@example.com\nexample.net\nbob@example.com\n")
    first, bad, last = read(path)

    assert bad == Problem(
        "suppression.txt:2",
        'neither an address nor a hash; a domain is written "@example.com"',
    )
    assert (first.line, last.line) == (1, 3)


@pytest.mark.parametrize("name", ["email", "E-Mail", "Address", "HASH"])
def test_columns_are_found_by_name(tmp_path, name):
    """In a .csv the entry stands in its column, the reason in `reason`."""
    path = tmp_path / "list.csv"
    path.write_text(f"id;{name};Reason\n1;ada@example.com; complaint \n2;{MD5};\n")

    assert list(read(path)) == [
        Entry("ada@example.com", "complaint", line=2),
        Entry(f"md5:{MD5}", "listed", line=3),
    ]


def test_without_a_header_the_first_column_counts(tmp_path):
    """A first row that begins with an entry is no header, whatever else is in it."""
    path = tmp_path / "list.CSV"
    path.write_text("ada@example.com,reason\nbob@example.com,x\n")

    assert [entry.key for entry in read(path)] == ["ada@example.com", "bob@example.com"]


def test_without_a_known_column_the_first_counts(tmp_path):
    """`reason` alone makes it a header."""
    path = tmp_path / "list.csv"
    path.write_text("Who,Reason\nada@example.com,unsubscribed\n")

    assert [Entry("ada@example.com", "unsubscribed", line=2)] == list(read(path))


def test_a_row_too_short_is_a_problem(tmp_path):
    """A row without its cell is told, and does not break the reading."""
    path = tmp_path / "list.csv"
    path.write_text("id,email\n1\n2,ada@example.com\n")

    assert [type(found).__name__ for found in read(path)] == ["Problem", "Entry"]


def test_a_long_reason_is_cut(tmp_path):
    """200 characters are kept."""
    path = tmp_path / "list.csv"
    path.write_text("email,reason\nada@example.com," + "x" * 5000)
    [entry] = read(path)

    assert entry.reason == "x" * 200


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_lists_of_every_make(tmp_path, encoding, suffix):
    """The same encodings as for recipients."""
    path = tmp_path / f"list{suffix}"
    path.write_bytes("ada@example.com\r\nbob@example.com\r\n".encode(encoding))

    assert [entry.key for entry in read(path)] == ["ada@example.com", "bob@example.com"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("list.txt", b"a@b.example\n\xe9", "list.txt:2: not UTF-8 (byte 0xe9 at column 1)"),
        ("list.txt", b"a@b.example\nx\0\n", "list.txt:2: a NUL byte"),
        ("list.txt", b"x" * 1_000_001, "list.txt:1: a row of more than 1,000,000"),
        ("list.csv", b'email\na@b.example\n"c@d\n', "list.csv:3: a quote is opened here"),
    ],
)
def test_a_damaged_list_stops_the_work(tmp_path, name, content, says):
    """Half a suppression list is worse than none: whoever stands below would be mailed."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(Problems) as caught:
        list(read(path))
    assert str(caught.value).startswith(says)


def test_a_list_that_is_not_there(tmp_path):
    """It is not taken for an empty one."""
    with pytest.raises(Problems, match="No such file"):
        list(read(tmp_path / "none.txt"))


def test_an_empty_list_binds_nobody(tmp_path):
    """A file without entries is read without a word."""
    for name in ("list.txt", "list.csv"):
        (tmp_path / name).write_text("\n")
        assert list(read(tmp_path / name)) == []
