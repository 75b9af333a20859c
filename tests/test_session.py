"""smtp.session against servers that misbehave, over real sockets, on both event loops."""

import asyncio
import base64
import gc
import inspect
import ssl
import time
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import aiosmtplib
import aiosmtplib.errors
import pytest
import uvloop

from mailblast.errors import ConnectionFailed
from mailblast.smtp.protocol import Answer, Envelope, Phase, Ready
from mailblast.smtp.session import RFC_5321, Server, Session, TimeLimits, opening, wire
from mailblast.smtp.session.wire import SLICE
from tests.misbehaving import (
    EXTENSIONS,
    Authority,
    Misbehaving,
    close,
    content,
    deaf,
    delay,
    drip,
    endless,
    garbage,
    inject,
    keep,
    reset,
    say,
    send,
    several,
    silence,
)

CANARY = "Canary-5ecret?"
ENVELOPE = Envelope("bounces@example.com", "ann@example.net")
CONTENT = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\na.\r\n" + b"x" * 70 + b"\r\n"
# Shortened: what counts is which limit fires, not how long RFC 5321 makes it.
FAST = TimeLimits(greeting=2, mail=0.2, rcpt=0.2, data=0.2, block=0.4, dot=0.5, quit=0.2)


@pytest.fixture(params=[asyncio, uvloop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine on this kind of loop."""
    return request.param.run


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind():
    """A transport or a task that nobody closed warns when it is collected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


def at(server: Misbehaving, **settings) -> Server:
    settings = {"security": "none", "ehlo": "me.example", **settings}
    return Server("127.0.0.1", server.port, **settings)


async def deliver(session: Session, envelope=ENVELOPE, content=CONTENT) -> Answer:
    """Offer and commit."""
    result = await session.offer(envelope, content)
    return await session.commit() if isinstance(result, Ready) else result


async def one(script, limits=FAST, **settings) -> tuple[Answer, Misbehaving, Session]:
    """One message to a server with this script."""
    async with Misbehaving(script, **settings) as server:
        session = await Session.open(at(server), limits)
        answer = await deliver(session)
        await session.quit()
        return answer, server, session


async def refused(server: Server, limits=FAST) -> ConnectionFailed:
    """How opening a session fails."""
    with pytest.raises(ConnectionFailed) as caught:
        await Session.open(server, limits)
    return caught.value


def knows_the_password(data: str | bytes) -> bool:
    """Whether the password, or an encoding of it, is in there."""
    text = data if isinstance(data, str) else bytes(data).decode("latin-1")
    plain = base64.b64encode(f"\0user\0{CANARY}".encode()).decode()
    alone = base64.b64encode(CANARY.encode()).decode()
    return any(secret in text for secret in (CANARY, plain, alone))


# -- what should work ---------------------------------------------------------------------


def test_the_limits_are_those_of_the_rfc():
    """RFC 5321 §4.5.3.2: the tests shorten what is right here."""
    limits = TimeLimits(
        greeting=300, mail=300, rcpt=300, data=120, block=180, dot=600, quit=5
    )

    assert limits == RFC_5321
    assert inspect.signature(Session.open).parameters["limits"].default == limits
    assert [limits.of(phase) for phase in Phase] == [300, 300, 120, 180, 600]


@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
def test_many_messages_over_one_session(run, extensions):
    """Each arrives once, as it was signed, with and without extensions."""

    async def main():
        async with Misbehaving(extensions=extensions) as server:
            session = await Session.open(at(server), FAST)
            for n in range(20):
                answer = await deliver(
                    session, ENVELOPE._replace(recipient=f"{n}@x.example")
                )
                assert answer.accepted
                assert session.usable
            await session.quit()
            return server

    server = run(main())
    assert server.copies == {f"{n}@x.example": 1 for n in range(20)}
    assert all(message.content == CONTENT for message in server.messages)
    assert server.sessions == 1
    assert server.commands[-1] == "QUIT"


def test_two_round_trips_a_message(run):
    """With PIPELINING three commands go in one segment, content and dot in others."""

    async def main():
        segments = []

        async def serve(reader, writer):
            writer.write(b"220 hi\r\n")
            await reader.readline()
            writer.write(b"250-hi\r\n250 PIPELINING\r\n")
            for reply in (b"250 ok\r\n250 ok\r\n354 go\r\n", b"", b"250 ok\r\n"):
                segments.append(await reader.read(65_536))
                writer.write(reply)
                await asyncio.sleep(0.05)
            await reader.read()
            writer.close()
            await writer.wait_closed()
            served.set()

        served = asyncio.Event()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            session = await Session.open(Server("127.0.0.1", port, "none"), FAST)
            assert isinstance(await session.offer(ENVELOPE, b"hello\r\n"), Ready)
            await asyncio.sleep(0.1)
            assert (await session.commit()).accepted
            await session.quit()
            await served.wait()
        return segments

    assert [s.count(b"\r\n") for s in run(main())] == [3, 1, 1]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_encrypted_and_authenticated(run, authority, security):
    """The password goes out after the certificate was verified, and never in clear."""

    async def main():
        tls = {"tls": authority.good(), "wrapped": security == "tls"}
        async with Misbehaving(**tls) as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            session = await Session.open(at(server, security=security, **settings))
            big = CONTENT * 5_000
            assert (await deliver(session)).accepted
            assert (await deliver(session, content=big)).accepted
            await session.quit()
            assert (session.host, session.peer) == ("127.0.0.1", "127.0.0.1")
            assert session.tls == "TLSv1.3"
            assert session.extensions.pipelining
            assert server.messages[1].content == big
            return server

    server = run(main())
    assert sum(verb == "AUTH" for verb in server.verbs) == 1
    assert server.verbs.count("EHLO") == (2 if security == "starttls" else 1)


def test_a_server_of_before_ehlo(run):
    """Who does not know EHLO is greeted with HELO (RFC 5321 §3.2), and offers nothing."""

    async def main():
        script = {"EHLO": "502 5.5.1 what", "HELO": "250 mx.example"}
        async with Misbehaving(script) as server:
            session = await Session.open(at(server), FAST)
            assert (await deliver(session)).accepted
            await session.quit()
            assert not session.extensions.pipelining
            return server.verbs

    assert run(main())[:3] == ["EHLO", "HELO", "MAIL"]


def test_an_address_instead_of_the_name(run, authority):
    """The connection goes to the address; name and certificate are the host's."""

    async def main():
        tls = authority.good("mx.nowhere.example")
        async with Misbehaving(tls=tls) as server:
            there = replace(
                at(server, security="starttls", ca_file=authority.file),
                host="mx.nowhere.example",
                address="127.0.0.1",
                source="127.0.0.9",
            )
            session = await Session.open(there, FAST)
            assert (await deliver(session)).accepted
            await session.quit()
            return session.host, session.peer, session.tls

    assert run(main()) == ("mx.nowhere.example", "127.0.0.1", "TLSv1.3")


def test_a_large_message_to_a_slow_server(run):
    """Content waits for the server, a slice at a time, and arrives as it was."""

    async def main():
        big = (b"." + b"x" * 990 + b"\r\n") * 16_000
        script = {"DATA": several(send(b"354 go\r\n"), delay(0.3), content)}
        async with Misbehaving(script, extensions=("PIPELINING",)) as server:
            session = await Session.open(at(server), RFC_5321)
            offering = asyncio.create_task(session.offer(ENVELOPE, big))
            waiting = []
            while not offering.done():
                waiting.append(session._wire._transport.get_write_buffer_size())
                await asyncio.sleep(0.001)
            assert (await session.commit()).accepted
            await session.quit()
            assert server.messages[0].content == big
            return waiting

    assert 0 < max(run(main())) <= SLICE


# -- FAULTS 11 to 15: after the dot -------------------------------------------------------


@pytest.mark.parametrize("fate", [close, reset, silence, garbage, several(keep, close)])
def test_broken_after_the_dot_is_a_doubt(run, fate):
    """Closed, reset, silent or babbling: nobody knows, and the session is over."""
    answer, server, session = run(one({"dot": fate}))

    assert answer.doubtful
    assert answer.why
    assert not answer.accepted
    assert not session.usable
    assert server.messages[0].content == CONTENT


def test_accepted_but_never_told(run):
    """The server has the one copy, and we have a doubt: never a second copy by itself."""
    answer, server, _ = run(one({"dot": several(keep, reset)}))

    assert answer.doubtful
    assert server.copies == {"ann@example.net": 1}


def test_closed_after_the_250(run):
    """The answer counts; that the session is over is noticed."""

    async def main():
        async with Misbehaving({"dot": several(say("250 ok"), close)}) as server:
            session = await Session.open(at(server), FAST)
            assert (await deliver(session)).accepted
            await asyncio.sleep(0.1)
            assert not session.usable
            answer = await deliver(session)
            assert (answer.phase, answer.reply, answer.open) == (Phase.MAIL, None, False)

    run(main())


def test_a_late_answer_to_the_dot_is_waited_for(run):
    """A 250 shortly before the limit (599 s of 600) is an acceptance."""
    script = {"dot": several(delay(FAST.dot * 0.8), say("250 at last"))}

    assert run(one(script))[0].accepted


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "dot"])
def test_a_drip_does_not_extend_the_limit(run, step):
    """The limit is that of the whole reply; sessions with others go on meanwhile."""

    async def main():
        script = {step: drip("250 2.0.0 one octet at a time is no reply at all", 0.05)}
        async with Misbehaving(script) as slow, Misbehaving() as good:
            session = await Session.open(at(slow), FAST)
            other = await Session.open(at(good), FAST)
            start = time.monotonic()
            dripping = asyncio.create_task(deliver(session))
            done = 0
            while not dripping.done():
                assert (await deliver(other)).accepted
                done += 1
            took = time.monotonic() - start
            await other.quit()
            return await dripping, took, done

    answer, took, done = run(main())
    assert (answer.phase.value, answer.reply, answer.open) == (step, None, False)
    assert answer.doubtful == (step == "dot")
    assert took < 2 * FAST.dot
    assert done > 5


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("flood", [b"250-more\r\n", b"250 " + b"a" * 60_000])
def test_an_endless_reply(run, step, flood):
    """Memory is bounded, the session closed; doubtful only after the dot."""

    async def main():
        async with Misbehaving({step: endless(flood)}) as server:
            session = await Session.open(at(server), RFC_5321)
            tracemalloc.start()
            try:
                answer = await deliver(session)
                await asyncio.sleep(0.05)
                return answer, tracemalloc.get_traced_memory()[1], server.flooded
            finally:
                tracemalloc.stop()

    answer, peak, flooded = run(main())
    assert (answer.phase.value, answer.reply, answer.open) == (step, None, False)
    assert answer.doubtful == (step == "dot")
    assert peak < 8_000_000
    assert flooded < 20_000_000


