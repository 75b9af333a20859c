"""A real Postfix for a test: an instance of its own, which nothing of the system's knows.

    with Postfix({"virtual_mailbox_domains": "home.example"}, mailboxes={…}) as server:
        …                                    server.port, .maildir("anna"), .log()

Its configuration, queue and mailboxes lie in a directory that is removed in the end; it
listens on 127.0.0.1 or `address` only, on a port that was free; it asks no DNS.  `Policy`
and `Login` are the two services that Postfix asks over a socket: may this recipient
(SMTPD_POLICY_README), and is this password right (SASL_README, the protocol of Dovecot).
"""

import base64
import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import SystemRandom

import pytest
import trustme
from mail_host import QUEUE, WARNING, MailHost

POSTFIX = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# Whoever delivers into a mailbox must be somebody without rights: nobody.
OWNER = 65534

needs_postfix = pytest.mark.skipif(
    POSTFIX is None or os.geteuid() != 0,
    reason="needs root and Postfix (apt-get install postfix)",
)

# qmgr is woken each second, not each 300: a message that it finds still locked by the agent
# that has just put it off goes back to `incoming`, which nothing else looks at in between.
_SERVICES = """\
postlog   unix-dgram n - n - 1 postlogd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 1 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
anvil     unix - - n - 1 anvil
smtp      unix - - n - - smtp
lmtp      unix - - n - - lmtp
virtual   unix - n n - - virtual
local     unix - n n - - local
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
showq     unix n - n - - showq
flush     unix n - n 1000? 0 flush
scache    unix - - n - 1 scache
"""

_SETTINGS = {
    "compatibility_level": "3.6",
    "maillog_file_prefixes": "/tmp, /var",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "myhostname": "mx.home.example",
    "mydestination": "",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "recipient_delimiter": "+",
    "biff": "no",
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "smtpd_peername_lookup": "no",
    "smtputf8_enable": "yes",
    "mynetworks": "127.0.0.0/8",
    "virtual_uid_maps": f"static:{OWNER}",
    "virtual_gid_maps": f"static:{OWNER}",
    "virtual_mailbox_limit": "0",
    "message_size_limit": "10485760",
    # A test has no patience.
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "1s",
    "queue_run_delay": "1s",
    "smtpd_error_sleep_time": "0",
}


