"""Ties: by what a mail finds its delivery, however its tag was wrapped, and what is forged."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast import tag, tie
from mailblast.bounce import Kind, Notice, Report
from mailblast.tag import Keyring
from mailblast.tie import OLDEST, By, Claim, Fault, Sent

KEYRING = Keyring(2, {1: b"a" * 32, 2: b"b" * 32})
OLD = Keyring(1, KEYRING.keys)
STRANGER = Keyring(2, {2: b"x" * 32})
RUN = "letter-20261124-000000"
NOW = 1_700_000_000.0
NUMBER = 4711
SENT = Sent(NUMBER, RUN, "anna@example.net", "anna@example.net", NOW - 60, True, False)
TAG = tag.make(KEYRING, "return-path", RUN, NUMBER)
LINK = tag.make(KEYRING, "unsubscribe", RUN, NUMBER)
MESSAGE_ID = f"<{RUN}.{NUMBER}.{TAG[-tag.MARK :]}@shop.example>"


def tied(notice, sent=SENT, now=NOW, *, lasting=False):
    """The tie of a notice where this one delivery is known."""
    known = {sent.delivery: sent}
    return tie.tie(tie.claims(notice), known, KEYRING, now, lasting=lasting)


def to(*addresses, **fields):
    """A bounce that came to these addresses."""
    return Notice(Kind.BOUNCE, addressed=addresses, **fields)


WRAPPED = [
    "bounces+{}@shop.example",
    "BOUNCES+{upper}@SHOP.EXAMPLE",
    "Bounces+{mixed}@shop.example",
    "bounces-{}@shop.example",
    "bounces={}@shop.example",
    "bounces_{}@shop.example",
    "{}@shop.example",
    "mbox+{}@shop.example",
    "prvs=0123456789=bounces+{}@shop.example",
    "prvs=bounces+{}/0123456789@shop.example",
    "btv1==123abcdef==bounces+{}@shop.example",
    "msprvs1=18523abcde=bounces+{}@shop.example",
    "SRS0=HHHH=TT=shop.example=bounces+{}@forward.example",
    "SRS0+HHHH=TT=shop.example=bounces+{}@forward.example",
    "SRS1=HHHH=other.example==HHHH=TT=shop.example=bounces+{}@forward.example",
    "prvs=0123456789=SRS0=HHHH=TT=shop.example=bounces+{upper}@forward.example",
    "bounces+{}=shop.example@gateway.example",
    "bounces%2B{}@shop.example",
    "bounces%2b{upper}@shop.example",
    "bounces=2B{}@shop.example",
    "bounces+2B{}@shop.example",
    '"bounces+{}"@shop.example',
    "bounces+{}%shop.example@gateway.example",
]


@pytest.mark.parametrize("form", WRAPPED)
def test_wrapped(form):
    """A tag is found in capitals, in BATV and SRS, behind any delimiter, quoted, encoded."""
    mixed = "".join(c.upper() if n % 2 else c for n, c in enumerate(TAG))
    address = form.format(TAG, upper=TAG.upper(), mixed=mixed)

    found = tied(to("news@shop.example", address))

    assert (found.by, found.sent, found.fault) == (By.RETURN_PATH, SENT, None)
    assert found.proven


PLACES = [
    (By.RETURN_PATH, to(f"b+{TAG}@shop.example")),
    (By.RETURN_PATH, to("x@y.example", senders=(f"b+{TAG}@shop.example",))),
    (By.RETURN_PATH, to(senders=(f"b+{TAG}@shop.example",), message_id="<a.1.b@c>")),
    (
        By.RETURN_PATH,
        Notice(Kind.BOUNCE, (Report(f"b+{TAG}@shop.example", "", "failed"),)),
    ),
    (
        By.RETURN_PATH,
        Notice(Kind.BOUNCE, (Report("a@b.example", f"b+{TAG}@shop.example", "failed"),)),
    ),
    (By.LINK, to(f"leave+{LINK}@shop.example")),
    (By.LINK, to(returned=(("list-unsubscribe", f"<https://u.shop.example/{LINK}>"),))),
    (By.LINK, to(returned=(("list-unsubscribe", f"<mailto:l+{LINK}@s.example?x=y>"),))),
    (By.ENVELOPE_ID, to("x@y.example", envelope_id=TAG)),
    (By.ENVELOPE_ID, to("x@y.example", envelope_id=TAG.upper(), message_id="<a@b>")),
    (By.MESSAGE_ID, to("x@y.example", message_id=MESSAGE_ID)),
    (By.MESSAGE_ID, to("x@y.example", message_id=MESSAGE_ID.upper())),
]


@pytest.mark.parametrize(("by", "notice"), PLACES)
def test_places(by, notice):
    """Each place where a proof may stand ties a mail, and says which it was."""
    assert (tied(notice).by, tied(notice).proven) == (by, SENT)


@pytest.mark.parametrize(
    "head", ["Subject:", "Subject: Re: News\nAuto-Submitted: auto-replied"]
)
def test_a_mail_to_the_address_to_leave_is_a_wish(head):
    """RFC 2369 §3.2: whatever it says, by whatever program; but a bounce stays one."""
    mail = f"From: anna@example.net\nTo: leave+{LINK}@shop.example\n{head}\n\n\n"

    assert tie.read(mail.encode()).notice.kind is Kind.UNSUBSCRIBE
    assert (
        tie.read(mail.replace(f"+{LINK}", "").encode()).notice.kind is not Kind.UNSUBSCRIBE
    )


@pytest.mark.parametrize("made_with", [KEYRING, OLD])
def test_every_key_of_ours(made_with):
    """What an older key has made is ours as well: in a tag, and in a Message-ID without a
    key's number."""
    made = tag.make(made_with, "return-path", RUN, NUMBER)

    assert tied(to(f"b+{made}@x.example")).proven
    assert tied(to(message_id=f"<r.{NUMBER}.{made[-tag.MARK :]}@x.example>")).proven


