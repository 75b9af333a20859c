"""The benchmarks measure what they say; small ones, and none that needs the network."""

import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from bench import importing, microseconds, million
from bench.versus.__main__ import DELAY, run
from bench.versus.campaign import CONNECTIONS
from bench.versus.delay import delayed
from bench.versus.machine import PATH
from bench.versus.page import BENCHMARKS, PERFORMANCE, rewrite
from bench.versus.receiver import Receiver
from bench.versus.relay import of_postfix, of_signing_postfix
from bench.versus.sending import Sending, of_mailblast
from bench.versus.table import Measured, figures, section
from bench.versus.usage import Usage
from postfix import needs_postfix

needs_sink = pytest.mark.skipif(
    shutil.which("smtp-sink", path=PATH) is None,
    reason="needs smtp-sink (apt-get install postfix)",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What the benchmarks write lies in a directory of the test's own."""
    monkeypatch.chdir(tmp_path)


# --- The wire -----------------------------------------------------------------------------


def test_the_wire_is_as_long_as_it_says():
    """An answer takes a round trip, and nothing is lost, changed or put out of order."""
    sent = b"".join(n.to_bytes(4, "big") for n in range(100_000))
    with echo() as port, delayed(port, DELAY) as far, connection(far) as wire:
        begun = time.monotonic()
        wire.sendall(b"?")
        assert wire.recv(10) == b"?"
        assert time.monotonic() - begun >= DELAY

        talking = threading.Thread(target=wire.sendall, args=[sent])
        talking.start()
        assert all_of(wire, len(sent)) == sent
        talking.join()


def test_the_wire_hangs_up():
    """When one side closes, the other hears of it, after all that was said before."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        delayed(server.getsockname()[1], DELAY) as far,
        connection(far) as wire,
    ):
        other, _ = server.accept()
        other.sendall(b"221 bye")
        other.close()
        assert all_of(wire, 7) == b"221 bye"
        assert wire.recv(1) == b""


@contextmanager
def echo():
    """A server that gives back to one client what it hears."""

    def answer():
        wire, _ = server.accept()
        with wire:
            while heard := wire.recv(65_536):
                wire.sendall(heard)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def connection(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def all_of(wire, count):
    """So many bytes; less if the other side closes."""
    came = b""
    while len(came) < count and (some := wire.recv(65_536)):
        came += some
    return came


# --- What is measured ---------------------------------------------------------------------


@needs_sink
def test_mailblast_is_measured_near_and_far():
    """A message takes two round trips: with a delay there is a rate that nobody passes."""
    near, far = run(of_mailblast, 60), run(of_mailblast, 60, DELAY)

    # From the first `attempted` to the last `accepted` of three messages on each connection.
    assert far.rate <= 60 / (2.5 * 2 * DELAY)
    assert near.count == far.count == 60
    assert near.usage.whole > 60 / near.rate
    assert near.usage.processor > 0
    assert near.usage.main_mb > 0


@needs_postfix
def test_a_relay_is_measured():
    """Postfix takes and delivers every message."""
    assert of_postfix(30) > 0


@needs_postfix
@pytest.mark.skipif(
    shutil.which("opendkim", path=PATH) is None,
    reason="needs OpenDKIM (apt-get install opendkim)",
)
def test_a_relay_that_signs_is_measured():
    """Postfix has every message signed; if one were not, that would be no figure."""
    assert of_signing_postfix(30) > 0


@needs_sink
def test_a_million_is_measured():
    """A run is measured from its first message to its last; one killed is taken up again."""
    whole, resumed = million.undisturbed(600), million.broken_off(4_000)

    assert 0 < whole.start < whole.usage.whole
    assert min(whole.rate, whole.first, whole.last) > 0
    assert 1_900 < resumed.accepted < 4_000
    assert resumed.doubtful <= CONNECTIONS
    assert resumed.start > 0
    assert "| doubtful afterwards |" in million.section(4_000, whole, resumed)
    assert million.figures(4_000, whole, resumed)["resumed_doubtful"] == resumed.doubtful


@needs_sink
def test_microseconds_are_measured():
    """Each step of a message has its time, and the sum is theirs."""
    steps, once = microseconds.measure(600)
    *parts, together, whole = steps

    assert len(parts) == 10
    assert together.microseconds == sum(step.microseconds for step in parts)
    assert whole.what == "the whole program"
    assert "| RSA-2048 itself, in OpenSSL | worker |" in microseconds.section(
        600, steps, once
    )


# --- What is printed ----------------------------------------------------------------------


def test_what_did_not_arrive_is_no_figure(tmp_path):
    """Too few messages are an error, too many too, and enough is enough."""
    log = tmp_path / "log"
    log.write_bytes(b"sess=1 quit=0 mesg=2\rsess=1 quit=0 mesg=3\r")
    receiver = Receiver(0, log)

    receiver.reached(3)
    for wrong in (2, 4):
        with pytest.raises(SystemExit, match=f"3 messages have arrived, and not {wrong}"):
            receiver.reached(wrong, patience=0)


def sending(rate):
    return Sending(100, rate, Usage(begun=0, whole=10, processor=5, main_mb=90, all_mb=140))


def measured(postfix, signing=None):
    pair = sending(50.0), sending(300.0)
    older = sending(25.0), sending(25.0)
    return Measured(pair, pair, older, DELAY, postfix, signing, (4_000.0, 8_000.0))


def test_the_last_line_has_six_keys():
    """Programs read them; their names stay."""
    assert figures(measured(None)) == {
        "mailblast": 300.0,
        "nodemailer": 50.0,
        "ratio": 6.0,
        "wall": 8_000.0,
        "peak_mb": 90,
        "recipients": 100,
    }


def test_what_was_not_measured_is_left_out():
    """Without root there is no Postfix, and no row for it."""
    assert "| while sending | 300 | 50 | 6.00 | ≥ 6 |" in section(measured(None))
    assert "beside nodemailer 10.0 | 300 | 25 | 12.00 | ≥ 1.9 |" in section(measured(None))
    assert "Postfix" not in section(measured(None))
    assert "delivered | 100 | 3.00 | ≥ 3 |" in section(measured(100.0))
    assert "OpenDKIM" not in section(measured(100.0))
    assert "by OpenDKIM | 75 | 4.00 | ≥ 3 |" in section(measured(100.0, 75.0))


def test_each_benchmark_keeps_to_its_section(tmp_path):
    """The pages have a section for each; to write one leaves all else as it is."""
    for page, names in (
        (BENCHMARKS, ["versus", "million"]),
        (PERFORMANCE, ["microseconds"]),
    ):
        copy = tmp_path / page.name
        copy.write_text(page.read_text())
        for name in names:
            rewrite(copy, name, f"figures of {name}, \\1")
        text = copy.read_text()
        for name in names:
            assert (
                text.count(f"\n\nfigures of {name}, \\1\n\n<!-- end of {name} -->\n") == 1
            )
        assert prose(text) == prose(page.read_text())
        with pytest.raises(ValueError, match="0 sections nothing"):
            rewrite(copy, "nothing", "")


def prose(text):
    """What stands outside of the sections, up to their first comment and from their last."""
    parts = text.split("<!-- end of ")
    return [part.partition("<!-- ")[0] for part in parts]


def test_importing(monkeypatch, capsys):
    """Half of the mails are tied, each genuine notice once; the rest is of every kind."""
    monkeypatch.setattr("sys.argv", ["importing", "60"])
    importing.main()
    told = capsys.readouterr().out

    assert "60 mails in" in told
    assert "18 bounced" in told
    assert " unmatched" in told
