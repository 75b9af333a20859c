"""Four mail hosts with their mailboxes, a host far away, and one where what comes back lies.

    with Abroad() as abroad:
        …                            abroad.delivery(), abroad.wait(…), abroad.mailbox("mbox")

Postfix, Exim, OpenSMTPD and Sendmail do the same for a domain each (`MailHost`); each has a
Dovecot of its own behind it.  Whatever bounces goes to the Postfix of shop.example, which
puts it into an mbox and a Maildir.  All speak to one another at addresses of 127.0.6.0/24, on
one port; only mailblast asks a name server.
"""

import re
import smtplib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from exim import EximHost
from mail_host import MailHost
from mailboxes import Box, Mailboxes
from nameservers import Nameservers
from opensmtpd import OpenSmtpd
from postfix import Postfix, free_port, inline, until
from sendmail import Sendmail

SHOP, FAR = "127.0.6.1", "127.0.6.2"
HOSTS = {
    "postfix": ("127.0.6.3", Postfix.of),
    "exim": ("127.0.6.4", EximHost),
    "opensmtpd": ("127.0.6.5", OpenSmtpd),
    "sendmail": ("127.0.6.6", Sendmail),
}

_ADDRESSED = re.compile(rb"^X-Original-To: \w+\+(\S+)@shop\.example$", re.MULTILINE)

# What the mailboxes at each host do with a message.  A vacation responder of good manners says
# nothing to bulk mail (RFC 3834 §2), so there is one that does not see what it is.
_VACATION = """\
require ["vacation", "editheader"];
{first}
vacation :addresses ["{me}"] :from "{me}" :subject "Out of office" "I am away until Monday.";
"""
_BLIND = "".join(
    f'deleteheader "{name}";\n'
    for name in ("List-Id", "List-Unsubscribe", "Precedence", "X-Auto-Response-Suppress")
)
_SIEVE = {
    "good": "",
    "full": "",
    "away": _VACATION.replace("{first}", ""),
    "chatty": _VACATION.replace("{first}", _BLIND),
    "picky": 'require "reject";\nreject "I read no newsletters.";\n',
    "sieved": 'redirect "gone@far.example";\n',
}
# What is forwarded, to people whom nobody knows, who are never there, or who leave later.
FORWARDS = {
    "moved": "gone@far.example",
    "late": "late@far.example",
    "twice": "later@far.example",
}


