"""A real OpenSMTPD for a test: an instance of its own, under a root directory of its own.

    with OpenSmtpd(MailHost("x.example", "127.0.6.4", port, …)) as server: …       server.log()

The places of its queue and its control socket are compiled into it, and so are its users.
"""

import os

import unpacked
from mail_host import QUEUE, WARNING, MailHost
from postfix import greets
from private_server import PrivateServer

needs_opensmtpd = unpacked.needs("opensmtpd")

_USERS = {"opensmtpd": 65532, "opensmtpq": 65533}

_SETTINGS = """\
queue ttl {queue}s
bounce warn-interval {warning}s
listen on {address} port {port} hostname {name}
table people file:/etc/people
action "mailbox" lmtp "{address}:{lmtp}" rcpt-to virtual <people>
match from any for domain "{domain}" action "mailbox"
"""
_ROUTE = """\
action "{domain}" relay host "smtp://{address}:{port}"
match from any for domain "{domain}" action "{domain}"
"""


class OpenSmtpd(PrivateServer):
    """A mail host."""

    def __init__(self, host: MailHost) -> None:
        super().__init__("mbos-")
        self._host = host

    def __enter__(self) -> "OpenSmtpd":
        package = unpacked.MTA / "opensmtpd"
        places = ("usr/sbin/smtpd", "usr/sbin/smtpctl", "usr/libexec/opensmtpd/mail.lmtp")
        unpacked.root(self.home, {each: package / each for each in places}, _USERS)
        self.home.chmod(0o755)
        for place, mode in (("var/spool/smtpd", 0o711), ("var/lib/opensmtpd/empty", 0o755)):
            (self.home / place).mkdir(parents=True)
            (self.home / place).chmod(mode)
        self._configure()
        at = self._host.address, self._host.port
        command = ("chroot", self.home, "/usr/sbin/smtpd", "-d")
        self._start(command, lambda: greets(*at), "OpenSMTPD does not answer")
        return self

    def queued(self) -> list[str]:
        """What it still has to do."""
        queue = self.home / "var/spool/smtpd/queue"
        return [str(path) for path in queue.rglob("*") if path.is_file()]

    def _configure(self) -> None:
        host, etc = self._host, self.home / "etc"
        people = dict.fromkeys(host.people, "nobody") | dict(host.forwards)
        lines = (f"{name}@{host.domain}: {to}\n" for name, to in people.items())
        (etc / "people").write_text("".join(lines))
        settings = _SETTINGS.format(
            queue=QUEUE,
            warning=WARNING,
            address=host.address,
            port=host.port,
            name=host.name,
            lmtp=host.lmtp,
            domain=host.domain,
        )
        for domain, address in host.routes.items():
            settings += _ROUTE.format(domain=domain, address=address, port=host.port)
        (etc / "smtpd.conf").write_text(settings)
        os.chown(etc / "people", 0, 0)
