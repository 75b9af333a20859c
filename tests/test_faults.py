"""Servers, clocks and disks that fail in the middle of a run: what `mailblast send` makes of it.

Real programs send to real sockets, through a relay and straight to the mail hosts.  The
receiver counts; whoever has no copy is due again or listed by address, and nobody has two.
"""

import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from commands import begin, ended, letter, look, ok, the_run, until
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from misbehaving import (
    Action,
    Authority,
    Connection,
    Hold,
    Misbehaving,
    close,
    content,
    delay,
    drip,
    endless,
    garbage,
    inject,
    keep,
    reset,
    running,
    say,
    several,
)
from nameservers import nobody_comes
from scripted_dns import authentic
from ways import Way, straight

ACCEPT = say("250 2.0.0 Ok")
ENOUGH = 20_000_000  # bytes of a flood: what the kernel's buffers hold, and no more

LIBRARIES = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
FAKETIME = next((str(path) for path in LIBRARIES), "")
needs_faketime = pytest.mark.skipif(
    not FAKETIME, reason="needs faketime (apt-get install faketime)"
)


def person(number: int, domain: str = "inbox.example") -> str:
    return f"r{number:03}@{domain}"


def rows(count: int, domain: str = "inbox.example") -> str:
    return "".join(f"{person(number, domain)},N\n" for number in range(count))


def everyone_once(where: Path, server: Misbehaving, count: int) -> None:
    """Everyone was accepted, and has one copy."""
    assert the_run(where)["dispositions"] == {"accepted": count}
    assert server.copies == {person(number): 1 for number in range(count)}


# --- Replies that break off, or never end ------------------------------------------------

FLOODS: dict[str, Action] = {
    "an endless reply": endless(b"250-more\r\n"),
    "a line without end": endless(b"250 " + b"a" * 60_000),
}
BREAKS: dict[str, Action] = {"closed": close, "reset": reset, "garbage": garbage, **FLOODS}
DOUBTS: dict[str, Action] = {
    **BREAKS,
    "taken, then closed": several(keep, close),
    "taken, then reset": several(keep, reset),
    "354": say("354 go ahead"),
    "999": say("999 what"),
}


def test_broken_after_the_dot(tmp_path: Path, way: Way) -> None:
    """Nobody can know whether it was taken: it is listed by address, and not sent again."""
    fates = {person(number): fate for number, fate in enumerate(DOUBTS.values())}
    script = {"dot": {**fates, person(20): "251 2.0.0 will forward"}}
    with running(script) as server:
        letter(tmp_path, rows(30), delivery=way.delivery(server.port, 2))
        for _ in range(2):
            ok(tmp_path, "send", "letter", "--yes", status=3)
        found = the_run(tmp_path)

        assert sorted(found["doubtful"]) == sorted(fates)
        assert found["dispositions"] == {
            "accepted": 30 - len(fates),
            "doubtful": len(fates),
        }
        assert len(server.messages) == 30
        assert max(server.copies.values()) == 1
        assert server.flooded < ENOUGH


@pytest.mark.parametrize("fate", BREAKS)
def test_broken_before_the_dot(tmp_path: Path, way: Way, fate: str) -> None:
    """Nothing was taken, at whatever step: it is due again, and everyone gets it once."""
    script = {
        "MAIL": [*[None] * 20, BREAKS[fate]],
        "RCPT": {person(5): [BREAKS[fate]]},
        "DATA": {person(10): [BREAKS[fate]]},
    }
    with running(script) as server:
        letter(tmp_path, rows(30), delivery=way.delivery(server.port, 2))
        ok(tmp_path, "send", "letter", "--yes")

        everyone_once(tmp_path, server, 30)
        assert len(server.messages) == 30
        assert server.flooded < ENOUGH


