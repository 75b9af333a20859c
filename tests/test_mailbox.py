"""Mailboxes on disk: what is written is read back, in bounded memory."""

import bz2
import gzip
import io
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast import mailbox
from mailblast.errors import Refusal, UserError
from mailblast.mailbox import STDIN, Mail, append_mbox, mbox, read

TUESDAY = 1_700_000_000.0

lines = st.lists(
    st.sampled_from(
        [b"", b"From me to you", b">From x", b">>From y", b"Subject: z", b".", b"a"]
    )
    | st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")),
    min_size=1,
    max_size=20,
)


def contents(path: Path) -> list[bytes]:
    """The contents of every message of a mailbox, none of them refused."""
    found = list(read(path))
    assert all(isinstance(mail, Mail) for mail in found)
    return [mail.content for mail in found if isinstance(mail, Mail)]


@given(messages=st.lists(lines.map(b"\n".join), min_size=1, max_size=5))
def test_what_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]
) -> None:
    """Any lines survive an mbox unchanged, those that look like its own included."""
    path = tmp_path_factory.mktemp("mbox") / "inbox.mbox"

    for message in messages:
        append_mbox(path, message, "sender@example.com", TUESDAY)

    assert [m if m.endswith(b"\n") else m + b"\n" for m in messages] == contents(path)


def test_sources_are_numbered(tmp_path: Path) -> None:
    """The source of a message is the file and its number in it."""
    path = tmp_path / "inbox.mbox"
    for _ in range(3):
        append_mbox(path, b"Subject: x\n\nbody\n", "", TUESDAY)

    found = [mail.source for mail in read(path) if isinstance(mail, Mail)]

    assert [f"{path}:{number}" for number in (1, 2, 3)] == found


def test_from_line(tmp_path: Path) -> None:
    """The From_ line has sender and date as RFC 4155 wants; the null path has a name."""
    path = tmp_path / "inbox.mbox"

    append_mbox(path, b"Subject: x\r\n\r\nbody\r\n", "", TUESDAY)

    assert (
        path.read_bytes()
        == b"From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nSubject: x\n\nbody\n\n"
    )


def test_made_for_the_owner_alone(tmp_path: Path) -> None:
    """A mailbox that is made can be read by nobody else."""
    append_mbox(tmp_path / "inbox.mbox", b"x\n", "a@example.com", TUESDAY)

    assert (tmp_path / "inbox.mbox").stat().st_mode & 0o777 == 0o600


def test_append_after_a_crash(tmp_path: Path) -> None:
    """A message cut short by a crash does not swallow the next one."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(b"From a Tue Nov 14 22:13:20 2023\nSubject: cut sho")

    append_mbox(path, b"Subject: next\n\nwhole\n", "", TUESDAY)

    assert contents(path) == [b"Subject: cut sho\n", b"Subject: next\n\nwhole\n"]


def test_crlf(tmp_path: Path) -> None:
    """An mbox with CRLF is parted at the same places."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(
        b"From a Tue\r\nA: 1\r\n\r\n>From b\r\n\r\nFrom c Tue\r\nB: 2\r\n\r\nx\r\n"
    )

    assert contents(path) == [b"A: 1\r\n\r\nFrom b\r\n", b"B: 2\r\n\r\nx\r\n"]


def test_from_within_a_paragraph(tmp_path: Path) -> None:
    """A sentence that begins with From, unquoted, parts nothing without an empty line."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(b"From a Tue\nA: 1\n\nGreetings\nFrom all of us\n\n")

    assert contents(path) == [b"A: 1\n\nGreetings\nFrom all of us\n"]


def test_no_empty_line_before_a_dated_from_line(tmp_path: Path) -> None:
    """A From_ line with a date parts messages even where the empty line is missing."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(
        b"From a Tue\nA: 1\n\nx\nFrom b@example.com Tue Nov 14 22:13:20 2023\nB: 2\n"
    )

    assert contents(path) == [b"A: 1\n\nx\n", b"B: 2\n"]


