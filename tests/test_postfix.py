"""mailblast and a real Postfix: what is relayed arrives, what is refused and bounces is told."""

import email
import email.policy
import hashlib
import re
import shutil
import time
from collections import Counter
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim
import pytest
from commands import letter, ok, the_run
from postfix import Postfix, greylist, login, needs_postfix, until, with_tls

from mailblast.ledger import Ledger
from mailblast.mailbox import read as read_mailbox

pytestmark = needs_postfix

HOME = {"virtual_mailbox_domains": "home.example"}
PEOPLE = ("anna", "bo", "dörte", "o'hara", "x.y-z")


def delivery(server: Postfix, more: str = "") -> str:
    """[delivery] to this server, in the clear: it is on this machine."""
    return (
        '[delivery]\nvia = "relay"\nhost = "127.0.0.1"\nsecurity = "none"\n'
        f'port = {server.port}\nretry = ["1 s"]\n{more}'
    )


def as_sent(arrived: bytes) -> tuple[str, bytes]:
    """A message without what Postfix put in front of it, with the line ends of SMTP; and the
    return path, as Postfix wrote it."""
    path = re.match(rb"Return-Path: <([^>]*)>\n", arrived)
    assert path
    start = re.search(
        rb"^(?!Return-Path|X-Original-To|Delivered-To|Received|[ \t])",
        arrived,
        re.MULTILINE,
    )
    assert start
    return path[1].decode(), arrived[start.start() :].replace(b"\n", b"\r\n")


def published(said: str) -> dict[bytes, bytes]:
    """The DNS as it is once somebody has published what `keys new` printed."""
    found = re.search(r"^(\S+) IN TXT \( (.*) \)$", said, re.MULTILINE)
    assert found
    return {found[1].encode(): "".join(re.findall(r'"([^"]*)"', found[2])).encode()}


def by_event(workspace: Path, address: str) -> list[str]:
    """What happened to an address: the kinds of its events."""
    ledger = Ledger(workspace / ".mailblast")
    try:
        found = ledger.deliveries.find(ledger.runs.all()[-1].number, address)
        assert found
        return [str(event.kind) for event in ledger.deliveries.history(found.id)]
    finally:
        ledger.close()