def test_replies_that_nobody_asked_for(tmp_path: Path, way: Way) -> None:
    """They are the answer to no other message, and their connection is not used again."""
    script = {
        "dot": {
            person(1): say("250 2.0.0 Ok", "550 5.1.1 No such user"),
            person(4): several(ACCEPT, delay(0.05), say("250 2.0.0 Ok", "250 2.0.0 Ok")),
            person(7): several(ACCEPT, delay(0.05), say("421 4.3.2 idle")),
        }
    }
    with running(script) as server:
        letter(tmp_path, rows(10), delivery=way.delivery(server.port, 1))
        ok(tmp_path, "send", "letter", "--yes")

        everyone_once(tmp_path, server, 10)
        assert server.sessions == 4


def test_put_off_in_mid_session(tmp_path: Path, way: Way) -> None:
    """421 and 452 concern what was not accepted yet; that is tried again, nothing else."""
    script = {
        "MAIL": [*[None] * 8, "421 4.3.2 closing"],
        "RCPT": {person(2): ["421 4.3.2 closing"], person(4): ["452 4.2.2 full"] * 2},
        "DATA": {person(6): ["421 4.3.2 closing"]},
        "dot": {person(8): ["421 4.3.2 closing"], person(9): ["452 4.3.1 no room"]},
    }
    with running(script) as server:
        letter(tmp_path, rows(12), delivery=way.delivery(server.port, 1))
        ok(tmp_path, "send", "letter", "--yes")

        everyone_once(tmp_path, server, 12)
        refused = [message.recipient for message in server.messages if not message.accepted]
        assert sorted(refused) == [person(8), person(9)]
    assert ok(tmp_path, "show", person(4)).out.count("deferred [") == 2


# --- Time --------------------------------------------------------------------------------


class Slowly:
    """One octet every thirty seconds of the sender's clock, which runs a hundred times as
    fast; `had` is how many copies there were when the sender gave up."""

    def __init__(self) -> None:
        self.had = 0

    async def __call__(self, connection: Connection) -> None:
        try:
            await drip("250 2.1.5 one octet at a time is no reply at all", 0.3)(connection)
        finally:
            self.had = self.had or connection.server.copies.total()


@needs_faketime
def test_replies_that_take_their_time(tmp_path: Path, way: Way) -> None:
    """A 250 comes minutes after the dot, and counts.  A reply of one octet every thirty seconds
    has five minutes as any other; meanwhile the mail for others goes on."""
    slowly = Slowly()
    late = several(delay(4), say("250 2.0.0 at last"))
    script = {"RCPT": {person(0, "slow.example"): [slowly]}, "dot": {person(3): late}}
    with running(script) as server:
        everybody = rows(1, "slow.example") + rows(20)
        letter(tmp_path, everybody, delivery=way.delivery(server.port, 3))
        hundredfold = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+0 x100"}
        sending = begin(tmp_path, "send", "letter", "--yes", env=hundredfold)
        status, _, err = ended(sending)

        assert status == 0, err
        assert the_run(tmp_path)["dispositions"] == {"accepted": 21}
        assert set(server.copies.values()) == {1}
        assert 19 <= slowly.had <= 20
    story = ok(tmp_path, "show", person(0, "slow.example")).out
    assert "nothing came of RCPT within 300 s" in story


