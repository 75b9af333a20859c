"""An IMAP server that breaks off, lies, or wants the password: on a real socket."""

import base64
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from came_back import bounced_from, bounces_of
from commands import letter, ok, run, the_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lying_imap import LyingImap, drip, endless

from mailblast import imap
from mailblast.errors import Refusal, UserError
from mailblast.ledger import Ledger
from mailblast.mailbox import Mail

CANARY = "Canary-5ecret?~"
ENCODED = base64.b64encode(f"\0anna\0{CANARY}".encode()).decode()
MESSAGES = {uid: b"Subject: %d\r\n\r\nx\r\n" % uid for uid in (3, 5, 8)}


def look(server: LyingImap, seconds: float = 20.0, *, starttls: bool = False) -> list[Any]:
    """All that is in the folder."""
    address = imap.parse(server.url())
    assert isinstance(address, imap.Address)
    login = imap.Login(CANARY, starttls=starttls, seconds=seconds)
    with imap.Folder(address, login) as folder:
        return list(folder)


def test_properly() -> None:
    """A server that tells no lies is read, so what follows is because of the lies."""
    with LyingImap(MESSAGES) as server:
        found = look(server)

    assert [mail.content for mail in found] == [
        b"Subject: %d\n\nx\n" % n for n in (3, 5, 8)
    ]
    assert found[0].source == f"{server.url()}/;UID=3"
    assert ENCODED.encode() in server.record