@pytest.mark.parametrize(
    ("reply", "accepted", "doubtful", "open_"),
    [
        ("250 ok", True, False, True),
        ("251 ok", True, False, True),
        ("451 later", False, False, True),
        ("554 spam", False, False, True),
        ("421 bye", False, False, False),
        ("354 go", False, True, False),
        ("999 what", False, True, False),
        ("", False, True, False),
    ],
)
def test_replies_to_the_dot(run, reply, accepted, doubtful, open_):
    """Any 2yz accepts, a 4yz or 5yz does not, all else is a doubt."""
    answer, _, _ = run(one({"dot": reply}))

    assert (answer.accepted, answer.doubtful, answer.open) == (accepted, doubtful, open_)


# -- before the dot -----------------------------------------------------------------------


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("fate", [close, reset, silence, garbage])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
def test_broken_before_the_dot(run, step, fate, extensions):
    """Nothing is accepted; the phase says how far it had come, and nothing is raised."""
    answer, server, session = run(one({step: fate}, extensions=extensions))

    assert (answer.phase.value, answer.reply, answer.open) == (step, None, False)
    assert not answer.doubtful
    assert not session.usable
    assert not server.messages


def test_the_time_limit_of_each_command(run):
    """A server that is slow within the limits is waited for at each step."""
    slow = {
        step: several(delay(0.15), say(reply))
        for step, reply in (("MAIL", "250 ok"), ("RCPT", "250 ok"))
    }

    assert run(one(slow))[0].accepted