class Arrivals:
    """When each message came, by our own clock."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def __call__(self, connection: Connection) -> None:
        self.at.append(time.monotonic())
        await say("250 2.1.0 Ok")(connection)


@needs_faketime
def test_the_wall_clock_jumps(tmp_path: Path, way: Way) -> None:
    """An hour forward and two back: the rate holds as if nothing had happened, claims hold
    though their leases seem to be over, and what is put off after that is tried again."""
    arrivals, offset = Arrivals(), tmp_path / "offset"
    offset.write_text("+0\n")
    clock = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # seconds of the true clock; 0 would read it each time
        "DONT_FAKE_MONOTONIC": "1",
    }
    with running({"MAIL": arrivals, "RCPT": {person(90): ["451 4.3.0 later"]}}) as server:
        settings = way.delivery(server.port, 2)
        throttle = "" if "[throttle]" in settings else "[throttle]\n"
        letter(tmp_path, rows(100), delivery=f'{settings}{throttle}rate = "20/s"\n')
        sending = begin(tmp_path, "send", "letter", "--yes", env=clock)
        until(lambda: len(arrivals.at) > 10)
        offset.write_text("+4000\n")
        # Not before it was noticed: the library looks at the file once a second.
        ahead = f"SELECT at FROM events WHERE at > {time.time() + 3000}"
        until(lambda: look(tmp_path, ahead))
        offset.write_text("-4000\n")
        second = ok(tmp_path, "send", "letter", "--yes", status=2)
        status, _, err = ended(sending)

        assert "another `mailblast send` is at work" in second.err
        assert status == 0, err
        everyone_once(tmp_path, server, 100)
    dated = look(tmp_path, "SELECT at FROM events ORDER BY id")
    assert max(dated) - dated[0] > 3000
    assert dated[0] - dated[-1] > 3000
    spans = [
        late - early for early, late in zip(arrivals.at, arrivals.at[10:], strict=False)
    ]
    # Half a second, but for the first connection's time; a rate that broke would be a burst.
    assert min(spans) > 0.25


# --- Who is at the other end -------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whose certificates are good."""
    return Authority(tmp_path_factory.mktemp("tls"))


def submission(port: int, authority: Authority) -> str:
    """A relay that is logged in to, by STARTTLS."""
    return f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "starttls"
