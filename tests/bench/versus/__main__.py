"""mailblast beside nodemailer: the same letter, list, key and receiver, in one run.

    make bench            50,000 recipients; writes docs/benchmarks.md
    make bench N=5000     a short one; writes nothing

The receiver is Postfix's smtp-sink, on this machine: so both sides share its processors.  Both
rates leave out the start of the program: the peer counts from its first message, ours is
taken from the ledger, from the first `attempted` to the last `accepted`.  A run whose messages
did not all arrive is an error and no figure.
"""

import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailblast.signing import new_key

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "benchmarks.md"
CONNECTIONS = 20
FULL = 50_000
NEEDED = {"smtp-sink": "postfix", "node": "nodejs", "npm": "npm", "openssl": "openssl"}

CAMPAIGN = """\
[sender]
from = "Example Letters <letters@letters.example.com>"
postal_address = ["Example Letters", "1 Main Street", "Springfield, IL 62701"]
[message]
subject = "{{{{ first_name }}}}, the winter programme"
[unsubscribe]
url = "https://letters.example.com/u"
[dkim]
selector = "mb1"
key = "key.pem"
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
[throttle]
connections = {connections}
messages_per_connection = 1000000
"""


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    count = int(sys.argv[1])
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing; on Debian it is in the package {package}")
    work = Path(".bench").absolute()
    shutil.rmtree(work / "campaign", ignore_errors=True)
    shutil.rmtree(work / ".mailblast", ignore_errors=True)
    peer = installed(work / "peer")
    wall = signatures(1), signatures(os.cpu_count() or 1)
    with receiver() as (port, received):
        campaign = written(work, count, port)
        theirs = of_peer(peer, campaign / "key.pem", count, port)
        ours = of_mailblast(campaign, count)
        arrived = received()
    if arrived != 2 * count:
        sys.exit(f"{arrived} messages arrived, and not {2 * count}")
    figures = {
        "mailblast": round(ours["rate"], 1),
        "nodemailer": theirs,
        "ratio": round(ours["rate"] / theirs, 2),
        "wall": wall[1],
        "peak_mb": ours["peak_mb"],
        "recipients": count,
    }
    page = table(figures, ours, wall)
    print(page)
    if count >= FULL:
        PAGE.write_text(page, encoding="utf-8")
    print(json.dumps(figures))


def installed(directory: Path) -> Path:
    """The peer's packages, in a directory that can be thrown away."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", directory)
    quietly = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(quietly, cwd=directory, check=True)
    return directory


def signatures(processes: int) -> float:
    """RSA-2048 signatures a second by openssl, with this many processes."""
    command = ["openssl", "speed", "-seconds", "3", "-multi", str(processes), "rsa2048"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"rsa 2048 bits\s+\S+\s+\S+\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


@contextmanager
def receiver():
    """smtp-sink on a free port; with how many messages it has taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["smtp-sink", "-c", f"127.0.0.1:{port}", "1000"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "nobody"]
    log = Path(".bench/receiver.log")
    with log.open("wb") as out:
        sink = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def received() -> int:
        sink.terminate()
        sink.wait()
        counts = re.findall(rb"mesg=(\d+)", log.read_bytes())
        return int(counts[-1]) if counts else 0

    try:
        wait_for(port)
        yield port, received
    finally:
        sink.kill()
        sink.wait()


def wait_for(port: int) -> None:
    """Until somebody listens."""
    for _ in range(100):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("smtp-sink does not listen")


def written(work: Path, count: int, port: int) -> Path:
    """The campaign: the peer's templates, list and key."""
    campaign = work / "campaign"
    campaign.mkdir(parents=True)
    (work / ".mailblast").mkdir(mode=0o700)
    for name in ("message.html", "message.txt"):
        shutil.copy(HERE / name, campaign)
    (campaign / "key.pem").touch(mode=0o600)
    (campaign / "key.pem").write_bytes(new_key("rsa-sha256"))
    settings = CAMPAIGN.format(port=port, connections=CONNECTIONS)
    (campaign / "campaign.toml").write_text(settings)
    with (campaign / "recipients.csv").open("w") as file:
        file.write("email,first_name,city,points\n")
        for n in range(count):
            file.write(
                f"reader{n}@d{n % 50}.example.net,Reader{n},City {n % 500},{n * 7 % 1000}\n"
            )
    return campaign


def of_peer(peer: Path, key: Path, count: int, port: int) -> float:
    """The peer's rate."""
    command = ["node", HERE / "peer.js", count, CONNECTIONS, key, port]
    said = subprocess.run(
        list(map(str, command)), cwd=peer, capture_output=True, text=True, check=True
    )
    return float(said.stdout)


def of_mailblast(campaign: Path, count: int) -> dict[str, float]:
    """Send, and what it took: rate, whole seconds, processor seconds, memory."""
    command = [Path(sys.executable).with_name("mailblast"), "send", campaign, "--yes"]
    begun = time.monotonic()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as send:
        _, status, used = os.wait4(send.pid, 0)
        send.returncode = os.waitstatus_to_exitcode(status)
    whole = time.monotonic() - begun
    ledger = sqlite3.connect(campaign.parent / ".mailblast" / "ledger.db")
    accepted, first, last = ledger.execute(
        "SELECT (SELECT count(*) FROM deliveries WHERE disposition = 'accepted'), "
        "min(at) FILTER (WHERE kind = 'attempted'), "
        "max(at) FILTER (WHERE kind = 'accepted') FROM events"
    ).fetchone()
    if send.returncode or accepted != count:
        sys.exit(f"mailblast ended with {send.returncode}: {accepted} accepted")
    return {
        "rate": count / (last - first),
        "whole": whole,
        "processor": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss // 1024,
        "per_second": count / (used.ru_utime + used.ru_stime),
    }


def table(
    figures: dict[str, float], ours: dict[str, float], wall: tuple[float, float]
) -> str:
    """The page."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    count = figures["recipients"]
    rows = [
        ("mailblast: messages a second, while sending", f"{figures['mailblast']:,.0f}"),
        ("nodemailer: messages a second, while sending", f"{figures['nodemailer']:,.0f}"),
        ("ratio", f"{figures['ratio']:.2f}"),
        ("mailblast, from the command to its end", f"{ours['whole']:.1f} s"),
        ("mailblast, messages per processor second, all included",
         f"{ours['per_second']:,.0f}"),
        ("mailblast, memory of the largest process at its peak",
         f"{figures['peak_mb']:,} MB"),
        ("`openssl` RSA-2048 signatures a second, one core", f"{wall[0]:,.0f}"),
        ("`openssl` RSA-2048 signatures a second, all cores", f"{wall[1]:,.0f}"),
    ]  # fmt: skip
    lines = "\n".join(f"| {what} | {value} |" for what, value in rows)
    return f"""\
# Benchmarks

`make bench` wrote this page: {count:,} recipients, {CONNECTIONS} connections, a personal letter
in HTML and text, signed with RSA-2048, every step durable in the ledger (`synchronous=FULL`).
The receiver is Postfix's `smtp-sink` on the same machine, in the same run for both senders.

{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {platform.system()},
Python {platform.python_version()}, {datetime.now(UTC):%d %B %Y}.

| what | figure |
| --- | --- |
{lines}

Both rates leave out the start of the program. Ours runs from the first `attempted` in the
ledger to the last `accepted`; before that, mailblast has read the list into the ledger and
rendered every row, which the line *from the command to its end* includes. The peer
(`tests/bench/versus/peer.js`) is nodemailer's pooled transport with a compiled nunjucks template;
it keeps no account.
"""


if __name__ == "__main__":
    main()
