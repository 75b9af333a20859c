"""The two ways to a receiver: through a relay, and straight to the mail hosts of a domain.

What survives a fault one way has to survive it the other way, so the tests of faults run both
(the fixture `way`).  Straight, each domain of DOMAINS has a mail host of its own by name, and
all of them are at 127.0.0.1; `way.script` is what the name server says, for a test to change.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from commands import relay
from misbehaving import in_thread
from scripted_dns import Answer, ScriptedDns

DOMAINS = ("inbox.example", "slow.example", *(f"d{n}.example" for n in range(10)))


@dataclass
class Way:
    """One of them.  `resolver` is empty for the relay."""

    resolver: str = ""
    script: MutableMapping[tuple[str, str], Answer] = field(default_factory=dict)

    @property
    def direct(self) -> bool:
        """Whether it leads straight to the mail hosts."""
        return bool(self.resolver)

    def delivery(self, port: int, connections: int) -> str:
        """The settings for a receiver at this port: so many connections, to one destination
        and in all."""
        if not self.direct:
            return relay(port, connections)
        return f"""\
[delivery]
via = "direct"
ehlo = "me.shop.example"
resolver = "{self.resolver}"
allow_loopback = true
port = {port}
connections = {connections}
retry = ["1 s"]
[throttle]
connections = {connections}
"""


@contextmanager
def straight() -> Iterator[Way]:
    """The way to the mail hosts, with the name server that knows them."""
    script: dict[tuple[str, str], Answer] = {}
    for domain in DOMAINS:
        script[domain, "MX"] = f"10 mx.{domain}."
        script[f"mx.{domain}", "A"] = "127.0.0.1"
    with in_thread(ScriptedDns(script)) as dns:
        yield Way(dns.server, dns.script)
