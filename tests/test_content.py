"""The rules of a message's bytes: its header, its List- fields, its parts.

A message is really composed, changed in one place, and read again from its bytes.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest
from checking import facts, findings, sample, says
from content import DIRECT, changed, composed, headed, instead

from mailblast.check import Facts
from mailblast.check.facts import Messages

DATE = re.compile(rb"Date: [^\r]*")


def of(messages: Messages, rule: str, pack: str = "bulk-senders") -> str:
    """The status of the one finding of a rule."""
    return str(says(rule, facts(None, messages), pack).status)


def told(messages: Messages, rule: str, pack: str = "bulk-senders") -> list[str]:
    """What it says where something is wrong."""
    return [one.message for one in findings(rule, facts(None, messages), pack)]


def today(messages: Messages) -> Facts:
    """Facts of the day on which the messages were composed."""
    made = facts(None, messages)
    return Facts(datetime.now(UTC).date(), made.campaign, made.content, made.groups)


# --- The header ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("From: a@shop.example", "Header From occurs 2 times."),
        ("LIST-ID: <b.shop.example>", "Header List-Id occurs 2 times."),
        ("Subject: another", "Header Subject occurs 2 times."),
        ("X-Mine: one", ""),
    ],
)
def test_what_stands_once(line, expected):
    """A field that may stand once does; which it is stands in the finding."""
    assert told(headed(line), "MSG-SINGLETONS") == [expected]


def test_what_must_stand():
    """Date and From must be there (RFC 5322 §3.6)."""
    without = changed(lambda content: DATE.sub(b"X-Date: none", content, count=1))

    assert told(without, "MSG-SINGLETONS") == ["Header Date occurs 0 times."]


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("<a.b@shop.example>", "2 messages have the same one"),
        ("<a@[192.0.2.1]>", "2 messages have the same one"),
        ("a@shop.example", "it is not of the form <left@right>"),
        ("<a b@shop.example>", "it is not of the form <left@right>"),
        ("<@shop.example>", "it is not of the form <left@right>"),
        (f"<{'a' * 500}@shop.example>", "it has 515 characters"),
        ("", "it is not of the form <left@right>"),
    ],
)
def test_message_id(identity, expected):
    """Each message has one of its own, in the form of RFC 5322 §3.6.4."""
    field = re.compile(rb"Message-ID: [^\r]*")
    found = changed(
        lambda one: field.sub(b"Message-ID: " + identity.encode(), one, count=1)
    )

    assert of(composed(), "MSG-MESSAGE-ID") == "pass"
    assert f"Message-ID: {expected}." in told(found, "MSG-MESSAGE-ID")
    none = changed(lambda one: field.sub(b"X-Was: here", one, count=1))
    assert told(none, "MSG-MESSAGE-ID") == ["Message-ID: there is none."]


WRITTEN = "%a, %d %b %Y %H:%M:%S +0000"


@pytest.mark.parametrize(
    ("days", "form", "expected"),
    [
        (0, WRITTEN, "pass"),
        (0, "%d %b %Y %H:%M -0430", "pass"),
        (-6, WRITTEN, "pass"),
        (-9, WRITTEN, "fail"),
        (3, WRITTEN, "fail"),
        (0, "%Y-%m-%d %H:%M", "fail"),
        (0, "31 Feb %Y 10:00:00 +0000", "fail"),
        (0, "", "fail"),
    ],
)
def test_date(days, form, expected):
    """There is one, as RFC 5322 §3.3 writes it, of now."""
    at = datetime.now(UTC) - timedelta(minutes=5) + timedelta(days=days)
    field = f"Date: {at.strftime(form)}".encode()
    found = changed(lambda one: DATE.sub(field, one, count=1))

    assert says("MSG-DATE", today(found), "bulk-senders").status == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Comments: =?utf-8?q?gr=C3=BC=C3=9Fe?=", ""),
        ("Reply-To: =?utf-8?q?J=C3=B6?= <jo@shop.example>", ""),
        (
            "Reply-To: Jo <=?utf-8?q?j=C3=B6?=@shop.example>",
            "Reply-To: an encoded word where",
        ),
        (
            'Reply-To: "=?utf-8?q?J=C3=B6?=" <jo@shop.example>',
            "Reply-To: an encoded word where",
        ),
        ("In-Reply-To: =?utf-8?q?x?=", "In-Reply-To: an encoded word where"),
        (f"Comments: =?utf-8?q?{'a' * 64}?=", "Comments: an encoded word of 76 characters"),
        ("Comments: grüße", "Comments: letters outside ASCII"),
    ],
)
def test_encoded_words(line, expected):
    """They stand in text, phrases and comments alone, and are not too long (RFC 2047 §5)."""
    (found,) = told(headed(line), "MSG-ENCODEDWORD")

    assert found.startswith(expected)
    assert bool(found) == bool(expected)


def test_a_header_in_utf8_for_an_address_in_utf8():
    """Who is written to outside ASCII has a server that takes such a header (RFC 6532)."""
    given = sample(recipient="jö@inbox.example", headers=(("To", "jö@inbox.example"),))

    assert of(Messages((given,)), "MSG-ENCODEDWORD") == "pass"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"X-Long: {'x' * 32_000}", ""),
        (f"X-Long: {'x' * 32_001}", "X-Long is 32001 bytes; Gmail's limit is 32000."),
        (f"References: {'x' * 40_000}", ""),
        ("\r\n".join(["X: y"] * 5_001), "The header is "),
        (f"{'X' * 1_001}: y", "The name XXXX"),
        ("\r\n".join(["X: " + "y" * 30_000] * 17), "The header is 51"),
    ],
)
def test_header_size(line, expected):
    """What Gmail takes: of a value, of a name, of all, and how many fields."""
    (found,) = told(headed(line), "MSG-HEADER-SIZE")

    assert found.startswith(expected)
    assert bool(found) == bool(expected)


def test_a_long_subject():
    """998 characters, once decoded."""
    long = Messages((sample(subject="x" * 999),))

    assert told(long, "MSG-HEADER-SIZE") == ["Subject is 999 bytes; Gmail's limit is 998."]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Example Shop <news@shop.example>", "pass"),
        ("news@shop.example", "pass"),
        ("a@shop.example, b@shop.example", "fail"),
        ("Example Shop", "fail"),
        ("Example Shop <news@shop>", "fail"),
        ("undisclosed:;", "fail"),
    ],
)
def test_from_is_one_mailbox(value, expected):
    """One address, of a domain that can be one."""
    found = Messages((sample(headers=(("From", value),)),))

    assert of(found, "BULK-FROM-ONE") == expected
    assert of(Messages((sample(headers=()),)), "BULK-FROM-ONE") == "fail"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Example Shop", "pass"),
        ("=?utf-8?q?B=C3=B6rse?=", "pass"),
        ("", "pass"),
        ('"Re: your order"', "fail"),
        ('"Example Shop (2)"', "fail"),
        ("=?utf-8?q?Shop_=E2=9C=94?=", "fail"),
        ('"for ann@inbox.example"', "fail"),
        ("News for Ann", "fail"),  # its subject
    ],
)
def test_the_name_in_from(name, expected):
    """It names the sender: no conversation, no mark, no recipient, no subject."""
    found = Messages((sample(headers=(("From", f"{name} <news@shop.example>"),)),))

    assert of(found, "MSG-DISPLAYNAME") == expected


# --- The List- fields ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "evidence"),
    [
        ("List-Unsubscribe-Post: List", "X-Post: List", "no List-Unsubscribe-Post"),
        ("Post: List-Unsubscribe=One-Click", "Post: One-Click", "Post: One-Click"),
        ("<https://u.", "<http://u.", "its addresses are http, mailto"),
        ("<mailto:leave", "<https://leave", "its addresses are https, https"),
        ("List-Unsubscribe: <", "X-U: <", "no List-Unsubscribe"),
        ("Feedback-ID:", "List-Unsubscribe:", "2 List-Unsubscribe"),
    ],
)
def test_one_click(old, new, evidence):
    """One https address, and what to post to it (RFC 8058 §3.1)."""
    found = says("BULK-ONECLICK", facts(None, instead(old, new)), "bulk-senders")

    assert of(composed(), "BULK-ONECLICK") == "pass"
    assert found.status == "fail"
    assert found.evidence.endswith(evidence)


def test_one_click_is_signed():
    """Both fields are in h=; where nothing signs here, that cannot be seen."""
    rule = "BULK-ONECLICK-SIGNED"

    assert of(composed(), rule) == "pass"
    cut = changed(lambda one: one.replace(b"list-unsubscribe-post:", b""))
    assert of(cut, rule) == "fail"
    assert of(instead("DKIM-Signature:", "X-Signature:"), rule) == "skip"
    assert of(instead("List-Unsubscribe-Post: List", "X-Post: List"), rule) == "skip"
    one_unsigned = Messages((composed().samples[0], sample()))
    assert of(one_unsigned, rule) == "fail"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://u.shop.example/u/aaaaaaaaaaa5o6wz3ila2537", "the same for 2 recipients"),
        (
            "https://u.shop.example/u?ann@inbox.example&1234567890ab",
            "made of the recipient",
        ),
        ("https://u.shop.example/u/7", "without a part that is hard to guess"),
    ],
)
def test_a_link_of_ones_own(link, expected):
    """The address alone tells whose it is, and nobody can guess another's (RFC 8058 §6)."""
    people = (sample(ways_out=(link,)), sample(ways_out=(link,), row=2))

    assert of(composed(), "BULK-ONECLICK-TOKEN") == "pass"
    assert expected in told(Messages(people), "BULK-ONECLICK-TOKEN")[0]
    nothing = Messages((sample(ways_out=("mailto:leave@shop.example",)),))
    assert of(nothing, "BULK-ONECLICK-TOKEN") == "skip"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<p>News</p><a href="{{ unsubscribe_url }}">Leave</a>', "pass"),
        (
            '<p>News</p><a style="display:none" href="{{ unsubscribe_url }}">Leave</a>',
            "fail",
        ),
    ],
)
def test_a_link_in_the_body(html, expected):
    """The header is not enough: the body shows one as well."""
    assert of(composed(html), "BULK-UNSUB-LINK") == expected


