"""Delivery status notices: what is read, in spite of their faults, and what is refused."""

import base64
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailblast import bounce
from mailblast.bounce import Kind, Notice, Report
from mailblast.errors import Refusal
from mailblast.reason import Meaning, Reason, Scope

HEAD = """\
Return-Path: <>
Delivered-To: bounces+tag@news.example.com
Received: from mx.example.net by mail.example.com; Tue, 14 Nov 2023 22:13:20 +0000
From: MAILER-DAEMON@mx.example.net
To: bounces+tag@news.example.com
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="=_b1"

"""
MESSAGE = """\
Reporting-MTA: dns; mx.example.net
Original-Envelope-Id: QQ314159
Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000

"""
RECIPIENT = """\
Final-Recipient: rfc822; anna@example.net
Original-Recipient: rfc822;info@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.example.net
Diagnostic-Code: smtp; 550 5.1.1 <anna@example.net>: User unknown
"""
RETURNED = """\
--=_b1
Content-Type: text/rfc822-headers

Received: from us
Message-ID: <r1.2@news.example.com>
Subject: News

--=_b1--
"""


def notice(
    status: str, *, head: str = HEAD, kind: str = "message/delivery-status"
) -> bytes:
    """A notice with this delivery status and the usual rest."""
    explained = "This is a MIME-encapsulated message.\n\n--=_b1\n\nIt failed.\n"
    text = f"{head}{explained}\n--=_b1\nContent-Type: {kind}\n\n{status}\n{RETURNED}"
    return text.encode()


def read(content: bytes) -> Notice:
    """Read what must be a notice."""
    found = bounce.read(content)
    assert isinstance(found, Notice), found
    return found


def only(status: str) -> Report:
    """The one report of a notice with these fields of a recipient."""
    (report,) = read(notice(MESSAGE + status)).reports
    return report


WHOLE = notice(MESSAGE + RECIPIENT)


def test_a_notice_by_the_book() -> None:
    """Every field of a plain notice is read."""
    found = read(WHOLE)

    expected = Report(
        recipient="anna@example.net",
        original="info@example.net",
        action="failed",
        status="5.1.1",
        code=550,
        text="550 5.1.1 <anna@example.net>: User unknown",
        mta="store.example.net",
        reporting="mx.example.net",
        meaning=Meaning(Reason.INVALID_RECIPIENT, Scope.RECIPIENT, "user-unknown"),
        permanent=True,
        hard=True,
        rule="dsn; user-unknown",
    )
    assert found == Notice(
        Kind.BOUNCE,
        (expected,),
        addressed=("bounces+tag@news.example.com",),
        message_id="<r1.2@news.example.com>",
        envelope_id="QQ314159",
        author="MAILER-DAEMON@mx.example.net",
        returned=(
            ("received", "from us"),
            ("message-id", "<r1.2@news.example.com>"),
            ("subject", "News"),
        ),
        arrived=1_700_000_000,
        rule="dsn",
    )


def test_line_ends() -> None:
    """CRLF and LF read alike."""
    assert read(WHOLE.replace(b"\n", b"\r\n")) == read(WHOLE)


