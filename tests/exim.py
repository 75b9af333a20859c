"""A real Exim for a test: an instance of its own, which nothing of the system's knows.

    with Exim("b.example", address="127.0.3.2", port=…) as server:
        …                                            server.messages()

It takes any recipient in its domain into one Maildir.  `EximHost(MailHost(…))` is one with
people, forwards and routes; what it forwards has its return path rewritten (SRS).
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import unpacked
from mail_host import QUEUE, WARNING, MailHost
from postfix import OWNER, greets, until

EXIM = unpacked.MTA / "exim4-daemon-light/usr/sbin/exim4"


def _has_user() -> bool:
    try:
        pwd.getpwnam("Debian-exim")  # compiled in: it starts for nobody else
    except KeyError:
        return False
    return os.geteuid() == 0


needs_exim = pytest.mark.skipif(
    not EXIM.exists() or not _has_user(),
    reason="needs root, Exim and its user (.ci/run unpacks the one and adds the other)",
)

_SETTINGS = """\
exim_user = {owner}
exim_group = {owner}
exim_path = {home}/exim4
deliver_drop_privilege
never_users =
spool_directory = {home}/spool
log_file_path = {home}/%slog
pid_file_path = {home}/pid
primary_hostname = mx.{domain}
daemon_smtp_ports = {port}
local_interfaces = {address}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
tls_advertise_hosts = {tls}
{certificate}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept domains = {domain}
  deny message = relay not permitted
begin routers
{routers}
here:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {home}/mail
  maildir_format
  user = {owner}
  group = {owner}
{transports}
begin retry
* * F,1h,1s
"""


class Exim:
    """A mail host of one domain.  `certificate` is a PEM file with its key and chain;
    `routers` and `transports` are text for those sections, before what takes the rest.
    """

    def __init__(
        self,
        domain: str,
        *,
        address: str,
        port: int,
        certificate: Path | None = None,
        routers: str = "",
        transports: str = "",
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mbex-", dir="/tmp"))
        self.address, self.port = address, port
        self._domain, self._certificate = domain, certificate
        self._routers, self._transports = routers, transports

    def __enter__(self) -> "Exim":
        # All of it belongs to nobody: it starts itself anew, without rights, to deliver.
        shutil.copy(str(EXIM), self.home / "exim4")
        if self._certificate:
            shutil.copy(self._certificate, self.home / "server.pem")
        (self.home / "conf").write_text(self._settings())
        for path in (self.home, *self.home.iterdir()):
            os.chown(path, OWNER, OWNER)
        (self.home / "exim4").chmod(0o755)
        os.chown(self.home / "conf", 0, 0)  # it reads no settings that others may change
        self._process = subprocess.Popen(
            [str(self.home / "exim4"), "-C", str(self.home / "conf"), "-bdf", "-q1s"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: greets(self.address, self.port), "Exim does not answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        with contextlib.suppress(
            ProcessLookupError
        ):  # who still delivers, or goes through it
            os.killpg(self._process.pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def messages(self) -> list[bytes]:
        """The messages that it has delivered."""
        return [path.read_bytes() for path in sorted((self.home / "mail").glob("new/*"))]

    def log(self) -> str:
        """What it has logged."""
        return "".join(path.read_text() for path in self.home.glob("*log"))

    def _settings(self) -> str:
        file = self._certificate and self.home / "server.pem"
        return _SETTINGS.format(
            owner=OWNER,
            home=self.home,
            domain=self._domain,
            routers=self._routers,
            transports=self._transports,
            address=self.address,
            port=self.port,
            tls="*" if file else "",
            certificate=f"tls_certificate = {file}\ntls_privatekey = {file}"
            if file
            else "",
        )


_HOST_SETTINGS = """\
dsn_advertise_hosts = *
delay_warning = {warning}s:1d
received_headers_max = 15
begin acl
rcpt:
  require verify = recipient
  accept hosts = 127.0.0.0/8
begin routers
came_back:
  driver = redirect
  domains = {domain}
  data = ${{if inbound_srs {{$local_part}} {{key}} {{$srs_recipient}}}}
forwards:
  driver = redirect
  domains = {domain}
  data = ${{lookup {{$local_part}} lsearch {{{home}/forwards}}}}
people:
  driver = manualroute
  domains = {domain}
  local_parts = lsearch;{home}/people
  route_list = * {address} byname
  self = send
  transport = mailbox
elsewhere:
  driver = manualroute
  domains = lsearch;{home}/routes
  route_data = ${{lookup {{$domain}} lsearch {{{home}/routes}}}}
  self = send
  transport = smtp
begin transports
mailbox:
  driver = smtp
  protocol = lmtp
  port = {lmtp}
  allow_localhost
smtp:
  driver = smtp
  port = {port}
  allow_localhost
  return_path = ${{if and {{ {{def:return_path}} {{eq {{$original_domain}} {{{domain}}}}} }} \
    {{${{srs_encode {{key}} {{$return_path}} {{{domain}}}}}}} {{$return_path}}}}
begin retry
* * F,{queue}s,1s
"""


class EximHost(Exim):
    """A mail host with the duties of a `MailHost`."""

    def __init__(self, host: MailHost) -> None:
        super().__init__(host.domain, address=host.address, port=host.port)
        self._host = host

    def queued(self) -> list[str]:
        """What it still has to do."""
        return [str(path) for path in (self.home / "spool/input").rglob("*-H")]

    def _settings(self) -> str:
        host = self._host
        tables = {
            "people": dict.fromkeys(host.people, ""),
            "forwards": host.forwards,
            "routes": host.routes,
        }
        for name, table in tables.items():
            lines = (f"{key}: {value}\n" for key, value in table.items())
            (self.home / name).write_text("".join(lines))
        general = super()._settings().partition("begin acl\n")[0]
        return general + _HOST_SETTINGS.format(
            home=self.home,
            domain=host.domain,
            address=host.address,
            port=host.port,
            lmtp=host.lmtp,
            queue=QUEUE,
            warning=WARNING,
        )