def stranger(number=NUMBER, run=RUN, keyring=STRANGER):
    return tag.make(keyring, "return-path", run, number)


# What a link proves does not prove a return path, though it be cut to its length.
_CUT = base64.b32decode(LINK.upper() + "===")[: 7 + tag.MAC_BYTES["return-path"]]
OF_LINK = base64.b32encode(_CUT).decode().rstrip("=").lower()

FORGED = [
    to(f"b+{stranger()}@x.example"),
    to(f"b+{stranger(keyring=Keyring(9, {9: b'y' * 32}))}@x.example"),
    to(f"b+{stranger(1, keyring=KEYRING)}@x.example"),
    to(f"b+{stranger(run='another', keyring=KEYRING)}@x.example"),
    to(f"b+{'a' * 28}@x.example"),
    to(f"b+{stranger()}@x.example", envelope_id=TAG, message_id=MESSAGE_ID),
    to("x@y.example", senders=(f"b+{stranger()}@x.example",), message_id=MESSAGE_ID),
    to(envelope_id=stranger()),
    to(message_id=MESSAGE_ID.replace(TAG[-tag.MARK :], "a" * tag.MARK)),
    to(message_id=MESSAGE_ID.replace(TAG[-tag.MARK :], stranger()[-tag.MARK :])),
    to(f"b+{OF_LINK}@x.example"),
    to(f"leave+{LINK[:9]}{'a' * 28}@x.example"),
]


@pytest.mark.parametrize("notice", FORGED)
def test_forged(notice):
    """Another MAC, key, number, run or purpose is none of ours, whatever else is genuine."""
    found = tied(notice)

    assert (found.sent, found.fault, found.proven) == (None, Fault.FORGED, None)


