"""Messages: the standard library reads in them what was meant, whatever was in a cell."""

import hashlib
import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letters import (
    DATED,
    KEYRING,
    bodies,
    campaign,
    columns,
    composed,
    composer,
    due,
    parsed,
    signer,
    structure,
)

from mailblast import tag
from mailblast.compose import Composer
from mailblast.errors import Problems, Refusal, UserError
from mailblast.signing import Signer, new_key, verify

HTML = "<html><body><p>Hi {{ name }}</p></body></html>"
TEXT = "Hi {{ name }}\n"


@pytest.fixture(scope="module")
def simple(tmp_path_factory):
    """A composer of messages with a text and an HTML part."""
    home = tmp_path_factory.mktemp("simple")
    return composer(campaign(home, message_html=HTML, message_txt=TEXT))


# The header.


def test_the_reference_header_set(simple):
    """RULES §3.6, in its order, with its values."""
    message = composed(simple, "Jo")
    read = parsed(message)

    back = tag.make(KEYRING, "return-path", "letter-1", 7)
    stop = tag.make(KEYRING, "unsubscribe", "letter-1", 7)
    link = "https://u.example.com/u/"
    assert message.return_path == f"bounces+{back}@example.com"
    del read["DKIM-Signature"], read["Content-Type"]
    assert [(name, str(value)) for name, value in read.items()] == [
        ("Date", "Tue, 24 Nov 2026 00:00:00 +0000"),
        ("From", "Example Shop <news@example.com>"),
        ("To", "jo@example.net"),
        ("Reply-To", "help@example.com"),
        ("Subject", "News for Jo"),
        ("Message-ID", f"<letter-1.7.{back[-8:]}@example.com>"),
        ("List-Id", "Example Shop <letter.example.com>"),
        (
            "List-Unsubscribe",
            f"<{link}{stop}>, <mailto:unsub+{stop}@u.example.com?subject=unsubscribe>",
        ),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Feedback-ID", "letter:letter:bulk:examplecom"),
        ("Precedence", "bulk"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ("MIME-Version", "1.0"),
    ]


def test_a_transactional_message_is_marked_as_generated(tmp_path):
    """RFC 3834; and it needs no way out and no list."""
    made = campaign(tmp_path, purpose="transactional", unsubscribe="", message_txt=TEXT)
    read = parsed(composed(composer(made), "Jo"))

    assert read["Auto-Submitted"] == "auto-generated"
    for name in ("Precedence", "X-Auto-Response-Suppress", "List-Id", "List-Unsubscribe",
                 "List-Unsubscribe-Post"):  # fmt: skip
        assert read[name] is None, name


def test_the_campaigns_own_headers_follow(tmp_path):
    """They are templates; they stand last."""
    own = '[message.headers]\nX-Shop = "for {{ name }}"\nX-Größe = "1"\n'
    with pytest.raises(Problems):
        campaign(tmp_path, message=own, message_txt=TEXT)
    made = campaign(
        tmp_path, message=own.replace("ö", "o").replace("ß", "s"), message_txt=TEXT
    )
    read = parsed(composed(composer(made), "Jö"))

    assert read.items()[-2:] == [("X-Shop", "for Jö"), ("X-Grose", "1")]


def test_a_long_list_unsubscribe_stays_as_it_is(tmp_path):
    """300 characters of URL: not encoded, not broken, and covered by the signature."""
    url = "https://u.example.com/" + "x" * 278
    made = campaign(tmp_path, unsubscribe=f'url = "{url}"', message_txt=TEXT)
    content = composed(composer(made), "Jo").content

    field = re.search(rb"\r\nList-Unsubscribe: (<[^\r\n]*>)\r\n", content)
    assert field
    assert field[1].startswith(f"<{url}/".encode())
    assert verify(content, signer().name, signer().record())
    assert not verify(
        content.replace(b"xxx/", b"xxy/", 1), signer().name, signer().record()
    )


def test_a_list_unsubscribe_post_without_a_url_makes_no_sense(tmp_path):
    """mailto alone: no one-click (RFC 8058 §3.1)."""
    made = campaign(tmp_path, unsubscribe='mailto = "unsub@example.com"', message_txt=TEXT)
    read = parsed(composed(composer(made), "Jo"))

    assert read["List-Unsubscribe"].startswith("<mailto:unsub+")
    assert read["List-Unsubscribe-Post"] is None
    assert "Unsubscribe: mailto:unsub+" in bodies(read)["plain"]


@pytest.mark.parametrize(
    "cell",
    [
        "a\r\nBcc: x@example.org",
        "a\nBcc: x@example.org",
        "a\rBcc: x@example.org",
        "a\0b",
        "a\tb",
        "a\x0bb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "=?UTF-8?Q?=0ABcc:_x@example.org?=",
        "=?utf-8?b?DQpCY2M6IHg=?=",
        "é =?utf-8?q?=00?=",
        "x" * 2001,
    ],
)
def test_a_control_character_makes_the_row_invalid(simple, cell):
    """As it stands and inside an encoded word; the reason says where."""
    refused = simple.compose(due(cell))

    assert isinstance(refused, Refusal)
    assert refused.why.startswith("Subject has ")
    assert "\n" not in refused.why


def test_a_lone_surrogate_makes_the_row_invalid(tmp_path):
    """It is no character, and UTF-8 cannot write it."""
    made = campaign(tmp_path, message_txt="{{ name }}")

    assert isinstance(composer(made).compose(due("\ud800")), Refusal)


def test_what_looks_like_an_encoded_word_stays_literal(simple):
    """The reader sees what was written."""
    assert (
        parsed(composed(simple, "=?utf-8?q?Hi?="))["Subject"] == "News for =?utf-8?q?Hi?="
    )


def test_smtputf8(simple):
    """An internationalised local part stands in To as it is (RFC 6532)."""
    message = composed(simple, "Jo", mailbox="jö@example.net")

    assert message.smtputf8
    assert "\r\nTo: jö@example.net\r\n".encode() in message.content
    assert not composed(simple, "Jo").smtputf8


def test_a_name_in_from_is_quoted_or_encoded(tmp_path):
    """Specials in a quoted string, other letters in encoded words."""
    for name in ("Shop, Inc.", "Gr\u00fc\u00dfe " * 12 + "Shop", 'Say "hi"', "=?x?q?y?="):
        toml = name.replace("\\", "\\\\").replace('"', '\\"')
        quoted = '\\"' + toml.replace('\\"', '\\\\\\"') + '\\"'
        made = campaign(tmp_path, message_txt=TEXT)
        settings_text = (tmp_path / "letter" / "campaign.toml").read_text()
        text = settings_text.replace("Example Shop <news", f"{quoted} <news")
        made = campaign(tmp_path, message_txt=TEXT, campaign_toml=text)
        message = composed(composer(made), "Jo")
        read = parsed(message)

        # The parser of 3.11 keeps the blanks between encoded words; the older one does not.
        field = message_from_bytes(message.content)["From"]
        assert (
            str(make_header(decode_header(field)))
            .replace("\\", "")
            .strip('"')
            .startswith(name)
        )
        assert read["From"].addresses[0].addr_spec == "news@example.com"


# What the law asks for.


def test_both_parts_show_the_address_and_the_way_out(simple):
    """In the message, not in a header only."""
    parts = bodies(parsed(composed(simple, "Jo")))
    link = "https://u.example.com/u/" + tag.make(KEYRING, "unsubscribe", "letter-1", 7)

    assert "Main Road 7\n1234 Town & Vale\n\nUnsubscribe: " + link in parts["plain"]
    assert "Main Road 7<br>1234 Town &amp; Vale<br>" in parts["html"]
    assert f'<a href="{link}"' in parts["html"]


def test_a_column_may_not_pass_for_the_senders_own(simple):
    """A customer's postal address is not ours."""
    with pytest.raises(UserError, match='a column is called "postal_address"'):
        Composer(simple._campaign, columns("postal_address"), "r", KEYRING, ())


def test_the_lists_organisation_goes_before_the_senders(tmp_path):
    """`organisation` is the recipient's where the list has such a column."""
    made = campaign(
        tmp_path, subject="x", message_txt="{{ organisation }} {{ sender_name }}"
    )

    assert (
        composer(made, "organisation")
        .render(due("Theirs"))
        .text.startswith("Theirs Example Shop")
    )


# A message is a function of campaign, run and recipient.


def test_composed_again_it_is_the_same(simple, tmp_path):
    """To the byte, by another composer too."""
    again = composer(campaign(tmp_path, message_html=HTML, message_txt=TEXT))

    assert composed(simple, "Jo") == composed(simple, "Jo") == composed(again, "Jo")


def test_recipients_and_runs_differ(simple):
    """Each has a return path, a link and a Message-ID of its own."""
    other = composer(simple._campaign, run="letter-2")
    messages = [
        composed(simple, "Jo"),
        composed(simple, "Jo", delivery=8),
        composed(other, "Jo"),
    ]

    for name in ("Message-ID", "List-Unsubscribe"):
        assert len({parsed(message)[name] for message in messages}) == 3
    assert len({message.return_path for message in messages}) == 3


def test_an_attempt_changes_nothing(simple):
    """A retry sends the same message, the Date included."""
    assert composed(simple, "Jo", attempt=1) == composed(simple, "Jo", attempt=9)
    assert parsedate_to_datetime(parsed(composed(simple, "Jo"))["Date"]).timestamp() == int(
        DATED
    )


def test_hundreds_are_verified_by_dkimpy(simple):
    """Every one."""
    for number in range(600):
        message = composed(simple, "Jo" * (number % 300), delivery=number)
        assert verify(message.content, signer().name, signer().record()), number


def test_two_signatures(tmp_path):
    """Each verifies by itself, whatever becomes of the other; that with RSA is on top; and
    without a second key not a byte is another."""
    made = campaign(tmp_path, message_txt=TEXT)
    beside = Signer(new_key("ed25519-sha256"), "example.com", "mb2", "ed25519-sha256")
    once = composed(composer(made), "Jo").content
    twice = composed(composer(made, by=(signer(), beside)), "Jo").content

    head, _, rest = twice.partition(b"\r\nDate:")
    assert re.findall(rb" a=([a-z0-9-]+);", head) == [b"rsa-sha256", b"ed25519-sha256"]
    assert once.partition(b"\r\nDate:")[2] == rest
    assert head.startswith(once.partition(b"\r\nDate:")[0] + b"\r\nDKIM-Signature:")
    for one, other in ((signer(), beside), (beside, signer())):
        assert verify(twice, one.name, one.record())
        assert not verify(twice, one.name, other.record())
        assert not verify(twice.replace(b"Jo", b"Joe"), one.name, one.record())
    without = twice.replace(b" a=rsa-sha256;", b" a=rsa-sha512;")
    assert verify(without, beside.name, beside.record())
    assert not verify(without, signer().name, signer().record())


# Invariants over whatever may be in a cell.

cells = st.one_of(
    st.text(max_size=200),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=1200),
    st.lists(
        st.sampled_from(
            ["\r", "\n", "\r\n", ".", "..", "From ", "=_", "=?UTF-8?Q?=0ABcc:?=", "é",
             "日本", " ", "\t", "x" * 80, "y" * 999, "--", "\u2028", "\x85", "{{ 7*7 }}",
             "<p>", "=", "🎉"]
        ),
        max_size=30,
    ).map("".join),
)  # fmt: skip
HTML_CELL = re.compile(r"<div>(.*)</div><!--end-->", re.DOTALL)


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A composer that puts one cell into the header and another one into the parts."""
    home = tmp_path_factory.mktemp("probe")
    return composer(
        campaign(
            home,
            subject="{{ head }}",
            message='[message.headers]\nX-Own = "{{ head }}"',
            message_html="<div>{{ body|safe }}</div><!--end-->",
            message_txt="{{ body }}\n-end-",
        ),
        "head",
        "body",
    )


def lines_of(cell):
    """A cell as it arrives: its line ends are Python's."""
    return cell.replace("\r\n", "\n").replace("\r", "\n")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cells, cells)