def test_closed_between_offer_and_commit(run):
    """The dot is not sent any more: no doubt."""

    async def main():
        script = {"DATA": several(send(b"354 go\r\n"), delay(0.05), close)}
        async with Misbehaving(script) as server:
            session = await Session.open(at(server), FAST)
            assert isinstance(await session.offer(ENVELOPE, CONTENT), Ready)
            await asyncio.sleep(0.2)
            return await session.commit()

    answer = run(main())
    assert (answer.phase, answer.reply, answer.open) == (Phase.CONTENT, None, False)


@pytest.mark.parametrize("slice_", [SLICE, 1 << 30])
def test_a_server_that_takes_no_content(run, monkeypatch, slice_):
    """The limit of a data block fires, before the dot is sent behind content that waits;
    what waits is thrown away.
    """
    monkeypatch.setattr(wire, "SLICE", slice_)

    async def main():
        script = {"DATA": several(send(b"354 go\r\n"), deaf)}
        async with Misbehaving(script, extensions=("PIPELINING",)) as server:
            session = await Session.open(at(server), FAST)
            answer = await deliver(session, content=CONTENT * 300_000)
            await asyncio.sleep(0.05)
            return answer, session._wire._transport.get_write_buffer_size()

    start = time.monotonic()
    answer, left = run(main())
    assert (answer.phase, answer.reply, answer.open) == (Phase.CONTENT, None, False)
    assert left == 0
    assert time.monotonic() - start < 10


