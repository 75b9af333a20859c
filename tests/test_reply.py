"""smtp.reply: what a server says, however it says it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.errors import Refusal
from mailblast.smtp.reply import (
    MAX_LINE,
    MAX_REPLY,
    MAX_TEXT,
    Reply,
    ReplyReader,
    printable,
    quoted,
)


def read(data: bytes) -> list[Reply | Refusal]:
    return ReplyReader().feed(data)


def test_one_line():
    """A reply of one line is a code, a text and the status that the text begins with."""
    assert read(b"250 2.1.0 Ok\r\n") == [Reply(250, "2.1.0 Ok", "2.1.0")]


def test_many_lines_are_one_reply():
    """Continuation lines are joined with newlines, their codes taken off."""
    data = b"550-5.1.1 The account\r\n550-5.1.1 does not exist.\r\n550 5.1.1 bye\r\n"

    assert read(data) == [
        Reply(550, "5.1.1 The account\n5.1.1 does not exist.\n5.1.1 bye", "5.1.1")
    ]


@pytest.mark.parametrize("line", [b"250\r\n", b"250 \r\n", b"250\n"])
def test_no_text(line):
    """A bare code is a reply, and a bare LF ends a line (some servers do both)."""
    assert read(line) == [Reply(250, "")]


def test_status_of_another_class_is_dropped():
    """`421 5.7.32` is transient: the basic code decides (RFC 2034 §4)."""
    (reply,) = read(b"421 5.7.32 unauthenticated\r\n")

    assert (reply.status, reply.transient, reply.permanent) == ("", True, False)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"550 #5.1.0 Address rejected", "5.1.0"),
        (b"550 5.1.0", "5.1.0"),
        (b"550 5.1.0-x", ""),
        (b"550 5.1.2345 x", ""),
        (b"550 see 5.1.0", ""),
        (b"550 version 5.1.0 x", ""),
    ],
)
def test_status(line, status):
    """A status stands at the start of a line; elsewhere it is only text."""
    assert read(line + b"\r\n")[0].status == status


@pytest.mark.parametrize("code", [200, 250, 299, 354, 400, 421, 471, 500, 550, 599])
def test_the_first_digit_decides(code):
    """Codes that no RFC lists mean what their first digit says (RFC 5321 §4.2.1)."""
    reply = Reply(code, "")
    meaning = (reply.positive, reply.intermediate, reply.transient, reply.permanent)

    assert meaning == tuple(code // 100 == digit for digit in (2, 3, 4, 5))


def test_our_own_refusal():
    """With code 0 the status says how lasting it is; without either it says nothing."""
    assert Reply(0, "too large", "5.3.4").permanent
    assert Reply(0, "later", "4.3.2").transient
    assert not Reply(0, "").permanent
    assert str(Reply(0, "too large", "5.3.4")) == "too large"
    assert str(Reply(550, "no")) == "550 no"


@pytest.mark.parametrize(
    "line",
    [
        b"", b"hello", b"25 ok", b"2500 ok", b"999 ok", b"150 ok", b"050 ok", b"250_ok",
        b" 250 ok", b"\xb2\xb5\xb0 ok", b"HTTP/1.1 400 Bad Request",
    ],
)  # fmt: skip
def test_no_reply(line):
    """What is no reply is a refusal, and nothing that follows is read."""
    reader = ReplyReader()
    (refusal,) = reader.feed(line + b"\r\n250 ok\r\n")

    assert isinstance(refusal, Refusal)
    assert reader.feed(b"250 ok\r\n") == []


def test_replies_before_garbage_are_kept():
    """What was said well was said."""
    first, second = read(b"250 ok\r\ngarbage\r\n250 ok\r\n")

    assert first == Reply(250, "ok")
    assert second == Refusal("not a reply: garbage")


def test_two_codes_in_one_reply():
    """Which of two codes counts would be a guess (RFC 5321 §4.2.1)."""
    assert isinstance(read(b"250-ok\r\n550 no\r\n")[0], Refusal)


def test_long_line():
    """A line may have 2,000 octets, its end included, and no more."""
    good = b"250 " + b"a" * (MAX_LINE - 6) + b"\r\n"

    assert len(good) == MAX_LINE
    assert isinstance(read(good)[0], Reply)
    assert isinstance(read(b"250 a" + good[4:])[0], Refusal)


def test_a_line_without_end():
    """A line that does not end is refused while it comes, so memory is bounded."""
    reader = ReplyReader()
    found = [reader.feed(b"a" * 1_000) for _ in range(4)]

    assert [len(each) for each in found] == [0, 1, 0, 0]
    assert not reader.partial


def test_endless_continuation():
    """A reply that does not end is refused after 64 kB."""
    reader = ReplyReader()
    line = b"250-" + b"a" * 96 + b"\r\n"
    fed = 0
    while not (found := reader.feed(line)):
        fed += len(line)

    assert isinstance(found[0], Refusal)
    assert fed <= MAX_REPLY * 1.03


def test_what_a_terminal_would_obey():
    """Escapes, controls and marks that turn the reading direction are made visible."""
    (reply,) = read(b"550 \x1b[2J\x00 caf\xe9\tcaf\xc3\xa9\r\n")

    assert reply.text == "\\x1b[2J\\x00 caf\\xe9 caf\u00e9"
    assert printable("a\u202eb\nc") == "a\\u202eb\nc"
    assert printable(b"\x1bc") == "\\x1bc"


@given(st.binary(max_size=5_000))
def test_printable_is_printable_and_bounded(data):
    """Whatever comes, what is kept can be shown, and is at most 2,000 characters."""
    text = printable(data)

    assert len(text) <= MAX_TEXT
    assert text.replace("\n", "").isprintable()


PIECES = st.one_of(
    st.sampled_from(
        [b"250 ok\r\n", b"250-a\r\n", b"250 b\n", b"550 5.1.1 no\r\n", b"\r\n", b"421\r\n",
         b"x" * 1_999, b"250 " + b"y" * 1_994 + b"\r\n", b"354", b" go\r\n"]
    ),
    st.binary(max_size=20),
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 4_000)))
def test_pieces_do_not_matter(data, cuts):
    """Whole, in any pieces, or byte by byte: the same replies, and never an exception."""
    whole = read(data)
    bytewise, pieces = ReplyReader(), ReplyReader()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    assert whole == [x for i in range(len(data)) for x in bytewise.feed(data[i : i + 1])]
    assert whole == [
        x for start, end in pairwise(edges) for x in pieces.feed(data[start:end])
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550 5.1.1 no such user", Reply(550, "5.1.1 no such user", "5.1.1")),
        ("smtp; 452 4.2.2 full", Reply(452, "4.2.2 full", "4.2.2")),
        ("host mx[192.0.2.1] said: 554 no\n  (in reply)", Reply(554, "no (in reply)")),
        ("delay=250, 421-4.7.0 later", Reply(421, "4.7.0 later", "4.7.0")),
        ("421 5.7.32 From is not aligned", Reply(421, "5.7.32 From is not aligned")),
        ("450", Reply(450, "")),
    ],
)
def test_a_refusal_is_found_where_it_is_quoted(text, found):
    """In a log, in a diagnostic, over several lines: from the first code of a refusal on."""
    assert quoted(text) == found


@pytest.mark.parametrize("text", ["", " \n", "user unknown", "250 Ok", "5501 x", "a@450 b"])
def test_what_quotes_no_refusal_is_refused(text):
    """No code, a positive one, or digits of something else."""
    assert isinstance(quoted(text), Refusal)