@pytest.mark.parametrize(("text", "expected"), [("Leave: LINK", "pass"), ("News", "fail")])
def test_a_link_in_the_text(text, expected):
    """A message of text alone shows it there."""
    given = sample(text.replace("LINK", "https://u.shop.example/u/1"), None)
    given = Messages((sample(given.text, None, ways_out=("https://u.shop.example/u/1",)),))

    assert of(given, "BULK-UNSUB-LINK") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Example Shop <letter.shop.example>", "pass"),
        ("<letter.shop.example>", "pass"),
        ("letter.shop.example", "fail"),
        ("Example Shop <letter>", "fail"),
        ("x" * 240 + " <letter.shop.example>", "fail"),
    ],
)
def test_list_id(value, expected):
    """Name <label.domain>, of 255 characters at most (RFC 2919)."""
    found = Messages((sample(headers=(("List-Id", value),)),))

    assert of(found, "BULK-LISTID") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<https://shop.example/help>", "pass"),
        ("<https://shop.example/help>, <mailto:help@shop.example>", "pass"),
        ("https://shop.example/help", "fail"),
        ("<https://shop.example/a b>", "fail"),
        ("<https://shop.example/> <mailto:help@shop.example>", "fail"),
    ],
)
def test_list_fields(value, expected):
    """Addresses in angle brackets, with commas between (RFC 2369 §2)."""
    assert of(headed(f"List-Help: {value}"), "HDR-LIST", "standards") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("OOF, AutoReply", "pass"), ("All", "fail"), ("OOF, ndr", "fail")],
)
def test_no_notice_is_suppressed(value, expected):
    """Exchange would keep the notices that tell of a failure."""
    found = Messages((sample(headers=(("X-Auto-Response-Suppress", value),)),))

    assert of(found, "HDR-PRECEDENCE", "standards") == expected


