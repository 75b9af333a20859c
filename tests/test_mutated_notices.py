"""Mail that came back, otherwise: encoded, wrapped, relayed, forwarded, answered.

Each mail of tests/notices is changed in ways in which mail servers and people change mail.
What a machine does to it changes nothing of what is read.  A person who answers it or passes
it on blames nobody whom the notice did not name; nobody at all, where only words tell.
"""

import base64
import email
import quopri
import re
import textwrap
from collections.abc import Callable
from email.message import Message

import pytest
from test_notices import EXPECTED, MAILS

from mailblast import bounce
from mailblast.bounce import Kind, Notice

Change = Callable[[bytes], bytes]

CONTENT = {name: (MAILS / f"{name}.eml").read_bytes() for name in EXPECTED}
RELAYED = b"""\
Received: from relay.example.com (relay.example.com [192.0.2.9])
\tby mx.news.example.com with ESMTPS id 4Xy for <bounces+tag@news.example.com>;
\tTue, 14 Nov 2023 22:15:00 +0000
Authentication-Results: mx.news.example.com; dkim=pass header.d=example.com
DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=a; h=from:to:subject;
\tbh=abcd; b=abcd
X-Spam-Status: No, score=-1.9 required=5.0 tests=BAYES_00
"""
PERSON = """\
Return-Path: <cara@example.com>
Delivered-To: bounces+tag@news.example.com
From: Cara <cara@example.com>
To: bounces+tag@news.example.com
Subject: {subject}
Date: Tue, 14 Nov 2023 22:14:20 +0000
Message-ID: <cara@example.com>
"""


def read(content: bytes) -> Notice:
    """The notice that a mail is."""
    found = bounce.read(content)
    assert isinstance(found, Notice)
    return found


def judged(content: bytes) -> object:
    """What matters of a mail: its kind and the verdict on each recipient."""
    found = read(content)
    return found.kind, [
        (one.recipient, one.action, one.status, one.code, one.reason, one.hard)
        for one in found.reports
    ]


# --- Machines ----------------------------------------------------------------------------


def field_names(change: Callable[[bytes], bytes]) -> Change:
    """The names of the mail's own fields in other letters (RFC 5322 §1.2.2)."""

    def changed(content: bytes) -> bytes:
        head, _, body = content.partition(b"\n\n")
        head = re.sub(rb"(?m)^[A-Za-z-]+(?=:)", lambda name: change(name[0]), head)
        return head + b"\n\n" + body

    return changed


def type_names(content: bytes) -> bytes:
    """MIME types in capitals (RFC 2045 §5.1)."""
    types = rb"(?im)^(content-type:\s*)([\w/.-]+)"
    return re.sub(types, lambda found: found[1] + found[2].upper(), content)


def relayed(content: bytes) -> bytes:
    """Another server on the way, and what it noted."""
    return RELAYED + content


def texts(content: bytes, change: Callable[[Message], None]) -> bytes:
    """The mail with each part that people read changed."""
    mail = email.message_from_bytes(content)
    for part in mail.walk():
        if part.get_content_type() in ("text/plain", "text/html"):
            change(part)
    return mail.as_bytes()


def encoded(how: str, charset: str = "") -> Change:
    """Texts in another transfer encoding, and in another charset if one is given."""

    def change(part: Message) -> None:
        octets = part.get_payload(decode=True)
        assert isinstance(octets, bytes)
        if charset:
            told = octets.decode(part.get_content_charset() or "ascii")
            octets = told.encode(charset)
            kind = part.get_content_type()
            del part["Content-Type"]
            part["Content-Type"] = f"{kind}; charset={charset}"
        del part["Content-Transfer-Encoding"]
        part["Content-Transfer-Encoding"] = how
        encode = base64.encodebytes if how == "base64" else quopri.encodestring
        part.set_payload(encode(octets).decode("ascii"))

    return lambda content: texts(content, change)


ALIKE: dict[str, Change] = {
    "capitals": field_names(bytes.upper),
    "small letters": field_names(bytes.lower),
    "types": type_names,
    "relayed": relayed,
    "crlf": lambda content: content.replace(b"\n", b"\r\n"),
    "quoted-printable": encoded("quoted-printable"),
    "base64": encoded("base64"),
    "utf-8": encoded("quoted-printable", "utf-8"),
    "utf-16": encoded("base64", "utf-16"),
}


