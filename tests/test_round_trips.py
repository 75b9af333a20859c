"""Round trips: what real mail servers send back is tied, judged and added up.

One campaign goes to four domains: at Postfix, Exim, OpenSMTPD and Sendmail.  Each has the same
people, and everything that can happen to mail happens there (`round_trips`).
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import letter, ok, the_run
from exim import needs_exim
from mailboxes import needs_mailboxes
from nameservers import needs_nameservers
from opensmtpd import needs_opensmtpd
from postfix import needs_postfix
from round_trips import HOSTS, Abroad
from sendmail import needs_sendmail

from mailblast import bounce, keys, tag
from mailblast.bounce import Kind, Notice
from mailblast.errors import Refusal
from mailblast.event import Disposition
from mailblast.ledger import Ledger

pytestmark = [
    needs_nameservers,
    needs_postfix,
    needs_exim,
    needs_opensmtpd,
    needs_sendmail,
    needs_mailboxes,
]

# What must stand in the ledger of each: disposition, reason, status and code of the last event.
UNKNOWN = ("invalid-recipient", "5.1.1", 550)
ENDS: dict[str, tuple[str, str, str, int]] = {
    "good@{}": ("accepted", "", "2.0.0", 250),
    "away@{}": ("accepted", "", "2.0.0", 250),  # who keeps silent to bulk mail
    "chatty@{}": ("delivered", "", "", 0),  # a reply proves it
    "nobody.here@{}": ("refused", *UNKNOWN),
    "full@{}": ("bounced", "mailbox-full", "5.2.2", 552),
    "picky@{}": ("bounced", "other", "", 0),
    "sieved@{}": ("bounced", *UNKNOWN),
    "moved@{}": ("bounced", *UNKNOWN),
    "twice@{}": ("bounced", "invalid-recipient", "5.1.1", 0),
    "late@{}": ("bounced", "network-temporary", "4.2.1", 450),
    "ghost@backup.{}": ("bounced", *UNKNOWN),
    "spam@backup.{}": ("bounced", "spam-content", "5.7.1", 550),
    "x@loop.{}": ("bounced", "network-temporary", "5.4.0", 554),
}
OTHERWISE = {
    "exim": {
        "good@{}": ("accepted", "", "", 250),
        "away@{}": ("accepted", "", "", 250),
        "nobody.here@{}": ("refused", "invalid-recipient", "", 550),  # Unrouteable address
        "late@{}": ("bounced", "expired", "5.0.0", 450),  # retry timeout exceeded
        "x@loop.{}": ("bounced", "other", "5.0.0", 0),  # it gives no reason
    },
    "opensmtpd": {
        "nobody.here@{}": ("refused", "invalid-recipient", "5.2.4", 524),
        # It takes every answer to LMTP for a passing one, and at the end says only that.
        "full@{}": ("bounced", "expired", "4.4.7", 0),
        "late@{}": ("bounced", "expired", "4.4.7", 0),
    },
    "sendmail": {
        "x@loop.{}": ("bounced", "system-error", "5.3.5", 553),
    },
}
# Whose addresses are proven to be dead, and at which hosts.  Exim's and OpenSMTPD's words for
# somebody unknown are also their words for other things; and what is said of the one to whom
# mail was forwarded does not say that the address in the list is dead.
DEAD = {
    "nobody.here@{}": ("postfix", "sendmail"),
    "ghost@backup.{}": tuple(HOSTS),
}


def people(name: str) -> tuple[str, ...]:
    """Whoever is in the list at this host."""
    return tuple(who for who in ENDS if (name, who) != ("opensmtpd", "x@loop.{}"))


def at(name: str, who: str) -> str:
    """An address there."""
    return who.format(f"{name}.example")


ENDINGS = {
    at(name, who): OTHERWISE.get(name, {}).get(who, ENDS[who])
    for name in HOSTS
    for who in people(name)
}
SUPPRESSED = {at(name, who) for who, names in DEAD.items() for name in names}


# What must be read from each mail: action, recipient, status, code, reason, and "hard".
READ: dict[str, list[str]] = {
    "chatty@{}": ["autoreply"],
    "full@{}": ["failed full@{} 5.2.2 552 mailbox-full"],
    "picky@{}": ["failed picky@{} - 0 other"],
    "sieved@{}": ["failed gone@far.example 5.1.1 550 invalid-recipient hard"],
    "moved@{}": ["failed moved@{} 5.1.1 550 invalid-recipient hard"],
    "twice@{}": ["failed she@left.example 5.1.1 0 invalid-recipient hard"],
    "late@{}": ["failed late@{} 4.2.1 450 network-temporary"],
    "ghost@backup.{}": ["failed ghost@backup.{} 5.1.1 550 invalid-recipient hard"],
    "spam@backup.{}": ["failed spam@backup.{} 5.7.1 550 spam-content"],
    "x@loop.{}": ["failed x@loop.{} 5.4.0 554 network-temporary"],
}
READ_OTHERWISE: dict[str, dict[str, list[str]]] = {
    "postfix": {
        "moved@{}": ["failed gone@far.example 5.1.1 550 invalid-recipient hard"],
        "late@{}": [
            "delayed late@far.example 4.2.1 450 network-temporary",
            "failed late@far.example 4.2.1 450 network-temporary",
        ],
    },
    "exim": {
        "late@{}": ["failed late@{} 5.0.0 450 expired"],
        "x@loop.{}": ["failed x@loop.{} 5.0.0 0 other"],
    },
    "opensmtpd": {
        "full@{}": [
            "delayed full@{} 4.3.0 0 mailbox-full",
            "failed full@{} 4.4.7 0 expired",
        ],
        "moved@{}": ["failed gone@far.example 5.1.1 550 invalid-recipient hard"],
        "late@{}": [
            "delayed late@far.example 4.2.1 450 network-temporary",
            "failed late@far.example 4.4.7 0 expired",
        ],
    },
    "sendmail": {
        "x@loop.{}": ["failed x@loop.{} 5.3.5 553 system-error"],
    },
}
# Of messages that were no bulk mail: what was delivered, and the delays that Exim and Sendmail
# do not tell of where Precedence says "bulk".
_LATE = ["delayed late@{} 4.2.1 450 network-temporary", *READ["late@{}"]]
OFFERED: dict[str, dict[str, list[str]]] = {
    "postfix": {
        "good": ["relayed good@{} 2.0.0 250 None"],
        "late": READ_OTHERWISE["postfix"]["late@{}"],
    },
    "exim": {
        "good": ["delivered good@{} 2.0.0 250 None"],
        "late": [_LATE[0], "failed late@{} 5.0.0 450 expired"],
    },
    "opensmtpd": {
        "good": ["delivered good@{} 2.0.0 0 None"],
        "late": READ_OTHERWISE["opensmtpd"]["late@{}"],
    },
    "sendmail": {
        "good": ["delivered good@{} 2.1.5 250 None"],
        "late": _LATE,
    },
}
RETURNS = {
    at(name, who): len(read)
    for name in HOSTS
    for who, read in (READ | READ_OTHERWISE[name]).items()
    if who in people(name)
}


def read(mails: list[bytes]) -> list[str]:
    """What is read from mails, each in a few words."""
    return sorted(word for mail in mails for word in _words(bounce.read(mail)))


def _words(notice: Notice | Refusal) -> list[str]:
    assert isinstance(notice, Notice), notice
    if notice.kind is not Kind.BOUNCE:
        return [notice.kind.value]
    return [
        f"{r.action} {r.recipient} {r.status or '-'} {r.code} {r.reason}" + " hard" * r.hard
        for r in notice.reports
    ]


def tags(workspace: Path) -> dict[str, str]:
    """The address of each delivery by the tag in its return path."""
    ledger = Ledger(workspace / ".mailblast")
    try:
        run = ledger.runs.all()[-1]
        return {
            tag.make(keys.keyring(ledger), "return-path", run.run, one.id): one.mailbox
            for one in ledger.deliveries.those(run.number, *Disposition)
        }
    finally:
        ledger.close()


def account(workspace: Path) -> dict[str, tuple[str, str, str, int]]:
    """Where everybody stands: disposition, and reason, status and code of the last event."""
    ledger = Ledger(workspace / ".mailblast")
    try:
        run = ledger.runs.all()[-1].number
        found = {}
        for one in ledger.deliveries.those(run, *Disposition):
            last = ledger.deliveries.history(one.id)[-1]
            said = (str(last.reason or ""), last.status, last.code)
            found[one.mailbox] = (str(one.disposition), *said)
        return found
    finally:
        ledger.close()


def suppressed(workspace: Path) -> set[str]:
    """Whoever is suppressed."""
    listed = ok(workspace, "unsubscribe", "list").out.splitlines()
    return {line.split()[0] for line in listed}


@dataclass(frozen=True)
class Returned:
    """A campaign and all that came back: a workspace with it as an mbox and as a Maildir, what
    came to each recipient's return path, what came of messages that were no bulk mail, and
    how many messages the mailbox `good` has at each host."""

    workspace: Path
    mails: dict[str, list[bytes]]
    offered: dict[str, list[bytes]]
    good: dict[str, int]


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> Returned:
    """All of it, once."""
    workspace = tmp_path_factory.mktemp("returned")
    with Abroad() as abroad:
        rows = "".join(f"{address},A\n" for address in ENDINGS)
        letter(workspace, rows, delivery=abroad.delivery())
        ok(workspace, "send", "letter", "--yes")
        for name in HOSTS:
            abroad.offer(name, "good", "SUCCESS")
            abroad.offer(name, "late", "DELAY,FAILURE")
        whose = tags(workspace)
        abroad.wait("dir", {mark: RETURNS.get(who, 0) for mark, who in whose.items()})
        expected = {
            (f"{who}.{name}", len(e)) for name in HOSTS for who, e in OFFERED[name].items()
        }
        abroad.wait("notices", dict(expected))
        abroad.settle()
        shutil.copy(abroad.mailbox("mbox"), workspace / "mbox")
        shutil.copytree(abroad.mailbox("dir"), workspace / "dir")
        return Returned(
            workspace,
            {whose[mark]: mails for mark, mails in abroad.by_tag("dir").items()},
            abroad.by_tag("notices"),
            {name: len(box.messages("good")) for name, box in abroad.boxes.items()},
        )


@pytest.fixture(scope="module")
def imported(returned: Returned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace once the mbox is imported."""
    workspace = tmp_path_factory.mktemp("imported") / "workspace"
    shutil.copytree(returned.workspace, workspace)
    ok(workspace, "bounces", "import", "mbox")
    return workspace