# --- Lines and parts ----------------------------------------------------------------------


@pytest.mark.parametrize(("length", "expected"), [(998, "pass"), (999, "fail")])
def test_lines(length, expected):
    """998 octets without CRLF (RFC 5322 §2.1.1)."""
    line = "X: " + "y" * (length - 3)

    assert of(headed(line), "MSG-LINELEN", "standards") == expected


@pytest.mark.parametrize(("ends", "which"), [("\n", "LF"), ("\r", "CR"), ("\r\r\n", "CR")])
def test_line_ends(ends, which):
    """CR and LF stand together or not at all."""
    (found,) = told(instead("Dear Ann,", f"Dear{ends}Ann,"), "MSG-CRLF", "standards")

    assert f"bare {which} at" in found
    assert of(composed(), "MSG-CRLF", "standards") == "pass"


def test_seven_bit():
    """Nothing in the body makes a server write it anew."""
    assert of(composed(), "MSG-7BIT", "standards") == "pass"
    assert of(instead("Dear Ann,", "Dear Änn,"), "MSG-7BIT", "standards") == "fail"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("MIME-Version: 1.0", "X-Version: 1.0", "there is no MIME-Version: 1.0"),
        ('boundary="=_', 'boundary="=:', "start boundary not found"),
        ('boundary="', 'x="', "a boundary of 0 characters"),
        ("text/plain; charset=utf-8", "text/plain", "text/plain declares no charset"),
        ("text/plain; charset=utf-8", "text/plain; charset=klingon", "klingon is unknown"),
        ("text/html; charset=utf-8", "text/plain; charset=utf-8", ""),
        ("text/plain; charset", "text/html; charset", "begins with text/html"),
        ("Encoding: quoted-printable", "Encoding: rot13", "the encoding rot13"),
        ('href=3D"', 'href="', "no quoted-printable"),
        ("<p>Dear Ann, here", "<p>Dear Ann, here" + " there" * 9, "line of 113 octets"),
        (
            "Dear Ann, here is",
            "\r\n--BOUNDARY\r\n\r\nDear Ann,",
            "boundary stands in a part",
        ),
        ("Encoding: 7bit", "Encoding: base64", "base64"),
    ],
)
def test_mime(old, new, expected):
    """Parts, encodings and charsets are as RFC 2045 and 2046 have them."""
    boundary = re.compile(rb'boundary="([^"]*)"')

    def change(content: bytes) -> bytes:
        found = boundary.search(content)
        assert found
        there = new.encode().replace(b"BOUNDARY", found[1] + b"x")
        return content.replace(old.encode(), there, 1)

    found = told(changed(change), "MSG-MIME", "standards")

    assert of(composed(), "MSG-MIME", "standards") == "pass"
    assert any(expected in one for one in found)
    assert all(found) == bool(expected)


def test_an_image_that_is_no_part():
    """What the HTML refers to by cid: is there (RFC 2392)."""
    page = instead("https://shop.example/a.png", "cid:nobody@shop.example")

    assert told(page, "MSG-MIME", "standards") == [
        "MIME structure: cid:nobody@shop.example is no part of the message."
    ]


def test_what_the_delivery_is():
    """These campaigns go straight to the mail hosts, and are signed here."""
    assert 'via = "direct"' in DIRECT
    assert all(b"DKIM-Signature" in one.content for one in composed().samples)
