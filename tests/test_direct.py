"""direct: real name servers, real sockets, and mail hosts good and bad on loopback."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from exim import Exim, needs_exim
from misbehaving import Misbehaving, close, inject, send
from nameservers import Nameservers, needs_nameservers, nobody_comes
from policy_host import PolicyHost, ok
from postfix import Postfix, free_port, needs_postfix, until

from mailblast import direct as direct_module
from mailblast import resolver
from mailblast.destination import Route, Unroutable
from mailblast.direct import Direct, Outbound
from mailblast.errors import ConnectionFailed, EncryptionFailed
from mailblast.ledger import Ledger
from mailblast.resolver import Resolver
from mailblast.smtp.protocol import Envelope, Ready

pytestmark = needs_nameservers

PORT = free_port()
CONTENT = b"Subject: hello\r\n\r\nhello\r\n"
HOSTS = {
    "dead": "127.0.3.1",
    "live": "127.0.3.2",
    "busy": "127.0.3.3",
    "mx": "127.0.3.4",
    "other": "127.0.3.5",
    "web": "127.0.3.20",
}
ZONES = {
    "over.example": "@ MX 10 dead\n@ MX 20 live\ndead A 127.0.3.1\nlive A 127.0.3.2",
    "busy.example": "@ MX 10 busy\n@ MX 20 live.over.example.\nbusy A 127.0.3.3",
    "equal.example": "@ MX 5 b\n@ MX 5 a\n@ MX 5 c\na A 127.0.3.2\nb A 127.0.3.3\n"
    "c A 127.0.3.4",
    "one.example": "@ MX 10 live.over.example.",
    "two.example": "@ MX 77 live.over.example.",
    "null.example": "@ MX 0 .",
    "implicit.example": "@ A 127.0.3.2",
    "empty.example": "@ TXT nothing",
    "six.example": "@ MX 10 six\nsix AAAA ::1",
    "both.example": "@ MX 10 both\nboth AAAA ::1\nboth A 127.0.3.2",
    "private.example": "@ MX 1 a\n@ MX 2 b\n@ MX 3 c\na A 10.0.0.1\na A 169.254.169.254\n"
    "b AAAA ::ffff:127.0.0.1\nb AAAA fd00::1\nc A 192.168.1.1\nc AAAA 2002:7f00:1::1",
    "loop.example": "@ MX 1 me\nme A 127.0.3.2\nme AAAA ::1",
    "mixed.example": "@ MX 1 bad\n@ MX 2 live.over.example.\nbad A 10.0.0.1",
    "alias.example": "www CNAME over.example.",
    "nick.example": "@ MX 1 nick\nnick CNAME live.over.example.",
    "literal.example": "@ MX 1 127.0.3.2.",
    "nohost.example": "@ MX 1 missing.over.example.\n@ MX 2 gone.over.example.",
    "many.example": "".join(f"@ MX {n} h{n}\nh{n} A 127.0.3.1{n:02}\n" for n in range(9)),
    "clear.example": "@ MX 1 mx\nmx A 127.0.3.4",
    "sts.example": "@ MX 1 mx\n@ MX 2 other\nmx A 127.0.3.4\nother A 127.0.3.5\n"
    '_mta-sts TXT "v=STSv1; id=1;"\nmta-sts A 127.0.3.20',
    "hidden.example": '@ MX 1 mx.sts.example.\n_mta-sts TXT "v=STSv1; id=1"\n'
    "mta-sts A 10.0.0.1",
    "forged.example": "@ MX 1 mx\nmx A 127.0.3.4",
}


@dataclass
class World:
    """The name servers, and who vouches for whom."""

    dns: Nameservers
    ca: trustme.CA
    ca_file: Path
    directory: Path
    leaves: dict[str, trustme.LeafCert]

    def certificate(self, name: str, *, chain: bool = False) -> ssl.SSLContext:
        """What a server of this name shows; with the authority if it is wanted."""
        leaf = self.leaves.get(name) or self.ca.issue_cert(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = self.directory / f"{name}.pem"
        above = self.ca.cert_pem.bytes() if chain else b""
        pem.write_bytes(leaf.private_key_and_cert_chain_pem.bytes() + above)
        context.load_cert_chain(pem)
        return context


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("world")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    names = ("right", "wrong", "authority", "unusable", "tampered", "ignored", "strict")
    leaves = {f"mx.{name}.example": ca.issue_cert(f"mx.{name}.example") for name in names}
    zones = dict(ZONES)
    for name in names:
        record = tlsa(name, leaves[f"mx.{name}.example"], ca)
        records = f"@ MX 1 mx\nmx A 127.0.3.4\n_{PORT}._tcp.mx TLSA {record}"
        zones[f"{name}.example"] = records
    zones["strict.example"] += '\n_mta-sts TXT "v=STSv1; id=1;"\nmta-sts A 127.0.3.20'
    signed = ("right", "wrong", "authority", "unusable", "strict")
    signed = [f"{name}.example" for name in signed]
    forged = {
        "forged.example": ("127.0.3.4", "127.0.3.9"),
        "tampered.example": (" TLSA 3 1 1 ", " TLSA 3 0 1 "),
    }
    with Nameservers(zones, signed=signed, forged=forged) as dns:
        yield World(dns, ca, directory / "ca.pem", directory, leaves)


def tlsa(name: str, leaf: trustme.LeafCert, ca: trustme.CA) -> str:
    """What the domain of this name publishes about the certificate of its mail host."""
    shown = ca.cert_pem if name == "authority" else leaf.cert_chain_pems[0]
    der = x509.load_pem_x509_certificate(shown.bytes()).public_bytes(Encoding.DER)
    digest = sha256(der).hexdigest()
    return {
        "right": f"3 0 1 {digest}",
        "wrong": f"3 0 1 {'ab' * 32}",
        "strict": f"3 0 1 {'ab' * 32}",
        "authority": f"2 0 1 {digest}",
        "unusable": f"1 0 1 {digest}",
        "tampered": f"3 1 1 {digest}",
        "ignored": f"3 0 1 {'ab' * 32}",
    }[name]


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may let a name server wait; here nobody times it."""
    monkeypatch.setattr(resolver, "LIFETIME", 100.0)
    monkeypatch.setattr(resolver, "ATTEMPT", 30.0)


