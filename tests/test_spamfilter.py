"""What a spam filter thinks: two real ones, and what answers in place of one."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from campaigns import make, problem, read
from checking import facts, sample, says
from commands import SETTINGS, letter, ok, relay
from content import composed
from spamfilters import GTUBE, rspamd, spamd

from mailblast.campaign.declared import SpamFilter
from mailblast.check.facts import Messages, Sample, Score, SpamScores, Symbol
from mailblast.errors import Refusal
from mailblast.spamfilter import MAX_ANSWER, scores

RULE = "MSG-SPAM-SCORE"


# --- The rule -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "points", "expected"),
    [
        ("ham", 0.1, "pass"),
        ("ham", 2.4, "pass"),
        ("ham", 2.5, "warn"),
        ("spam", 5.0, "fail"),
        ("no action", 3.9, "pass"),
        ("greylist", 4.5, "warn"),
        ("soft reject", 1.0, "warn"),
        ("add header", 6.5, "fail"),
        ("reject", 16.0, "fail"),
    ],
)
def test_the_rule(action, points, expected):
    """Spam to it is a fault, and near to it a warning; the symbols that weigh most are named."""
    symbols = (
        Symbol("LIGHT", 0.1, "hardly anything"),
        Symbol("HEAVY", 2.0, "a lot"),
        Symbol("GOOD", -1.0, "in its favour"),
    )
    score = Score("row 1 (first row)", points, 5.0, action, symbols)
    found = says(
        RULE, facts(None, SpamScores("rspamd at x", False, (score,))), "bulk-senders"
    )

    assert found.status == expected
    if expected != "pass":
        assert f"{points:g} of 5 points (HEAVY 2, LIGHT 0.1)" in found.message
        assert found.evidence == "row 1 (first row): a lot; hardly anything"


def test_that_messages_left_is_said():
    """A filter elsewhere has seen them, whatever it thought."""
    score = Score("row 1 (first row)", 1.0, 5.0, "ham", ())
    there = SpamScores("rspamd at scan.example:11333", True, (score,))

    assert says(RULE, facts(None, there), "bulk-senders").evidence.endswith(
        "; the messages left this machine"
    )


def test_nobody_is_asked():
    """Without a filter nothing was looked at."""
    assert says(RULE, facts(None, object()), "bulk-senders").status == "skip"


# --- The setting --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rspamd://127.0.0.1:11333", "rspamd at 127.0.0.1:11333"),
        ("rspamd://localhost", "rspamd at localhost:11333"),
        ("spamassassin://[::1]", "spamassassin at [::1]:783"),
        ("spamassassin:///run/spamd.sock", "spamassassin at /run/spamd.sock"),
        ("rspamd://scan.example:9", "rspamd at scan.example:9"),
    ],
)
def test_where_it_is(tmp_path, text, expected):
    """A host and port, the usual port, or a Unix socket."""
    home = make(tmp_path / "letter")

    assert str(read(home, f'[check]\nspam = "{text}"\n').declared.spam) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://127.0.0.1:1",
            "rspamd",
            "rspamd://",
            "rspamd://a:b@c",
            "rspamd://a:99999",
        ),
        *("rspamd://a/b", "rspamd://a b", "rspamd://-x-"),
    ],
)
def test_what_is_no_place(tmp_path, text):
    """The sentence says what it must be."""
    home = make(tmp_path / "letter")

    assert "the place of a spam filter" in problem(home, f'[check]\nspam = "{text}"\n')


# --- Real ones ----------------------------------------------------------------------------


def spam(messages: Messages) -> list[Sample]:
    """The same messages with the line that every filter knows."""
    text = GTUBE.encode()
    return [
        sample(content=one.content.replace(b"Everything that is new <", text + b" <", 1))
        for one in messages.samples
    ]


def test_rspamd():
    """It takes good messages for good, and GTUBE for spam; by TCP and by a Unix socket."""
    with rspamd() as places:
        for place in places:
            good = scores(place, composed().samples)
            assert isinstance(good, SpamScores), good
            assert [one.action for one in good.scores] == ["no action"] * 2
            assert all(one.symbols for one in good.scores)
            bad = scores(place, spam(composed())[:1])
            assert isinstance(bad, SpamScores), bad
            assert bad.scores[0].action == "reject"
            assert "GTUBE" in {one.name for one in bad.scores[0].symbols}
            assert not bad.elsewhere


def test_spamassassin():
    """It takes good messages for ham, and GTUBE for spam."""
    with spamd() as place:
        good = scores(place, composed().samples)
        assert isinstance(good, SpamScores), good
        assert [one.action for one in good.scores] == ["ham"] * 2
        bad = scores(place, spam(composed())[:1])
        assert isinstance(bad, SpamScores), bad
        assert (bad.scores[0].action, bad.scores[0].limit) == ("spam", 5.0)
        heaviest = max(bad.scores[0].symbols, key=lambda one: one.points)
        assert (heaviest.name, heaviest.points) == ("GTUBE", 1000.0)
        assert heaviest.says


# --- What answers in place of one ---------------------------------------------------------


@contextmanager
def answering(*chunks: bytes, pause: float = 0.0) -> Iterator[int]:
    """A server that reads a request and answers with these pieces."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65536)
                        for chunk in chunks:
                            time.sleep(pause)
                            connection.sendall(chunk)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


GOOD = {"score": 1, "required_score": 15, "action": "no action", "symbols": {}}


def http(body: object, status: str = "200 OK") -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{text}".encode()