# --- It arrives ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A campaign that went through STARTTLS and AUTH into five Maildirs."""
    workspace = tmp_path_factory.mktemp("arrived")
    (workspace / "mailblast.toml").touch()
    tls, ca_file = with_tls(workspace)
    mailboxes = {f"{name}@home.example": f"{name}/" for name in PEOPLE}
    with (
        login("shop", "a canary's word") as sasl,
        Postfix({**HOME, **tls, **sasl}, mailboxes=mailboxes) as server,
    ):
        record = published(ok(workspace, "keys", "new", "shop.example").out)
        home = letter(
            workspace,
            "".join(f"{name}@home.example,{name.title()}\n" for name in PEOPLE),
            delivery='[dkim]\nselector = "mb1"\n[delivery]\nvia = "relay"\n'
            f'host = "localhost"\nport = {server.port}\nusername = "shop"\n'
            f'password = {{ env = "WORD" }}\nca_file = "{ca_file}"\n',
            message_html="<h1>Grüße, {{ name }}</h1>\n<p>.</p>\n<img src='cid:logo.png'>",
            message_txt="Grüße, {{ name }}\n.\n..two\nFrom here\n",
        )
        settings = home / "campaign.toml"
        settings.write_text(
            settings.read_text().replace(
                "[unsubscribe]",
                'attachments = ["terms.pdf", "{{ name }}.txt"]\n[unsubscribe]',
            )
        )
        (home / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\xff")
        (home / "terms.pdf").write_bytes(bytes(range(256)) * 40)
        for name in PEOPLE:
            (home / f"{name.title()}.txt").write_text(f"for {name}\n.\n")
        ended = ok(workspace, "send", "letter", "--yes", env={"WORD": "a canary's word"})
        until(lambda: not server.queued(), "mail stays in the queue")
        mails = {name: server.maildir(name) for name in PEOPLE}
        yield workspace, mails, record, server.log(), ended.err + ended.out


def test_each_has_exactly_one(arrived: Any) -> None:
    """Everyone has the message once, and the report says accepted for each."""
    workspace, mails, _, log, _ = arrived

    assert {name: len(found) for name, found in mails.items()} == dict.fromkeys(PEOPLE, 1)
    assert the_run(workspace)["dispositions"] == {"accepted": len(PEOPLE)}
    assert log.count("sasl_username=shop") == len(PEOPLE)


def test_the_password_is_nowhere(arrived: Any) -> None:
    """What was given to log in stands in no file and in nothing that was said."""
    workspace, _, _, log, said = arrived
    files = [path.read_bytes() for path in workspace.rglob("*") if path.is_file()]

    assert not any(b"a canary's word" in each for each in [*files, said.encode()])
    assert "canary" not in log


@pytest.mark.parametrize("name", PEOPLE)
def test_what_arrived_is_what_was_sent(arrived: Any, name: str) -> None:
    """Behind what Postfix put in front stand the bytes of `show --raw`, octet by octet; their
    digest is the ledger's, their return path the one with this recipient's tag."""
    workspace, mails, _, _, _ = arrived
    return_path, content = as_sent(mails[name][0])
    shown = ok(workspace, "show", f"{name}@home.example", "--raw")
    ledger = Ledger(workspace / ".mailblast")
    found = ledger.deliveries.find(ledger.runs.all()[-1].number, f"{name}@home.example")
    ledger.close()

    assert shown.raw == content
    assert "their SHA-256 is the ledger's" in shown.err
    assert found
    assert found.digest == hashlib.sha256(content).digest()
    assert re.fullmatch(r"bounces\+[a-z2-7]{28}@shop\.example", return_path)


@pytest.mark.parametrize("name", PEOPLE)
def test_another_program_verifies_what_arrived(arrived: Any, name: str) -> None:
    """dkimpy, given the record that `keys new` printed, verifies the message as it lies in
    the Maildir, and no longer once a letter of it is changed."""
    _, mails, record, _, _ = arrived
    content = mails[name][0].replace(b"\n", b"\r\n")

    def dns(asked: bytes, timeout: float = 5) -> bytes:  # noqa: ARG001 - as dkimpy calls it
        return record[asked]

    assert dkim.verify(content, dnsfunc=dns)
    assert not dkim.verify(content.replace(b"two", b"too"), dnsfunc=dns)
    for field in (b"From", b"Subject", b"List-Unsubscribe"):
        changed = re.sub(rb"(?m)^" + field + rb": ", field + b": x", content)
        assert not dkim.verify(changed, dnsfunc=dns)


@pytest.mark.parametrize("name", PEOPLE)
def test_text_html_and_attachments_arrived(arrived: Any, name: str) -> None:
    """Each has their own name in every part, dots and all, and their own attachment."""
    _, mails, _, _, _ = arrived
    message = email.message_from_bytes(mails[name][0], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    assert text
    assert html

    assert not message.defects
    assert message["Subject"] == f"News for {name.title()}"
    assert text.get_content().startswith(f"Grüße, {name.title()}\n.\n..two\nFrom here\n")
    assert f"Grüße, {name.title()}".replace("'", "&#39;") in html.get_content()
    assert files["terms.pdf"] == bytes(range(256)) * 40
    assert files[f"{name.title()}.txt"].replace("\r\n", "\n") == f"for {name}\n.\n"


@pytest.mark.parametrize(
    ("host", "word", "said"),
    [
        ("127.0.0.1", "a wrong word", "535"),
        ("localhost", None, "certificate"),
    ],
    ids=["wrong password", "unknown authority"],
)
def test_no_session_no_message(
    tmp_path: Path, host: str, word: str | None, said: str
) -> None:
    """Where the password or the certificate is refused nothing is sent, and nothing lost."""
    tls, ca_file = with_tls(tmp_path)
    trust = f'ca_file = "{ca_file}"\n' if word else ""
    with (
        login("shop", "right") as sasl,
        Postfix({**HOME, **tls, **sasl}, mailboxes={"a@home.example": "a/"}) as server,
    ):
        letter(
            tmp_path,
            "a@home.example,A\n",
            delivery=f'[delivery]\nvia = "relay"\nhost = "{host}"\nport = {server.port}\n'
            f'username = "shop"\npassword = {{ env = "WORD" }}\n{trust}',
        )
        ended = ok(
            tmp_path, "send", "letter", "--yes", status=1, env={"WORD": word or "right"}
        )
        log = server.log()

    assert said in ended.err
    assert the_run(tmp_path)["dispositions"] == {"queued": 1}
    if word is None:
        assert "sasl_username" not in log


# --- It is refused at the door ------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "said"),
    [("", "the server takes 40000 octets"), ("size, chunking", "552 5.3.4")],
    ids=["announced", "not announced"],
)
def test_refused_at_the_door(tmp_path: Path, hidden: str, said: str) -> None:
    """An unknown user is refused for good and suppressed; a message that is too large is
    refused and its recipient is not suppressed; the others have it."""
    small = {
        **HOME,
        "message_size_limit": "40000",
        "smtpd_discard_ehlo_keywords": hidden,
    }
    mailboxes = {f"{name}@home.example": f"{name}/" for name in ("anna", "big")}
    with Postfix(small, mailboxes=mailboxes) as server:
        home = letter(
            tmp_path,
            "anna@home.example,short\nnobody@home.example,short\nbig@home.example,long\n",
            delivery=delivery(server),
            short_txt="short\n",
            long_txt="line\n" * 20_000,
        )
        settings = home / "campaign.toml"
        settings.write_text(
            settings.read_text().replace(
                "[unsubscribe]", 'attachments = ["{{ name }}.txt"]\n[unsubscribe]'
            )
        )
        ok(tmp_path, "send", "letter", "--yes")
        until(lambda: server.maildir("anna"), "nothing arrived")

        assert len(server.maildir("anna")) == 1
        assert not server.maildir("big")
    found = the_run(tmp_path)
    assert found["dispositions"] == {"refused": 2, "accepted": 1}
    assert found["reasons"] == {"invalid-recipient": 1, "message-too-large": 1}
    unknown = ok(tmp_path, "show", "nobody@home.example").out
    assert "550 5.1.1 <nobody@home.example>: Recipient address rejected" in unknown
    assert said in ok(tmp_path, "show", "big@home.example").out
    ok(tmp_path, "unsubscribe", "check", "nobody@home.example", status=2)
    ok(tmp_path, "unsubscribe", "check", "big@home.example")


def test_greylisted(tmp_path: Path) -> None:
    """A server that puts everyone off at first has everything a little later, once."""
    mailboxes = {f"{n}@home.example": f"{n}/" for n in range(5)}
    with (
        greylist(1.5) as policy,
        Postfix({**HOME, **policy}, mailboxes=mailboxes) as server,
    ):
        letter(
            tmp_path,
            "".join(f"{n}@home.example,N{n}\n" for n in range(5)),
            delivery=delivery(server),
        )
        ok(tmp_path, "send", "letter", "--yes")
        until(lambda: not server.queued(), "mail stays in the queue")
        copies = [len(server.maildir(str(n))) for n in range(5)]

    assert copies == [1] * 5
    assert the_run(tmp_path)["dispositions"] == {"accepted": 5}
    kinds = by_event(tmp_path, "3@home.example")
    assert kinds[0] == "deferred"
    assert kinds[-2:] == ["attempted", "accepted"]


def test_deferred_and_given_up(tmp_path: Path) -> None:
    """A server that never stops putting off: the message expires at the deadline."""
    with (
        greylist(1000) as policy,
        Postfix({**HOME, **policy}, mailboxes={"a@home.example": "a/"}) as server,
    ):
        letter(
            tmp_path,
            "a@home.example,A\n",
            delivery=delivery(server, 'give_up_after = "2 s"'),
        )
        ok(tmp_path, "send", "letter", "--yes")

    found = the_run(tmp_path)
    assert found["dispositions"] == {"expired": 1}
    assert sum(found["reasons"].values()) == 1


# --- It is accepted, and comes back -------------------------------------------------------

LIST = (
    "good@far.example,Good\n"
    "gone.one@far.example,One\n"
    "gone.two@far.example,Two\n"
    "late@far.example,Late\n"
)


@pytest.fixture(scope="module")
def bounced(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A campaign that a relay accepted, and could not deliver in part: the workspace, and
    the notices as an mbox and as a Maildir, two copies of each."""
    workspace = tmp_path_factory.mktemp("bounced")
    far = Postfix(
        {
            "virtual_mailbox_domains": "far.example",
            "smtpd_recipient_restrictions": "check_recipient_access inline:"
            "{ {late@far.example=450 4.2.1 Mailbox is busy} }, permit_mynetworks, reject",
        },
        mailboxes={"good@far.example": "good/", "late@far.example": "late/"},
    )
    with far:
        relay = Postfix(
            {
                "virtual_mailbox_domains": "shop.example",
                "transport_maps": f"inline:{{ {{far.example=smtp:[127.0.0.1]:{far.port}}} }}",
                "delay_warning_time": "1s",
                "maximal_queue_lifetime": "5s",
                "bounce_queue_lifetime": "5s",
            },
            mailboxes={"mbox@shop.example": "mbox", "dir@shop.example": "dir/"},
            aliases={"bounces@shop.example": "mbox@shop.example, dir@shop.example"},
        )
        with relay:
            letter(workspace, LIST, delivery=delivery(relay))
            ok(workspace, "send", "letter", "--yes")
            assert the_run(workspace)["dispositions"] == {"accepted": 4}
            until(lambda: _back(relay) and not relay.queued(), "the bounces do not come")
            shutil.copy(relay.mailbox("mbox"), workspace / "mbox")
            shutil.copytree(relay.mailbox("dir"), workspace / "dir")
    return workspace


def _back(relay: Postfix) -> bool:
    # Two that do not exist; and of the late one a warning and the end.
    return len(relay.maildir("dir")) >= 4


@pytest.mark.parametrize("form", ["mbox", "dir"])
def test_bounces_find_their_delivery(bounced: Path, tmp_path: Path, form: str) -> None:
    """Postfix's notices, from an mbox as from a Maildir, are tied each to its delivery; the
    sums hold; whoever does not exist is suppressed, whoever was late is not."""
    workspace = shutil.copytree(bounced, tmp_path / "workspace")
    counts = ok(workspace, "bounces", "import", form, "--json").json["counts"]
    found = the_run(workspace)

    assert counts == {"bounced": 3, "delayed": 1, "suppressed": 2}
    assert found["dispositions"] == {"bounced": 3, "accepted": 1}
    assert found["reasons"]["invalid-recipient"] == 2
    assert sum(found["reasons"].values()) == 3
    assert by_event(workspace, "gone.one@far.example")[-1] == "bounced"
    assert by_event(workspace, "good@far.example")[-1] == "accepted"
    said = ok(workspace, "show", "gone.two@far.example").out
    assert "<gone.two@far.example>: Recipient address rejected: User unknown" in said
    assert "Mailbox is busy" in ok(workspace, "show", "late@far.example").out
    for name, status in (("gone.one", 2), ("gone.two", 2), ("late", 0), ("good", 0)):
        ok(workspace, "unsubscribe", "check", f"{name}@far.example", status=status)


def test_the_same_mail_twice(bounced: Path, tmp_path: Path) -> None:
    """A second import of the same mailbox changes nothing; nor does a second copy of each
    notice change where anyone stands."""
    workspace = shutil.copytree(bounced, tmp_path / "workspace")
    ok(workspace, "bounces", "import", "mbox")
    first, events = the_run(workspace), by_event(workspace, "gone.one@far.example")
    again = ok(workspace, "bounces", "import", "mbox", "--json").json["counts"]

    assert again == {"known": 4}
    assert the_run(workspace) == first
    assert by_event(workspace, "gone.one@far.example") == events
    ok(workspace, "bounces", "import", "dir")
    assert the_run(workspace)["dispositions"] == first["dispositions"]


@pytest.mark.parametrize(
    ("forged", "result"),
    [
        (lambda tag: tag[:-1] + ("a" if tag[-1] != "a" else "q"), "forged"),
        (lambda tag: tag[:9] + ("b" if tag[9] != "b" else "c") + tag[10:], "forged"),
        (lambda tag: "a" * len(tag), "forged"),
        (lambda _tag: "", "weak"),
        (lambda tag: tag * 100, "weak"),
    ],
    ids=["another MAC", "another delivery", "no MAC", "none", "endless"],
)
def test_forged_tags_change_nothing(
    bounced: Path, tmp_path: Path, forged: Any, result: str
) -> None:
    """A real notice that brings a tag that we did not make, or none, changes nothing.  It is
    kept: what is forged in quarantine, what an address alone ties with the unmatched."""
    workspace = shutil.copytree(bounced, tmp_path / "workspace")
    before = the_run(workspace)
    box = (workspace / "mbox").read_text()
    box = re.sub(
        r"(?<![a-z2-7])[a-z2-7]{28}(?![a-z2-7])", lambda found: forged(found[0]), box
    )
    box = re.sub(r"(?m)^(Message-ID|List-Unsubscribe): .*\n(?:[ \t].*\n)*", "", box)
    (workspace / "mbox").write_text(box)
    counts = ok(workspace, "bounces", "import", "mbox", "--json").json["counts"]
    after = the_run(workspace)
    name = "quarantine" if result == "forged" else "unmatched"
    kept = list(read_mailbox(workspace / f".mailblast/{name}.mbox"))

    assert counts == {result: 4}
    assert after["came_back"] == ({} if result == "forged" else {result: 4})
    assert {**after, "came_back": {}} == before
    assert ok(workspace, "unsubscribe", "list").out == ""
    assert len(kept) == 4


PATH = r"\+[a-z2-7]{28}(?=@)"
STRIPPED = {
    "return-path": "$^",
    "link": PATH,
    "envelope-id": rf"{PATH}|(?m:^List-Unsubscribe: .*\n(?:[ \t].*\n)*)",
    "message-id": r"(?<![a-z2-7])(?:[a-z2-7]{28}|[a-z2-7]{37})(?![a-z2-7])",
}


@pytest.mark.parametrize(("by", "gone"), STRIPPED.items(), ids=STRIPPED)
def test_by_what_a_notice_is_tied(
    bounced: Path, tmp_path: Path, by: str, gone: str
) -> None:
    """Where the return path is not ours any more, the unsubscribe link, the ENVID and the
    Message-ID that Postfix returned each find the delivery."""
    workspace = shutil.copytree(bounced, tmp_path / "workspace")
    box = (workspace / "mbox").read_text()
    (workspace / "mbox").write_text(re.sub(gone, "", box))
    found = ok(workspace, "bounces", "import", "mbox", "--json").json

    assert found["tied"] == {by: 4}
    assert found["counts"] == {"bounced": 3, "delayed": 1, "suppressed": 2}


def test_tags_of_another_workspace_change_nothing(bounced: Path, tmp_path: Path) -> None:
    """What another secret key made is none of ours, though the delivery's number is known."""
    workspace = shutil.copytree(bounced, tmp_path / "workspace")
    (workspace / ".mailblast/secret.key").unlink()
    counts = ok(workspace, "bounces", "import", "dir", "--json").json["counts"]

    assert counts == {"forged": 4}
    assert the_run(workspace)["dispositions"] == {"accepted": 4}


def test_tags_come_back_in_capitals(bounced: Path, tmp_path: Path) -> None:
    """A server that changes the case of local parts does no harm."""
    workspace = shutil.copytree(bounced, tmp_path / "workspace")
    box = (workspace / "mbox").read_text()
    (workspace / "mbox").write_text(
        re.sub(r"\+[a-z2-7]{28}@", lambda found: found[0].upper(), box)
    )
    counts = ok(workspace, "bounces", "import", "mbox", "--json").json["counts"]

    assert counts == {"bounced": 3, "delayed": 1, "suppressed": 2}


def test_two_instances_at_once() -> None:
    """Two servers do not know of each other, and leave nothing behind."""
    with Postfix(HOME) as one, Postfix(HOME) as two:
        homes = (one.home, two.home)
        assert one.port != two.port
        assert Counter(path.exists() for path in homes) == {True: 2}
    time.sleep(0)
    assert not any(path.exists() for path in homes)
