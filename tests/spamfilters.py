"""Real spam filters on loopback: Debian's rspamd and spamd, without network tests unless rspamd
is given a resolver."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from postfix import free_port

from mailblast.campaign.declared import SpamFilter

# Both know this line as spam: SpamAssassin's generic test for unsolicited bulk mail.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

RSPAMD = """\
.include "/etc/rspamd/common.conf"
options {{
    pidfile = "{home}/rspamd.pid";
    filters = "chartable,dkim,regexp";
    dns {{ nameserver = ["{resolver}"]; timeout = {patience}s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "warning"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; bind_socket = "{home}/socket"; count = 1; }}
"""


def missing(program: str) -> None:
    """Skip where it is not installed; under CI that is a failure."""
    if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip(f"{program} is not installed")


@contextmanager
def rspamd(resolver: str = "") -> Iterator[tuple[SpamFilter, SpamFilter]]:
    """One that answers, by TCP and by a Unix socket; it asks this DNS, or none."""
    missing("rspamd")
    with tempfile.TemporaryDirectory(prefix="mailblast-rspamd-") as name:
        home, port = Path(name), free_port()
        asks = {"resolver": resolver or "127.0.0.1:1", "patience": 2 if resolver else 0.05}
        (home / "conf").write_text(RSPAMD.format(home=home, port=port, **asks))
        words = ["rspamd", "-f", "-i", "-u", "root", "-g", "root", "-c", str(home / "conf")]
        places = (
            f"DBDIR={home}",
            f"RUNDIR={home}",
            f"LOGDIR={home}",
            f"LOCAL_CONFDIR={home}",
        )
        with _running([*words, *(f"--var={one}" for one in places)], port, home / "log"):
            yield (
                SpamFilter("rspamd", "127.0.0.1", port, ""),
                SpamFilter("rspamd", "", 0, str(home / "socket")),
            )


@contextmanager
def spamd() -> Iterator[SpamFilter]:
    """One that answers; no user's settings, no Bayes, no network."""
    missing("spamd")
    with tempfile.TemporaryDirectory(prefix="mailblast-spamd-") as name:
        home, port = Path(name), free_port()
        home.chmod(0o755)  # started by root, it becomes nobody
        for plugins in Path("/etc/spamassassin").glob("*.pre"):
            shutil.copy(plugins, home)
        (home / "local.cf").write_text("use_bayes 0\nuse_txrep 0\n")
        words = [
            *("/usr/sbin/spamd", "--local", "--nouser-config", "--max-children=1"),
            *(
                f"--listen=127.0.0.1:{port}",
                f"--pidfile={home}/pid",
                "--syslog=stderr",
            ),
            f"--siteconfigpath={home}",
        ]
        with _running(words, port, home / "log"):
            yield SpamFilter("spamassassin", "127.0.0.1", port, "")


@contextmanager
def _running(words: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("ab") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not _listens(port):
            said = log.read_text() if log.exists() else ""
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield
    finally:
        # Asked to end, rspamd waits for its workers; there is nothing to be kept.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