def test_several_recipients() -> None:
    """Every group is a report of its own."""
    second = RECIPIENT.replace("anna", "bert").replace("failed", "delayed")

    found = read(notice(f"{MESSAGE}{RECIPIENT}\n{second}")).reports

    assert [(report.recipient, report.action) for report in found] == [
        ("anna@example.net", "failed"),
        ("bert@example.net", "delayed"),
    ]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("no empty line before the recipient", MESSAGE.rstrip() + "\n" + RECIPIENT),
        ("an empty line too many", MESSAGE + RECIPIENT.replace("Action", "\nAction")),
        ("blank lines with spaces", MESSAGE.replace("\n\n", "\n \t\n") + RECIPIENT),
        ("an empty line at first", "\n" + MESSAGE + RECIPIENT),
        ("names in capitals", MESSAGE + RECIPIENT.replace("Action:", "ACTION:")),
        ("a space before the colon", MESSAGE + RECIPIENT.replace("Action:", "Action :")),
        ("an action in capitals", MESSAGE + RECIPIENT.replace("failed", "FAILED")),
        (
            "an action with a comment",
            MESSAGE + RECIPIENT.replace("failed", "failed (gone)"),
        ),
        ("a word like the action", MESSAGE + RECIPIENT.replace("failed", "failure")),
        ("no action", MESSAGE + RECIPIENT.replace("Action: failed\n", "")),
        (
            "a comment behind the status",
            MESSAGE + RECIPIENT.replace("5.1.1\n", "5.1.1 (x)\n"),
        ),
        ("no status", MESSAGE + RECIPIENT.replace("Status: 5.1.1\n", "")),
        ("a general status", MESSAGE + RECIPIENT.replace("Status: 5.1.1", "Status: 5.0.0")),
        (
            "angle brackets",
            MESSAGE + RECIPIENT.replace("anna@example.net\n", "<anna@example.net>\n"),
        ),
        ("type in capitals", MESSAGE + RECIPIENT.replace("rfc822; anna", "RFC822;anna")),
        ("no type", MESSAGE + RECIPIENT.replace("rfc822; anna", "anna")),
        ("a fold", MESSAGE + RECIPIENT.replace("<anna", "\n\t<anna")),
        ("a line broken without a fold", MESSAGE + RECIPIENT.replace("<anna", "\n<anna")),
        (
            "other fields between",
            MESSAGE + RECIPIENT.replace("Action", "X-Queue: 1\nAction"),
        ),
    ],
)
def test_harmless_faults(fault: str, status: str) -> None:
    """What breaks the standard without harm to the sense is read all the same."""
    assert read(notice(status)).reports == read(WHOLE).reports, fault


@pytest.mark.parametrize(
    "kind",
    [
        "message/delivery-status; charset=us-ascii",
        "Message/Delivery-Status",
        "message/global-delivery-status",
        'message/delivery-status; name="status.txt"\nContent-Disposition: inline',
    ],
)
def test_types_of_the_status(kind: str) -> None:
    """The part is known by its type, whatever parameters it has."""
    assert read(notice(MESSAGE + RECIPIENT, kind=kind)).reports == read(WHOLE).reports


def test_base64() -> None:
    """A delivery status in base64 is decoded (RFC 6533 §6 allows it)."""
    status = base64.encodebytes((MESSAGE + RECIPIENT).encode()).decode()
    kind = "message/global-delivery-status\nContent-Transfer-Encoding: base64"

    assert read(notice(status, kind=kind)).reports == read(WHOLE).reports


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('boundary="=_b1"', "boundary==_b1"),
        ('boundary="=_b1"', 'BOUNDARY = "=_b1"; charset="x"'),
        ('boundary="=_b1"', 'boundary="=_another"'),
        ("--=_b1--\n", ""),
        ("--=_b1\n", "--=_b1  \t\n"),
        ("\n--=_b1\n", "\n --=_b1\n"),
    ],
)
def test_boundary_oddities(old: str, new: str) -> None:
    """Boundaries unquoted, unclosed, indented or not those announced part the mail."""
    (report,) = read(WHOLE.replace(old.encode(), new.encode())).reports

    (expected,) = read(WHOLE).reports
    assert replace(report, rule="") == replace(expected, rule="")


def test_wrapped_by_a_gateway() -> None:
    """A notice inside another multipart is found."""
    outer = (
        b'Delivered-To: b@c.example\nContent-Type: multipart/mixed; boundary="o"\n\n--o\n'
    )

    found = read(outer + WHOLE + b"\n--o\n\nScanned by a gateway\n--o--\n")

    assert found.reports == read(WHOLE).reports
    assert found.addressed == ("b@c.example",)


