"""Hostile notices: depth, number and length end in a refusal, and soon."""

import time

import pytest
from test_dsn import HEAD, WHOLE, notice

from mailblast import bounce
from mailblast.bounce import Notice, parts
from mailblast.errors import Refusal


def nested(depth: int) -> bytes:
    """Multiparts one in another."""
    heads = (
        f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        for level in range(depth)
    )
    return "".join(heads).encode()


HOSTILE = {
    "1,000 parts deep": nested(1000),
    "40,000 parts": HEAD.encode() + b"--=_b1\n\nx\n" * 40_000,
    "a boundary of its own kind": HEAD.encode() + b"--=_b1\n" + HEAD.encode() * 2000,
    "a header of 100 MB": b"Subject: " + b"x" * 100_000_000,
    "encoded words": b"Subject: " + b"=?utf-8?q?x?=\n " * 100_000 + b"\n\n",
    "a field name without end": b"x" * 2_000_000,
    "fields without end": b"a:\n" * 700_000,
    "dashes": HEAD.encode() + b"--\n" * 700_000,
    "dashes and spaces": HEAD.encode() + b"--" + b" " * 2_000_000 + b"x",
    "recipients": notice("Action: failed\n\n" * 100_000),
    "actions": notice("Action: failed\n" * 100_000),
    "spaces": notice("Final-Recipient: " + " " * 500_000 + "x"),
    "a blank line without end": notice("A: b\n" + " \t" * 250_000),
    "angles": notice("Final-Recipient: " + "<" * 500_000),
    "escapes": notice("Final-Recipient: utf-8;" + r"\x{" * 150_000),
    "for": b"Received: " + b"for " * 60_000 + b"\n" + WHOLE,
    "ats": b"To: " + b"a" * 200_000 + b"\n" + WHOLE,
    "parameters": b"Content-Type: multipart/mixed" + b';a="' * 60_000 + b"\n\nx",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile(content: bytes) -> None:
    """Depth, number, length: any of them is answered, and soon."""
    began = time.process_time()
    found = bounce.read(content)

    assert isinstance(found, Notice | Refusal)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1,000 parts deep", "parts nested more than 10 deep"),
        ("40,000 parts", "more than 100 parts"),
        ("a header of 100 MB", "a header section is longer than 256 KB"),
        ("recipients", "the delivery status names more than 1000 recipients"),
    ],
)
def test_bounds_are_named(name: str, why: str) -> None:
    """A refusal for a bound says which."""
    assert bounce.read(HOSTILE[name]) == Refusal(why)


PIECES = [
    *'-\n :<;\\=>@a"|*_1\t&',
    *("a@", "a@b.", "<a@b.c>:\n", "> \n", "a@b.c d\n", "\xff", "=20", "&amp;", "1.", "<a"),
    *(
        "original message ",
        "copy of ",
        "received: x\n",
        "to ",
        "to <",
        "address (",
        "SMTP=",
    ),
    *("not ", "delivery failed ", "user ", "said: ", "550 ", "5.1.1 ", "550-", "expired "),
    *("unable to deliver ", "<style>", "<br>", "</", "=?utf-8?q?", "please ", "i am "),
    *("held ", "verify ", "action required ", "On a wrote: ", "{", '{"Type":', "[", "!\n "),
]


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
@pytest.mark.parametrize("piece", PIECES)
def test_hostile_words(piece: str, kind: str) -> None:
    """Two megabytes of any piece that the patterns look for are read soon."""
    head = f"Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nContent-Type: {kind}\n"
    body = f"{head}Subject: failure notice\n\n{piece * (parts.MAX_READ // len(piece))}"
    subject = f"{head}Subject: {piece.strip() * 16_000}\n\nfailed"
    began = time.process_time()
    for content in (body, subject):
        bounce.read(content.encode())

    assert time.process_time() - began < 3


def test_speed_of_the_scan() -> None:
    """Two megabytes of any one byte are scanned at once."""
    for byte in (b"-", b"\n", b" ", b":", b"<", b";", b"\\", b"="):
        began = time.process_time()
        bounce.read(HEAD.encode() + byte * parts.MAX_READ)
        assert time.process_time() - began < 3