def test_refused_while_the_content_goes_out(run):
    """A reply before the dot is nobody's; what was said is kept as the reason."""

    async def main():
        script = {"DATA": several(send(b"354 go\r\n"), say("552 too large"), delay(1))}
        async with Misbehaving(script) as server:
            session = await Session.open(at(server), FAST)
            return await deliver(session)

    answer = run(main())
    assert (answer.phase, answer.reply) == (Phase.CONTENT, None) or answer.doubtful
    assert "552 too large" in answer.why


# -- FAULTS 16, 17: pairing, 421, 452 -----------------------------------------------------


@pytest.mark.parametrize("extra", ["550 5.1.1 what", "250 ok", "421 bye"])
def test_a_reply_that_nobody_asked_for(run, extra):
    """It is never the answer to the next message, which goes over a new session."""

    async def main():
        async with Misbehaving({"dot": [say("250 ok", extra)]}) as server:
            session = await Session.open(at(server), FAST)
            first = await deliver(session)
            second = await deliver(session)
            again = await Session.open(at(server), FAST)
            third = await deliver(again)
            await again.quit()
            return first, second, third, server

    first, second, third, server = run(main())
    assert first.accepted
    assert (second.phase, second.reply, second.open) == (Phase.MAIL, None, False)
    assert third.accepted
    assert server.copies == {"ann@example.net": 2}


def test_a_reply_while_nobody_waits(run):
    """A 421 for idling ends the session; the pool sees it before the next offer."""

    async def main():
        script = {"dot": several(say("250 ok"), delay(0.1), say("421 idle"))}
        async with Misbehaving(script) as server:
            session = await Session.open(at(server), FAST)
            assert (await deliver(session)).open
            assert session.usable
            await asyncio.sleep(0.3)
            assert not session.usable

    run(main())


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "dot"])
def test_421_in_mid_session(run, step):
    """Only what was not accepted is deferred, and the session is over."""

    async def main():
        async with Misbehaving({step: [None, "421 4.3.2 bye"]}) as server:
            session = await Session.open(at(server), FAST)
            first, second = await deliver(session), await deliver(session)
            return first, second, session, server

    first, second, session, server = run(main())
    assert first.accepted
    assert (second.phase.value, second.reply.code, second.open) == (step, 421, False)
    assert not session.usable
    assert server.copies == {"ann@example.net": 1}


