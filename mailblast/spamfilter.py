"""Asking a spam filter that runs already: rspamd by HTTP, SpamAssassin's spamd by SPAMC.

Both are asked alike: one connection a message, the request, the answer to its end, within a
limit of time and one of size.  What answers may be anything; whatever is no answer of the
protocol is a `Refusal`, and then nothing was looked at.

SPAMC is spamd/PROTOCOL of SpamAssassin's source; rspamd's is its "Protocol" page: a POST of the
message to /checkv2, and JSON for an answer.
"""

import json
import math
import re
import socket
import time
from collections.abc import Sequence
from typing import Any

from mailblast.campaign.checks import is_loopback
from mailblast.campaign.declared import SpamFilter
from mailblast.check.facts import Sample, Score, SpamScores, Symbol
from mailblast.errors import Refusal
from mailblast.smtp.reply import printable

SECONDS = 20.0  # for each message; with its network tests on, spamd takes some
TOTAL = 60.0  # for all of them
MAX_ANSWER = 1_000_000  # octets
MAX_SYMBOLS = 500

_HTTP = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")
_SPAMD = re.compile(rb"SPAMD/[\d.]+ (\d+) ([^\r\n]*)\r\n")
_VERDICT = re.compile(
    rb"^Spam: (True|Yes|False|No) ; (-?[\d.]{1,20}) / (-?[\d.]{1,20})\r?$", re.MULTILINE
)
_LINE = re.compile(
    r"^\*?\s*(-?\d{1,4}(?:\.\d+)?)\s+([A-Z][A-Z0-9_]+)\s+(.*)$", re.MULTILINE
)
_ACTIONS = frozenset((
    *("no action", "greylist", "add header", "rewrite subject", "soft reject", "reject"),
    *("quarantine", "discard"),
))  # fmt: skip


def scores(
    where: SpamFilter, samples: Sequence[Sample], seconds: float = SECONDS
) -> SpamScores | Refusal:
    """What it thinks of each; a Refusal that says why, if it does not say so of all."""
    end = time.monotonic() + TOTAL
    found: list[Score] = []
    for sample in samples:
        until = min(end, time.monotonic() + seconds)
        answer = _exchange(where, _request(where, sample), until)
        score = answer if isinstance(answer, Refusal) else _score(where, sample, answer)
        if isinstance(score, Refusal):
            return Refusal(f"{where}: {score}")
        found.append(score)
    return SpamScores(str(where), not (where.path or is_loopback(where.host)), tuple(found))


def _request(where: SpamFilter, sample: Sample) -> bytes:
    size = len(sample.content)
    if where.kind == "spamassassin":
        lines = ["REPORT SPAMC/1.5", f"Content-length: {size}"]
    else:
        # HTTP/1.0: the answer comes in one piece, and the connection ends with it.
        lines = ["POST /checkv2 HTTP/1.0", f"Content-Length: {size}"]
        # There was no connection to judge, and a client without a name costs points.
        lines += ["Hostname: mail.invalid"]
    return "\r\n".join((*lines, "", "")).encode("ascii") + sample.content


def _exchange(where: SpamFilter, request: bytes, until: float) -> bytes | Refusal:
    """The answer, to the end of the connection."""
    try:
        with _connected(where, until) as connection:
            connection.settimeout(_left(until))
            connection.sendall(request)
            answer = bytearray()
            while len(answer) <= MAX_ANSWER:
                connection.settimeout(_left(until))
                if not (data := connection.recv(65536)):
                    return bytes(answer)
                answer += data
    except TimeoutError:
        return Refusal("no answer in time")
    except OSError as error:
        return Refusal(error.strerror or str(error))
    return Refusal(f"an answer of more than {MAX_ANSWER:,} octets")


def _connected(where: SpamFilter, until: float) -> socket.socket:
    if not where.path:
        return socket.create_connection((where.host, where.port), _left(until))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_left(until))
        connection.connect(where.path)
    except BaseException:
        connection.close()
        raise
    return connection


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _score(where: SpamFilter, sample: Sample, answer: bytes) -> Score | Refusal:
    read = _of_spamd if where.kind == "spamassassin" else _of_rspamd
    try:
        return read(sample.name, answer)
    except (KeyError, TypeError, ValueError, RecursionError):
        return Refusal(f"no answer that can be read: {printable(answer[:60])!r}")


def _of_spamd(message: str, answer: bytes) -> Score | Refusal:
    """What spamd answers to REPORT; raises ValueError for what is none."""
    status = _SPAMD.match(answer)
    if status is None:
        raise ValueError
    if status[1] != b"0":
        return Refusal(f"refused: {printable(status[2])[:80]}")
    head, _, report = answer.partition(b"\r\n\r\n")
    verdict = _VERDICT.search(head)
    if verdict is None:
        raise ValueError
    lines = _LINE.findall(report.decode("utf-8", "replace"))[:MAX_SYMBOLS]
    return Score(
        message,
        _number(float(verdict[2])),
        _number(float(verdict[3])),
        "spam" if verdict[1] in (b"True", b"Yes") else "ham",
        tuple(
            Symbol(name[:60], float(points), _said(says)) for points, name, says in lines
        ),
    )


def _of_rspamd(message: str, answer: bytes) -> Score | Refusal:
    """What rspamd answers to /checkv2; raises ValueError or the like for what is none."""
    status = _HTTP.match(answer)
    if status is None:
        raise ValueError
    if status[1] != b"200":
        return Refusal(f"refused: HTTP status {status[1].decode()}")
    said = _table(json.loads(answer.partition(b"\r\n\r\n")[2]))
    # GTUBE is refused with the rest skipped; that is an answer.
    if said.get("is_skipped") and said["action"] == "no action":
        return Refusal("it is set up to skip such messages")
    if said["action"] not in _ACTIONS:
        raise ValueError
    symbols = [_symbol(one) for one in list(_table(said["symbols"]).values())[:MAX_SYMBOLS]]
    points, limit = _number(said["score"]), _number(said["required_score"])
    return Score(message, points, limit, said["action"], tuple(symbols))


def _table(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise TypeError
    return given


def _symbol(given: object) -> Symbol:
    given = _table(given)
    name, says = given["name"], given.get("description", "")
    if not isinstance(name, str) or not isinstance(says, str):
        raise TypeError
    return Symbol(_said(name)[:60], _number(given["score"]), _said(says))


def _number(given: object) -> float:
    if (
        isinstance(given, bool)
        or not isinstance(given, int | float)
        or not math.isfinite(given)
    ):
        raise ValueError
    return round(float(given), 2)


def _said(text: str) -> str:
    return " ".join(printable(text).split())[:120]
