"""smtp.protocol and smtp.command: one answer a transaction, whatever a server says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.smtp.command import xtext
from mailblast.smtp.protocol import (
    Answer,
    Conversation,
    Envelope,
    Extensions,
    Phase,
    stuffed,
)
from mailblast.smtp.reply import Reply

ALL = Extensions.offered(
    {"pipelining": "", "size": "1000", "8bitmime": "", "smtputf8": "", "dsn": ""}
)
PIPELINING = Extensions(pipelining=True)
PLAIN = Extensions()
ANN = Envelope("bounces@example.com", "ann@example.net")
CONTENT = b"Subject: hello\r\n\r\nhello\r\n"
GROUP = b"MAIL FROM:<bounces@example.com>\r\nRCPT TO:<ann@example.net>\r\nDATA\r\n"
ACCEPTED = Answer(Phase.DOT, Reply(250, "queued"))


def begun(extensions: Extensions = PIPELINING) -> Conversation:
    """A conversation that waits for the reply to MAIL."""
    conversation = Conversation(extensions)
    conversation.offer(ANN, CONTENT)
    return conversation


def ready() -> Conversation:
    """A conversation whose server waits for the content."""
    conversation = begun()
    conversation.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
    return conversation


def at_dot() -> Conversation:
    """A conversation whose final dot is out."""
    conversation = ready()
    conversation.dot()
    return conversation


# -- a good transaction -------------------------------------------------------------------


def test_pipelined():
    """With PIPELINING the commands are one group, and the dot goes alone."""
    conversation = Conversation(PIPELINING)

    assert conversation.offer(ANN, CONTENT) == GROUP
    assert conversation.receive(b"250 ok\r\n250 ok\r\n354 go\r\n") == b""
    assert conversation.ready
    assert conversation.dot() == b".\r\n"
    conversation.receive(b"250 queued\r\n")
    assert not conversation.busy
    assert conversation.answer == ACCEPTED
    assert conversation.answer.accepted


def test_one_at_a_time():
    """Without PIPELINING each command waits for the reply to the one before."""
    conversation = Conversation(PLAIN)

    assert conversation.offer(ANN, CONTENT) == b"MAIL FROM:<bounces@example.com>\r\n"
    assert conversation.awaits is Phase.MAIL
    assert conversation.receive(b"250 ok\r\n") == b"RCPT TO:<ann@example.net>\r\n"
    assert conversation.awaits is Phase.RCPT
    assert conversation.receive(b"251 will forward\r\n") == b"DATA\r\n"
    assert conversation.awaits is Phase.DATA
    assert conversation.receive(b"354 go\r\n") == b""
    assert conversation.ready


def test_the_next_message():
    """A session takes one message after the other; after the dot no RSET is needed."""
    conversation = at_dot()
    conversation.receive(b"250 queued\r\n")

    assert conversation.offer(ANN, CONTENT) == GROUP


@pytest.mark.parametrize("code", [200, 250, 251, 252, 299])
def test_any_2yz_to_the_dot_is_an_acceptance(code):
    """The first digit decides (RFC 5321 §4.2.1)."""
    conversation = at_dot()
    conversation.receive(b"%d well\r\n" % code)

    assert conversation.answer == Answer(Phase.DOT, Reply(code, "well"))
    assert conversation.answer.accepted


# -- refusals -----------------------------------------------------------------------------


def test_mail_refused_swallows_the_rest_of_the_group():
    """The replies to RCPT and DATA belong to the same transaction and say nothing new."""
    conversation = begun()
    conversation.receive(b"550 no\r\n")
    assert conversation.busy
    conversation.receive(b"503 what\r\n503 what\r\n")

    assert conversation.answer == Answer(Phase.MAIL, Reply(550, "no"))
    assert conversation.offer(ANN, CONTENT) == GROUP


def test_rcpt_refused_leaves_a_transaction_to_reset():
    """The server still holds the MAIL: the next group begins with RSET."""
    conversation = begun()
    conversation.receive(b"250 ok\r\n452 full\r\n503 no recipients\r\n")

    assert conversation.answer == Answer(Phase.RCPT, Reply(452, "full"))
    assert conversation.offer(ANN, CONTENT) == b"RSET\r\n" + GROUP
    conversation.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert conversation.ready


def test_rcpt_refused_but_data_let_through():
    """A lone dot ends the empty message; its reply is swallowed (RFC 2920 §3.1)."""
    conversation = begun()

    assert conversation.receive(b"250 ok\r\n550 nobody\r\n354 go\r\n") == b".\r\n"
    assert conversation.busy
    assert conversation.receive(b"554 no valid recipients\r\n") == b""
    assert conversation.answer == Answer(Phase.RCPT, Reply(550, "nobody"))
    assert conversation.offer(ANN, CONTENT) == GROUP


def test_a_2yz_to_the_lone_dot_accepts_nothing():
    """An empty message to nobody was taken: the recipient's answer stays RCPT's."""
    conversation = begun()
    conversation.receive(b"250 ok\r\n550 nobody\r\n354 go\r\n")
    conversation.receive(b"250 ok\r\n")

    assert conversation.answer == Answer(Phase.RCPT, Reply(550, "nobody"))


def test_no_lone_dot_where_a_recipient_was_taken():
    """With MAIL refused and RCPT taken, a lone dot could deliver an empty message."""
    conversation = begun()

    assert conversation.receive(b"550 no\r\n250 ok\r\n354 go\r\n") == b""
    assert conversation.answer.reply == Reply(550, "no")
    assert not conversation.answer.open


def test_data_refused():
    """DATA can be refused after RCPT was taken."""
    conversation = begun()
    conversation.receive(b"250 ok\r\n250 ok\r\n451 later\r\n")

    assert conversation.answer == Answer(Phase.DATA, Reply(451, "later"))
    assert conversation.offer(ANN, CONTENT).startswith(b"RSET\r\n")


@pytest.mark.parametrize("reply", [b"451 later", b"550 spam"])
def test_content_refused(reply):
    """A 4yz or 5yz to the dot is no acceptance, and no doubt."""
    conversation = at_dot()
    conversation.receive(reply + b"\r\n")

    assert conversation.answer.phase is Phase.DOT
    assert conversation.answer.open
    assert not conversation.answer.accepted
    assert not conversation.answer.doubtful


def test_refused_one_at_a_time():
    """Without PIPELINING a refusal ends it at once, and RSET goes out alone."""
    conversation = begun(PLAIN)
    conversation.receive(b"250 ok\r\n")
    conversation.receive(b"550 nobody\r\n")

    assert conversation.answer == Answer(Phase.RCPT, Reply(550, "nobody"))
    assert conversation.offer(ANN, CONTENT) == b"RSET\r\n"
    assert conversation.receive(b"250 ok\r\n") == b"MAIL FROM:<bounces@example.com>\r\n"


# -- 421 and breaks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "phase"),
    [
        (b"421 bye\r\n", Phase.MAIL),
        (b"250 ok\r\n421 bye\r\n", Phase.RCPT),
        (b"250 ok\r\n250 ok\r\n421 bye\r\n", Phase.DATA),
    ],
)
def test_421_ends_the_session(said, phase):
    """What was not accepted is deferred; no further reply is waited for."""
    conversation = begun()
    conversation.receive(said)

    assert conversation.answer.phase is phase
    assert conversation.answer.reply == Reply(421, "bye")
    assert not conversation.answer.open


def test_421_to_the_dot():
    """A well-formed refusal: deferred without a doubt."""
    conversation = at_dot()
    conversation.receive(b"421 bye\r\n")

    assert conversation.answer.reply == Reply(421, "bye")
    assert not conversation.answer.doubtful
    assert not conversation.answer.open


def test_a_refusal_outlives_the_connection():
    """RCPT was refused before the connection was lost: that is the answer."""
    conversation = begun()
    conversation.receive(b"250 ok\r\n550 nobody\r\n")
    conversation.lost("reset")

    assert conversation.answer == Answer(Phase.RCPT, Reply(550, "nobody"), "reset", False)


@pytest.mark.parametrize(
    ("said", "phase"),
    [(b"", Phase.MAIL), (b"250 ok\r\n", Phase.RCPT), (b"250 ok\r\n250 ok\r\n", Phase.DATA)],
)
@pytest.mark.parametrize("extensions", [PIPELINING, PLAIN])
def test_lost_before_the_dot(said, phase, extensions):
    """A break before the dot says how far it had come, and accepts nothing."""
    conversation = begun(extensions)
    for line in said.splitlines(keepends=True):
        conversation.receive(line)
    conversation.lost("reset")

    assert conversation.answer == Answer(phase, None, "reset", False)
    assert not conversation.answer.doubtful


def test_lost_with_the_content():
    """The server has the content, but not the dot: nothing is accepted."""
    conversation = ready()
    conversation.lost("reset")

    assert conversation.answer == Answer(Phase.CONTENT, None, "reset", False)
    with pytest.raises(RuntimeError):
        conversation.dot()


@pytest.mark.parametrize(
    "said",
    [b"354 go\r\n", b"999 what\r\n", b"hello\r\n", b"250-more\r\n550 no\r\n", b"2" * 3_000],
)
def test_nonsense_after_the_dot_is_a_doubt(said):
    """Only a well-formed reply says what became of the message."""
    conversation = at_dot()
    conversation.receive(said)

    assert conversation.answer.doubtful
    assert not conversation.answer.open


def test_lost_after_the_dot_is_a_doubt():
    """Both sides may hold the message (RFC 1047)."""
    conversation = at_dot()
    conversation.receive(b"250-half a reply\r\n25")
    conversation.lost("reset")

    assert conversation.answer == Answer(Phase.DOT, None, "reset", False)
    assert conversation.answer.doubtful


def test_offer_on_a_broken_session():
    """It is answered at once: nothing was sent."""
    conversation = Conversation(PIPELINING)
    conversation.lost("reset")

    assert conversation.offer(ANN, CONTENT) == b""
    assert conversation.answer == Answer(Phase.MAIL, None, "reset", False)


@pytest.mark.parametrize(
    "said",
    [b"354 go\r\n", b"250 ok\r\n354 go\r\n", b"250 ok\r\n250 ok\r\n250 ok\r\n"],
)
def test_a_wrong_class_before_the_dot(said):
    """A 3yz to MAIL or RCPT, a 2yz to DATA: nothing is accepted, the session is over."""
    conversation = begun()
    conversation.receive(said)

    assert not conversation.busy
    assert not conversation.answer.accepted
    assert not conversation.answer.reply.permanent
    assert not conversation.answer.open


def test_rset_refused():
    """A server that will not reset has another idea of the transaction than we."""
    conversation = begun()
    conversation.receive(b"250 ok\r\n452 full\r\n503 no\r\n")
    conversation.offer(ANN, CONTENT)
    conversation.receive(b"500 what\r\n")

    assert conversation.answer.phase is Phase.MAIL
    assert conversation.answer.reply is None
    assert not conversation.answer.open


# -- pairing ------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [b"250 again\r\n", b"550 no\r\n", b"2", b"\r\n", b"\x00"])
def test_more_than_one_reply_to_the_dot(extra):
    """The first reply is the answer; what nobody asked for ends the session."""
    conversation = at_dot()
    conversation.receive(b"250 queued\r\n" + extra)

    assert conversation.answer.accepted
    assert not conversation.answer.open


def test_a_reply_between_two_messages():
    """It must never be the answer to the next message."""
    conversation = at_dot()
    conversation.receive(b"250 queued\r\n")
    conversation.receive(b"250 once more\r\n")
    conversation.offer(ANN, CONTENT)

    assert conversation.answer.reply is None
    assert conversation.answer.why == "a reply that nobody asked for: 250 once more"


def test_a_reply_before_the_dot():
    """A 250 that comes while the content goes out is no answer to the dot."""
    conversation = ready()
    conversation.receive(b"250 queued\r\n")

    assert not conversation.busy
    assert conversation.answer.phase is Phase.CONTENT
    assert conversation.answer.reply is None


def test_a_reply_on_the_heels_of_another():
    """Without PIPELINING a reply to a command that we have yet to send is unasked for."""
    conversation = begun(PLAIN)

    assert conversation.receive(b"250 ok\r\n250 ok\r\n") == b""
    assert conversation.answer.reply is None
    assert not conversation.answer.open


def test_one_transaction_at_a_time():
    """Offering twice, or a dot too early, is a fault of ours and no answer."""
    conversation = begun()

    with pytest.raises(RuntimeError):
        conversation.offer(ANN, CONTENT)
    with pytest.raises(RuntimeError):
        conversation.dot()


# -- what is said -------------------------------------------------------------------------


def test_parameters():
    """What the server offers is used: SIZE, and DSN without notices of success."""
    lines = Conversation(ALL).offer(
        Envelope("b+x@example.com", "a+b=c@example.net", envelope_id="run 1+2"), CONTENT
    )

    assert lines.split(b"\r\n")[:2] == [
        b"MAIL FROM:<b+x@example.com> SIZE=25 RET=HDRS ENVID=run+201+2B2",
        (
            b"RCPT TO:<a+b=c@example.net> NOTIFY=FAILURE,DELAY"
            b" ORCPT=rfc822;a+2Bb+3Dc@example.net"
        ),
    ]


def test_smtputf8():
    """A local part beyond ASCII is announced, and travels as it is (RFC 6531, RFC 6533)."""
    content = "Subject: grüße\r\n\r\n".encode()
    lines = Conversation(ALL).offer(Envelope("", "jör+g\\@example.net"), content)

    assert lines.decode().split("\r\n")[:2] == [
        "MAIL FROM:<> SIZE=20 BODY=8BITMIME SMTPUTF8 RET=HDRS",
        (
            "RCPT TO:<jör+g\\@example.net> NOTIFY=FAILURE,DELAY"
            " ORCPT=utf-8;jör\\x{2B}g\\x{5C}@example.net"
        ),
    ]


@pytest.mark.parametrize(
    ("envelope", "content", "extensions", "status"),
    [
        (Envelope("b@x.example", "jörg@example.net"), CONTENT, PIPELINING, "5.6.7"),
        (Envelope("b@x.example", "a@y.example", smtputf8=True), CONTENT, PLAIN, "5.6.7"),
        (ANN, "é\r\n".encode(), PIPELINING, "5.6.3"),
        (ANN, b"x" * 999 + b"\r\n", ALL, "5.3.4"),
        (ANN, b"no end of line", ALL, "5.6.0"),
        (ANN, b"", ALL, "5.6.0"),
        (ANN, b"a\n.\r\nMAIL FROM:<x@y>\r\n", ALL, "5.6.0"),
        (ANN, b"a\r.\r\n", ALL, "5.6.0"),
        (Envelope("b@x.example", "a@x> AUTH=<b"), CONTENT, ALL, "5.1.3"),
        (Envelope("b@x.example", "a@x\r\nDATA"), CONTENT, ALL, "5.1.3"),
        (Envelope("b@x.example\0", "a@x.example"), CONTENT, ALL, "5.1.3"),
    ],
)
def test_refused_without_a_command(envelope, content, extensions, status):
    """What this server cannot take, or could misread, is refused; the session lives."""
    conversation = Conversation(extensions)

    assert conversation.offer(envelope, content) == b""
    answer = conversation.answer
    assert (answer.reply.code, answer.reply.status) == (0, status)
    assert answer.reply.permanent
    assert answer.open
    assert conversation.offer(ANN, CONTENT).startswith(b"MAIL")


def test_size_at_the_limit():
    """A message of exactly the size that the server takes is offered (RFC 1870 §6.1)."""
    assert Conversation(ALL).offer(ANN, b"x" * 998 + b"\r\n") != b""


@pytest.mark.parametrize("limit", ["", "0", "lots", "-5", "9" * 21, "²"])
def test_size_without_a_limit(limit):
    """A SIZE that names no limit, or nonsense, limits nothing."""
    extensions = Extensions.offered({"size": limit})

    assert (extensions.size_known, extensions.size) == (True, 0)


@given(st.text(max_size=60))
def test_xtext_is_printable_and_can_be_undone(text):
    """RFC 3461 §4."""
    encoded = xtext(text)
    decoded = re.sub(
        rb"\+([0-9A-F]{2})", lambda m: bytes((int(m[1], 16),)), encoded.encode()
    )

    assert re.fullmatch(r"(?:\+[0-9A-F]{2}|[!-*,-<>-~])*", encoded)
    assert decoded == text.encode()


LINES = st.lists(st.sampled_from([b".", b"..", b".a", b"a", b"a.", b"", b". "]), max_size=9)


@given(LINES)
def test_dot_stuffing_can_be_undone(lines):
    """No line of the content is a lone dot, and the receiver gets what was signed."""
    content = b"".join(line + b"\r\n" for line in lines)
    wire = stuffed(content).split(b"\r\n")

    assert b"." not in wire
    assert b"\r\n".join(line.removeprefix(b".") for line in wire) == content


def test_content_without_dots_is_not_copied():
    """Nothing to do costs nothing."""
    assert stuffed(CONTENT) is CONTENT


# -- whatever a server sends --------------------------------------------------------------

SAID = st.one_of(
    st.sampled_from(
        [b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"354 go\r\n", b"550 no\r\n",
         b"421 bye\r\n", b"250-more\r\n", b"452 full\r\n", b"251 x\r\n", b"999 x\r\n",
         b"\r\n", b"250\n", b"garbage\r\n", b"2"]
    ),
    st.binary(max_size=6),
)  # fmt: skip
ENOUGH = re.compile(rb"(2\d\d-[^\n]*\n)*2\d\d(\r| [^\n]*)?\n", re.DOTALL)


@given(st.booleans(), st.lists(st.lists(SAID, max_size=5).map(b"".join), max_size=12))
def test_one_answer_each_and_no_acceptance_without_a_2yz(pipelining, pieces):
    """Whatever bytes a server sends, in whatever pieces, each transaction has exactly one
    answer, and none is accepted without a 2yz that came after its dot.
    """
    conversation = Conversation(Extensions(pipelining=pipelining))
    offered, answers, since_dot = 0, [], b""
    for piece in pieces:
        if not conversation.busy:
            conversation.offer(ANN, CONTENT)
            offered += 1
        elif conversation.ready:
            conversation.dot()
            since_dot = b""
        if conversation.busy:
            since_dot += piece
            conversation.receive(piece)
        if not conversation.busy:
            answers.append((conversation.answer, since_dot))
    if conversation.busy:
        conversation.lost("closed")
        answers.append((conversation.answer, b""))

    assert len(answers) == offered
    for answer, said in answers:
        if answer.accepted:
            assert ENOUGH.match(said)


@given(st.lists(SAID, max_size=14).map(b"".join))
def test_the_answer_to_the_dot_does_not_depend_on_the_pieces(said):
    """Whole or byte by byte, the dot has the same answer."""
    whole, bytewise = at_dot(), at_dot()
    whole.receive(said)
    for octet in said:
        if bytewise.busy:
            bytewise.receive(bytes((octet,)))
    whole.lost("closed")
    bytewise.lost("closed")

    assert whole.answer.reply == bytewise.answer.reply
    assert whole.answer.phase is bytewise.answer.phase is Phase.DOT