def test_cut_short() -> None:
    """A notice cut behind its status is still one: only the returned message is missing."""
    cut = WHOLE[: WHOLE.index(b"--=_b1\nContent-Type: text/rfc822-headers")]

    assert read(cut).reports == read(WHOLE).reports
    assert read(cut).message_id == ""


@pytest.mark.parametrize("kind", ["message/global", "message/global-headers"])
def test_what_is_returned_in_utf8(kind: str) -> None:
    """The returned message may be an internationalised one, or its header (RFC 6533 §6)."""
    utf8 = WHOLE.replace(b"text/rfc822-headers", kind.encode())
    utf8 = utf8.replace(b"Subject: News", "Subject: Grüße\nTo: jörg@example.net".encode())
    found = read(utf8)

    assert found.message_id == "<r1.2@news.example.com>"
    assert found.returned[2:] == (("subject", "Grüße"), ("to", "jörg@example.net"))
    assert found.reports == read(WHOLE).reports


def test_action_decides() -> None:
    """The class of the status does not change the action (RFC 3464 §2.3.3)."""
    assert only(RECIPIENT.replace("5.1.1\n", "4.4.7\n")).action == "failed"
    assert only(RECIPIENT.replace("failed", "delayed")).action == "delayed"


def test_code_over_many_lines() -> None:
    """A diagnostic of several lines is one text; its first code counts."""
    report = only(
        "Final-Recipient: rfc822; a@gmail.example\nAction: failed\nStatus: 5.0.0\n"
        "Diagnostic-Code: smtp; 550-5.2.1 The email account is\n"
        " 550-5.2.1 inactive, see https://x.example/?p=421\n 550 5.2.1 - gsmtp\n"
    )

    assert report.code == 550
    assert report.status == "5.2.1"
    assert report.text.endswith("550 5.2.1 - gsmtp")


@pytest.mark.parametrize(
    ("diagnostic", "code"),
    [
        ("X-Postfix; unknown user: anna", 0),
        ("smtp;552 Quota exceeded", 552),
        ("smtp; 5.1.0 - Unknown address error 550-'5.1.1 no such user'", 550),
        ("smtp; host 10.0.550.1 says no", 0),
        ("smtp; connection to mx550.example.net 600 s timed out", 0),
    ],
)
def test_code(diagnostic: str, code: int) -> None:
    """Only what can be an SMTP code is one: no part of an address or of a name."""
    assert (
        only(RECIPIENT.split("Diag")[0] + f"Diagnostic-Code: {diagnostic}\n").code == code
    )


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("rfc822; bob+2Bnews@example.com", "bob+news@example.com"),
        ("rfc822; bob+2024@example.com", "bob+2024@example.com"),
        ("rfc822; bob+AB@example.com", "bob+AB@example.com"),
        ('rfc822; "b b"@example.com', '"b b"@example.com'),
        ("rfc822; bob@example.com (Bob)", "bob@example.com"),
        ("utf-8; andré@example.com", "andré@example.com"),
        (r"utf-8; andr\x{E9}@example.com", "andré@example.com"),
        (r"utf-8; a\x{2B}b\x{3D}c@example.com", "a+b=c@example.com"),
        (r"utf-8; a\x{A}b@example.com", r"a\x{A}b@example.com"),
        (r"utf-8; a\x{FFFFFF}\x{D800}@example.com", r"a\x{FFFFFF}\x{D800}@example.com"),
        ("rfc822; a\x1b[2Jb@example.com", r"a\x1b[2Jb@example.com"),
        ("LOCAL; anna", "info@example.net"),
    ],
)
def test_address(field: str, address: str) -> None:
    """The address, its encoding undone (RFC 3461 §4, RFC 6533 §3), nothing hidden in it."""
    report = only(RECIPIENT.replace("rfc822; anna@example.net", field))

    assert report.recipient == address


def test_no_mta_named() -> None:
    """Where no remote server is named, the one that reports stands for it."""
    assert only(RECIPIENT.replace("Remote-MTA", "X-Other")).mta == "mx.example.net"


