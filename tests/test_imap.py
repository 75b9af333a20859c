"""`bounces import imaps://…`: a real Dovecot, and one that lies."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from came_back import bounced_from, bounces_of
from commands import Ended, begin, ended, letter, look, ok, run, the_run, until
from dovecot import USER, Dovecot, needs_dovecot

from mailblast import imap
from mailblast.errors import Refusal
from mailblast.imap.address import on_the_wire
from mailblast.runbook import RunBook

QUESTION = b"From: anna@inbox.example\nSubject: a question\n\nWhen do you open?\n"
OTHERS = b"From: bo@inbox.example\nSubject: of somebody else\n\nx\n"
COUNT = 3


# --- The address --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("imaps://anna@mail.example", "imaps://anna@mail.example/INBOX"),
        ("IMAPS://anna@mail.example/", "imaps://anna@mail.example/INBOX"),
        ("imap://anna@mail.example:1143/a/b", "imap://anna@mail.example:1143/a/b"),
        ("imaps://a@x.example@mail.example", "imaps://a%40x.example@mail.example/INBOX"),
        ("imaps://a%40x.example@[::1]:99/a%20b", "imaps://a%40x.example@[::1]:99/a%20b"),
        (
            "imaps://anna@mail.example/Rückläufer",
            "imaps://anna@mail.example/R%C3%BCckl%C3%A4ufer",
        ),
    ],
)
def test_addresses(text: str, told: str) -> None:
    """User, host, port and folder; what is told is a URL that means the same."""
    found = imap.parse(text)

    assert str(found) == told
    assert imap.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("imaps://anna:Pa55@mail.example/INBOX", "password"),
        ("imaps://anna:@mail.example/INBOX", "password"),
        ("imaps://mail.example/INBOX", "user or host"),
        ("imaps://anna@/INBOX", "user or host"),
        ("imaps://anna@mail.example:port/INBOX", "form"),
        ("imaps://anna@mail.example:99999/INBOX", "form"),
        ("imaps://anna@[mail.example/INBOX", "form"),
        ("imaps://anna;AUTH=PLAIN@mail.example/INBOX", "only"),
        ("imaps://anna@mail.example/INBOX;UIDVALIDITY=1", "only"),
        ("imaps://anna@mail.example/a%0d%0aA1 LOGOUT", "control"),
        ("imaps://anna%00@mail.example/INBOX", "control"),
    ],
)
def test_no_addresses(text: str, why: str) -> None:
    """What cannot be meant is refused, and a password is not repeated."""
    found = imap.parse(text)

    assert isinstance(found, Refusal)
    assert why in found.why
    assert "Pa55" not in found.why


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("INBOX", '"INBOX"'),
        ("a & b", '"a &- b"'),
        ('"\\', '"\\"\\\\"'),
        ("Rückläufer", '"R&APw-ckl&AOQ-ufer"'),
        ("台北", '"&U,BTFw-"'),
        ("~peter/mail/台北/日本語", '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'),
        ("😀", '"&2D3eAA-"'),
    ],
)
def test_names_of_folders(name: str, sent: str) -> None:
    """As they are sent: modified UTF-7 (the last but one is RFC 3501 §5.1.3's own)."""
    assert on_the_wire(name) == sent


# --- A real server ------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace from which three messages went out that bounced."""
    where = tmp_path / "workspace"
    where.mkdir()
    return bounced_from(where, COUNT)


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    """A server that has everything."""
    with Dovecot() as server:
        yield server


def log_in(workspace: Path, server: Dovecot, more: str = "") -> None:
    """Write the settings, with the password in a file beside the workspace."""
    secret = workspace.parent / "password"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    (workspace / "mailblast.toml").write_text(
        f'[imap]\npassword = {{ file = "{secret}" }}\nca_file = "{server.ca_file}"\n{more}'
    )


def imported(workspace: Path, server: Dovecot, *words: str) -> Ended:
    """An import of INBOX that goes well."""
    return ok(workspace, "bounces", "import", server.url(), "--json", *words)


def settled(workspace: Path) -> dict[str, int]:
    """What became of the messages."""
    found: dict[str, int] = the_run(workspace)["dispositions"]
    return found


pytestmark = pytest.mark.timeout(300)


@needs_dovecot
def test_read_and_left(workspace: Path, dovecot: Dovecot) -> None:
    """Without --move-to nothing is changed on the server, not even what it has for new; what
    was read before is not fetched again, and what came since is."""
    log_in(workspace, dovecot)
    first, *rest = bounces_of(workspace)
    dovecot.deliver(QUESTION, first)
    one = imported(workspace, dovecot).json
    again = imported(workspace, dovecot).json
    dovecot.deliver(*rest)
    more = imported(workspace, dovecot).json

    assert one["counts"]["bounced"] == 1
    assert sum(n for name, n in one["counts"].items() if name != "suppressed") == 2
    assert again["counts"] == {}
    assert more["counts"]["bounced"] == COUNT - 1
    assert settled(workspace) == {"bounced": COUNT}
    assert len(list((dovecot.home / "mail/new").iterdir())) == COUNT + 1
    assert one["sources"] == [dovecot.url()]
    assert "secret" not in (workspace / ".mailblast/runs.json").read_text()


@needs_dovecot
@pytest.mark.parametrize("without", [(), ("MOVE",)], ids=["MOVE", "UIDPLUS"])
def test_moved(workspace: Path, without: tuple[str, ...]) -> None:
    """What use was made of is moved, into a folder that is made; what is for people stays,
    and what somebody else has marked as deleted is neither read nor removed."""
    with Dovecot(without=without) as server:
        log_in(workspace, server)
        server.deliver(QUESTION, *bounces_of(workspace), OTHERS)
        (deleted,) = (
            path
            for path in (server.home / "mail/new").iterdir()
            if path.read_bytes() == OTHERS
        )
        deleted.rename(server.home / "mail/cur" / f"{deleted.name}:2,T")
        found = imported(workspace, server, "--move-to", "Rückläufer").json
        again = imported(workspace, server, "--move-to", "Rückläufer").json

        assert server.folder("INBOX") == [QUESTION]
        assert len(server.folder("R&APw-ckl&AOQ-ufer")) == COUNT
        assert (server.home / "mail/cur" / f"{deleted.name}:2,T").exists()
    assert found["counts"]["bounced"] == COUNT
    assert again["counts"] == {}
    assert settled(workspace) == {"bounced": COUNT}


@needs_dovecot
def test_marked_where_nothing_better_is_known(workspace: Path) -> None:
    """A server with neither MOVE nor UIDPLUS keeps the mails, marked as deleted: they are in
    both folders, and are not read again."""
    with Dovecot(without=("MOVE", "UIDPLUS")) as server:
        log_in(workspace, server)
        server.deliver(*bounces_of(workspace))
        imported(workspace, server, "--move-to", "done")
        RunBook(workspace / ".mailblast").change("folders", server.url(), lambda _: {})
        again = imported(workspace, server, "--move-to", "done").json

        assert server.folder("INBOX") == []
        assert len(server.folder("done")) == COUNT
        assert len(list((server.home / "mail/cur").iterdir())) == COUNT
    assert again["counts"] == {}


@needs_dovecot
def test_moved_later(workspace: Path, dovecot: Dovecot) -> None:
    """Who asks for it only at the second import gets moved what the first one read."""
    log_in(workspace, dovecot)
    dovecot.deliver(QUESTION, *bounces_of(workspace))
    imported(workspace, dovecot)
    found = imported(workspace, dovecot, "--move-to", "done").json

    assert found["counts"] == {"known": COUNT + 1}
    assert dovecot.folder("INBOX") == [QUESTION]
    assert len(dovecot.folder("done")) == COUNT


@needs_dovecot
def test_a_folder_that_was_made_anew(workspace: Path, dovecot: Dovecot) -> None:
    """Another UIDVALIDITY means other mails under the same UIDs: all are read."""
    log_in(workspace, dovecot)
    dovecot.deliver(*bounces_of(workspace))
    imported(workspace, dovecot)
    for name in (
        "dovecot-uidlist",
        "dovecot.index",
        "dovecot.index.log",
        "dovecot-uidvalidity",
    ):
        (dovecot.home / "mail" / name).unlink(missing_ok=True)
    time.sleep(1.1)  # it counts seconds
    found = imported(workspace, dovecot).json

    assert found["counts"] == {"known": COUNT}


@needs_dovecot
def test_starttls(workspace: Path, dovecot: Dovecot) -> None:
    """An imap:// address is encrypted before the password goes out."""
    log_in(workspace, dovecot)
    dovecot.deliver(*bounces_of(workspace))
    found = ok(workspace, "bounces", "import", dovecot.url(tls=False), "--json").json

    assert found["counts"]["bounced"] == COUNT
    assert ", TLS," in dovecot.log()


@needs_dovecot
def test_in_clear_text_to_this_machine(workspace: Path, dovecot: Dovecot) -> None:
    """Who says security = "none" gets it, on this machine."""
    log_in(workspace, dovecot, 'security = "none"\n')
    dovecot.deliver(*bounces_of(workspace))
    found = ok(workspace, "bounces", "import", dovecot.url(tls=False), "--json").json

    assert found["counts"]["bounced"] == COUNT
    assert ", TLS," not in dovecot.log()


@needs_dovecot
def test_explained(workspace: Path, dovecot: Dovecot) -> None:
    """`explain` reads a folder as well, each time all of it, and changes nothing."""
    log_in(workspace, dovecot)
    dovecot.deliver(*bounces_of(workspace))
    for _ in range(2):
        told = ok(workspace, "bounces", "explain", dovecot.url()).out
        assert told.count("  bounce  by:") == COUNT
    assert f"{dovecot.url()}/;UID=1" in told

    assert settled(workspace) == {"accepted": COUNT}


@needs_dovecot
def test_many(workspace: Path, dovecot: Dovecot) -> None:
    """More mails than are fetched at a time, a large one and an empty one among them."""
    log_in(workspace, dovecot)
    large = b"Subject: large\n\n" + b"x" * 70 * 1000 * 1000
    dovecot.deliver(*[QUESTION] * 150, b"Subject: mid\n\n" + b"y" * 3_000_000, large, b"")
    dovecot.deliver(*bounces_of(workspace))
    found = imported(workspace, dovecot, "--move-to", "done")

    assert found.json["counts"]["bounced"] == COUNT
    assert found.json["counts"]["unreadable"] == 1
    assert "/;UID=152: larger than 32 MB" in found.err
    assert len(dovecot.folder("INBOX")) == 153
    assert len(dovecot.folder("done")) == COUNT


# --- What goes wrong ----------------------------------------------------------------------


def refused(
    workspace: Path, server: Dovecot, said: str, *words: str, tls: bool = True
) -> Ended:
    """An import that fails with a sentence, and tells the password nowhere."""
    told = ok(workspace, "bounces", "import", server.url(tls=tls), *words, status=1)
    assert said in told.err
    assert "secret" not in told.out + told.err
    assert settled(workspace) == {"accepted": COUNT}
    return told


@needs_dovecot
def test_the_wrong_password(workspace: Path) -> None:
    """It is told, and not what it was."""
    with Dovecot("another") as server:
        log_in(workspace, server)
        refused(workspace, server, "the password was refused")


@needs_dovecot
def test_no_password(workspace: Path, dovecot: Dovecot) -> None:
    """Where it belongs is told; in the address it is refused."""
    refused(workspace, dovecot, "no password is set")
    url = dovecot.url().replace("@localhost", ":Canary5@localhost")
    told = ok(workspace, "bounces", "import", url, status=1)

    assert "does not belong in a command line" in told.err
    assert "Canary5" not in told.out + told.err


@needs_dovecot
@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "STARTTLS"])
def test_the_wrong_certificate(workspace: Path, tls: bool) -> None:
    """Of another host, or of an authority that nobody knows: no password goes out."""
    with Dovecot(names=("elsewhere.example",)) as server:
        log_in(workspace, server)
        refused(workspace, server, "the certificate is not valid", tls=tls)
        (workspace / "mailblast.toml").write_text('[imap]\npassword = { env = "HOME" }\n')
        refused(workspace, server, "the certificate is not valid", tls=tls)
        assert "method=PLAIN" not in server.log()


