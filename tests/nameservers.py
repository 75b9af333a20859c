"""Real name servers for a test: zones served by NSD, asked through a validating Unbound.

    with Nameservers({"a.example": "@ MX 10 mx\nmx A 127.0.3.1"}, signed={"a.example"}) as dns:
        …                                        dns.resolver == "127.0.0.1:…"

Both listen on loopback only, on ports that were free, and ask nobody else: what is in no
zone does not exist.  A zone in `signed` is signed with DNSSEC, and Unbound
trusts its key; one in `forged` is too, and changed after that.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dns.dnssec
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from postfix import free_port, until

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
NSD, UNBOUND = (shutil.which(name, path=_PATH) for name in ("nsd", "unbound"))

needs_nameservers = pytest.mark.skipif(
    NSD is None or UNBOUND is None,
    reason="needs NSD and Unbound (apt-get install nsd unbound)",
)

_HEAD = "$TTL 60\n@ SOA ns hostmaster 1 60 60 600 60\n@ NS ns\nns A 127.0.0.1\n"

_NSD = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  server-count: 1
  zonesdir: "{home}"
  database: ""
  pidfile: "{home}/nsd.pid"
  xfrdfile: "{home}/xfrd.state"
  xfrdir: "{home}"
  zonelistfile: "{home}/zone.list"
  logfile: "{home}/nsd.log"
remote-control:
  control-enable: no
"""

_UNBOUND = """\
server:
  interface: 127.0.0.1@{port}
  username: ""
  chroot: ""
  directory: "{home}"
  pidfile: "{home}/unbound.pid"
  logfile: "{home}/unbound.log"
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  num-threads: 1
  ede: yes
  {anchors}
  {opened}
{stubs}
remote-control:
  control-enable: no
"""


class Nameservers:
    """The servers; a context.  `zones` maps an origin to its records, in the notation of
    zone files."""

    def __init__(
        self,
        zones: Mapping[str, str],
        *,
        signed: Collection[str] = (),
        forged: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mbdns-", dir="/tmp"))
        self.port, self._upstream = free_port(), free_port()
        self.resolver = f"127.0.0.1:{self.port}"
        self._zones = {"example": "", **zones}
        self._signed, self._forged = signed, forged or {}
        self._anchors: list[str] = []
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Nameservers":
        for origin, records in self._zones.items():
            (self.home / origin).write_text(self._zone(origin, records))
        (self.home / "nsd.conf").write_text(self._nsd())
        (self.home / "unbound.conf").write_text(self._unbound())
        try:
            self._start(str(NSD), "-d", "-c", str(self.home / "nsd.conf"))
            self._start(str(UNBOUND), "-d", "-c", str(self.home / "unbound.conf"))
            for port in (self._upstream, self.port):
                until(lambda port=port: _answers(port), f"no DNS: {self.log()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self) -> str:
        """What both have to say."""
        return "".join(path.read_text() for path in self.home.glob("*.log"))

    def _start(self, *words: str) -> None:
        self._running.append(
            subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def _nsd(self) -> str:
        named = "".join(f'zone:\n  name: "{o}"\n  zonefile: "{o}"\n' for o in self._zones)
        return _NSD.format(port=self._upstream, home=self.home) + named

    def _unbound(self) -> str:
        return _UNBOUND.format(
            port=self.port,
            home=self.home,
            upstream=self._upstream,
            anchors="\n  ".join(f'trust-anchor: "{one}"' for one in self._anchors),
            # Unbound knows by itself that there is nothing in the reverse of test networks.
            opened="\n  ".join(f'local-zone: "{one}" nodefault' for one in self._tops()),
            stubs="".join(
                f'stub-zone:\n  name: "{one}"\n  stub-addr: 127.0.0.1@{self._upstream}\n'
                for one in self._tops()
            ),
        )

    def _tops(self) -> list[str]:
        """What Unbound asks NSD for: `example`, and zones that are not below it."""
        return [one for one in self._zones if not one.endswith(".example")]

    def _zone(self, origin: str, records: str) -> str:
        zone = dns.zone.from_text(_HEAD + records, f"{origin}.", relativize=False)
        if origin in self._signed or origin in self._forged:
            key = ec.generate_private_key(ec.SECP256R1())
            algorithm = dns.dnssec.Algorithm.ECDSAP256SHA256
            public = dns.dnssec.make_dnskey(key.public_key(), algorithm, 257)
            dns.dnssec.sign_zone(zone, keys=[(key, public)], lifetime=86_400)
            self._anchors.append(f"{origin}. DNSKEY {public}")
        text = zone.to_text(relativize=False)
        if change := self._forged.get(origin):
            assert change[0] in text
            text = text.replace(*change)
        return str(text)


def _answers(port: int) -> bool:
    """Whether a name server is there: it takes TCP."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def nobody_comes(*addresses: tuple[str, int]) -> Iterator[list[socket.socket]]:
    """Listen at these addresses; nobody may have connected when the block ends."""
    listening = []
    for host, port in addresses:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        listener.setblocking(False)
        listening.append(listener)
    try:
        yield listening
        for listener in listening:
            with pytest.raises(BlockingIOError):
                listener.accept()
    finally:
        for listener in listening:
            listener.close()
