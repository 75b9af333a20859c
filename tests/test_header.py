"""Values and texts as they are written: folded, encoded, and read back the same."""

import re
from base64 import b64decode
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailblast.compose.body import encode, normalised
from mailblast.compose.header import fold, unstructured


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=900))
def test_any_value_survives_a_header(value):
    """Encoded or not, folded or not; encoded words of 75, in lines of 76."""
    field = b"X-Test:" + unstructured("X-Test", value)

    assert message_from_bytes(field + b"\r\n\r\n", policy=policy.default)[
        "X-Test"
    ] == value.strip(" ")
    for line in field.split(b"\r\n"):
        assert line.strip()
        assert len(line) <= 998
        if b"=?utf-8?" in line:
            assert len(line) <= 76
    for word in re.findall(rb"=\?\S+\?=", field):
        assert len(word) <= 75


def test_words_are_folded_where_a_blank_permits():
    """At 78; a word that is longer stays whole."""
    folded = fold("Subject", "word " * 30 + "x" * 300)

    lines = (b"Subject:" + folded).split(b"\r\n")
    assert max(map(len, lines[:-1])) <= 78
    assert lines[-1] == b" " + b"x" * 300
    assert b"".join(lines) == b"Subject: " + b"word " * 30 + b"x" * 300


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\ntext\n", "7bit"),
        ("a = b\n", "7bit"),
        ("x" * 78 + "=\n", "quoted-printable"),
        ("x" * 79, "quoted-printable"),
        ("trailing \n", "quoted-printable"),
        ("From me\n", "quoted-printable"),
        ("=_boundary\n", "quoted-printable"),
        ("\x07\n", "quoted-printable"),
        ("Viele Grüße aus der Stadt\n", "quoted-printable"),
        ("日本語の手紙\n", "base64"),
    ],
)
def test_the_encoding_suits_the_text(text, encoding):
    """7bit where it may, base64 where it is shorter."""
    assert encode(text)[0] == encoding


def test_from_is_protected_wherever_a_line_begins_with_it():
    """At a soft line break too, and no line grows beyond 76."""
    for length in range(60, 80):
        encoded = encode("é" + "x" * length + "From From From " * 30)[1]
        assert not re.search(rb"^From ", encoded, re.MULTILINE)
        assert max(map(len, encoded.split(b"\r\n"))) <= 76


def test_line_ends():
    """Every kind becomes one; U+2028 is none; one stands at the end."""
    assert (
        normalised("a\rb\r\nc\n\n\u2028\x0b\x85d\n\n\n") == "a\nb\nc\n\n\u2028\x0b\x85d\n"
    )
    assert encode("")[1] == b"\r\n"
    assert b64decode(encode("日本\n")[1]).endswith(b"\r\n")