@pytest.fixture
def ledger(tmp_path):
    kept = Ledger(tmp_path / ".mailblast")
    yield kept
    kept.close()


@pytest.fixture
def carrier(world, ledger):
    """Makes a carrier in this world, with other settings if need be."""

    def make(*, place: Any = None, tls_required: Any = None, **settings: Any) -> Direct:
        settings = {
            "ehlo": "me.example",
            "port": PORT,
            "allow_loopback": True,
            "ca_file": world.ca_file,
            **settings,
        }
        more = {"place": place, "tls_required": tls_required}
        given = {name: one for name, one in more.items() if one}
        return Direct(
            Resolver(world.dns.resolver), ledger.policies, Outbound(**settings), **given
        )

    return make


def host(name: str, script: Any = None, **settings: Any) -> Misbehaving:
    """A mail host of this name, at its address and the port of all."""
    return Misbehaving(script or {}, address=HOSTS[name], port=PORT, **settings)


def run(main: Any) -> Any:
    return asyncio.run(main)


async def way(carrier: Direct, domain: str) -> Route:
    """The way to a domain that has one."""
    route = await carrier.route(domain)
    assert isinstance(route, Route), route
    return route


async def mail(carrier: Direct, domain: str) -> tuple[str, str]:
    """Send one message to a domain; who took it, and how the line was protected."""
    line = await carrier.open(await way(carrier, domain))
    ready = await line.offer(Envelope("news@shop.example", f"ann@{domain}"), CONTENT)
    assert isinstance(ready, Ready), ready
    answer = await line.commit()
    assert answer.accepted, answer
    await line.quit()
    return line.host, line.tls