@needs_dovecot
def test_a_folder_that_is_not_there(workspace: Path, dovecot: Dovecot) -> None:
    """It is told."""
    log_in(workspace, dovecot)
    url = dovecot.url("Nowhere")
    told = ok(workspace, "bounces", "import", url, status=1)

    assert "the folder cannot be opened" in told.err


@needs_dovecot
def test_where_nothing_can_be_moved(workspace: Path, dovecot: Dovecot) -> None:
    """What was taken in is recorded, and the next import moves it."""
    log_in(workspace, dovecot)
    dovecot.deliver(*bounces_of(workspace))
    told = ok(
        workspace, "bounces", "import", dovecot.url(), "--move-to", "a/../b", status=1
    )
    after = dovecot.folder("INBOX")
    found = imported(workspace, dovecot, "--move-to", "done").json

    assert "nothing can be moved to a/../b" in told.err
    assert len(after) == COUNT
    assert found["counts"] == {"known": COUNT}
    assert len(dovecot.folder("done")) == COUNT
    assert settled(workspace) == {"bounced": COUNT}


def test_move_to_of_a_file(tmp_path: Path) -> None:
    """Files are not moved: the option is a mistake."""
    letter(tmp_path, "")
    told = ok(tmp_path, "bounces", "import", "inbox.mbox", "--move-to", "done", status=1)

    assert "--move-to is for an IMAP mailbox" in told.err


