"""resolver: real name servers, and one that answers as it should not."""

import asyncio

import pytest
import uvloop
from nameservers import Nameservers, needs_nameservers
from scripted_dns import (
    ScriptedDns,
    alias,
    authentic,
    bogus,
    cname_loop,
    garbage,
    silence,
)

from mailblast import resolver
from mailblast.errors import UserError
from mailblast.lookup import Failure, Lookup, Mx, Tlsa
from mailblast.resolver import Resolver


@pytest.fixture(params=[asyncio, uvloop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine on this kind of loop."""
    return request.param.run


@pytest.fixture
def impatient(monkeypatch):
    """A resolver that waits for a fraction of a second: the limits themselves are data."""
    monkeypatch.setattr(resolver, "LIFETIME", 0.5)
    monkeypatch.setattr(resolver, "ATTEMPT", 0.2)


async def asked(script, question, **settings) -> tuple[Lookup, ScriptedDns]:
    """One question to a server with this script."""
    async with ScriptedDns(script) as server:
        return await question(Resolver(server.server, **settings)), server


# -- real servers -------------------------------------------------------------------------

ZONES = {
    "plain.example": "@ MX 10 mx\n@ MX 20 mx2.other.example.\nmx A 127.0.3.1\nmx AAAA ::1",
    "null.example": "@ MX 0 .",
    "text.example": '_x TXT "one " "two"\n_x TXT "three"',
    "signed.example": "@ MX 10 mx\nmx A 127.0.3.1\n_25._tcp.mx TLSA 3 1 1 " + "ab" * 32,
    "forged.example": "@ MX 10 mx\nmx A 127.0.3.1",
    "alias.example": "www CNAME other\nother MX 10 mx\nmx A 127.0.3.1",
    "many.example": "\n".join(
        f"@ MX {n} a-rather-long-name-of-host-{n}" for n in range(80)
    ),
}


@pytest.fixture(scope="module")
def dns():
    forged = {"forged.example": ("127.0.3.1", "127.0.3.2")}
    with Nameservers(ZONES, signed=["signed.example"], forged=forged) as servers:
        yield servers


@needs_nameservers
def test_what_is_there(run, dns):
    """Each kind of record comes as plain values."""

    async def main():
        ask = Resolver(dns.resolver)
        return await asyncio.gather(
            ask.mx("plain.example"),
            ask.addresses("mx.plain.example"),
            ask.texts("_x.text.example"),
            ask.tlsa("mx.signed.example", 25),
            ask.mx("null.example"),
            ask.mx("www.alias.example"),
        )

    mx, addresses, texts, tlsa, null, aliased = run(main())
    assert sorted(mx.records, key=lambda one: one.preference) == [
        Mx(10, "mx.plain.example"),
        Mx(20, "mx2.other.example"),
    ]
    assert addresses.records == ("127.0.3.1", "::1")
    assert sorted(texts.records) == ["one two", "three"]
    assert tlsa.records == (Tlsa(3, 1, 1, b"\xab" * 32),)
    assert null.records == (Mx(0, ""),)
    assert aliased.records == (Mx(10, "mx.alias.example"),)
    assert {one.failure for one in (mx, addresses, texts, tlsa, null, aliased)} == {None}
    assert 0 < mx.ttl <= 60  # the name server may have kept it for a while


@needs_nameservers
def test_what_is_not_there(run, dns):
    """No such name, no such record, and no such thing as a name."""

    async def main():
        ask = Resolver(dns.resolver)
        names = (
            "missing.example",
            "mx.plain.example",
            "a..b.example",
            f"{'x' * 64}.example",
        )
        return [(await ask.mx(name)).failure for name in names]

    assert run(main()) == [
        Failure.NXDOMAIN,
        Failure.NODATA,
        Failure.NXDOMAIN,
        Failure.NXDOMAIN,
    ]


@needs_nameservers
def test_dnssec(run, dns):
    """Unbound validates: what is signed is secure, absence too; what was changed is bogus."""

    async def main():
        ask = Resolver(dns.resolver)
        return (
            (await ask.mx("signed.example")).secure,
            (await ask.addresses("mx.signed.example")).secure,
            (await ask.tlsa("other.signed.example", 25)).secure,
            (await ask.mx("plain.example")).secure,
            (await ask.addresses("mx.forged.example")).failure,
        )

    assert run(main()) == (True, True, True, False, Failure.BOGUS)


@needs_nameservers
def test_an_answer_that_is_too_long_for_udp(run, dns):
    """It comes over TCP, whole."""

    async def main():
        return await Resolver(dns.resolver).mx("many.example")

    assert len(run(main()).records) == 80


# -- a server that misbehaves -------------------------------------------------------------


def test_truncated_is_asked_again_over_tcp(run):
    """First by UDP; the whole answer by TCP."""
    many = "\n".join(f"{n} host-with-a-long-name-{n}.a.example." for n in range(60))
    found, server = run(asked({("a.example", "MX"): many}, lambda ask: ask.mx("a.example")))

    assert len(found.records) == 60
    assert [protocol for _, _, protocol in server.asked] == ["udp", "tcp"]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ("SERVFAIL", Failure.SERVFAIL),
        ("REFUSED", Failure.SERVFAIL),
        ("NXDOMAIN", Failure.NXDOMAIN),
        (bogus, Failure.BOGUS),
        (silence, Failure.TIMEOUT),
        (garbage, Failure.TIMEOUT),
        (cname_loop, Failure.SERVFAIL),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_failures_are_values(run, answer, failure):
    """Whatever a server does, the answer is a value; and it is kept for a while."""
    found, _ = run(asked({("a.example", "MX"): answer}, lambda ask: ask.mx("a.example")))

    assert (found.failure, found.records, found.secure) == (failure, (), False)
    assert found.ttl > 0


@pytest.mark.usefixtures("impatient")
def test_nobody_there(run):
    """A resolver that is down is a failure that passes, not an error."""

    async def main():
        async with ScriptedDns({}) as server:
            gone = server.server
        return await Resolver(gone).mx("a.example")

    assert run(main()).failure is Failure.TIMEOUT


def test_an_alias_is_followed(run):
    """The records of what the name stands for."""
    script = {("a.example", "MX"): alias("b.example.", "10 mx.b.example.")}
    found, _ = run(asked(script, lambda ask: ask.mx("a.example")))

    assert found.records == (Mx(10, "mx.b.example"),)


def test_hostile_names_are_bounded(run):
    """What no host is called comes as text that no host name matches."""
    records = "10 a\\010b.example.\n20 UPPER.example.\n30 \\255.example."
    found, _ = run(asked({("a.example", "MX"): records}, lambda ask: ask.mx("a.example")))

    assert [one.host for one in sorted(found.records, key=lambda one: one.preference)] == [
        "a\\010b.example",
        "upper.example",
        "\\255.example",
    ]


def test_the_flag_of_a_resolver_on_loopback_counts(run):
    """AD from 127.0.0.1 is this machine's own word."""
    script = {
        ("a.example", "MX"): authentic("10 mx.a.example."),
        ("b.example", "MX"): "10 mx.b.example.",
    }

    async def both(ask):
        return await ask.mx("a.example"), await ask.mx("b.example")

    found, _ = run(asked(script, both))
    assert [one.secure for one in found] == [True, False]


@pytest.mark.parametrize("trusted", [True, False])
def test_the_flag_of_another_machine_counts_only_if_it_is_trusted(run, trusted):
    """Anybody on the way could have set it."""

    async def main():
        ask = Resolver("192.0.2.1:53", trusted=trusted)
        async with ScriptedDns({("a.example", "MX"): authentic("1 mx.example.")}) as server:
            # The same resolver, whose address now leads here.
            there = ask._resolver
            there.nameservers = ["127.0.0.1"]
            there.port = int(server.server.rpartition(":")[2])
            return await ask.mx("a.example")

    assert run(main()).secure is trusted


# -- remembering --------------------------------------------------------------------------


def test_an_answer_is_asked_for_once(run):
    """A hundred at once, and one more after that, are one question."""

    async def main():
        async with ScriptedDns({("a.example", "MX"): "10 mx.a.example."}) as server:
            ask = Resolver(server.server)
            first = await asyncio.gather(*(ask.mx("a.example") for _ in range(100)))
            again = await ask.mx("A.example")
            return {*first, again}, server.asked

    answers, questions = run(main())
    assert len(answers) == len(questions) == 1


def test_one_who_gives_up_takes_it_from_nobody(run):
    """A caller that is cancelled does not cancel the question for the others."""

    async def main():
        async with ScriptedDns({("a.example", "MX"): "10 mx.a.example."}) as server:
            ask = Resolver(server.server)
            one, other = (asyncio.create_task(ask.mx("a.example")) for _ in range(2))
            await asyncio.sleep(0)
            one.cancel()
            return await other

    assert run(main()).records == (Mx(10, "mx.a.example"),)


def test_an_answer_is_forgotten_when_its_time_is_over(run, monkeypatch):
    """After the TTL it is asked for anew; what failed, too."""
    now = [1000.0]
    monkeypatch.setattr(resolver.time, "monotonic", lambda: now[0])
    script = {("a.example", "MX"): "10 mx.a.example.", ("b.example", "MX"): "SERVFAIL"}

    async def main():
        async with ScriptedDns(script) as server:
            ask = Resolver(server.server)
            for later in (0, 59, 2):
                now[0] += later
                await ask.mx("a.example")
                await ask.mx("b.example")
            return [name for name, _, _ in server.asked]

    assert sorted(run(main())) == ["a.example", "a.example", "b.example", "b.example"]


def test_memory_is_bounded(run, monkeypatch):
    """The answers that were not used for longest make room."""
    monkeypatch.setattr(resolver, "KEPT", 10)

    async def main():
        async with ScriptedDns({}) as server:
            ask = Resolver(server.server)
            for n in range(30):
                await ask.mx(f"{n}.example")
            return len(ask._kept), len(ask._asked)

    assert run(main()) == (10, 0)


def test_many_at_once_with_a_bound(run, monkeypatch):
    """A thousand questions all get their answer, a hundred at a time."""
    monkeypatch.setattr(resolver, "AT_ONCE", 10)

    async def main():
        async with ScriptedDns({}) as server:
            ask = Resolver(server.server)
            found = await asyncio.gather(*(ask.mx(f"{n}.example") for n in range(300)))
            return {one.failure for one in found}, len(server.asked)

    assert run(main()) == ({Failure.NXDOMAIN}, 300)


def test_no_resolver_at_all(monkeypatch):
    """A machine without resolv.conf is told what to write."""

    def none(*_, **__):
        raise resolver.dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(resolver.dns.asyncresolver, "Resolver", none)
    with pytest.raises(UserError) as caught:
        Resolver()
    assert "resolver = " in caught.value.hint