@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE.keys())
@pytest.mark.parametrize("name", EXPECTED)
def test_what_machines_change_is_read_alike(name: str, change: Change) -> None:
    """Encoding, charset, letters, line ends and more fields change nothing."""
    assert judged(change(CONTENT[name])) == judged(CONTENT[name])


WRAPPABLE = [name for name, content in CONTENT.items() if b'{"' not in content]


@pytest.mark.parametrize("width", [50, 60, 72])
@pytest.mark.parametrize("name", WRAPPABLE)
def test_wrapped_at_another_width(name: str, width: int) -> None:
    """Long lines are broken between words: the same is read, though a code may be torn off
    from what it belongs to."""

    def change(part: Message) -> None:
        if part.get("Content-Transfer-Encoding", "7bit").lower() not in ("7bit", "8bit"):
            return
        octets = part.get_payload(decode=True)
        assert isinstance(octets, bytes)
        lines = octets.decode("utf-8", "surrogateescape").split("\n")
        wrapped = "\n".join(wrap(line, width) for line in lines)
        del part["Content-Transfer-Encoding"]
        part["Content-Transfer-Encoding"] = "base64"
        told = wrapped.encode("utf-8", "surrogateescape")
        part.set_payload(base64.encodebytes(told).decode("ascii"))

    before, after = read(CONTENT[name]), read(texts(CONTENT[name], change))

    assert after.kind == before.kind
    told = [(one.recipient, one.action, one.status, one.reason) for one in after.reports]
    assert told == [
        (one.recipient, one.action, one.status, one.reason) for one in before.reports
    ]
    codes = zip(before.reports, after.reports, strict=True)
    assert all(late.code in (early.code, 0) for early, late in codes)


def wrap(line: str, width: int) -> str:
    """A line broken between words, what follows as far in as it began."""
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(
        textwrap.wrap(
            line,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


# --- People --------------------------------------------------------------------------------


def subject_of(content: bytes) -> str:
    """The subject, on one line."""
    return " ".join(str(email.message_from_bytes(content)["Subject"] or "").split())


def quoted(content: bytes, subject: str, before: str) -> bytes:
    """A person's mail that quotes the body of another."""
    head = PERSON.format(subject=subject).encode()
    lines = content.partition(b"\n\n")[2].split(b"\n")
    return b"\n".join([head, before.encode(), *(b"> " + line for line in lines)])


def attached(content: bytes, subject: str) -> bytes:
    """A person's mail with another attached (message/rfc822)."""
    head = PERSON.format(subject=subject).encode()
    return (
        head
        + b"Content-Type: multipart/mixed; boundary=fw\n\n--fw\n\nLook what I got.\n\n--fw\n"
        + b"Content-Type: message/rfc822\n\n"
        + content
        + b"\n--fw--\n"
    )


@pytest.mark.parametrize("subject", ["Fwd: {}", "WG: {}", "Is this for you? ({})"])
@pytest.mark.parametrize("name", EXPECTED)
def test_who_passes_a_notice_on_blames_nobody_else(name: str, subject: str) -> None:
    """Whoever is named in a mail that a person passes on, the notice itself named: and only
    where it has the fields of the standard."""
    content = CONTENT[name]
    found = read(quoted(content, subject.format(subject_of(content)), "Look:\n"))

    assert {one.recipient for one in found.reports} <= {
        one.recipient for one in read(content).reports
    }
    assert not found.reports or b"inal-Recipient:" in content


@pytest.mark.parametrize("subject", ["Fwd: {}", "A question"])
@pytest.mark.parametrize("name", EXPECTED)
def test_who_attaches_a_notice_blames_nobody(name: str, subject: str) -> None:
    """What is attached is a message that somebody else returned, not a notice to us."""
    content = CONTENT[name]
    found = read(attached(content, subject.format(subject_of(content))))

    assert found.kind is not Kind.BOUNCE
    assert found.reports == ()


@pytest.mark.parametrize("name", EXPECTED)
def test_who_answers_a_notice_blames_nobody(name: str) -> None:
    """An answer quotes all that makes a bounce, and is none."""
    content = CONTENT[name]
    answer = quoted(content, f"Re: {subject_of(content)}", "What is this?\n\nHe wrote:")
    found = read(answer)

    assert found.kind not in (Kind.BOUNCE, Kind.COMPLAINT)
    assert found.reports == ()