@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
@pytest.mark.parametrize("data", [None, "354 go"])
def test_452_for_one_recipient(run, extensions, data):
    """The others on the same session are delivered, whatever the server says to DATA."""
    script = {
        "RCPT": {"full@x.example": "452 4.2.2 full"},
        "DATA": {"full@x.example": data},
    }

    async def main():
        async with Misbehaving(script, extensions=extensions) as server:
            session = await Session.open(at(server), FAST)
            answers = [
                await deliver(session, ENVELOPE._replace(recipient=f"{name}@x.example"))
                for name in ("a", "full", "b", "full", "full", "c")
            ]
            await session.quit()
            return answers, server

    answers, server = run(main())
    assert [answer.accepted for answer in answers] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    assert [answer.reply.code for answer in answers if not answer.accepted] == [452] * 3
    assert all(answer.open for answer in answers)
    assert server.copies == {"a@x.example": 1, "b@x.example": 1, "c@x.example": 1}
    assert server.sessions == 1


# -- leaving ------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [close, reset, silence, garbage, "500 no", endless(b"a")])
def test_quit_never_fails(run, fate):
    """Whatever the server does, it takes no longer than its short limit."""

    async def main():
        async with Misbehaving({"QUIT": fate}) as server:
            session = await Session.open(at(server), FAST)
            start = time.monotonic()
            await session.quit()
            await session.quit()
            return time.monotonic() - start

    assert run(main()) < 1


def test_close_before_the_dot(run):
    """What was offered and not committed is not accepted."""

    async def main():
        async with Misbehaving() as server:
            session = await Session.open(at(server), FAST)
            assert isinstance(await session.offer(ENVELOPE, CONTENT), Ready)
            session.close()
            answer = await session.commit()
            await asyncio.sleep(0.05)
            return answer, server

    answer, server = run(main())
    assert (answer.phase, answer.reply) == (Phase.CONTENT, None)
    assert not server.messages


def test_cancelled_while_waiting(run):
    """A task that is cancelled leaves a session that can be closed, and no warning."""

    async def main():
        async with Misbehaving({"MAIL": silence}) as server:
            session = await Session.open(at(server), RFC_5321)
            task = asyncio.create_task(deliver(session))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not session.usable
            await session.quit()

    run(main())


# -- FAULTS 18, 19: TLS and the password --------------------------------------------------


def test_starttls_stripped(run, authority):
    """Without STARTTLS there is no AUTH, and no second try in clear text."""

    async def main():
        async with Misbehaving() as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            error = await refused(at(server, security="starttls", **settings))
            return error, server

    error, server = run(main())
    assert error.permanent
    assert "does not offer STARTTLS" in str(error)
    assert server.verbs == ["EHLO"]
    assert not knows_the_password(server.record)


@pytest.mark.parametrize("extra", [b"250 AUTH PLAIN\r\n", b"2", b"\r\n"])
def test_injected_behind_the_220(run, authority, extra):
    """Bytes in clear behind the answer to STARTTLS: somebody is between us; no AUTH."""

    async def main():
        async with Misbehaving({"STARTTLS": inject(extra)}, tls=authority.good()) as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            error = await refused(at(server, security="starttls", **settings))
            return error, server

    error, server = run(main())
    assert error.permanent
    assert "before TLS began" in str(error)
    assert "AUTH" not in server.verbs
    assert not knows_the_password(server.record)


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ("other_host", "IP address mismatch"),
        ("expired", "has expired"),
        ("self_signed", "self-signed"),
        ("unknown_authority", "unable to get local issuer"),
    ],
)
def test_bad_certificate(run, authority, security, certificate, says):
    """It is refused for good, and the password is never sent."""

    async def main():
        tls = getattr(authority, certificate)()
        async with Misbehaving(tls=tls, wrapped=security == "tls") as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            error = await refused(at(server, security=security, **settings))
            return error, server

    error, server = run(main())
    assert error.permanent
    assert says in str(error)
    assert "AUTH" not in server.verbs
    assert not knows_the_password(server.record)


@pytest.mark.parametrize("answer", ["454 4.7.0 later", "500 what", close, silence, garbage])
def test_starttls_fails(run, authority, answer):
    """No fall-back to clear text."""

    async def main():
        async with Misbehaving({"STARTTLS": answer}, tls=authority.good()) as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            limits = replace(FAST, greeting=0.3)
            error = await refused(at(server, security="starttls", **settings), limits)
            return error, server

    error, server = run(main())
    assert not error.permanent
    assert server.verbs == ["EHLO", "STARTTLS"]
    assert not knows_the_password(server.record)