@pytest.mark.parametrize("name", HOSTS)
def test_where_everybody_stands(imported: Path, name: str) -> None:
    """Everybody at a host ends as what happened there says, with the words of the host."""
    expected = {who: end for who, end in ENDINGS.items() if who.endswith(f"{name}.example")}
    found = account(imported)

    assert {who: found[who] for who in expected} == expected


def test_nobody_is_suppressed_who_must_not_be(imported: Path) -> None:
    """Suppressed are those who do not exist, each by the address in the list: not whoever was
    full, late, away or picky, nor those to whom mail was forwarded."""
    assert suppressed(imported) == SUPPRESSED


def test_a_reply_proves_delivery(imported: Path) -> None:
    """Whoever replied is marked so, and nobody else."""
    ledger = Ledger(imported / ".mailblast")
    run = ledger.runs.all()[-1].number
    marked = {d.mailbox for d in ledger.deliveries.those(run, *Disposition) if d.marks}
    ledger.close()

    assert marked == {at(name, "chatty@{}") for name in HOSTS}


def test_it_adds_up(imported: Path) -> None:
    """The report has every row once, and every reason that the ledger has."""
    found = the_run(imported)
    ends = ENDINGS.values()

    assert found["recipients"] == len(ENDINGS)
    assert found["dispositions"] == Counter(disposition for disposition, *_ in ends)
    assert found["reasons"] == Counter(reason for _, reason, *_ in ends if reason)