def test_nothing_comes_back_from_what_never_left():
    """A genuine tag of a message that was not offered: nobody can have it."""
    never = Sent(NUMBER, RUN, "a@b.example", "a@b.example", NOW - 60, False, False)

    assert tied(to(f"b+{TAG}@x.example"), never).fault is Fault.FORGED


OTHERS = [
    to("news@shop.example"),
    to("b+short@x.example", message_id="<20231114.2213@mail.example>"),
    to(f"b+{TAG}a@x.example"),
    to(f"b+{TAG * 100}@x.example"),
    to(f"b+{TAG[:-1]}@x.example"),
    to(f"anna@{TAG}.example"),
    to(envelope_id="LNBBLJKPBEHFEDALKOLCMEEDIFAA"),
    to(envelope_id=str(NUMBER)),
    to(message_id="<abc.12345.abcdefgh@mail.example>"),
    to(message_id=f"<{RUN}.{NUMBER}@shop.example>"),
]


@pytest.mark.parametrize("notice", OTHERS)
def test_others_have_identifiers_too(notice):
    """What only resembles a tag, or names no delivery of ours outside an address, is not
    forged: it is not ours."""
    assert tied(notice) == tie.LOOSE


def test_one_genuine_tag_among_the_addresses_is_enough():
    """A mail may have come over another VERP address as well."""
    assert tied(
        to("list+abcdefghijklmnopqrstuvwxyz2a@x.example", f"b+{TAG}@x.example")
    ).proven


@pytest.mark.parametrize(
    ("age", "lasting", "fault"),
    [
        (14 * 86400, False, None),
        (OLDEST, False, None),
        (OLDEST + 1, False, Fault.EXPIRED),
        (400 * 86400, True, None),
    ],
)
def test_expired(age, lasting, fault):
    """Two weeks must do, a month does; a wish to leave has no term."""
    found = tied(to(f"b+{TAG}@x.example"), now=SENT.dated + age, lasting=lasting)

    assert (found.fault, found.proven is not None) == (fault, fault is None)
    assert found.sent == SENT


def test_people():
    """By address a mail is about those it names, else about its author; never strongly."""
    reports = (Report("Forwarded@example.org", "Anna@Example.net", "failed"),)
    named = tie.people(Notice(Kind.BOUNCE, reports, author="mailer-daemon@example.org"))
    author = tie.people(Notice(Kind.AUTOREPLY, author="Anna@Example.net"))

    assert named == ("anna@example.net", "forwarded@example.org")
    assert author == ("anna@example.net",)
    assert tie.people(Notice(Kind.NONE, author="no address")) == ()
    found = tie.weak(named, {"anna@example.net": SENT})
    assert (found.by, found.sent, found.proven) == (By.ADDRESS, SENT, None)
    assert tie.weak(author, {}) == tie.LOOSE


def test_bounds():
    """A mail with a thousand tags is asked for no more deliveries than one with fifty."""
    many = tuple(f"b+{stranger(n)}@x.example" for n in range(1000))

    assert len(tie.claims(to(*many))) == tie.MAX_CLAIMS


@given(
    st.text(string.ascii_letters + string.digits + "+=-_/%.", max_size=40),
    st.text("+=-_/%.", min_size=1, max_size=5),
    st.text("+=-_/%.", min_size=1, max_size=5),
    st.text(string.ascii_letters + string.digits + "+=-_/%.", max_size=40),
)
def test_any_wrapping(before, left, right, after):
    """Whatever is put around a tag, delimited by what is no letter and no digit, it is found."""
    address = f"{before}{left}{TAG}{right}{after}@x.example"

    assert any(one.delivery == NUMBER for one in tie.claims(to(address)))


@given(st.text(max_size=120), st.text(max_size=60), st.text(max_size=60))
def test_any_text(address, envelope_id, message_id):
    """Whatever stands there, it proves nothing unless we made it."""
    notice = to(address, envelope_id=envelope_id, message_id=message_id)

    assert not tied(notice).proven
    assert all(isinstance(one, Claim) for one in tie.claims(notice))