@pytest.mark.parametrize(
    ("code", "permanent", "about"),
    [
        ("535 5.7.8", True, ("username", "password")),
        ("454 4.7.0", False, ()),
        ("421 4.7.0", False, ()),
        ("503 5.5.1", True, ("username", "password")),
        ("250 2.0.0", True, ("username", "password")),  # only 235 lets anybody in
        ("334 ", True, ("username", "password")),  # PLAIN has nothing left to say
    ],
)
def test_password_refused(run, authority, code, permanent, about):
    """A 5yz is for good, a 4yz is not; a server that echoes the password is not quoted.

    Of the password only a 535 speaks (RFC 4954 §6).
    """
    plain = base64.b64encode(f"\0user\0{CANARY}".encode()).decode()
    alone = base64.b64encode(CANARY.encode()).decode()
    echo = f"{code} bad: {plain} {alone} {CANARY}\x1b[2J"

    async def main():
        async with Misbehaving(
            {"AUTH": echo}, tls=authority.good(), wrapped=True
        ) as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            return await refused(at(server, security="tls", **settings))

    error = run(main())
    assert error.permanent == permanent
    assert error.code == int(code[:3])
    assert error.about == about
    said = "the password was refused:" if error.code == 535 else "AUTH was answered with"
    assert f"{said} {error.code} " in str(error)
    assert str(error).isprintable()
    assert not knows_the_password(str(error) + repr(error) + repr(error.args))
    assert error.__context__ is error.__cause__ is None


def test_the_password_is_not_shown():
    """Neither a server's name nor its representation tells it."""
    server = Server("mx.example", 587, username="user", password=CANARY)

    assert not knows_the_password(repr(server) + str(server))


def test_a_password_that_cannot_be_encoded(run, authority):
    """Bytes of the environment that are no UTF-8 are a mistake to mend, and not quoted."""

    async def main():
        async with Misbehaving(tls=authority.good(), wrapped=True) as server:
            settings = {"username": "user", "ca_file": authority.file}
            password = CANARY + "\udcff"
            return await refused(at(server, security="tls", password=password, **settings))

    error = run(main())
    assert error.permanent
    assert CANARY not in str(error)


def test_auth_not_offered(run, authority):
    """A relay without AUTH cannot be logged in to: trying again changes nothing."""

    async def main():
        script = {"EHLO": say("250 mx.example")}
        async with Misbehaving(script, tls=authority.good(), wrapped=True) as server:
            settings = {"username": "user", "password": CANARY, "ca_file": authority.file}
            return await refused(at(server, security="tls", **settings))

    error = run(main())
    assert error.permanent
    assert "AUTH" in str(error)


def test_no_password_in_clear_to_another_machine():
    """Only to this very machine may a password go unencrypted."""

    def check(address, security):
        transport = SimpleNamespace(
            is_closing=lambda: False, get_extra_info=lambda _: (address, 25)
        )
        smtp = SimpleNamespace(transport=transport, protocol=object())
        opening._check_secrecy(smtp, Server("x", 25, security, "user", CANARY))

    check("127.0.0.1", "none")
    check("::1", "none")
    check("192.0.2.1", "tls")
    with pytest.raises(ConnectionFailed) as caught:
        check("192.0.2.1", "none")
    assert caught.value.permanent


# -- opening fails ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        ({"connect": "554 5.7.1 go away"}, 554, "go away"),
        ({"connect": "421 busy"}, 421, "busy"),
        ({"connect": close}, 0, "closed the connection"),
        ({"connect": reset}, 0, "connection"),
        ({"connect": silence}, 0, "no answer within 0.3 s"),
        ({"connect": drip("220 hello", 0.1)}, 0, "no answer within 0.3 s"),
        ({"connect": garbage}, 0, "no SMTP"),
        ({"connect": endless(b"220-x\r\n")}, 0, "too long"),
        ({"EHLO": "550 you again"}, 550, "you again"),
        ({"EHLO": close}, 0, "closed the connection"),
        ({"EHLO": silence}, 0, "no answer within 0.3 s"),
        ({"EHLO": endless(b"250-x\r\n")}, 0, "too long"),
    ],
)
def test_no_session(run, script, code, says):
    """Each becomes `ConnectionFailed`, can be tried again, and quotes the server safely."""

    async def main():
        async with Misbehaving(script) as server:
            return await refused(at(server), replace(FAST, greeting=0.3))

    error = run(main())
    assert (error.code, error.permanent) == (code, False)
    assert says in str(error)
    assert str(error).isprintable()