def test_a_maildir_says_the_same(
    returned: Returned, imported: Path, tmp_path: Path
) -> None:
    """The same mail out of a Maildir comes to the same, and a second time to nothing new."""
    workspace = shutil.copytree(returned.workspace, tmp_path / "workspace")
    ok(workspace, "bounces", "import", "dir")
    assert account(workspace) == account(imported)
    assert suppressed(workspace) == SUPPRESSED

    again = ok(workspace, "bounces", "import", "dir", "--json").json["counts"]
    assert again == {"known": sum(RETURNS.values())}
    assert account(workspace) == account(imported)


def test_nothing_else_comes_back(returned: Returned) -> None:
    """Each return path got what its recipient's host had to say, and no more; and whoever is
    there has the message."""
    assert {who: len(mails) for who, mails in returned.mails.items()} == RETURNS
    assert returned.good == dict.fromkeys(HOSTS, 2)  # one of the campaign, one offered


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_read(returned: Returned, name: str) -> None:
    """From each notice of a real server the reader takes what stands in it."""
    table = READ | READ_OTHERWISE[name]
    expected = {
        who: [at(name, e) for e in table[who]] for who in people(name) if who in table
    }

    assert {who: read(returned.mails[at(name, who)]) for who in expected} == expected


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_no_bulk_mail(returned: Returned, name: str) -> None:
    """Notices of success and of delay are what they are."""
    expected = {who: [at(name, each) for each in e] for who, e in OFFERED[name].items()}

    assert {who: read(returned.offered[f"{who}.{name}"]) for who in expected} == expected


def test_a_return_path_that_was_rewritten(returned: Returned) -> None:
    """Exim forwards under a return path of its own (SRS), and hands on what comes back to it:
    the notice is about that one, and found by where it arrived."""
    (mail,) = returned.mails["twice@exim.example"]

    assert b"X-Postfix-Sender: rfc822; SRS0=" in mail
    assert b"Final-Recipient: rfc822; she@left.example" in mail
