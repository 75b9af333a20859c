"""A real Sendmail for a test: an instance of its own, under a root directory of its own.

    with Sendmail(MailHost("x.example", "127.0.6.5", port, …)) as server: …        server.log()

There it has local users of its own, whose mail may go on by a `.forward` file.
"""

import os
import shutil
import subprocess

import pytest
import unpacked
from mail_host import QUEUE, WARNING, MailHost
from postfix import greets
from private_server import PrivateServer

M4 = shutil.which("m4")
_CF = unpacked.MTA / "sendmail-cf/usr/share/sendmail/cf"


needs_sendmail = (
    unpacked.needs("sendmail-bin", "sendmail-cf")
    if M4
    else pytest.mark.skip(reason="needs m4 (apt-get install m4)")
)

_USERS = {"smmsp": 65500}
_FIRST_USER = 65400

_SETTINGS = """\
include(`{cf}/m4/cf.m4')dnl
VERSIONID(`a test')dnl
define(`confEBINDIR', `/usr/sbin')dnl
define(`confDOMAIN_NAME', `{name}')dnl
define(`confCW_FILE', `/etc/none')dnl
define(`confPID_FILE', `/var/run/pid')dnl
define(`STATUS_FILE', `')dnl
define(`HELP_FILE', `')dnl
define(`ALIAS_FILE', `text:-k0 -v1 /etc/aliases')dnl
define(`QUEUE_DIR', `/var/spool/mqueue')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/service.switch')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe')dnl
define(`confTO_IDENT', `0')dnl
define(`confTO_QUEUERETURN', `{queue}s')dnl
define(`confTO_QUEUEWARN', `{warning}s')dnl
define(`confTO_ICONNECT', `5s')dnl
define(`confPRIVACY_FLAGS', `')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {port}')dnl
define(`LOCAL_MAILER_PATH', `[IPC]')dnl
define(`LOCAL_MAILER_ARGS', `TCP [{address}] {lmtp}')dnl
define(`LOCAL_MAILER_FLAGS', `PSXmnz9')dnl
define(`LOCAL_MAILER_DSN_DIAGNOSTIC_CODE', `SMTP')dnl
DAEMON_OPTIONS(`Name=MTA, Addr={address}, Port={port}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`mailertable', `text -k0 -v1 -o /etc/mailertable')dnl
LOCAL_DOMAIN(`{domain}')dnl
RELAY_DOMAIN(`{routes}')dnl
MAILER(local)dnl
MAILER(smtp)dnl
"""


class Sendmail(PrivateServer):
    """A mail host."""

    def __init__(self, host: MailHost) -> None:
        super().__init__("mbsm-")
        self._host = host

    def __enter__(self) -> "Sendmail":
        program = unpacked.MTA / "sendmail-bin/usr/libexec/sendmail/sendmail"
        host = self._host
        names = [*host.people, *host.forwards]
        users = {name: _FIRST_USER + n for n, name in enumerate(names)}
        unpacked.root(self.home, {"usr/sbin/sendmail": program}, {**_USERS, **users})
        self.home.chmod(0o755)
        (self.home / "var/spool/mqueue").mkdir(parents=True, mode=0o700)
        for name, to in host.forwards.items():
            forward = self.home / "home" / name / ".forward"
            forward.write_text(f"{to}\n")
            os.chown(forward, users[name], users[name])
        self._configure()
        command = (
            *("chroot", self.home, "/usr/sbin/sendmail", "-bD", "-q1s"),
            *("-C/etc/sendmail.cf", "-X/dev/null", "-OLogLevel=0"),
        )
        self._start(
            command, lambda: greets(host.address, host.port), "Sendmail does not answer"
        )
        return self

    def queued(self) -> list[str]:
        """What it still has to do."""
        queue = self.home / "var/spool/mqueue"
        return [str(path) for path in queue.rglob("*") if path.is_file()]

    def _configure(self) -> None:
        host, etc = self._host, self.home / "etc"
        settings = _SETTINGS.format(
            cf=_CF,
            name=host.name,
            queue=QUEUE,
            warning=WARNING,
            address=host.address,
            port=host.port,
            lmtp=host.lmtp,
            domain=host.domain,
            routes=" ".join(host.routes),
        )
        made = subprocess.run(
            [str(M4), f"-D_CF_DIR_={_CF}/", "-"],
            input=settings,
            capture_output=True,
            text=True,
            check=True,
        )
        (etc / "sendmail.cf").write_text(made.stdout)
        (etc / "aliases").write_text("postmaster\t/dev/null\n")
        (etc / "service.switch").write_text("hosts files\naliases files\n")
        routes = (f"{domain}\tesmtp:[{to}]\n" for domain, to in host.routes.items())
        (etc / "mailertable").write_text("".join(routes))
