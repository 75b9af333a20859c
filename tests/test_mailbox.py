"""Mailboxes on disk: what is written is read back, in bounded memory."""

import gzip
import io
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast import mailbox
from mailblast.errors import Refusal, UserError
from mailblast.mailbox import Mail, append_mbox, read

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
    """A dash reads standard input, an mbox or one message."""
    given_ = io.BytesIO(b"From a Tue\nA: 1\n\nFrom b Tue\nB: 2\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given_))

    assert [Mail("-:1", b"A: 1\n"), Mail("-:2", b"B: 2\n")] == list(read(Path("-")))


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


def test_compressed(tmp_path: Path) -> None:
    """An mbox compressed by gzip is read like the mbox, whatever its name."""
    plain, packed = tmp_path / "inbox.mbox", tmp_path / "inbox.old"
    for number in range(3):
        append_mbox(plain, b"Subject: %d\n\nbody\n" % number, "", TUESDAY)
    packed.write_bytes(gzip.compress(plain.read_bytes()))

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
