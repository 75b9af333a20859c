"""The body of a message, as Python's `email` takes it apart: lines, encodings, parts."""

import email
import re
from collections.abc import Iterator
from email import policy
from email.message import Message
from urllib.parse import unquote

from mailblast.check import each
from mailblast.check.facts import Sample
from mailblast.check.finding import Verdict, failed
from mailblast.check.header import values
from mailblast.check.pack import Check

MAX_LINE = 998  # octets, without CRLF (RFC 5322 §2.1.1)
MAX_QP_LINE = 76  # RFC 2045 §6.7 (5)
MAX_BOUNDARY = 70  # RFC 2046 §5.1.1
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_QP = re.compile(rb"(?:[\t !-<>-~]|=[0-9A-F]{2})*=?")
_ENCODINGS = frozenset(("7bit", "8bit", "quoted-printable", "base64"))
_CID = re.compile(r"""\bcid:([^\s"'<>)]+)""", re.IGNORECASE)


def lines(sample: Sample) -> Iterator[Verdict]:
    """MSG-LINELEN: no line longer than SMTP takes."""
    for number, line in enumerate(sample.content.split(b"\r\n"), 1):
        if len(line) > MAX_LINE:
            yield failed("", n=number, len=len(line))
            return


def line_ends(sample: Sample) -> Iterator[Verdict]:
    """MSG-CRLF: lines end in CRLF, and CR and LF stand nowhere else."""
    if found := _BARE.search(sample.content):
        yield failed("", which="LF" if found[0] == b"\n" else "CR", n=found.start())


def seven_bit(sample: Sample) -> Iterator[Verdict]:
    """MSG-7BIT: the body is ASCII, so that no server writes it anew."""
    body = sample.content.partition(b"\r\n\r\n")[2]
    if not body.isascii():
        yield failed(f"{sum(octet > 127 for octet in body):,} octets outside ASCII")


def structure(sample: Sample) -> Iterator[Verdict]:
    """MSG-MIME: as RFC 2045 and 2046 have it."""
    for defect in dict.fromkeys(_defects(sample)):
        yield failed("", defect=defect)


def _defects(sample: Sample) -> Iterator[str]:
    if values(sample, "MIME-Version") != ["1.0"]:
        yield "there is no MIME-Version: 1.0"
    message = email.message_from_bytes(sample.content, policy=policy.compat32)
    boundaries: list[str] = []
    for part in message.walk():
        if part.get_content_maintype() == "multipart":
            boundary = part.get_boundary() or ""
            boundaries.append(boundary)
            yield from _multipart(part, boundary, sample.content)
        elif not part.is_multipart():  # a message within is walked through itself
            yield from _leaf(part)
        yield from (f"{part.get_content_type()}: {_words(one)}" for one in part.defects)
    for number, one in enumerate(boundaries):
        if any(other.startswith(one) for other in boundaries[number + 1 :]):
            yield f"the boundary {one} begins another"
    yield from _dangling(message, sample.html or "")


def _words(defect: object) -> str:
    """StartBoundaryNotFoundDefect: start boundary not found."""
    name = type(defect).__name__.removesuffix("Defect")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def _multipart(part: "Message[str, str]", boundary: str, content: bytes) -> Iterator[str]:
    kind = part.get_content_type()
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        yield f"{kind}: a boundary of {len(boundary)} characters"
        return
    if not part.is_multipart():
        return  # what is wrong with it is among the defects
    if str(part.get("Content-Transfer-Encoding", "7bit")).lower() not in ("7bit", "8bit"):
        yield f"{kind} is encoded as a whole"
    inside = [one for one in part.get_payload() if isinstance(one, Message)]
    delimiter = re.escape(b"--" + boundary.encode("ascii", "replace"))
    if len(re.findall(rb"(?m)^" + delimiter, content)) != len(inside) + 1:
        yield f"{kind}: its boundary stands in a part"
    kinds = [one.get_content_type() for one in inside]
    # RFC 2046 §5.1.4: the plainest first; the last that a reader can show is shown.
    if kind == "multipart/alternative" and kinds[:1] != ["text/plain"]:
        yield f"{kind} begins with {kinds[0] if kinds else 'nothing'}"


def _leaf(part: "Message[str, str]") -> Iterator[str]:
    kind = part.get_content_type()
    encoding = str(part.get("Content-Transfer-Encoding", "7bit")).strip().lower()
    if encoding not in _ENCODINGS:
        yield f"{kind}: the encoding {encoding[:40]}"
        return
    raw = part.get_payload(decode=False)
    octets = part.get_payload(decode=True)  # notes its defects at the part
    if not isinstance(octets, bytes):
        return  # it has parts, which are looked at by themselves
    if encoding == "quoted-printable":
        yield from _quoted(kind, str(raw).encode("ascii", "surrogateescape"))
    if part.get_content_maintype() == "text":
        yield from _charset(part, kind, octets)


def _quoted(kind: str, raw: bytes) -> Iterator[str]:
    for line in raw.splitlines():
        if not _QP.fullmatch(line) or line.endswith((b" ", b"\t")):
            yield f"{kind}: a line is no quoted-printable"
            return
        if len(line) > MAX_QP_LINE:
            yield f"{kind}: a quoted-printable line of {len(line)} octets"
            return


def _charset(part: "Message[str, str]", kind: str, octets: bytes) -> Iterator[str]:
    charset = part.get_content_charset()
    if charset is None:
        yield f"{kind} declares no charset"
        return
    try:
        octets.decode(charset)
    except LookupError:
        yield f"{kind}: the charset {charset[:40]} is unknown"
    except UnicodeDecodeError:
        yield f"{kind} is not in {charset}"


def _dangling(message: "Message[str, str]", html: str) -> Iterator[str]:
    """Parts that the HTML refers to (RFC 2392) and that are not there."""
    there = {str(part.get("Content-ID", "")).strip("<> ") for part in message.walk()}
    for name in dict.fromkeys(_CID.findall(html)):
        if unquote(name) not in there:
            yield f"cid:{name} is no part of the message"


CHECKS: dict[str, Check] = {
    "MSG-LINELEN": each.message(lines),
    "MSG-CRLF": each.message(line_ends),
    "MSG-7BIT": each.message(seven_bit),
    "MSG-MIME": each.message(structure),
}