username = "news@shop.example"
password = {{ env = "CANARY" }}
ca_file = "{authority.file}"
"""


ATTACKS: dict[str, Any] = {
    "stripped": {"EHLO": "250 mx.example"},
    "injected": {"STARTTLS": inject(b"250 AUTH PLAIN\r\n")},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_submission_stops_before_the_password(
    tmp_path: Path, authority: Authority, attack: str
) -> None:
    """STARTTLS stripped, or bytes in clear behind its 220: no AUTH, no mail, status 1."""
    with running(ATTACKS[attack], tls=authority.good()) as server:
        letter(tmp_path, rows(2), delivery=submission(server.port, authority))
        sent = ok(tmp_path, "send", "letter", "--yes", status=1, env={"CANARY": "5ecret"})

        assert "STARTTLS" in sent.err or "before TLS began" in sent.err
        assert not {"AUTH", "MAIL"} & set(server.verbs)


def patient(settings: str) -> str:
    """The settings with a pause for which no `send` waits."""
    return settings.replace('["1 s"]', '["30 min"]')


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_clear_text_where_tls_is_required(
    tmp_path: Path, authority: Authority, attack: str
) -> None:
    """Straight to a host that has to speak TLS, the same attacks leave the message with us."""
    with straight() as way, running(ATTACKS[attack], tls=authority.good()) as server:
        letter(tmp_path, rows(2), delivery=patient(way.delivery(server.port, 1)))
        profile = '[inbox]\nmx = ["mx.inbox.example"]\ntls = "required"\n'
        (tmp_path / "destinations.toml").write_text(profile)
        ok(tmp_path, "send", "letter", "--yes", status=3)

        assert the_run(tmp_path)["dispositions"] == {"deferred": 2}
        assert "MAIL" not in server.verbs


CERTIFICATES = {
    "good": {"accepted": 2},
    "other_host": {"deferred": 2},
    "expired": {"deferred": 2},
    "self_signed": {"deferred": 2},
    "unknown_authority": {"deferred": 2},
}


@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_the_certificate_that_dane_publishes(
    tmp_path: Path, authority: Authority, certificate: str
) -> None:
    """Straight to a host that publishes its authority in a signed zone, no other certificate is
    accepted, and nothing goes out in clear text."""
    shown = getattr(authority, certificate)
    names = ["mx.inbox.example"] if certificate == "good" else []
    with straight() as way, running(tls=shown(*names)) as server:
        der = x509.load_pem_x509_certificate(authority.file.read_bytes())
        way.script["inbox.example", "MX"] = authentic("10 mx.inbox.example.")
        way.script["mx.inbox.example", "A"] = authentic("127.0.0.1")
        way.script[f"_{server.port}._tcp.mx.inbox.example", "TLSA"] = authentic(
            f"2 0 0 {der.public_bytes(serialization.Encoding.DER).hex()}"
        )
        letter(tmp_path, rows(2), delivery=patient(way.delivery(server.port, 1)))
        status = 0 if certificate == "good" else 3
        ok(tmp_path, "send", "letter", "--yes", status=status)

        assert the_run(tmp_path)["dispositions"] == CERTIFICATES[certificate]
        assert ("MAIL" in server.verbs) == (certificate == "good")


FORBIDDEN = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "169.254.169.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fd00::1",
]


def test_hosts_that_are_no_ones_business(tmp_path: Path) -> None:
    """Mail hosts on this machine, in its networks, or nowhere: refused for good, and there is
    no connection to any of them."""
    count = len(FORBIDDEN)
    with straight() as way, nobody_comes(("127.0.0.1", 0), ("::1", 0)) as listening:
        for number, address in enumerate(FORBIDDEN):
            way.script[f"d{number}.example", "MX"] = f"10 mx.d{number}.example."
            way.script.pop((f"mx.d{number}.example", "A"), None)
            kind = "AAAA" if ":" in address else "A"
            way.script[f"mx.d{number}.example", kind] = address
        way.script["inbox.example", "MX"] = "0 ."
        people = [person(0, f"d{number}.example") for number in range(count)]
        settings = way.delivery(listening[0].getsockname()[1], 2)
        closed = settings.replace("allow_loopback = true\n", "")
        everybody = "".join(f"{one},N\n" for one in people) + rows(1)
        letter(tmp_path, everybody, delivery=closed)
        ok(tmp_path, "send", "letter", "--yes")

        assert the_run(tmp_path)["dispositions"] == {"refused": count + 1}


# --- The ledger --------------------------------------------------------------------------


def test_a_claim_that_was_lost(tmp_path: Path, way: Way) -> None:
    """Whoever comes back after others have sent its messages sends none of them."""
    hold = Hold()
    reached = several(hold, say("354 go ahead"), content)
    with running({"DATA": [reached]}) as server:
        letter(tmp_path, rows(30), delivery=way.delivery(server.port, 1))
        away = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        away.send_signal(signal.SIGSTOP)
        # A machine that does not see the lock of another.
        (tmp_path / ".mailblast/locks/letter.lock").unlink()
        ok(tmp_path, "send", "letter", "--yes")
        everyone_once(tmp_path, server, 30)

        hold.may_go_on.set()
        away.send_signal(signal.SIGCONT)
        status, _, err = ended(away)
        assert status == 0, err
        everyone_once(tmp_path, server, 30)
        assert len(server.messages) == 30


def test_the_ledger_goes_away(tmp_path: Path, way: Way) -> None:
    """When nothing can be written any more, no dot goes out any more; what is on its way is
    doubtful, the command ends with a sentence, and another one goes on."""
    hold = Hold()
    with running({"dot": {person(20): [several(hold, ACCEPT)]}}) as server:
        letter(tmp_path, rows(300), delivery=way.delivery(server.port, 2))
        sending = begin(tmp_path, "send", "letter", "--yes")
        assert hold.reached.wait(30)
        resource.prlimit(sending.pid, resource.RLIMIT_FSIZE, (0, 0))
        hold.may_go_on.set()
        status, out, err = ended(sending)
        attempted = look(
            tmp_path, "SELECT mailbox FROM deliveries WHERE digest IS NOT NULL"
        )

        assert status == 1, err
        assert "nothing is lost" in err
        assert "not offered yet" in out
        assert {message.recipient for message in server.messages} <= set(attempted)
        assert len(server.messages) < 300

        assert begin_again(tmp_path) <= 2
        found = the_run(tmp_path)
        assert set(found["dispositions"]) <= {"accepted", "doubtful"}
        assert person(20) in found["doubtful"]
        assert server.copies == {person(number): 1 for number in range(300)}


def begin_again(where: Path) -> int:
    """Send the rest; says how many are doubtful."""
    status, _, err = ended(begin(where, "send", "letter", "--yes"))
    assert status == 3, err
    return len(the_run(where)["doubtful"])