def test_settings_of_a_campaign(tmp_path: Path) -> None:
    """[imap] belongs to the workspace."""
    home = letter(tmp_path, "a@inbox.example,A\n")
    with (home / "campaign.toml").open("a") as file:
        file.write('[imap]\npassword = { env = "X" }\n')
    told = ok(tmp_path, "send", "letter", "--yes", status=1)

    assert "[imap] binds every campaign of the workspace" in told.err
    assert "it belongs in mailblast.toml" in told.err


# --- Killed, and together -----------------------------------------------------------------


@needs_dovecot
@pytest.mark.parametrize("moves", [("--move-to", "done"), ()], ids=["moved", "left"])
def test_killed(tmp_path: Path, moves: tuple[str, ...]) -> None:
    """Killed in the middle, again and again: nothing is lost and nothing counts twice."""
    many = 40
    where = tmp_path / "workspace"
    where.mkdir()
    bounced_from(where, many)
    with Dovecot() as server:
        log_in(where, server)
        for bounce in bounces_of(where):
            server.deliver(bounce, *[QUESTION] * 5)
        for least in (1, 15, 30):
            process = begin(where, "bounces", "import", server.url(), *moves)
            try:
                until(lambda: process.poll() is not None or entered(where) >= least)  # noqa: B023
            finally:
                process.kill()
                process.communicate()
        left = server.folder("INBOX").count(QUESTION)
        imported(where, server, *moves)

        assert left == many * 5
        assert settled(where) == {"bounced": many}
        assert look(where, "SELECT count(*) FROM events WHERE kind = 'bounced'") == [many]
        if moves:
            assert server.folder("INBOX") == [QUESTION] * many * 5
            assert sorted(server.folder("done")) == sorted(bounces_of(where))