async def fails(carrier: Direct, domain: str) -> ConnectionFailed:
    """How opening a line to a domain fails."""
    route = await way(carrier, domain)
    with pytest.raises(ConnectionFailed) as caught:
        await carrier.open(route)
    return caught.value


# -- ways ---------------------------------------------------------------------------------


def test_a_way(carrier):
    """The hosts in order, and the first of the most preferred as the destination."""
    route = run(way(carrier(), "busy.example"))

    assert route.domain == "busy.example"
    assert route.hosts == ("busy.busy.example", "live.over.example")
    assert route.destination == "busy.busy.example"


def test_who_shares_a_way(carrier):
    """Domains with the same hosts do, whatever the numbers; others do not."""

    async def main():
        there = carrier()
        return [
            (await way(there, f"{name}.example")).way
            for name in ("one", "two", "over", "implicit", "nick")
        ]

    one, two, *others = run(main())
    assert one == two
    assert len({one, *others}) == 4


def test_a_demand_makes_another_way(carrier):
    """The same hosts under another demand on TLS are another way."""

    async def main():
        plain = await way(carrier(), "one.example")
        required = await way(carrier(tls_required=lambda _: True), "one.example")
        return plain, required

    plain, required = run(main())
    assert plain.hosts == required.hosts
    assert plain.way != required.way


def test_a_destination_is_named_from_outside(carrier):
    """`place` is told the domain and its most preferred hosts; `tls_required` what it says."""
    told: list[Any] = []

    def place(domain, hosts):
        told.append((domain, hosts))
        return "provider"

    def required(destination):
        told.append(destination)
        return False

    route = run(way(carrier(place=place, tls_required=required), "over.example"))
    assert route.destination == "provider"
    assert told == [
        ("over.example", ("dead.over.example",)),
        "provider",
    ]


@pytest.mark.parametrize(
    ("domain", "code", "status", "says"),
    [
        ("null.example", 556, "5.1.10", "null MX"),
        ("missing.example", 550, "5.1.2", "does not exist"),
        ("empty.example", 550, "5.1.2", "neither a mail host nor an address"),
        ("literal.example", 550, "5.4.4", "no MX of literal.example is a host name"),
        ("nohost.example", 550, "5.4.4", "no mail host of nohost.example has an address"),
        ("private.example", 550, "5.4.4", "no address on the public Internet"),
        ("forged.example", 451, "4.4.3", "DNSSEC"),
    ],
)
def test_no_way(carrier, domain, code, status, says):
    """Why nothing can be sent there, as a server would have said it."""
    found = run(carrier().route(domain))

    assert isinstance(found, Unroutable)
    assert (found.code, found.status, found.permanent) == (code, status, status[0] == "5")
    assert says in found.why


# -- no connection to where none may go ---------------------------------------------------


@pytest.mark.parametrize("domain", ["loop.example", "implicit.example", "one.example"])
def test_nobody_is_connected_to_on_loopback(carrier, domain):
    """An MX at 127.0.0.0/8 or ::1 is refused for good; a socket there never hears of it."""
    listening = [("127.0.3.2", PORT), ("::1", PORT)]

    async def main():
        there = carrier(allow_loopback=False)
        found = await there.route(domain)
        with pytest.raises(ConnectionFailed) as caught:
            await there.open(Route(domain, domain, "a way that was never found"))
        await asyncio.sleep(0.1)
        return found, caught.value

    with nobody_comes(*listening):
        found, error = run(main())
    assert isinstance(found, Unroutable)
    assert (found.permanent, found.status) == (True, "5.4.4")
    assert error.permanent


def test_a_host_that_is_forbidden_is_passed_over(carrier):
    """The next host of the domain takes the mail; the forbidden one is not tried."""

    async def main():
        async with host("live"):
            return await mail(carrier(), "mixed.example")

    assert run(main())[0] == "live.over.example"