def test_what_was_meant_arrives(probe, head, body):
    """Same names, same subject, same text, same HTML; or the row is refused."""
    message = probe.compose(due(head, body))
    if isinstance(message, Refusal):
        assert re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?|.{2001}", head)
        return
    for read in (
        parsed(message),
        message_from_bytes(message.content, policy=policy.compat32),
    ):
        assert read.keys() == [
            "DKIM-Signature", "Date", "From", "To", "Reply-To", "Subject", "Message-ID",
            "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID",
            "Precedence", "X-Auto-Response-Suppress", "MIME-Version", "Content-Type", "X-Own",
        ]  # fmt: skip
        assert not any(part.defects for part in read.walk())
    read = parsed(message)
    assert read["Subject"] == read["X-Own"] == head.strip(" ")
    assert structure(read) == ("alternative", "plain", "html")
    parts = bodies(read)
    assert parts["plain"].startswith(lines_of(f"{body}\n-end-\n\nExample Shop Ltd\n"))
    assert HTML_CELL.findall(parts["html"]) == [lines_of(body)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cells, cells)
def test_the_wire_is_clean(probe, head, body):
    """CRLF only, no NUL, seven bits, no line above 998; the digest is that of the bytes."""
    message = probe.compose(due(head, body))
    if isinstance(message, Refusal):
        return
    content = message.content
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0|[\x80-\xff]", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.endswith(b"\r\n")
    assert message.digest == hashlib.sha256(content).digest()
    assert b"\nFrom " not in content
    assert verify(content, signer().name, signer().record())


def test_smuggling(probe):
    """A body that ends the message and begins another is one message (FAULTS 23)."""
    smuggled = "a\n.\r\nMAIL FROM:<x@example.org>\r\r\n.\r.\n"
    content = composed(probe, "s", smuggled).content

    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    assert bodies(message_from_bytes(content, policy=policy.default))["plain"].startswith(
        lines_of(smuggled)
    )
