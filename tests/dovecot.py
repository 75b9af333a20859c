"""A real Dovecot for a test: an instance of its own, which nothing of the system's knows.

    with Dovecot() as server:
        server.deliver(b"Subject: x\\r\\n\\r\\n")        server.port, .tls_port, .folder("INBOX")

It listens on 127.0.0.1 only, with a certificate for `localhost` of an authority of the test's
own (`ca_file`).  One user has one password; the mailbox is a Maildir that belongs to nobody.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from postfix import OWNER, free_port, until

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
USER = "bounces@shop.example"

needs_dovecot = pytest.mark.skipif(
    DOVECOT is None or os.geteuid() != 0,
    reason="needs root and Dovecot (apt-get install dovecot-imapd)",
)

_SETTINGS = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
auth_verbose = yes
protocols = imap
listen = 127.0.0.1
login_greeting = ready
mail_location = maildir:{home}/mail
mail_uid = {owner}
mail_gid = {owner}
first_valid_uid = {owner}
first_valid_gid = {owner}
ssl = yes
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.key
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {home}/users
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={home}
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
{capability}
"""


class Dovecot:
    """An IMAP server.  `without` are capabilities that it does not have; `names` those of its
    certificate.
    """

    def __init__(
        self,
        password: str = "secret",
        *,
        without: tuple[str, ...] = (),
        names: tuple[str, ...] = ("localhost",),
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mbdc-", dir="/tmp"))
        self.port, self.tls_port = free_port(), free_port()
        self.ca_file = self.home / "ca.pem"
        self._password, self._without, self._names = password, without, names
        self._delivered = 0

    def __enter__(self) -> "Dovecot":
        self.home.chmod(0o755)
        self._certificates()
        (self.home / "users").write_text(f"{USER}:{{PLAIN}}{self._password}\n")
        for folder in ("", "new", "cur", "tmp"):
            (self.home / "mail" / folder).mkdir(exist_ok=True)
            os.chown(self.home / "mail" / folder, OWNER, OWNER)
        (self.home / "conf").write_text(self._settings())
        self._process = subprocess.Popen(
            [str(DOVECOT), "-F", "-c", str(self.home / "conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(self._greets, "Dovecot does not answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def deliver(self, *contents: bytes) -> None:
        """Put messages into INBOX."""
        for content in contents:
            self._delivered += 1
            name = f"{1_700_000_000 + self._delivered}.{self._delivered:06}.test"
            fresh = self.home / "mail/tmp" / name
            fresh.write_bytes(content)
            os.chown(fresh, OWNER, OWNER)
            fresh.rename(self.home / "mail/new" / name)

    def folder(self, name: str) -> list[bytes]:
        """The messages in a folder, those marked as deleted left out."""
        place = self.home / "mail" / ("" if name == "INBOX" else f".{name}")
        files = [path for sub in ("new", "cur") for path in (place / sub).glob("*")]
        kept = (one for one in files if "T" not in one.name.partition(":2,")[2])
        return [path.read_bytes() for path in sorted(kept, key=lambda one: one.name)]

    def url(self, folder: str = "INBOX", *, tls: bool = True) -> str:
        """The address of a folder."""
        scheme, port = ("imaps", self.tls_port) if tls else ("imap", self.port)
        return f"{scheme}://{quote(USER)}@localhost:{port}/{quote(folder)}"

    def log(self) -> str:
        """What it has logged."""
        return (self.home / "log").read_text(errors="replace")

    def _settings(self) -> str:
        left_out = {f"{one}" for one in self._without}
        has = "IMAP4rev1 LITERAL+ ENABLE IDLE UNSELECT UIDPLUS MOVE ESEARCH NAMESPACE"
        words = " ".join(one for one in has.split() if one not in left_out)
        return _SETTINGS.format(
            home=self.home,
            owner=OWNER,
            port=self.port,
            tls_port=self.tls_port,
            capability=f"imap_capability = {words}" if left_out else "",
        )

    def _certificates(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        issued = authority.issue_cert(*self._names)
        issued.private_key_pem.write_to_path(self.home / "server.key")
        (self.home / "server.pem").write_bytes(
            b"".join(one.bytes() for one in issued.cert_chain_pems)
        )

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
                return wire.recv(4).startswith(b"* OK")
        except OSError:
            return False