def test_the_policy_host_is_vetted_too(carrier):
    """A policy at a private address is not fetched; the mail goes out as without one."""

    async def main():
        async with host("mx"):
            return await mail(carrier(), "hidden.example")

    assert run(main()) == ("mx.sts.example", "")


# -- which host ---------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_the_first_host_is_dead(carrier, loop):
    """The next one takes the message."""

    async def main():
        async with host("live") as server:
            assert await mail(carrier(), "over.example") == ("live.over.example", "")
            return server

    server = loop.run(main())
    assert server.copies == {"ann@over.example": 1}
    assert server.commands[0] == "EHLO me.example"


@pytest.mark.parametrize(
    "script",
    [
        {"connect": "421 4.3.2 too many"},
        {"connect": "554 5.7.1 go away"},
        {"connect": close},
        {"connect": send(b"HTTP/1.1 400 what\r\n")},
        {"EHLO": "550 5.7.1 you again"},
    ],
)
def test_the_first_host_does_not_want_us(carrier, script):
    """Whatever it says before the first MAIL, the next one is tried."""

    async def main():
        async with host("busy", script) as busy, host("live") as live:
            assert (await mail(carrier(), "busy.example"))[0] == "live.over.example"
            return busy.sessions, live.sessions

    assert run(main()) == (1, 1)


def test_nobody_wants_us(carrier):
    """What a server said counts more than a connection that did not come about."""

    async def main():
        async with host("busy", {"connect": "421 4.7.0 slow down"}):
            return await fails(carrier(), "busy.example")

    error = run(main())
    assert (error.code, error.permanent) == (421, False)
    assert "busy.busy.example" in str(error)
    assert "slow down" in str(error)


@pytest.mark.parametrize(
    ("greeting", "permanent"),
    [
        ("521 no mail here", True),
        ("556 no mail here", True),
        ("554 blocked", False),
        ("421 busy", False),
    ],
)
def test_only_who_takes_no_mail_at_all_is_given_up(carrier, greeting, permanent):
    """521 and 556 are for good (RFC 7504); other greetings may be better tomorrow."""

    async def main():
        async with host("live", {"connect": greeting}):
            return await fails(carrier(), "one.example")

    assert run(main()).permanent is permanent


def test_a_dead_host_is_remembered(carrier):
    """The second message does not wait for it again; in time it is tried again."""

    async def main(there):
        async with host("busy", {"connect": "421 busy"}) as busy, host("live"):
            for _ in range(3):
                await mail(there, "busy.example")
            assert busy.sessions == 1
            busy.script = {}
            there._resting._until.clear()  # the minute is over
            await mail(there, "busy.example")
            return busy

    assert run(main(carrier())).copies == {"ann@busy.example": 1}


def test_all_that_are_remembered_answer_at_once(carrier):
    """When no host is left, the reason is the one that was said before."""

    async def main(there):
        async with host("live", {"connect": "421 4.7.0 slow down"}) as live:
            first = await fails(there, "one.example")
            second = await fails(there, "two.example")
            # What is remembered holds on to no frames, and so to no sockets.
            kept = [error for _, error in there._resting._until.values()]
            assert [error.__traceback__ for error in kept] == [None]
            return first, second, live.sessions

    first, second, sessions = run(main(carrier()))
    assert str(first) == str(second)
    assert second.code == 421
    assert sessions == 1


def test_the_attempts_are_bounded(carrier):
    """Of nine dead hosts one call tries five; the next call the others."""

    async def main(there):
        errors = [await fails(there, "many.example") for _ in range(2)]
        return errors, len(there._resting._until)

    errors, resting = run(main(carrier()))
    assert resting == 9
    assert "connection refused" in str(errors[0])


def test_equals_share_the_load(carrier):
    """Hosts of the same preference are taken by chance (RFC 5321 §5.1)."""

    async def main():
        async with host("live") as a, host("busy") as b, host("mx") as c:
            there = carrier()
            await asyncio.gather(*(mail(there, "equal.example") for _ in range(60)))
            return [server.sessions for server in (a, b, c)]

    sessions = run(main())
    assert sum(sessions) == 60
    assert min(sessions) > 0  # by chance not so in one of 10¹⁰ runs