def said(kind: str, *chunks: bytes, **more: float) -> SpamScores | Refusal:
    with answering(*chunks, **more) as port:
        seconds = 1.0 if more else 20.0
        return scores(
            SpamFilter(kind, "127.0.0.1", port, ""),
            [sample(content=b"A: b\r\n\r\nc\r\n")],
            seconds,
        )


def test_a_good_answer():
    """Both protocols, in the fewest words."""
    assert isinstance(said("rspamd", http(GOOD)), SpamScores)
    found = said(
        "spamassassin",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1.2 / 5.0\r\n\r\n",
        b" pts rule name  description\n---- ----\n 0.7 HTML_IMAGE_ONLY_28 Few words\n"
        b"-0.1 DKIM_VALID Valid\n* 1.0 ANOTHER In the other form\n nonsense\n",
    )
    assert isinstance(found, SpamScores)
    assert found.scores[0].symbols == (
        Symbol("HTML_IMAGE_ONLY_28", 0.7, "Few words"),
        Symbol("DKIM_VALID", -0.1, "Valid"),
        Symbol("ANOTHER", 1.0, "In the other form"),
    )


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        ("rspamd", b"", "no answer that can be read"),
        ("rspamd", b"220 mx.example ESMTP\r\n", "no answer that can be read: '220 mx"),
        ("rspamd", http("<html>"), "no answer that can be read"),
        ("rspamd", http("[" * 100_000), "no answer that can be read"),
        ("rspamd", http([]), "no answer that can be read"),
        ("rspamd", http({**GOOD, "score": "1"}), "no answer that can be read"),
        ("rspamd", http({**GOOD, "score": True}), "no answer that can be read"),
        ("rspamd", http('{"score": NaN}'), "no answer that can be read"),
        ("rspamd", http({**GOOD, "score": float("inf")}), "no answer that can be read"),
        ("rspamd", http({**GOOD, "action": "\x1b[2J"}), "no answer that can be read"),
        ("rspamd", http({**GOOD, "symbols": {"A": 1}}), "no answer that can be read"),
        ("rspamd", http({**GOOD, "symbols": []}), "no answer that can be read"),
        ("rspamd", http({**GOOD, "is_skipped": True}), "set up to skip"),
        ("rspamd", http(GOOD, "403 Forbidden"), "refused: HTTP status 403"),
        ("rspamd", b"x" * (MAX_ANSWER + 2), "an answer of more than"),
        ("spamassassin", http(GOOD), "no answer that can be read"),
        (
            "spamassassin",
            b"SPAMD/1.1 76 Bad \x1b[2Jheader\r\n\r\n",
            "refused: Bad \\x1b[2Jheader",
        ),
        ("spamassassin", b"SPAMD/1.1 0 EX_OK\r\n\r\n", "no answer that can be read"),
        ("spamassassin", b"SPAMD/1.1 0 OK\r\nSpam: True ; 1.1.1 / 5\r\n\r\n", "no answer"),
    ],
)
def test_what_is_no_answer(kind, answer, expected):
    """Then nothing was looked at, and the reason stands in a line that is safe to show."""
    found = said(kind, answer)

    assert isinstance(found, Refusal)
    assert str(found).startswith(f"{kind} at 127.0.0.1:")
    assert expected in str(found)
    assert str(found).isprintable()


def test_hostile_words():
    """What it says of itself is bounded, and changes no screen."""
    symbol = {"name": "A\x1b[31m" + "B" * 500, "score": 1.0, "description": "C\n\x07" * 500}
    found = said("rspamd", http({**GOOD, "symbols": {"A": symbol}}))

    assert isinstance(found, SpamScores)
    (only,) = found.scores[0].symbols
    assert only.name.isprintable()
    assert only.says.isprintable()
    assert len(only.name) <= 60
    assert len(only.says) <= 120


def test_who_drips_is_not_waited_for():
    """The limit is that of the whole answer, not of each octet."""
    found = said("rspamd", *(b"x" for _ in range(600)), pause=0.1)

    assert "no answer in time" in str(found)


def test_nobody_listens():
    """Neither at the port nor behind the socket."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    for place in (
        SpamFilter("rspamd", "127.0.0.1", port, ""),
        SpamFilter("rspamd", "", 0, "/nowhere/socket"),
    ):
        found = scores(place, [sample()])
        assert isinstance(found, Refusal)
        assert str(place) in str(found)


# --- The command --------------------------------------------------------------------------


def test_check_asks_it(tmp_path: Path) -> None:
    """What it says of the messages stands among the findings, and keeps them from leaving."""
    symbols = {"BAD_WORDS": {"name": "BAD_WORDS", "score": 9.5, "description": "Bad words"}}
    bad = {**GOOD, "score": 9.5, "action": "add header", "symbols": symbols}
    with answering(http(bad)) as port:
        asking = f'[check]\nspam = "rspamd://127.0.0.1:{port}"\n'
        toml = SETTINGS.replace("[check]\n", asking) + relay(9, 1)
        letter(tmp_path, "ann@inbox.example,Ann\n", campaign_toml=toml)
        done = ok(tmp_path, "check", "letter", "--json", status=4)
        sent = ok(tmp_path, "send", "letter", "--yes", status=4)

    (found,) = [one for one in done.json["findings"] if one["id"] == RULE]
    assert found["status"] == "fail"
    assert 'spam ("add header"): 9.5 of 15 points (BAD_WORDS 9.5)' in found["message"]
    assert RULE in sent.err