class Postfix:
    """A mail server.  `mailboxes` maps an address to a file (mbox) or a folder/ (Maildir);
    `services` are further lines of master.cf.
    """

    @classmethod
    def of(cls, host: MailHost) -> "Postfix":
        """One with the duties of a mail host."""
        routes = {domain: f"smtp:[{to}]:{host.port}" for domain, to in host.routes.items()}
        settings = {
            "myhostname": host.name,
            "virtual_mailbox_domains": host.domain,
            "virtual_transport": f"lmtp:inet:[{host.address}]:{host.lmtp}",
            "relay_domains": ", ".join(routes),
            "transport_maps": inline(routes),
            "delay_warning_time": f"{WARNING}s",
            "maximal_queue_lifetime": f"{QUEUE}s",
            "bounce_queue_lifetime": f"{QUEUE}s",
        }
        return cls(
            settings,
            mailboxes={f"{name}@{host.domain}": name for name in host.people},
            aliases={f"{name}@{host.domain}": to for name, to in host.forwards.items()},
            address=host.address,
            port=host.port,
        )

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        mailboxes: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        services: str = "",
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mbpf-", dir="/tmp"))
        self.address, self.port = address, port or free_port()
        self._settings = settings
        self._mailboxes = mailboxes or {}
        self._aliases = aliases or {}
        self._services = services

    def __enter__(self) -> "Postfix":
        self.home.chmod(0o755)  # its programs run as `postfix` and `nobody`
        for name in ("etc", "queue", "data", "mail"):
            (self.home / name).mkdir()
        shutil.chown(self.home / "data", "postfix", "postfix")
        os.chown(self.home / "mail", OWNER, OWNER)
        self._configure()
        try:
            self._control("start")
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(AssertionError):  # it may not have started
            self._control("stop")
        shutil.rmtree(self.home, ignore_errors=True)

    def maildir(self, name: str) -> list[bytes]:
        """The messages in a Maildir, as they lie there."""
        return [
            path.read_bytes() for path in sorted((self.home / "mail" / name).glob("new/*"))
        ]

    def mailbox(self, name: str) -> Path:
        """Where a mailbox is."""
        return self.home / "mail" / name

    def log(self) -> str:
        """What it has logged."""
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def queued(self) -> list[str]:
        """What it still has to do."""
        folders = ("maildrop", "incoming", "active", "deferred")
        return [
            str(path)
            for folder in folders
            for path in (self.home / "queue" / folder).rglob("*")
            if path.is_file()
        ]

    def _configure(self) -> None:
        etc = self.home / "etc"
        settings = {
            **_SETTINGS,
            "queue_directory": str(self.home / "queue"),
            "data_directory": str(self.home / "data"),
            "maillog_file": str(self.home / "log"),
            "virtual_mailbox_base": str(self.home / "mail"),
            "virtual_mailbox_maps": f"texthash:{etc}/mailboxes",
            "virtual_alias_maps": f"texthash:{etc}/aliases",
            **self._settings,
        }
        (etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
        listening = f"{self.address}:{self.port} inet n - n - - smtpd\n"
        (etc / "master.cf").write_text(listening + _SERVICES + self._services)
        for name, table in (("mailboxes", self._mailboxes), ("aliases", self._aliases)):
            (etc / name).write_text("".join(f"{k} {v}\n" for k, v in table.items()))

    def _control(self, command: str) -> None:
        ended = subprocess.run(
            [str(POSTFIX), "-c", str(self.home / "etc"), command],
            check=False,
            capture_output=True,
            timeout=60,
        )
        assert ended.returncode == 0, (command, ended.stderr, self.log())

    def _wait(self) -> None:
        until(lambda: greets(self.address, self.port), "Postfix does not answer")


def inline(table: Mapping[str, str]) -> str:
    """A table, as it may stand in a setting."""
    return "inline:{ " + ", ".join(f"{{{k}={v}}}" for k, v in table.items()) + " }"


def greets(address: str, port: int) -> bool:
    """Whether an SMTP server is there."""
    try:
        with socket.create_connection((address, port), timeout=5) as wire:
            return wire.recv(4).startswith(b"220")
    except OSError:
        return False


def until(holds: object, otherwise: str, seconds: float = 60.0) -> None:
    """Wait until a call gives something true."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, below those that the system gives to connections:
    of these one may be taken before the server is there (ip_local_port_range)."""
    while True:
        port = SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def with_tls(directory: Path) -> tuple[dict[str, str], Path]:
    """Settings for TLS by an authority of the test's own, and that authority's file."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    (directory / "server.pem").chmod(0o600)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    settings = {
        "smtpd_tls_chain_files": str(directory / "server.pem"),
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_loglevel": "1",
    }
    return settings, directory / "ca.pem"


# --- What Postfix asks --------------------------------------------------------------------


class _Service(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def _serving(handler: type[socketserver.StreamRequestHandler]) -> Iterator[int]:
    with _Service(("127.0.0.1", 0), handler) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        try:
            yield service.server_address[1]
        finally:
            service.shutdown()


@contextlib.contextmanager
def greylist(seconds: float) -> Iterator[dict[str, str]]:
    """Settings with which a recipient is put off until it was first seen so long ago."""
    seen: dict[str, float] = {}

    class Policy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked: dict[str, str] = {}
            for line in self.rfile:
                name, _, value = line.decode().rstrip("\n").partition("=")
                if name:
                    asked[name] = value
                    continue
                now = time.monotonic()
                old = now - seen.setdefault(asked["recipient"], now) >= seconds
                action = "dunno" if old else "450 4.7.1 Greylisted, try again later"
                self.wfile.write(f"action={action}\n\n".encode())

    with _serving(Policy) as port:
        service = f"check_policy_service inet:127.0.0.1:{port}"
        yield {
            "smtpd_recipient_restrictions": f"{service}, permit_mynetworks, reject",
        }


@contextlib.contextmanager
def login(user: str, password: str) -> Iterator[dict[str, str]]:
    """Settings with which only this user may send, and the service that knows the password."""
    right = base64.b64encode(f"\0{user}\0{password}".encode()).decode()

    class Login(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(
                b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n"
                b"COOKIE\t00112233445566778899aabbccddeeff\nDONE\n"
            )
            for line in self.rfile:
                words = line.decode().rstrip("\n").split("\t")
                if words[0] != "AUTH":
                    continue
                good = words[-1] == f"resp={right}"
                said = "OK" if good else "FAIL"
                self.wfile.write(f"{said}\t{words[1]}\tuser={user}\n".encode())

    with _serving(Login) as port:
        yield {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"inet:127.0.0.1:{port}",
            "smtpd_tls_auth_only": "yes",
            "smtpd_sasl_security_options": "noanonymous",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
        }