@pytest.mark.parametrize(
    ("domain", "took"),
    [
        ("implicit.example", "implicit.example"),
        ("www.alias.example", "live.over.example"),
        ("nick.example", "nick.nick.example"),
    ],
)
def test_other_ways_to_name_a_host(carrier, domain, took):
    """The domain itself, a domain that is an alias, and an MX that is one."""

    async def main():
        async with host("live"):
            return await mail(carrier(), domain)

    assert run(main())[0] == took


def test_ipv6(carrier):
    """A host with an address of IPv6 alone is reached there."""

    async def main():
        async with Misbehaving({}, address="::1", port=PORT) as server:
            await mail(carrier(), "six.example")
            return server.copies

    assert run(main()) == {"ann@six.example": 1}


@pytest.mark.parametrize(
    ("source", "v4", "v6"),
    [((), 1, 0), (("127.0.9.9",), 1, 0), (("::1",), 0, 1), (("::1", "127.0.9.9"), 1, 0)],
)
def test_the_source_address(carrier, source, v4, v6):
    """The one of the same family is used; a family that has none is not."""

    async def main():
        peers = []

        async def peer(connection):
            peers.append(connection.writer.get_extra_info("peername")[0])
            await connection.write(b"220 hi\r\n")

        script = {"connect": peer}
        async with (
            host("live", script) as four,
            Misbehaving(script, address="::1", port=PORT) as six,
        ):
            await mail(carrier(source=source), "both.example")
            return peers, four.sessions, six.sessions

    peers, *sessions = run(main())
    assert sessions == [v4, v6]
    assert not source or peers[0] in source


def test_no_source_of_the_right_family(carrier):
    """A host that cannot be reached from our addresses fails with a sentence."""
    error = run(fails(carrier(source=("127.0.0.1",)), "six.example"))

    assert "no address that we can send to" in str(error)


def test_a_route_of_yesterday(carrier):
    """A route that this carrier does not know any more is found again by its domain."""

    async def main():
        route = await way(carrier(), "one.example")
        async with host("live"):
            line = await carrier().open(route)
            await line.quit()
            return line.host

    assert run(main()) == "live.over.example"


def test_a_route_that_leads_elsewhere_by_now(carrier):
    """A line for the old hosts must not lead to the new ones: others share it."""

    async def main():
        with pytest.raises(ConnectionFailed) as caught:
            await carrier().open(Route("one.example", "x", "another way"))
        return caught.value

    assert "have changed" in str(run(main()))


# -- TLS without a demand -----------------------------------------------------------------