def test_too_large_and_on(tmp_path: Path) -> None:
    """A message above 32 MB is refused by its number; the next one is read."""
    path = tmp_path / "inbox.mbox"
    with path.open("wb") as handle:
        handle.write(b"From a Tue\nA: 1\n\nFrom b Tue\nB: 2\n\n")
        for _ in range(33):
            handle.write(b"x" * (1 << 20))
        handle.write(b"\n\nFrom c Tue\nC: 3\n")

    first, second, third = read(path)

    assert Mail(f"{path}:1", b"A: 1\n") == first
    assert Refusal(f"{path}:2: larger than 32 MB") == second
    assert Mail(f"{path}:3", b"C: 3\n") == third


def test_memory_holds_one_message(tmp_path: Path) -> None:
    """An mbox of 6 MB is read within a fraction of that."""
    path = tmp_path / "inbox.mbox"
    with path.open("wb") as handle:
        for _ in range(600):
            handle.write(
                b"From a Tue\nA: 1\n\n" + b"twenty-four bytes a line\n" * 400 + b"\n"
            )

    tracemalloc.start()
    count = sum(1 for _ in read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 600
    assert peak < 500_000


def test_appended_while_read(tmp_path: Path) -> None:
    """What is appended during a reading belongs to the next, and no lock is in its way."""
    path = tmp_path / "inbox.mbox"
    append_mbox(path, b"A: 1\n", "", TUESDAY)

    seen = 0
    for _ in read(path):
        seen += 1
        append_mbox(path, b"B: 2\n", "", TUESDAY)

    assert seen == 1
    assert len(contents(path)) == 2


def test_maildir(tmp_path: Path) -> None:
    """Both new and cur are read, by name; tmp is not."""
    for folder, name in (("cur", "2.host:2,S"), ("new", "1.host"), ("tmp", "3.host")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(name.encode())

    assert contents(tmp_path) == [b"1.host", b"2.host:2,S"]


def test_moved_while_read(tmp_path: Path) -> None:
    """A message that a mail reader moves to cur meanwhile is read once, and read."""
    (tmp_path / "new").mkdir()
    (tmp_path / "cur").mkdir()
    (tmp_path / "new" / "1").write_bytes(b"one")
    (tmp_path / "new" / "2").write_bytes(b"two")

    mails = read(tmp_path)
    first = next(mails)
    (tmp_path / "new" / "2").rename(tmp_path / "cur" / "2:2,S")
    rest = [mail.content for mail in mails if isinstance(mail, Mail)]

    assert Mail(str(tmp_path / "new" / "1"), b"one") == first
    assert rest == [b"two"]


def test_directory_of_eml(tmp_path: Path) -> None:
    """Of a directory the .eml files are read, in either case of their ending."""
    (tmp_path / "b.EML").write_bytes(b"second")
    (tmp_path / "a.eml").write_bytes(b"first")
    (tmp_path / "notes.txt").write_bytes(b"none")

    assert contents(tmp_path) == [b"first", b"second"]


def test_unreadable_file_in_a_directory(tmp_path: Path) -> None:
    """A file that cannot be read is a refusal with its name; the others are read."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1").write_bytes(b"x" * (mailbox.MAX_MESSAGE + 1))
    (tmp_path / "new" / "2").write_bytes(b"two")

    first, second = read(tmp_path)

    assert isinstance(first, Refusal)
    assert str(tmp_path / "new" / "1") in first.why
    assert isinstance(second, Mail)


def test_single_file(tmp_path: Path) -> None:
    """A file that does not begin like an mbox is one message, its bytes untouched."""
    content = b"Subject: x\r\n\r\n>From here\r\nFrom there\r\n"
    (tmp_path / "one.eml").write_bytes(content)

    assert [Mail(str(tmp_path / "one.eml"), content)] == list(read(tmp_path / "one.eml"))


def test_empty_file(tmp_path: Path) -> None:
    """An empty file holds no message."""
    (tmp_path / "empty").touch()

    assert list(read(tmp_path / "empty")) == []


def test_missing(tmp_path: Path) -> None:
    """A path that is not there is the user's to mend, and said at once."""
    with pytest.raises(UserError, match="nowhere: no such file"):
        read(tmp_path / "nowhere")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads standard input, an mbox or one message: in what may be a message from an
    MTA, behind a From_ line and unquoted, only a From_ line with a date parts."""
    first, second = (b"From %s Tue Nov 14 22:13:20 2023\n" % name for name in (b"a", b"b"))
    given_ = io.BytesIO(first + b"A: 1\n\nFrom me\n\n" + second + b"B: 2\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given_))

    assert list(read(STDIN)) == [Mail("-:1", b"A: 1\n\nFrom me\n"), Mail("-:2", b"B: 2\n")]


@pytest.mark.parametrize("way", ["a file", "a pipe"])
def test_given_to_a_process(tmp_path: Path, way: str) -> None:
    """Standard input that is a file is an mbox as any; a pipe may be an MTA's."""
    mbox = b"From a Tue\nA: 1\n\nFrom me\n\nbye\n"
    (tmp_path / "mbox").write_bytes(mbox)
    count = (
        "from mailblast.mailbox import STDIN, read; found = read(STDIN); "
        "print(len(list(found)), found.unit, found.done)"
    )
    with (tmp_path / "mbox").open("rb") as file:
        given = {"stdin": file} if way == "a file" else {"input": mbox}
        ended = subprocess.run(
            [sys.executable, "-c", count], stdout=subprocess.PIPE, check=True, **given
        )

    told = f"2 bytes {len(mbox)}" if way == "a file" else "1 mails 1"
    assert ended.stdout.decode().strip() == told


@given(content=st.binary(max_size=400))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any file is some messages; reading never raises."""
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(b"From a Tue\n" + content)

    assert list(read(path))


# --- Other dialects -----------------------------------------------------------------------


def counted(body: bytes, length: int | None = None) -> bytes:
    """A message in an mbox that tells the length of its body."""
    said = len(body) if length is None else length
    return b"From a Tue\nContent-Length: %d\n\n%s\n" % (said, body)


def test_content_length(tmp_path: Path) -> None:
    """Where Content-Length is true, From_ lines in a body part nothing (mboxcl2)."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(counted(b"x\n\nFrom here\n>From there\n") + counted(b"y\n"))

    assert contents(path) == [
        b"Content-Length: 25\n\nx\n\nFrom here\n>From there\n",
        b"Content-Length: 2\n\ny\n",
    ]


@pytest.mark.parametrize("length", [0, 1, 3, 5, 100, 999_999_999])
def test_false_content_length(tmp_path: Path, length: int) -> None:
    """A Content-Length at which no message ends parts nothing: the lines do."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(counted(b"x\ny\n", length) + counted(b"z\n", length))

    assert [content.split(b"\n\n", 1)[1] for content in contents(path)] == [
        b"x\ny\n",
        b"z\n",
    ]


def test_many_false_claims(tmp_path: Path) -> None:
    """Claims of 30 MB in each of 20,000 messages do not make the reader look 30 MB ahead."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(counted(b"x\n", 30_000_000) * 20_000)
    began = time.process_time()

    assert len(contents(path)) == 20_000
    assert time.process_time() - began < 10


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """An mbox compressed by gzip or bzip2 is read like the mbox, whatever its name."""
    plain, packed = tmp_path / "inbox.mbox", tmp_path / "inbox.old"
    for number in range(3):
        append_mbox(plain, b"Subject: %d\n\nbody\n" % number, "", TUESDAY)
    packed.write_bytes(compress(plain.read_bytes()))

    assert contents(packed) == contents(plain)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_compression(tmp_path: Path, damage: str) -> None:
    """A compressed file that is cut short or damaged is an error with a sentence."""
    packed = bytearray(gzip.compress(b"From a Tue\nA: 1\n\n" + bytes(range(256)) * 4000))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "inbox.gz"
    path.write_bytes(packed)

    with pytest.raises(UserError, match=r"inbox\.gz: .+"):
        list(read(path))


def test_a_message_with_a_from_line(tmp_path: Path) -> None:
    """An .eml file is one message, though a From_ line stands at its beginning and within."""
    path = tmp_path / "one.eml"
    path.write_bytes(b"From a Tue Nov 14 22:13:20 2023\nA: 1\n\nx\n\nFrom b Tue\n")

    (mail,) = list(read(path))

    assert isinstance(mail, Mail)
    assert (mail.source, mail.content) == (str(path), path.read_bytes())


MARK = b"\x01\x01\x01\x01\n"


@pytest.mark.parametrize("lost", [b"\n\n", b"Subject: cut off\n\nin the m", b"\xff\0 x\n"])
def test_a_mailbox_without_its_beginning(tmp_path: Path, lost: bytes) -> None:
    """Empty lines, or what a crash has left: the messages behind it are there all the same."""
    path = tmp_path / "inbox"
    for _ in range(2):
        append_mbox(path, b"Subject: x\n\nbody\n", "", TUESDAY)
    path.write_bytes(lost + (b"" if lost == b"\n\n" else b"\n\n") + path.read_bytes())

    assert contents(path)[-2:] == [b"Subject: x\n\nbody\n"] * 2
    assert len(contents(path)) == (2 if lost == b"\n\n" else 3)


def test_mmdf(tmp_path: Path) -> None:
    """In MMDF lines of four ^A part, and nothing else does; a From_ line at the beginning of
    a message is none of its lines."""
    path = tmp_path / "inbox"
    stamped = b"From a Tue Nov 14 22:13:20 2023\n"
    first, second = b"A: 1\n\nx\n\nFrom b Tue\n>From c\n", b"B: 2\n\n"
    path.write_bytes(
        MARK + first + MARK + MARK + stamped + second + MARK + MARK + b"cut off\n"
    )

    assert contents(path) == [first, second, b"cut off\n"]
    assert [mail.source for mail in read(path) if isinstance(mail, Mail)][2] == f"{path}:3"


def test_a_byte_order_mark(tmp_path: Path) -> None:
    """What a program of Windows puts before everything is no part of it."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(b"\xef\xbb\xbfFrom a Tue\nA: 1\n\nFrom b Tue\nB: 2\n")

    assert contents(path) == [b"A: 1\n", b"B: 2\n"]


def test_a_date_of_the_other_form(tmp_path: Path) -> None:
    """A From_ line with the date of a header field parts as well."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(
        b"From a Tue\nA: 1\nFrom b@x.example Tue, 14 Nov 2023 22:13:20\nB: 2\n"
    )

    assert contents(path) == [b"A: 1\n", b"B: 2\n"]


def test_emlx(tmp_path: Path) -> None:
    """Of a file of Apple Mail's its message is read: not the length, not what follows."""
    (tmp_path / "1.emlx").write_bytes(b"13        \nSubject: x\n\n.<?xml?><plist/>")
    (tmp_path / "2.partial.emlx").write_bytes(b"Subject: x\n\n")

    first, second = read(tmp_path)

    assert first == Mail(str(tmp_path / "1.emlx"), b"Subject: x\n\n.")
    assert isinstance(second, Refusal)


@pytest.mark.parametrize(
    ("begins", "said", "hint"),
    [
        (b"PK\x03\x04", "zip", "unpack"),
        (b"\xd0\xcf\x11\xe0", "Outlook", ".eml"),
        (b"!BDN", "Outlook", "readpst"),
        (b"\xfd7zXZ\0", "xz", "xzcat"),
        (b"BABYL OPTIONS: -*- rmail -*-", "Babyl", "unrmail"),
    ],
)
def test_no_mailbox(tmp_path: Path, begins: bytes, said: str, hint: str) -> None:
    """What is given for a mailbox and is none is told with what makes one of it."""
    (tmp_path / "mail").write_bytes(begins + bytes(100))

    with pytest.raises(UserError, match=said) as raised:
        list(read(tmp_path / "mail"))

    assert hint in raised.value.hint


def test_a_tree(tmp_path: Path) -> None:
    """Of a directory every mailbox and message below is read: mboxes by their first line,
    .eml and numbers (MH) by their names, Maildirs; other files are passed over."""
    for name, content in {
        "2023/jan.eml": b"one",
        "2023/12": b"two",
        "INBOX": b"From a Tue\nA: 3\n\nFrom b Tue\nB: 4\n",
        "INBOX.msf": b"// an index",
        "archive.mbox.gz": gzip.compress(b"From a Tue\nA: 5\n"),
        "list/cur/7": b"seven",
        "list/new/6": b"six",
        "list/tmp/8": b"eight",
        ".hidden/9.eml": b"nine",
        "old.mmdf": MARK + b"A: 8\n" + MARK,
        "packed.eml.gz": gzip.compress(b"ten"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)

    found = read(tmp_path)
    content = [mail.content for mail in found if isinstance(mail, Mail)]

    assert content == [
        *(b"A: 3\n", b"B: 4\n", b"A: 5\n", b"A: 8\n", b"ten"),
        *(b"two", b"one", b"six", b"seven"),
    ]
    assert (found.unit, found.done, found.total) == ("files", 9, 9)


def test_a_compressed_maildir(tmp_path: Path) -> None:
    """Messages that the mail server keeps compressed are read as well."""
    (tmp_path / "cur").mkdir()
    (tmp_path / "cur" / "1,S=3:2,S").write_bytes(gzip.compress(b"one"))

    assert contents(tmp_path) == [b"one"]


def test_a_directory_without_mail(tmp_path: Path) -> None:
    """A directory in which nothing is mail is most likely a mistake; an empty Maildir none."""
    (tmp_path / "notes.txt").write_bytes(b"none")
    (tmp_path / "empty" / "cur").mkdir(parents=True)

    assert list(read(tmp_path / "empty")) == []
    (tmp_path / "empty" / "cur").rmdir()
    with pytest.raises(UserError, match="no mail"):
        list(read(tmp_path))


def test_how_far(tmp_path: Path) -> None:
    """A file is counted in bytes as it lies there, compressed or not."""
    path = tmp_path / "inbox.mbox"
    for _ in range(2000):
        append_mbox(path, b"Subject: x\n\n" + b"x" * 100, "", TUESDAY)
    size = path.stat().st_size

    found = read(path)
    next(found)
    assert (found.unit, found.total) == ("bytes", size)
    assert 0 < found.done < size / 2
    list(found)
    assert found.done == size


def test_short_lines_take_no_more(tmp_path: Path) -> None:
    """A message in lines of one letter takes a few times its size, not twenty."""
    path = tmp_path / "inbox.mbox"
    path.write_bytes(b"From a Tue\n\n" + b"x\n" * 200_000)

    tracemalloc.start()
    (content,) = contents(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(content) == 400_001
    assert peak < 3_000_000


LINES = (
    *(
        b"From a@b.example Tue Jan  2 15:04:05 2024\n",
        b"From x\n",
        b">From y\n",
        b"> z\r\n",
    ),
    *(
        b"Content-Length: 12\n",
        b"content-length:7\r\n",
        b"Content-Length: 30\n",
        b"\n",
        b"\r\n",
    ),
    *(
        b"Subject: x\n",
        b"hello\n",
        b"ab",
        b"From ",
        b"x" * 70 + b"\n",
        b"\x01\x01\x01\x01\n",
    ),
)


@given(st.lists(st.sampled_from(LINES), max_size=25), st.integers(1, 200), st.booleans())
def test_wherever_a_block_ends(lines: list[bytes], size: int, dated: bool) -> None:
    """The messages are the same, in whatever pieces the mailbox comes."""
    content = b"From a@b.example Tue Jan  2 15:04:05 2024\n" + b"".join(lines)
    blocks = (content[at : at + size] for at in range(0, len(content), size))

    whole = list(mbox.parted(iter([content]), "m", dated=dated))

    assert list(mbox.parted(blocks, "m", dated=dated)) == whole
