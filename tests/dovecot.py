"""A real Dovecot for a test: an instance of its own, which nothing of the system's knows.

    with Dovecot({"anna": Box(), "full": Box(quota=10)}, submission=("127.0.0.1", port)) as box:
        …                                         box.lmtp, box.imap, .messages("anna"), .log()

Its configuration and mailboxes lie in a directory that is removed in the end; it listens on
127.0.0.1 or `address` only.  A user is a local part: of an address the domain does not count.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from postfix import OWNER, free_port, until

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_MODULES = Path("/usr/lib/dovecot/modules")

needs_dovecot = pytest.mark.skipif(
    DOVECOT is None
    or os.geteuid() != 0
    or not (_MODULES / "lib90_sieve_plugin.so").exists(),
    reason="needs root and Dovecot "
    "(apt-get install dovecot-imapd dovecot-lmtpd dovecot-sieve)",
)

PASSWORD = "a canary's word"

_SETTINGS = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = imap lmtp
listen = {address}
ssl = no
disable_plaintext_auth = no
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
  args = username_format=%Ln {home}/users
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
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
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


class Dovecot:
    """Mailboxes behind LMTP and IMAP.  `submission` is where its own mail goes (replies)."""

    def __init__(
        self,
        boxes: Mapping[str, Box],
        *,
        address: str = "127.0.0.1",
        hostname: str = "home.example",
        submission: tuple[str, int] | None = None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mbdc-", dir="/tmp"))
        self.address = address
        self.lmtp, self.imap = free_port(), free_port()
        self._boxes, self._hostname = boxes, hostname
        self._submission = ":".join(map(str, submission or ()))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Dovecot":
        self.home.chmod(0o755)  # it delivers as `nobody`
        (self.home / "mail").mkdir()
        os.chown(self.home / "mail", OWNER, OWNER)
        self._configure()
        self._process = subprocess.Popen(
            [str(DOVECOT), "-F", "-c", str(self.home / "conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: "starting up" in self.log(), "Dovecot does not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def messages(self, name: str) -> list[bytes]:
        """The messages in a user's mailbox."""
        found = (self.home / "mail" / name / "Maildir").glob("new/*")
        return [path.read_bytes() for path in sorted(found)]

    def log(self) -> str:
        """What it has logged."""
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _configure(self) -> None:
        settings = _SETTINGS.format(
            home=self.home,
            address=self.address,
            hostname=self._hostname,
            submission=self._submission,
            lmtp=self.lmtp,
            imap=self.imap,
        )
        (self.home / "conf").write_text(settings)
        (self.home / "users").write_text(
            "".join(
                f"{name}:{{PLAIN}}{PASSWORD}:{OWNER}:{OWNER}::::"
                f"userdb_quota_rule=*:bytes={box.quota}\n"
                for name, box in self._boxes.items()
            )
        )
        for name, box in self._boxes.items():
            home = self.home / "mail" / name
            home.mkdir()
            (home / ".dovecot.sieve").write_text(box.sieve)
            for path in (home, home / ".dovecot.sieve"):
                os.chown(path, OWNER, OWNER)