def self_signed() -> ssl.SSLContext:
    """A certificate that nobody vouches for, for another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_any_certificate_is_better_than_none(carrier, loop):
    """STARTTLS is used when it is offered, whatever the certificate."""

    async def main():
        async with host("mx", tls=self_signed()) as server:
            told = await mail(carrier(), "clear.example")
            return told, server

    told, server = loop.run(main())
    assert told == ("mx.clear.example", "TLSv1.3 unverified")
    assert server.verbs[:3] == ["EHLO", "STARTTLS", "EHLO"]


@pytest.mark.parametrize(
    "answer", ["454 4.7.0 not now", close, send(b"220 go\r\n\x15garbage")]
)
def test_tls_that_fails_is_done_without(carrier, answer):
    """Once more to the same host, in clear text (RFC 7435), if nobody demands more."""

    async def main():
        async with host("mx", {"STARTTLS": answer}, tls=self_signed()) as server:
            told = await mail(carrier(), "clear.example")
            return told, server.sessions

    assert run(main()) == (("mx.clear.example", ""), 2)


def test_injected_bytes_are_an_attack(carrier):
    """What comes in clear behind the 220 ends it: no second try in clear text."""

    async def main():
        script = {"STARTTLS": inject(b"250 AUTH PLAIN\r\n")}
        async with host("mx", script, tls=self_signed()) as server:
            error = await fails(carrier(), "clear.example")
            return error, server

    error, server = run(main())
    assert "before TLS began" in str(error)
    assert (error.permanent, server.sessions, server.copies) == (False, 1, {})


@pytest.mark.parametrize("offered", [True, False])
def test_tls_that_a_profile_demands(carrier, offered):
    """Never clear text to a destination that is said to speak TLS."""

    async def main():
        there = carrier(tls_required=lambda destination: destination == "mx.clear.example")
        script = {"STARTTLS": "454 4.7.0 not now"}
        tls = self_signed() if offered else None
        async with host("mx", script, tls=tls) as server:
            error = await fails(there, "clear.example")
            assert server.sessions == 1
        async with host("mx", tls=self_signed()):
            there._resting._until.clear()
            return error, await mail(there, "clear.example")

    error, told = run(main())
    assert not error.permanent
    assert told == ("mx.clear.example", "TLSv1.3 unverified")


# -- MTA-STS ------------------------------------------------------------------------------

POLICY = "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n"


@contextlib.asynccontextmanager
async def policy(
    world, carrier, mode="enforce", mx="mx.sts.example", domain="sts.example", **served
):
    """The policy of a domain, and a carrier that finds it."""
    certificate = world.certificate(f"mta-sts.{domain}")
    text = POLICY.format(mode=mode, mx=mx)
    async with PolicyHost(certificate, HOSTS["web"], text=text, **served) as web:
        yield carrier(policy_port=web.port), web


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_a_policy_is_met(world, carrier, loop):
    """The host that the policy names, with a certificate of its name."""

    async def main():
        async with (
            policy(world, carrier) as (there, web),
            host("mx", tls=world.certificate("mx.sts.example")),
        ):
            told = await mail(there, "sts.example")
            await mail(there, "sts.example")
            return told, web

    told, web = loop.run(main())
    assert told == ("mx.sts.example", "TLSv1.3 verified (mta-sts)")
    assert len(web.requests) == 1
    host_field = f"Host: mta-sts.sts.example:{web.port}\r\n"
    assert web.requests[0].startswith(
        b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n" + host_field.encode()
    )


@pytest.mark.parametrize("shown", ["other.example", None], ids=["other name", "no TLS"])
def test_a_policy_is_not_met(world, carrier, shown):
    """The message waits: no clear text, no other certificate, no host that is not named."""

    async def main():
        tls = world.certificate(shown) if shown else None
        async with (
            policy(world, carrier) as (there, _),
            host("mx", tls=tls) as named,
            host("other", tls=world.certificate("other.sts.example")) as unnamed,
        ):
            error = await fails(there, "sts.example")
            return error, named, unnamed

    error, named, unnamed = run(main())
    assert not error.permanent
    assert "mx.sts.example" in str(error)
    assert "mta-sts" in str(error)
    assert (named.messages, named.sessions, unnamed.sessions) == ([], 1, 0)


def test_the_host_that_is_named_is_found(world, carrier):
    """A more preferred host that the policy does not name is not spoken to."""

    async def main():
        async with (
            policy(world, carrier, mx="other.sts.example") as (there, _),
            host("mx", tls=world.certificate("mx.sts.example")) as unnamed,
            host("other", tls=world.certificate("other.sts.example")),
        ):
            return await mail(there, "sts.example"), unnamed.sessions

    assert run(main()) == (("other.sts.example", "TLSv1.3 verified (mta-sts)"), 0)


@pytest.mark.parametrize(
    ("mx", "shown", "tls"),
    [
        ("mx.sts.example", "mx.sts.example", "TLSv1.3 verified (mta-sts)"),
        ("mx.sts.example", "other.example", "TLSv1.3 unverified (mta-sts testing)"),
        ("other.example", "mx.sts.example", "TLSv1.3 unverified (mta-sts testing)"),
        ("mx.sts.example", "", ""),
    ],
)
def test_a_policy_that_is_tested(world, carrier, mx, shown, tls):
    """Mail goes out all the same, and what it would have come to is on record."""

    async def main():
        certificate = world.certificate(shown) if shown else None
        async with (
            policy(world, carrier, mode="testing", mx=mx) as (there, _),
            host("mx", tls=certificate),
        ):
            return await mail(there, "sts.example")

    assert run(main()) == ("mx.sts.example", tls)


def test_a_policy_of_none(world, carrier):
    """A domain that has taken its policy back is like one that never had any."""

    async def main():
        async with policy(world, carrier, mode="none") as (there, _), host("mx"):
            return await mail(there, "sts.example")

    assert run(main()) == ("mx.sts.example", "")


@pytest.mark.parametrize(
    "served",
    [
        {"response": ok("gone", status="404 Not Found")},
        {"response": b"HTTP/1.1 301 Moved\r\nLocation: https://x.example/\r\n\r\n"},
        {"response": ok(POLICY.format(mode="enforce", mx="x.example"), kind="text/html")},
        {"response": ok("version: STSv1\n")},
        {"response": ok("x" * 200_000)},
        {"response": b"\x00\x01\x02"},
        {"response": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"},
    ],
    ids=["404", "redirect", "html", "no policy", "too long", "no HTTP", "long head"],
)
def test_a_policy_that_cannot_be_had(world, carrier, served):
    """Is none; and it is not asked for again at once."""

    async def main():
        async with policy(world, carrier, **served) as (there, web), host("mx"):
            told = [await mail(there, "sts.example") for _ in range(2)]
            return told, len(web.requests)

    assert run(main()) == ([("mx.sts.example", "")] * 2, 1)


def test_a_policy_host_with_another_certificate(world, carrier):
    """Whoever cannot show a certificate for mta-sts.<domain> has no policy to give."""

    async def main():
        text = POLICY.format(mode="enforce", mx="nobody.example")
        certificate = world.certificate("sts.example")
        async with PolicyHost(certificate, HOSTS["web"], text=text) as web, host("mx"):
            return await mail(carrier(policy_port=web.port), "sts.example"), web.requests

    assert run(main()) == (("mx.sts.example", ""), [])


def test_a_policy_is_kept(world, carrier):
    """Another process that cannot fetch it any more still holds to it."""

    async def main():
        async with policy(world, carrier) as (there, _):
            first = await way(there, "sts.example")
        # The web server is gone; and so is the memory of this carrier, not the ledger.
        there = carrier(policy_port=1)
        async with host("mx"):
            error = await fails(there, "sts.example")
        return first, await way(there, "sts.example"), error

    first, again, error = run(main())
    assert first.way == again.way
    assert "mta-sts" in str(error)


# -- DANE ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("name", ["right", "authority"])
def test_the_certificate_that_is_published(world, carrier, name, loop):
    """A host whose certificate is the one in the signed zone, or of the authority there."""

    async def main():
        certificate = world.certificate(f"mx.{name}.example", chain=True)
        async with host("mx", tls=certificate):
            # Nobody else's word counts: the system's authorities know none of this.
            return await mail(carrier(ca_file=None), f"{name}.example")

    assert loop.run(main()) == (f"mx.{name}.example", "TLSv1.3 verified (dane)")


@pytest.mark.parametrize("name", ["wrong", "authority"])
@pytest.mark.parametrize("tls", [True, False])
def test_another_certificate_than_published(world, carrier, name, tls):
    """The message waits, be the certificate ever so good for everybody else."""

    async def main():
        certificate = world.certificate(f"mx.{name}.example") if tls else None
        async with host("mx", tls=certificate) as server:
            return await fails(carrier(), f"{name}.example"), server

    error, server = run(main())
    assert not error.permanent
    assert "dane" in str(error)
    assert (server.messages, server.sessions) == ([], 1)


def test_the_published_certificate_goes_before_a_policy(world, carrier):
    """That MTA-STS is content is no excuse for a certificate that DANE is not (RFC 8461 §2)."""

    async def main():
        mx = "mx.strict.example"
        async with (
            policy(world, carrier, mx=mx, domain="strict.example") as (there, web),
            host("mx", tls=world.certificate(mx)) as server,
        ):
            return await fails(there, "strict.example"), server.messages, web.requests

    error, messages, requests = run(main())
    assert not error.permanent
    assert "dane" in str(error)
    assert messages == []
    assert len(requests) == 1


def test_records_that_are_unusable(carrier):
    """Something is published, so TLS is demanded, with any certificate (RFC 7672 §2.2)."""

    async def main():
        async with host("mx", tls=self_signed()):
            told = await mail(carrier(), "unusable.example")
        async with host("mx"):
            return told, await fails(carrier(), "unusable.example")

    told, error = run(main())
    assert told == ("mx.unusable.example", "TLSv1.3 unverified (dane)")
    assert "STARTTLS" in str(error)


def test_records_that_were_tampered_with(carrier):
    """A TLSA answer that is bogus closes the host: it could be suppressed by an attacker."""

    async def main():
        async with host("mx", tls=self_signed()) as server:
            return await fails(carrier(), "tampered.example"), server.sessions

    error, sessions = run(main())
    assert "TLSA" in str(error)
    assert (error.permanent, sessions) == (False, 0)


def test_records_in_a_zone_that_is_not_signed(carrier):
    """Anybody could have written them: they do not count."""

    async def main():
        async with host("mx", tls=self_signed()):
            return await mail(carrier(), "ignored.example")

    assert run(main()) == ("mx.ignored.example", "TLSv1.3 unverified")


# -- real mail servers --------------------------------------------------------------------


@needs_postfix
@needs_exim
def test_real_mail_servers(world, carrier, tmp_path):
    """Postfix for one domain and Exim for another take mail by STARTTLS."""
    pem = tmp_path / "server.pem"
    leaf = world.ca.issue_cert("mx.over.example")
    leaf.private_key_and_cert_chain_pem.write_to_path(pem)
    pem.chmod(0o600)
    settings = {
        "virtual_mailbox_domains": "over.example",
        "smtpd_tls_chain_files": str(pem),
        "smtpd_tls_security_level": "may",
    }
    mailboxes = {"ann@over.example": "ann/"}
    at = {"address": HOSTS["live"], "port": PORT}

    async def main():
        there = carrier()
        return await mail(there, "over.example"), await mail(there, "clear.example")

    with (
        Postfix(settings, mailboxes=mailboxes, **at) as postfix,
        Exim("clear.example", address=HOSTS["mx"], port=PORT, certificate=pem) as exim,
    ):
        told = run(main())
        until(lambda: postfix.maildir("ann") and exim.messages(), "nothing arrived")
        arrived = [*postfix.maildir("ann"), *exim.messages()]
    assert told == (
        ("live.over.example", "TLSv1.3 unverified"),
        ("mx.clear.example", "TLSv1.3 unverified"),
    )
    assert len(arrived) == 2
    assert all(b"\nSubject: hello\n" in one for one in arrived)
    assert all(one.endswith(b"\n\nhello\n") for one in arrived)


# -- the words of a failure ---------------------------------------------------------------


def test_failures_tell_the_most():
    """A server's word, else what was wrong with TLS, else the last."""
    failures = direct_module._Failures("x.example")
    assert "x.example" in str(failures.told())
    failures.add(ConnectionFailed("refused"))
    assert str(failures.told()) == "refused"
    failures.add(EncryptionFailed("certificate"))
    failures.add(ConnectionFailed("refused again"))
    assert str(failures.told()) == "certificate"
    failures.add(ConnectionFailed("521 never", code=521))
    failures.add(ConnectionFailed("refused"))
    assert (failures.told().code, failures.told().permanent) == (521, False)