def test_only_the_old_way_to_log_in() -> None:
    """Without AUTH=PLAIN it is the command LOGIN, unless the server will not have that."""
    old = {"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\nTAG OK x\r\n"}
    with LyingImap(MESSAGES, old) as server:
        assert len(look(server)) == 3
        assert b'LOGIN "anna" "' in server.record
    none = {"CAPABILITY": b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK x\r\n"}
    with LyingImap(MESSAGES, none) as server:
        with pytest.raises(UserError, match="no way to log in"):
            look(server)
        assert CANARY.encode() not in server.record


STEPS = (
    *("connect", "CAPABILITY", "AUTHENTICATE", "SELECT", "SEARCH", "SIZES", "FETCH"),
    "LOGOUT",
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "lie",
    [
        None,
        b"* BYE no more\r\n",
        b"\x00\xff\xfe garbage\r\n",
        b"TAG OK\r\n",
        b"A1 OK not yours\r\n",
        b"* 1 FETCH (UID 3 BODY[] {99999999999999999999}\r\n",
        b"* 1 FETCH (UID 3 BODY[] {1000000000}\r\nx",
        b"* SEARCH 4294967296 99999999999999999999 x -1\r\nTAG OK\r\n",
        b"* OK [UIDVALIDITY 99999999999999999999999]\r\n* 3 EXISTS\r\nTAG OK x\r\n",
        b"* 4294967295 EXISTS\r\nTAG OK x\r\n",
        b"+ more\r\n" * 10 + b"TAG BAD x\r\n",
        b"TAG NO " + f"{CANARY} {ENCODED}".encode() + b"\r\n",
    ],
    ids=[
        *("closed", "bye", "garbage", "nothing", "another's", "a huge literal"),
        *("a long literal", "odd uids", "odd validity", "many", "challenges", "echo"),
    ],
)
def test_lies(step: str, lie: bytes | None) -> None:
    """Each lie at each step: some mails, or a sentence; soon, and without the password."""
    with LyingImap(MESSAGES, {step: lie}) as server:
        said = told(server)

    assert CANARY not in said
    assert ENCODED not in said


def told(server: LyingImap) -> str:
    """All that an error has in it; without one some mails were read."""
    try:
        found = look(server, seconds=2.0)
    except UserError as error:
        return f"{error} {error.hint} {error.__cause__!r} {error.__context__!r}"
    assert all(isinstance(one, Mail | Refusal) for one in found)
    return " ".join(map(str, found))


@pytest.mark.parametrize("step", ["connect", "AUTHENTICATE", "SELECT", "FETCH"])
@pytest.mark.parametrize(
    "piece", [b"x" * 65536, b"* 1 FETCH (UID 3 FLAGS ())\r\n" * 2000], ids=["line", "lines"]
)
def test_endless(step: str, piece: bytes) -> None:
    """An answer without an end is no answer, and is not kept."""
    with LyingImap(MESSAGES, {step: endless(piece)}) as server:
        tracemalloc.start()
        with pytest.raises(UserError, match=r"more than|no answer within|1 FETCH"):
            look(server, seconds=10.0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 60_000_000


@pytest.mark.parametrize("step", ["connect", "CAPABILITY", "AUTHENTICATE", "FETCH"])
def test_slow(step: str) -> None:
    """Whoever sends an octet now and then holds nobody up: an answer has its time."""
    with LyingImap(MESSAGES, {step: drip()}) as server:
        began = time.monotonic()
        with pytest.raises(UserError, match="no answer within 2 s"):
            look(server, seconds=2.0)

    assert time.monotonic() - began < 60


def test_more_than_it_said() -> None:
    """A message far larger than its size is not taken; nor is the memory."""
    size = {"SIZES": b"* 1 FETCH (UID 3 RFC822.SIZE 100)\r\nTAG OK x\r\n"}
    with LyingImap({3: b"x" * 33_600_000}, size) as server:
        (found,) = look(server)
    assert isinstance(found, Refusal)
    assert "larger than 32 MB" in found.why

    server = LyingImap({3: b"x" * 60_000_000}, size)
    with server, pytest.raises(UserError, match="more than it was asked for"):
        look(server)


def test_one_that_it_cannot_give() -> None:
    """A message that the server cannot give is told, and the others are read."""

    def most(wire: Any, tag: bytes) -> None:
        asked = bytes(server.record).splitlines()[-1].split()[3]
        if b"5" in asked.split(b","):
            wire.sendall(tag + b" NO it could not be converted\r\n")
        else:
            wire.sendall(
                b"* 1 FETCH (BODY[]<0> {3}\r\nx\r\n UID %s)\r\n%s OK x\r\n" % (asked, tag)
            )

    with LyingImap(MESSAGES, {"FETCH": most}) as server:
        first, second, third = look(server)

    assert (first.content, third.content) == (b"x\n", b"x\n")
    assert "/;UID=5: the server does not give it: it could not be converted" in second.why


@pytest.mark.parametrize(
    "script",
    [
        {"STARTTLS": b"TAG BAD unknown\r\n"},
        {"STARTTLS": b"TAG NO not now\r\n"},
        {"STARTTLS": None},
        {"STARTTLS": b"TAG OK go\r\n* PREAUTH injected\r\n"},
        {"connect": b"* PREAUTH welcome\r\n"},
    ],
    ids=["unknown", "no", "closed", "injected", "PREAUTH"],
)
def test_no_clear_text(script: dict[str, Any]) -> None:
    """Whoever takes STARTTLS away gets no password, and neither does who answers too much."""
    with LyingImap(MESSAGES, script) as server:
        with pytest.raises(UserError, match=r"STARTTLS|closed|before TLS"):
            look(server, starttls=True)

        assert "AUTHENTICATE" not in server.commands
        assert "LOGIN" not in server.commands
        assert ENCODED.encode() not in server.record


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    step=st.sampled_from(STEPS),
    answer=st.lists(
        st.sampled_from(
            [
                *(b"* ", b"TAG ", b"+ ", b"OK ", b"NO ", b"BAD ", b"1 FETCH (", b"UID 3 "),
                *(b"BODY[]<0> ", b"RFC822.SIZE 5", b"{5}\r\n", b"{0}\r\n", b"{}", b'"x"'),
                *(
                    b"NIL",
                    b")",
                    b"[UIDVALIDITY ",
                    b"7] ",
                    b"SEARCH 3 5",
                    b"EXISTS",
                    b"\r\n",
                ),
            ]
        )
        | st.binary(max_size=6),
        max_size=14,
    ).map(b"".join),
)
def test_any_answer(step: str, answer: bytes) -> None:
    """Whatever comes, it is some mails or a `UserError`."""
    server = LyingImap(MESSAGES, {step: answer + b"\r\nTAG BAD x\r\n* BYE\r\n"})
    with server, suppress(UserError):
        look(server, seconds=1.0)


def test_settled_in_another_order(tmp_path: Path) -> None:
    """A mail that is known is settled before those that came before it; where it breaks off
    then, what was not settled is read the next time, and nothing of it was moved."""
    ledger = Ledger(tmp_path)
    with LyingImap(MESSAGES) as server:
        address = imap.parse(server.url())
        assert isinstance(address, imap.Address)
        login = imap.Login(CANARY, starttls=False)
        with imap.Folder(address, login, ledger, "done") as folder:
            mails = list(folder)
            folder.settled(mails[2], used=True)
            folder.settled(mails[0], used=False)
        assert list(server.moved) == [8]
        with imap.Folder(address, login, ledger, "done") as folder:
            (left,) = folder
    ledger.close()

    assert left == mails[1]


# --- The command --------------------------------------------------------------------------


def login(where: Path) -> None:
    """Settings for this server, with the password in a file outside of the workspace."""
    secret = where.parent / "password"
    secret.write_text(f"{CANARY}\n")
    secret.chmod(0o600)
    (where / "mailblast.toml").write_text(
        f'[imap]\nsecurity = "none"\npassword = {{ file = "{secret}" }}\n'
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with the password of the mailbox."""
    where = tmp_path / "workspace"
    where.mkdir()
    letter(where, "a@inbox.example,A\n")
    login(where)
    return where


@pytest.mark.parametrize("step", ["AUTHENTICATE", "SELECT", "FETCH", "MOVE"])
def test_the_password_is_told_nowhere(workspace: Path, step: str) -> None:
    """The server echoes it, at whatever step: it is in no output and in no file."""
    echo = b"TAG NO what is " + f"{CANARY} or {ENCODED}".encode() + b"\r\n"
    with LyingImap(MESSAGES, {step: echo}) as server:
        words = ("bounces", "import", server.url(), "--move-to", "done")
        one, two = run(workspace, *words), run(workspace, *words, "--json")

    texts = [one.out, one.err, two.out, two.err]
    texts += [
        path.read_bytes().decode("latin-1")
        for path in workspace.rglob("*")
        if path.is_file()
    ]
    assert not any(CANARY in text or ENCODED in text for text in texts)


def test_broken_off_before_the_move(tmp_path: Path) -> None:
    """The line breaks when everything is recorded and nothing is moved: the next import
    changes nothing but the folder."""
    where = tmp_path / "workspace"
    where.mkdir()
    bounced_from(where, 3)
    login(where)
    messages = dict(enumerate(bounces_of(where), 1))
    with LyingImap(messages, {"MOVE": None}) as server:
        words = ("bounces", "import", server.url(), "--move-to", "done")
        broken = ok(where, *words, status=1)
        before = the_run(where)["dispositions"]
        assert server.moved == {}
        del server.script["MOVE"]
        found = ok(where, *words, "--json").json

        assert server.messages == {}
        assert server.moved == messages
    assert "the server closed the connection" in broken.err
    assert "goes on from there" in broken.err
    assert before == the_run(where)["dispositions"] == {"bounced": 3}
    assert found["counts"] == {"known": 3}