def test_addressed() -> None:
    """All addresses to which a mail came, the last server's word first, each once."""
    head = HEAD.replace("Delivered-To: bounces+tag", "X-Original-To: b+t2").replace(
        "by mail.example.com;", "by mail.example.com\n for <b+t4@news.example.com>;"
    )
    head = (
        "Delivered-To: b+t1@news.example.com\nEnvelope-to: B+T3@news.example.com\n" + head
    )

    assert read(notice(RECIPIENT, head=head)).addressed == (
        "b+t1@news.example.com",
        "b+t2@news.example.com",
        "B+T3@news.example.com",
        "bounces+tag@news.example.com",
        "b+t4@news.example.com",
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", Kind.NONE),
        (b"Subject: hello\n\nhow are you\n", Kind.NONE),
        (WHOLE.replace(b"=delivery-status", b"=feedback-report"), Kind.COMPLAINT),
        (notice(MESSAGE), Kind.BOUNCE),
        (notice("nothing\nof the kind"), Kind.BOUNCE),
        (notice("Final-Recipient: rfc822; an"), Kind.BOUNCE),
        (b"Subject: Fwd\n\n" + HEAD.encode(), Kind.NONE),
        (
            b"Content-Type: multipart/mixed; boundary=o\n\n--o\n"
            b"Content-Type: message/rfc822\n\n" + WHOLE + b"\n--o--\n",
            Kind.NONE,
        ),
    ],
)
def test_nobody_is_named(content: bytes, kind: Kind) -> None:
    """Where no delivery status names a recipient, nothing is reported of anybody; a notice
    that somebody passed on is none of ours."""
    found = read(content)

    assert (found.kind, found.reports) == (kind, ())


def test_a_large_returned_message() -> None:
    """A notice that returns 20 MB is read; the message itself is not."""
    large = WHOLE.replace(b"--=_b1--\n", b"body " * 4_000_000 + b"\n--=_b1--\n")

    assert read(large) == read(WHOLE)


@given(content=st.binary(max_size=300))
@example(b"Content-Type: multipart/report; boundary=\n\n--\n")
@example(b"Content-Transfer-Encoding: base64\nContent-Type: message/delivery-status\n\n=")
def test_any_bytes(content: bytes) -> None:
    """Any bytes are a notice or a refusal, never an exception."""
    assert isinstance(bounce.read(content), Notice | Refusal)
    assert isinstance(bounce.read(HEAD.encode() + content), Notice | Refusal)


@given(cut=st.integers(0, len(WHOLE)))
def test_truncated(cut: int) -> None:
    """A notice cut anywhere reports the recipient, or is refused: never half an address."""
    found = bounce.read(WHOLE[:cut])

    if isinstance(found, Notice):
        for report in found.reports:
            assert (report.recipient, report.action) == ("anna@example.net", "failed")


@given(
    at=st.integers(0, len(WHOLE) - 1), gone=st.integers(0, 30), put=st.binary(max_size=12)
)
def test_mutated(at: int, gone: int, put: bytes) -> None:
    """A notice changed anywhere gives bounded values, printable but for line ends."""
    found = bounce.read(WHOLE[:at] + put + WHOLE[at + gone :])

    if isinstance(found, Notice):
        for report in found.reports:
            text = report.text.replace("\n", " ")
            values = (report.recipient, report.original, text, report.mta)
            assert all(value.isprintable() and len(value) <= 2000 for value in values)


@given(
    st.lists(
        st.sampled_from(
            [*MESSAGE.splitlines(), *RECIPIENT.splitlines(), "", "--=_b1", "--=_b1--"]
        )
    )
)
def test_shuffled(lines: list[str]) -> None:
    """The lines of a notice in any order give no more reports than lines."""
    found = bounce.read(HEAD.encode() + b"--=_b1\n" + "\n".join(lines).encode())

    if isinstance(found, Notice):
        assert len(found.reports) <= len(lines)