def test_nobody_listens(run):
    """A refused connection says so in the system's words."""

    async def main():
        async with Misbehaving() as server:
            nobody = at(server)
        return await refused(nobody)

    error = run(main())
    assert str(error).endswith("connection refused")
    assert error.about == ("host", "port", "security")


def test_no_such_host(run):
    """A name that does not resolve may resolve later."""
    error = run(refused(Server("no-such-host.invalid", 25, "none")))

    assert not error.permanent


def test_tls_to_a_server_that_speaks_clear_text(run, authority):
    """The usual mistake with ports 465 and 587."""

    async def main():
        async with Misbehaving() as server:
            return await refused(at(server, security="tls", ca_file=authority.file))

    error = run(main())
    assert "TLS failed" in str(error)


@pytest.mark.parametrize(
    "settings",
    [{"ehlo": "two words"}, {"host": "a" * 70 + ".example"}, {"host": "x\r\ny"}],
)
def test_settings_that_cannot_work(run, settings):
    """A wrong name is a mistake to mend: trying again changes nothing."""
    assert run(refused(replace(Server("127.0.0.1", 9, "none"), **settings))).permanent


def test_a_ca_file_that_cannot_be_read(run, tmp_path):
    """The file is named."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file in (tmp_path / "none.pem", empty):
        error = run(refused(Server("127.0.0.1", 9, "tls", ca_file=file)))
        assert error.permanent
        assert str(file) in str(error)


def test_a_reply_behind_the_greeting(run):
    """What nobody asked for would be the answer to our first command."""

    async def main():
        script = {"connect": send(b"220 hello\r\n250 psst\r\n")}
        async with Misbehaving(script) as server:
            return await refused(at(server))

    assert "nobody asked for" in str(run(main()))


def test_a_reply_behind_the_answer_to_ehlo(run):
    """Nor may it be the answer to the first MAIL."""

    async def main():
        script = {"EHLO": send(b"250 mx.example\r\n250 ok\r\n")}
        async with Misbehaving(script) as server:
            return await refused(at(server))

    assert "nobody asked for" in str(run(main()))


def test_cancelled_while_opening(run):
    """Nothing is left behind."""

    async def main():
        async with Misbehaving({"EHLO": silence}) as server:
            task = asyncio.create_task(Session.open(at(server), RFC_5321))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


def raised() -> list[Exception]:
    """One of each exception that aiosmtplib, ssl and the system can raise at the door."""
    made = []
    for kind in map(aiosmtplib.errors.__dict__.__getitem__, aiosmtplib.errors.__all__):
        positional = [
            parameter
            for parameter in inspect.signature(kind).parameters.values()
            if parameter.kind is parameter.POSITIONAL_ONLY
        ]
        samples = {"code": 450, "recipients": []}
        made.append(kind(*(samples.get(each.name, "text") for each in positional)))
    system = [
        ConnectionResetError(104, "x"),
        TimeoutError(),
        OSError("Multiple exceptions"),
    ]
    tls = [ssl.SSLError(1, "x"), ssl.SSLZeroReturnError(), ssl.CertificateError("x")]
    return [*made, *system, *tls, ValueError("x"), UnicodeError("x")]


@pytest.mark.parametrize("error", raised(), ids=lambda error: type(error).__name__)
def test_every_exception_is_ours_in_the_end(run, monkeypatch, error):
    """Whatever is raised while opening comes out as `ConnectionFailed`.

    The connection is real; only where in it the error comes up is set up here.
    """

    async def fail(*_, **__):
        raise error

    async def main():
        async with Misbehaving() as server:
            monkeypatch.setattr(aiosmtplib.SMTP, "ehlo", fail)
            return await refused(at(server))

    assert str(run(main())).startswith("127.0.0.1:")
