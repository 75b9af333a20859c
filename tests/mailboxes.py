"""The mailboxes behind a mail host of a test: a Dovecot that is spoken to by LMTP.

    with Mailboxes({"anna": Box(), "full": Box(quota=10)}, submission=("127.0.0.1", port)) as boxes:
        …                                              boxes.lmtp, .messages("anna"), .log()

They have quotas and Sieve scripts.  A mailbox is a local part: of an address the domain does
not count.  All of it lies in a directory that is removed in the end; it listens on 127.0.0.1
or `address` only.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from postfix import OWNER, free_port
from private_server import PrivateServer

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_MODULES = Path("/usr/lib/dovecot/modules")

needs_mailboxes = pytest.mark.skipif(
    DOVECOT is None
    or os.geteuid() != 0
    or not (_MODULES / "lib90_sieve_plugin.so").exists(),
    reason="needs root and Dovecot (apt-get install dovecot-lmtpd dovecot-sieve)",
)

_SETTINGS = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = lmtp
listen = {address}
ssl = no
auth_username_format = %Ln
first_valid_uid = 1
mail_home = {home}/mail/%Ln
mail_location = maildir:~/Maildir
mail_plugins = quota
hostname = {hostname}
postmaster_address = postmaster@{hostname}
submission_host = {submission}
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%Ln {home}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = {address}
    port = {lmtp}
  }}
}}
service anvil {{
  chroot =
}}
protocol lmtp {{
  mail_plugins = quota sieve
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  sieve_extensions = +editheader
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox: how many octets it may hold, 0 for any, and its Sieve script."""

    quota: int = 0
    sieve: str = ""


class Mailboxes(PrivateServer):
    """Whose mailbox is what.  `submission` is where mail of their own goes (replies)."""

    def __init__(
        self,
        boxes: Mapping[str, Box],
        *,
        address: str = "127.0.0.1",
        hostname: str = "home.example",
        submission: tuple[str, int] | None = None,
    ) -> None:
        super().__init__("mbdc-")
        self.address = address
        self.lmtp = free_port()
        self._boxes, self._hostname = boxes, hostname
        self._submission = ":".join(map(str, submission or ()))

    def __enter__(self) -> "Mailboxes":
        self.home.chmod(0o755)  # it delivers as `nobody`
        (self.home / "mail").mkdir()
        os.chown(self.home / "mail", OWNER, OWNER)
        self._configure()
        command = (DOVECOT, "-F", "-c", self.home / "conf")
        self._start(command, lambda: "starting up" in self.log(), "Dovecot does not start")
        return self

    def messages(self, name: str) -> list[bytes]:
        """The messages in a user's mailbox."""
        found = (self.home / "mail" / name / "Maildir").glob("new/*")
        return [path.read_bytes() for path in sorted(found)]

    def _configure(self) -> None:
        settings = _SETTINGS.format(
            home=self.home,
            address=self.address,
            hostname=self._hostname,
            submission=self._submission,
            lmtp=self.lmtp,
        )
        (self.home / "conf").write_text(settings)
        (self.home / "users").write_text(
            "".join(
                f"{name}::{OWNER}:{OWNER}::::userdb_quota_rule=*:bytes={box.quota}\n"
                for name, box in self._boxes.items()
            )
        )
        for name, box in self._boxes.items():
            home = self.home / "mail" / name
            home.mkdir()
            (home / ".dovecot.sieve").write_text(box.sieve)
            for path in (home, home / ".dovecot.sieve"):
                os.chown(path, OWNER, OWNER)
