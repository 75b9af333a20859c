"""Postfix as a relay: what a mail server of one's own does with the same number of messages.

It takes each message over SMTP, keeps it in its queue (with fsync, as it must), and delivers
it to the receiver; nothing is personal.  smtp-source feeds it, which sends one fixed message
over and over and costs next to nothing.  By itself it signs nothing; with OpenDKIM beside it,
as such a server is run, it signs with RSA-2048, as we do.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.versus.campaign import CONNECTIONS
from bench.versus.machine import PATH, WORK, free_port, program, wait_for
from bench.versus.receiver import receiver
from postfix import POSTFIX, Postfix

from mailblast.signing import new_key

SIZE = 11_500  # bytes of body: as the letter has
PATIENCE = 120.0  # seconds without any delivery


OPENDKIM = """\
Mode s
Domain letters.example.com
Selector mb1
KeyFile {key}
RequireSafeKeys no
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
InternalHosts 127.0.0.1
Socket inet:{port}@127.0.0.1
"""


def of_postfix(count: int) -> float | None:
    """Messages a second, from the first submission to the last delivery.

    None where it cannot be had: a private instance of Postfix needs root.
    """
    if POSTFIX is None or os.geteuid() != 0:
        return None
    return _relayed(count, {})


def of_signing_postfix(count: int) -> float | None:
    """The same with OpenDKIM.  None where one of the two cannot be had."""
    if POSTFIX is None or os.geteuid() != 0 or shutil.which("opendkim", path=PATH) is None:
        return None
    with _opendkim() as port:
        return _relayed(count, {
            "smtpd_milters": f"inet:127.0.0.1:{port}",
            # Each signature is logged, and so counted below.
            "milter_header_checks": "regexp:{{/^DKIM-Signature:/ INFO signed}}",
        })  # fmt: skip


def _relayed(count: int, more: Mapping[str, str]) -> float:
    with receiver() as sink, Postfix({**_settings(sink.port), **more}) as server:
        begun = time.monotonic()
        subprocess.run(_feeding(count, server.port), check=True)
        seconds = sink.reached(count, PATIENCE) - begun
        if more and (signed := server.log().count("info: header DKIM-Signature:")) != count:
            sys.exit(f"Postfix had {signed} messages signed, and not {count}")
        return count / seconds


@contextmanager
def _opendkim() -> Iterator[int]:
    """A signer for as long as the block runs; gives its port."""
    WORK.mkdir(exist_ok=True)
    port, key, settings = free_port(), WORK / "opendkim.pem", WORK / "opendkim.conf"
    key.touch(mode=0o600)
    key.write_bytes(new_key("rsa-sha256"))
    settings.write_text(OPENDKIM.format(key=key.absolute(), port=port))
    signer = subprocess.Popen([program("opendkim"), "-f", "-x", str(settings)])
    try:
        wait_for(port)
        yield port
    finally:
        signer.terminate()
        signer.wait()


def _settings(port: int) -> dict[str, str]:
    return {
        "relayhost": f"[127.0.0.1]:{port}",
        # It holds its input back for a second when the queue grows faster than it delivers.
        "in_flow_delay": "0",
        # A test has its queue looked through every second.
        "queue_run_delay": "300s",
    }


def _feeding(count: int, port: int) -> list[str]:
    words = [program("smtp-source"), "-d", "-s", CONNECTIONS, "-m", count, "-l", SIZE,
             "-f", "letters@letters.example.com", "-t", "reader@d0.example.net",
             f"127.0.0.1:{port}"]  # fmt: skip
    return list(map(str, words))
