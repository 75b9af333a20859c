"""`mailblast send` straight to the mail hosts: real name servers, Postfix, Exim, and more."""

from pathlib import Path
from typing import Any

import pytest
from commands import letter, ok, the_run
from exim import Exim, needs_exim
from misbehaving import running
from nameservers import Nameservers, needs_nameservers, nobody_comes
from postfix import Postfix, free_port, needs_postfix, until, with_tls

from mailblast.ledger import Ledger

pytestmark = needs_nameservers

ZONES = {
    "one.example": "@ MX 10 dead\n@ MX 20 mx\ndead A 127.0.4.1\nmx A 127.0.4.2",
    "two.example": "@ MX 10 mx\nmx A 127.0.4.3",
    "three.example": "@ MX 10 mx.two.example.",
    "null.example": "@ MX 0 .",
    "private.example": "@ MX 10 mx\nmx A 192.168.1.1",
    "loop.example": "@ MX 10 mx\nmx A 127.0.4.2",
    "six.example": "@ MX 10 mx\nmx AAAA ::1",
    "forged.example": "@ MX 10 mx\nmx A 127.0.4.2",
}


@pytest.fixture(scope="module")
def dns():
    with Nameservers(ZONES, forged={"forged.example": ("10 mx.", "11 mx.")}) as servers:
        yield servers


def delivery(dns: Nameservers, port: int, more: str = "allow_loopback = true\n") -> str:
    """[delivery] in this world."""
    return (
        f'[delivery]\nvia = "direct"\nehlo = "me.shop.example"\nport = {port}\n'
        f'resolver = "{dns.resolver}"\nretry = ["1 s"]\n{more}'
    )


def events(workspace: Path, address: str) -> list[Any]:
    """What happened to an address in the latest run."""
    ledger = Ledger(workspace / ".mailblast")
    try:
        found = ledger.deliveries.find(ledger.runs.all()[-1].number, address)
        assert found
        return list(ledger.deliveries.history(found.id))
    finally:
        ledger.close()


@needs_postfix
@needs_exim
def test_a_list_of_several_domains(dns, tmp_path):
    """Each message goes to the hosts of its own domain; what cannot go is refused for good,
    with the reason; host and protection of each delivery are in the ledger."""
    port = free_port()
    tls, _ = with_tls(tmp_path)
    settings = {
        "virtual_mailbox_domains": "one.example",
        "smtpd_tls_chain_files": tls["smtpd_tls_chain_files"],
        "smtpd_tls_security_level": "may",
    }
    people = [f"p{n}" for n in range(10)]
    mailboxes = {f"{name}@one.example": f"{name}/" for name in people}
    good = [f"{name}@{n}.example" for name in people for n in ("one", "two", "three")]
    bad = ["x@null.example", "x@private.example", "x@missing.example"]
    letter(
        tmp_path,
        "".join(f"{address},A\n" for address in [*good, *bad]),
        delivery=delivery(dns, port),
    )
    with (
        Postfix(settings, mailboxes=mailboxes, address="127.0.4.2", port=port) as postfix,
        Exim("two.example : three.example", address="127.0.4.3", port=port) as exim,
    ):
        ended = ok(tmp_path, "send", "letter", "--yes")
        until(
            lambda: not postfix.queued() and len(exim.messages()) == 20, "mail is missing"
        )
        boxes = [len(postfix.maildir(name)) for name in people]

    assert "direct to each domain's mail hosts, as me.shop.example" in ended.err + ended.out
    assert the_run(tmp_path)["dispositions"] == {"accepted": 30, "refused": 3}
    assert boxes == [1] * 10
    told = {
        a: events(tmp_path, a)[-1] for a in ("p0@one.example", "p0@three.example", *bad)
    }
    assert [(one.host, one.tls) for one in told.values()][:2] == [
        ("mx.one.example", "TLSv1.3 unverified"),
        ("mx.two.example", ""),
    ]
    story = ok(tmp_path, "show", "p0@one.example").out
    assert " accepted [mx.one.example, TLSv1.3 unverified] 250 " in story
    assert {a: (told[a].code, told[a].status) for a in bad} == {
        "x@null.example": (556, "5.1.10"),
        "x@private.example": (550, "5.4.4"),
        "x@missing.example": (550, "5.1.2"),
    }
    assert {str(told[a].reason) for a in bad} == {"domain-invalid"}


def test_nothing_goes_to_this_machine(dns, tmp_path):
    """An MX at 127.0.0.0/8 or ::1: permanent, and no connection, unless it is opened."""
    port = free_port()
    letter(
        tmp_path,
        "a@loop.example,A\na@six.example,A\n",
        delivery=delivery(dns, port, more=""),
    )
    with nobody_comes(("127.0.4.2", port), ("::1", port)):
        ok(tmp_path, "send", "letter", "--yes")

    assert the_run(tmp_path)["dispositions"] == {"refused": 2}
    assert events(tmp_path, "a@loop.example")[-1].code == 550


def test_domains_with_the_same_hosts_share_connections(dns, tmp_path):
    """Two domains of one host are one destination: one connection carries mail for both."""
    port = free_port()
    carried: dict[int, set[str]] = {}

    async def take(connection):
        domain = connection.recipient.partition("@")[2]
        carried.setdefault(id(connection), set()).add(domain)
        connection.said = "250"
        await connection.write(b"250 Ok\r\n")

    rows = "".join(f"p{n}@{d}.example,A\n" for n in range(30) for d in ("two", "three"))
    more = "allow_loopback = true\n[throttle]\nconnections = 1\n"
    with running({"RCPT": take}, address="127.0.4.3", port=port) as server:
        letter(tmp_path, rows, delivery=delivery(dns, port, more))
        ok(tmp_path, "send", "letter", "--yes")

    assert sum(server.copies.values()) == len(server.copies) == 60
    assert {"two.example", "three.example"} in carried.values()


def test_a_source_address_and_a_name(dns, tmp_path):
    """The server sees the address and the name that were chosen."""
    port = free_port()
    seen = []

    async def greet(connection):
        seen.append(connection.writer.get_extra_info("peername")[0])
        await connection.write(b"220 mx ESMTP\r\n")

    more = 'allow_loopback = true\nsource = ["127.0.9.9", "::1"]\n'
    script = {"connect": greet}
    with (
        running(script, address="127.0.4.3", port=port) as four,
        running(script, address="::1", port=port) as six,
    ):
        letter(
            tmp_path,
            "a@two.example,A\na@six.example,A\n",
            delivery=delivery(dns, port, more),
        )
        ok(tmp_path, "send", "letter", "--yes")

    assert sorted(seen) == ["127.0.9.9", "::1"]
    assert four.commands[0] == six.commands[0] == "EHLO me.shop.example"
    assert (sum(four.copies.values()), sum(six.copies.values())) == (1, 1)


def test_a_domain_that_cannot_be_looked_up(dns, tmp_path):
    """It may be there again later: the message is deferred, nothing is refused for it."""
    letter(tmp_path, "a@forged.example,A\n", delivery=delivery(dns, free_port()))
    home = tmp_path / "letter" / "campaign.toml"
    home.write_text(home.read_text().replace('retry = ["1 s"]', 'retry = ["30 min"]'))
    ok(tmp_path, "send", "letter", "--yes", status=3)

    (event,) = events(tmp_path, "a@forged.example")
    assert (str(event.kind), event.code, event.status) == ("deferred", 451, "4.4.3")