class Abroad:
    """All of that, running; a context."""

    def __init__(self) -> None:
        self.port = free_port()
        self.servers: dict[str, Any] = {}
        self.boxes: dict[str, Mailboxes] = {}
        self._running: list[Any] = []

    def __enter__(self) -> "Abroad":
        self.boxes = {name: self._boxes(name) for name in HOSTS}
        self.servers = {name: make(self._host(name)) for name, (_, make) in HOSTS.items()}
        self.servers |= {"shop": self._shop(), "far": self._far()}
        self._dns = Nameservers(self._zones())
        everything = (self._dns, *self.boxes.values(), *self.servers.values())
        try:
            with (
                ThreadPoolExecutor() as pool
            ):  # a start is mostly waiting, and so is an end
                list(pool.map(self._begin, everything))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda running: running.__exit__(), self._running))

    def _begin(self, server: Any) -> None:
        server.__enter__()
        self._running.append(server)

    def delivery(self) -> str:
        """The settings of a campaign that goes straight to these hosts."""
        return (
            '[delivery]\nvia = "direct"\nehlo = "me.shop.example"\nallow_loopback = true\n'
            f'port = {self.port}\nresolver = "{self._dns.resolver}"\nretry = ["1 s"]\n'
        )

    def mailbox(self, name: str) -> Path:
        """Where a mailbox of the shop is: `mbox` and `dir` have the same, `notices` others."""
        return Path(self.servers["shop"].mailbox(name))

    def by_tag(self, name: str) -> dict[str, list[bytes]]:
        """What is in a Maildir of the shop, by what stands behind the "+" of the address."""
        found: dict[str, list[bytes]] = {}
        for mail in self.servers["shop"].maildir(name):
            address = _ADDRESSED.search(mail)
            assert address, mail
            found.setdefault(address[1].decode(), []).append(mail)
        return found

    def wait(self, name: str, returns: Mapping[str, int]) -> None:
        """Wait until so much has come back by each tag into a Maildir."""

        def missing() -> Counter[str]:
            here = Counter({tag: len(mails) for tag, mails in self.by_tag(name).items()})
            return Counter(returns) - here

        try:
            until(lambda: not missing(), "it does not come back", 100)
        except AssertionError:
            logs = "".join(server.log() for server in self.servers.values())
            raise AssertionError(f"it does not come back: {missing()}\n{logs}") from None

    def settle(self) -> None:
        """Wait until no host has anything to do."""

        def idle() -> bool:
            return not any(server.queued() for server in self.servers.values())

        until(idle, "mail stays in a queue")

    def offer(self, name: str, who: str, notify: str = "") -> None:
        """Give a host a message that is no bulk mail; notices come to `notices+WHO.NAME`."""
        sender, address = f"notices+{who}.{name}@shop.example", f"{who}@{name}.example"
        with smtplib.SMTP(HOSTS[name][0], self.port) as session:
            session.sendmail(
                sender,
                [address],
                f"From: news@shop.example\r\nTo: {address}\r\nSubject: Hello\r\n"
                f"Message-ID: <{who}.{name}@shop.example>\r\n\r\nHello\r\n",
                mail_options=["RET=HDRS", "ENVID=e+2B1"],
                rcpt_options=[f"NOTIFY={notify}", f"ORCPT=rfc822;{address}"],
            )

    def _boxes(self, name: str) -> Mailboxes:
        domain = f"{name}.example"
        boxes = {
            who: Box(10 if who == "full" else 0, sieve.replace("{me}", f"{who}@{domain}"))
            for who, sieve in _SIEVE.items()
        }
        address = HOSTS[name][0]
        return Mailboxes(
            boxes,
            address=address,
            hostname=f"box.{domain}",
            submission=(address, self.port),
        )

    def _host(self, name: str) -> MailHost:
        domain, address = f"{name}.example", HOSTS[name][0]
        routes = {"shop.example": SHOP, "far.example": FAR, f"backup.{domain}": FAR}
        if name != "opensmtpd":  # it takes a hundred rounds, one a second
            routes[f"loop.{domain}"] = address
        return MailHost(
            domain,
            address,
            self.port,
            self.boxes[name].lmtp,
            tuple(_SIEVE),
            FORWARDS,
            routes,
        )

    def _shop(self) -> Postfix:
        return Postfix(
            {"virtual_mailbox_domains": "shop.example"},
            mailboxes={
                "mbox@shop.example": "mbox",
                "dir@shop.example": "dir/",
                "notices@shop.example": "notices/",
            },
            aliases={"bounces@shop.example": "mbox@shop.example, dir@shop.example"},
            address=SHOP,
            port=self.port,
        )

    def _far(self) -> Postfix:
        """The host of far.example, and of the domains for which the others are backups."""
        backups = [f"backup.{name}.example" for name in HOSTS]
        never = {"late@far.example": "450 4.2.1 Mailbox is busy"}
        routes = {
            "shop.example": f"smtp:[{SHOP}]:{self.port}",
            "exim.example": f"smtp:[{HOSTS['exim'][0]}]:{self.port}",  # SRS leads there
            "left.example": "error:5.1.1 left the company",
        }
        settings = {
            "myhostname": "mx.far.example",
            "virtual_mailbox_domains": " ".join(["far.example", *backups]),
            "transport_maps": inline(routes),
            "smtpd_recipient_restrictions": f"check_recipient_access {inline(never)}, "
            "permit_mynetworks, reject",
            "header_checks": "regexp:{ {/^To: spam@/ REJECT 5.7.1 Message refused as spam} }",
        }
        people = ["late@far.example", *(f"spam@{domain}" for domain in backups)]
        return Postfix(
            settings,
            mailboxes={person: f"{person}/" for person in people},
            aliases={"later@far.example": "she@left.example"},
            address=FAR,
            port=self.port,
        )

    def _zones(self) -> dict[str, str]:
        records = (
            "@ MX 10 mx\nmx A {}\nloop MX 10 mx\n"
            "backup MX 10 down\nbackup MX 20 mx\ndown A 127.0.6.9"
        )
        return {f"{name}.example": records.format(at) for name, (at, _) in HOSTS.items()}
