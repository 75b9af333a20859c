"""mtasts.fetch and mtasts.cache: which policy holds, whatever the net does meanwhile."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from policy_host import PolicyHost
from scripted_dns import ScriptedDns

from mailblast.errors import ConnectionFailed, Refusal
from mailblast.https import Web
from mailblast.ledger import Kept, Ledger
from mailblast.mtasts import Policy
from mailblast.mtasts import cache as cache_module
from mailblast.mtasts.cache import Cache
from mailblast.mtasts.fetch import fetch
from mailblast.resolver import Resolver

TEXT = "version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 86400\n"
HOST = "mta-sts.x.example"
ADDRESS = "127.0.5.1"


def naming(mx: str) -> Policy:
    return Policy("enforce", (mx,), 86400)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for the policy host, and the file of who vouches for it."""
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("web") / "ca.pem"
    ca.cert_pem.write_to_path(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST).configure_cert(context)
    return context, file


@pytest.fixture
def ledger(tmp_path):
    kept = Ledger(tmp_path / ".mailblast")
    yield kept
    kept.close()


def published(number: int) -> str:
    return f'"v=STSv1; id={number}"'


class Scene:
    """A domain with its TXT record and its policy host, and whoever asks for the policy."""

    def __init__(self, dns: ScriptedDns, web: PolicyHost, ledger: Ledger, file: Path):
        self.dns, self.web, self._ledger, self._file = dns, web, ledger, file
        self.anew()

    def anew(self) -> None:
        """Another process: only the ledger remembers."""
        self._cache = Cache(
            Resolver(self.dns.server),
            self._ledger.policies,
            Web(self._file, self.web.port),
            self._addresses,
        )

    async def _addresses(self, host: str) -> list[str]:
        assert host == HOST
        return [ADDRESS]

    def publish(self, number: int | None, mx: str) -> None:
        """Change the record and the policy."""
        self.dns.script = {("x.example", "TXT"): '"x"'}
        if number is not None:
            self.dns.script["_mta-sts.x.example", "TXT"] = published(number)
        self.web.text = TEXT.format(mx=mx)

    async def policy(self) -> Policy | None:
        return await self._cache.policy("x.example")


def played(authority: Any, ledger: Ledger, play: Any) -> Any:
    """Run a scene."""

    async def main() -> Any:
        context, file = authority
        async with ScriptedDns({}) as dns, PolicyHost(context, ADDRESS) as web:
            return await play(Scene(dns, web, ledger, file))

    return asyncio.run(main())


def test_no_record_no_policy(authority, ledger):
    """Without a TXT record nothing is fetched."""

    async def play(scene):
        scene.publish(None, "a.example")
        return await scene.policy(), scene.web.requests

    assert played(authority, ledger, play) == (None, [])


def test_the_id_says_when_to_fetch(authority, ledger):
    """The same id: nothing is fetched; another: the new policy holds at once."""

    async def play(scene):
        found = []
        for number, mx in ((1, "a.example"), (1, "b.example"), (2, "c.example")):
            scene.publish(number, mx)
            scene.anew()
            found.append(await scene.policy())
        return found, len(scene.web.requests)

    found, requests = played(authority, ledger, play)
    assert found == [naming("a.example"), naming("a.example"), naming("c.example")]
    assert requests == 2


@pytest.mark.parametrize("number", [None, 2])
def test_an_attacker_lifts_no_policy(authority, ledger, number):
    """The record gone, or another id and a fetch that fails: the old policy holds."""

    async def play(scene):
        scene.publish(1, "a.example")
        await scene.policy()
        scene.publish(number, "b.example")
        scene.web.response = b"HTTP/1.1 500 no\r\n\r\n"
        scene.anew()
        return await scene.policy()

    assert played(authority, ledger, play) == naming("a.example")


def test_a_policy_expires(authority, ledger):
    """After its max_age a policy that cannot be had any more is no policy."""
    old = Kept("x.example", "1", TEXT.format(mx="a.example"), time.time() - 1)
    ledger.policies.keep(old)

    async def play(scene):
        scene.publish(None, "")
        return await scene.policy()

    assert played(authority, ledger, play) is None


def test_a_failed_fetch_rests(authority, ledger, monkeypatch):
    """It is tried again after five minutes, and at once for another id."""
    now = [1000.0]
    monkeypatch.setattr(cache_module.time, "monotonic", lambda: now[0])

    async def play(scene):
        scene.publish(1, "a.example")
        scene.web.response = b"HTTP/1.1 404 no\r\n\r\n"
        for later in (0, 10, 300):
            now[0] += later
            await scene.policy()
        asked = len(scene.web.requests)
        scene.publish(2, "a.example")
        scene.anew()
        await scene.policy()
        return asked, len(scene.web.requests)

    assert played(authority, ledger, play) == (2, 3)


def test_many_ask_one_fetches(authority, ledger):
    """Fifty at once are one request."""

    async def play(scene):
        scene.publish(1, "a.example")
        found = await asyncio.gather(*(scene.policy() for _ in range(50)))
        return set(found), len(scene.web.requests)

    assert played(authority, ledger, play) == ({naming("a.example")}, 1)


# -- the ledger ---------------------------------------------------------------------------


def test_the_last_policy_is_kept(ledger):
    """A newer policy takes the place of the older; none holds beyond its time."""
    ledger.policies.keep(Kept("x.example", "1", "one", 100.0))
    ledger.policies.keep(Kept("x.example", "2", "two", 200.0))
    ledger.policies.keep(Kept("y.example", "1", "other", 200.0))

    assert ledger.policies.of("x.example", 199.0) == Kept("x.example", "2", "two", 200.0)
    assert ledger.policies.of("x.example", 200.0) is None
    assert ledger.policies.of("z.example", 0.0) is None


# -- the fetch ----------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_the_next_address(authority, loop):
    """An address where nobody listens is passed over."""

    async def main():
        context, file = authority
        async with PolicyHost(context, ADDRESS, text="hello") as web:
            return await fetch(HOST, ["127.0.5.2", ADDRESS], Web(file, web.port))

    assert loop.run(main()) == "hello"


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_a_host_that_says_nothing(authority, loop):
    """The time is that of the whole fetch."""

    async def main():
        context, file = authority
        async with PolicyHost(context, ADDRESS, silent=True) as web:
            return await fetch(HOST, [ADDRESS], Web(file, web.port, seconds=0.3))

    assert loop.run(main()) == Refusal(f"{HOST}: no answer within 0.3 s")


def test_a_chunked_response(authority):
    """Bodies come in either notation of HTTP/1.1."""
    response = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    async def main():
        context, file = authority
        async with PolicyHost(context, ADDRESS, response=response) as web:
            return await fetch(HOST, [ADDRESS], Web(file, web.port))

    assert asyncio.run(main()) == "abcde"


def test_a_response_that_is_cut_off(authority):
    """Half a policy is none: it could end before the word that matters."""
    response = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nversion"
    )

    async def main():
        context, file = authority
        async with PolicyHost(context, ADDRESS, response=response) as web:
            return await fetch(HOST, [ADDRESS], Web(file, web.port))

    assert isinstance(asyncio.run(main()), Refusal)


def test_no_address():
    """A host without an address that is allowed is not asked."""
    assert asyncio.run(fetch(HOST, [], Web())) == Refusal(f"{HOST} has no address")


def test_authorities_that_cannot_be_read(tmp_path):
    """A file that is not there shows at once, not when the first policy is fetched."""
    with pytest.raises(ConnectionFailed):
        Web(tmp_path / "missing.pem")