def entered(where: Path) -> int:
    """How many mails the ledger knows."""
    (count,) = look(where, "SELECT count(*) FROM returned")
    return int(count)


@needs_dovecot
def test_two_at_once(tmp_path: Path) -> None:
    """Of two imports of one folder at the same moment one works and the other says so; in
    the end it is as if there had been one."""
    many = 30
    where = tmp_path / "workspace"
    where.mkdir()
    bounced_from(where, many)
    words = ("bounces", "import", "--move-to", "done", "--json")
    with Dovecot() as server:
        log_in(where, server)
        for bounce in bounces_of(where):
            server.deliver(bounce, QUESTION)
        both = [begin(where, *words, server.url()) for _ in range(2)]
        told = [ended(process, 120) for process in both]

        assert {status for status, _, _ in told} <= {0, 2}
        assert all("another `mailblast bounces import`" in err for s, _, err in told if s)
        assert server.folder("INBOX") == [QUESTION] * many
        assert len(server.folder("done")) == many
    assert settled(where) == {"bounced": many}


def test_who_is_not_there(tmp_path: Path) -> None:
    """A server that is not there is told with its address."""
    letter(tmp_path, "")
    (tmp_path / "mailblast.toml").write_text('[imap]\npassword = { env = "HOME" }\n')
    told = run(tmp_path, "bounces", "import", f"imaps://{USER}@localhost:9/INBOX")

    assert told.status == 1
    assert (
        "imaps://bounces%40shop.example@localhost:9/INBOX: connection refused" in told.err
    )
