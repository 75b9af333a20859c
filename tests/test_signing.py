"""Signatures: dkimpy, which never met our signer, agrees with them."""

import base64
import re

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from letters import signer

from mailblast.errors import UserError
from mailblast.signing import Signer, new_key, verify

FIELDS = [
    ("Date", b" Tue, 24 Nov 2026 00:00:00 +0000"),
    ("From", b" Example  Shop\r\n <news@example.com>"),
    ("To", b" jo@example.net"),
    ("Subject", b" =?utf-8?q?Gr=C3=BC=C3=9Fe?="),
    ("Message-ID", b" <1@example.com>"),
    ("List-Unsubscribe", b" <https://u.example.com/u/abc>"),
    ("List-Unsubscribe-Post", b" List-Unsubscribe=One-Click"),
    ("Feedback-ID", b" a:b:bulk:examplecom"),
    ("X-Own", b" not signed"),
]
BODY = b"Hello\r\n\r\n  two  blanks \r\n.\r\nend\r\n"
AT = 1_795_478_400


def message(fields=FIELDS, body=BODY, by=None):
    """A signed message."""
    header = b"".join(b"%b:%b\r\n" % (name.encode(), value) for name, value in fields)
    return (by or signer()).sign(fields, body, AT) + header + b"\r\n" + body


def holds(content, by=None):
    """Whether the signature holds for a receiver."""
    by = by or signer()
    return verify(content, by.name, by.record())


def tags(content):
    """The tags of the signature, unfolded."""
    field = re.match(rb"DKIM-Signature:((?:.|\r\n )*)\r\n", content)
    assert field
    pairs = (tag.split(b"=", 1) for tag in re.sub(rb"\s", b"", field[1]).split(b";"))
    return {name.decode(): value.decode() for name, value in pairs}


def test_a_signed_message_verifies():
    """RSA: two implementations agree."""
    assert holds(message())


def test_ed25519_verifies():
    """RFC 8463 too."""
    by = signer("ed25519-sha256")

    assert tags(message(by=by))["a"] == "ed25519-sha256"
    assert holds(message(by=by), by)
    assert not holds(message(by=by).replace(b"Hello", b"Hallo"), by)
    assert not holds(
        message(by=by),
        Signer(new_key("ed25519-sha256"), "example.com", "mb1", "ed25519-sha256"),
    )


value = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


@settings(max_examples=200)
@given(
    st.lists(value, min_size=1, max_size=5),
    st.lists(
        st.sampled_from(["\r\n ", " ", "  ", "\t", "\r\n\t "]), min_size=5, max_size=5
    ),
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=90), max_size=8
    ),
)
def test_any_header_and_body_verify(words, blanks, lines):
    """However a field is folded and whatever the body has in it, dkimpy agrees."""
    subject = "".join(b + w for b, w in zip(blanks, words, strict=False)).encode()
    fields = [
        ("From", b" news@example.com"),
        ("Subject", subject),
        ("To", b" jo@example.net"),
    ]
    body = "\r\n".join([*lines, "end"]).encode() + b"\r\n"

    assert holds(message(fields, body))


def test_the_tags():
    """relaxed/simple, the time told, no l= and no x=."""
    found = tags(message())

    assert {name: found[name] for name in "vacdst"} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/simple",
        "d": "example.com",
        "s": "mb1",
        "t": str(AT),
    }
    assert set(found) == {*"vacdsthb", "bh"}


def test_what_is_oversigned():
    """Each field a forger would add is listed once more than it is there."""
    listed = tags(message())["h"].split(":")

    for name in ("from", "to", "subject", "date", "message-id", "list-unsubscribe",
                 "list-unsubscribe-post"):  # fmt: skip
        assert listed.count(name) == 2, name
    for name in ("reply-to", "cc", "mime-version", "content-type", "feedback-id"):
        assert listed.count(name) == 1, name
    assert listed.count("list-id") == 0
    assert not {"return-path", "received", "dkim-signature", "x-own"} & set(listed)


@pytest.mark.parametrize(
    "added",
    [
        b"From: evil@example.org\r\n",
        b"Subject: other\r\n",
        b"Reply-To: evil@example.org\r\n",
        b"Content-Type: text/html\r\n",
        b"List-Unsubscribe: <https://evil.example/>\r\n",
        b"Cc: someone@example.org\r\n",
    ],
)
def test_an_added_field_breaks_the_signature(added):
    """On top or at the bottom."""
    signature, rest = message().split(b"Date:", 1)

    assert not holds(signature + added + b"Date:" + rest)
    assert not holds(
        (signature + b"Date:" + rest).replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)
    )


def test_a_changed_byte_breaks_the_signature():
    """In the body, in a signed field, at the end."""
    content = message()

    assert not holds(content.replace(b"two", b"TWO"))
    assert not holds(content.replace(b"jo@", b"jx@"))
    assert not holds(content + b"more\r\n")


def test_another_name_has_no_key():
    """The record is looked up under selector._domainkey.domain and nowhere else."""
    assert not verify(message(), "mb2._domainkey.example.com", signer().record())


def test_signing_again_is_the_same():
    """No chance in a signature: a reprint is what was sent."""
    assert message() == message()
    assert message(by=signer("ed25519-sha256")) == message(by=signer("ed25519-sha256"))


def test_lines_stay_short():
    """The field is folded at 78."""
    signature = message().split(b"Date:", 1)[0]

    assert max(map(len, signature.split(b"\r\n"))) <= 78


def test_thousands_verify():
    """Not one differs."""
    by = signer()

    for number in range(1400):
        fields = [*FIELDS[:3], ("Subject", b" n%d" % number)]
        body = b"x" * number + b"\r\n"
        assert dkim.verify(
            message(fields, body), dnsfunc=lambda *_, **__: by.record().encode()
        ), number


def test_records():
    """What is to be published: RSA as SubjectPublicKeyInfo, Ed25519 as 32 raw bytes."""
    assert signer().record().startswith("v=DKIM1; k=rsa; p=MII")
    raw = signer("ed25519-sha256").record().removeprefix("v=DKIM1; k=ed25519; p=")
    assert len(base64.b64decode(raw)) == 32
    assert signer().name == "mb1._domainkey.example.com"


def pem(key):
    """A key as a file has it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("content", "algorithm", "why"),
    [
        (b"nonsense", "rsa-sha256", "no unencrypted private key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "rsa-sha256", "not one for rsa-sha256"),
        (
            pem(rsa.generate_private_key(65537, 1024)),
            "ed25519-sha256",
            "not one for ed25519",
        ),
    ],
)
def test_a_wrong_key_is_refused(content, algorithm, why):
    """The user is told what is wrong with it, and no part of it."""
    with pytest.raises(UserError, match=why):
        Signer(content, "example.com", "mb1", algorithm)


def test_new_keys_fit_their_algorithm():
    """RSA keys have 2048 bits (RFC 8301)."""
    key = serialization.load_pem_private_key(new_key("rsa-sha256"), None)

    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
