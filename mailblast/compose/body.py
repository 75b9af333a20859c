"""Text made fit for the way: CRLF, lines of bounded length, seven bits.

RFC 5322 §2.1.1 and §2.3, RFC 2045 §6.7 and §6.8.  Eight bits are never sent: a server that
has to convert them breaks the signature (RFC 6376 §5.3).
"""

import binascii
import re
from functools import lru_cache

_SEVEN_BIT = re.compile(r"[\t\n -~]*")
REMEMBERED = 500  # characters of a line that is kept in memory with its encoding


def normalised(text: str) -> str:
    r"""Lines end in `\n`, the last one too, and no empty ones stand behind it.

    A lone CR ends a line, as some servers will have it; U+2028 and the like do not, though
    `str.splitlines` would say so.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip("\n") + "\n"


def encode(text: str) -> tuple[str, bytes]:
    """The Content-Transfer-Encoding for a text, and the text in it, with CRLF.

    7bit where nobody on the way could want to change it, else quoted-printable, or base64
    where that is shorter.
    """
    text = normalised(text)
    lines = text.split("\n")
    longest = max(map(len, lines))
    quoted = b"\r\n".join(map(_remembered if longest <= REMEMBERED else _line, lines))
    if text.isascii():
        plain = len(quoted) == len(text) + len(lines) - 1  # nothing had to be quoted
        if plain or (longest <= 78 and _is_seven_bit(text)):
            return "7bit", text.replace("\n", "\r\n").encode()
        return "quoted-printable", quoted
    raw = text.replace("\n", "\r\n").encode()
    if len(quoted) > len(raw) * 4 // 3 + len(raw) // 57:
        return "base64", base64_lines(raw)
    return "quoted-printable", quoted


def _is_seven_bit(text: str) -> bool:
    """Whether a text of short lines could go as it is."""
    return not (
        "=_" in text  # our boundaries begin so: nothing in a body may look like one
        or " \n" in text
        or "\t\n" in text
        or text.startswith("From ")
        or "\nFrom " in text
        or not _SEVEN_BIT.fullmatch(text)
    )


def _quoted_printable(line: str) -> bytes:
    # b2a_qp breaks lines as the first line of its input ends: so it is given a CRLF.
    encoded = binascii.b2a_qp(f"{line}\r\n".encode(), istext=True)[:-2]
    if encoded.startswith(b"From ") or b"\nFrom " in encoded:
        # mbox files take such a line for the start of the next message, and programs that
        # keep them put a ">" before it.  Broken after the F, no line grows beyond 76.
        encoded = re.sub(rb"(?m)^From ", rb"=46=\r\nrom ", encoded)
    return encoded


# Most lines of a message are the same for all recipients.
_remembered = lru_cache(maxsize=4096)(_quoted_printable)


def _line(line: str) -> bytes:
    return _remembered(line) if len(line) <= REMEMBERED else _quoted_printable(line)


def base64_lines(raw: bytes) -> bytes:
    """Base64 in lines of 76, each with its CRLF; one empty line for nothing."""
    lines = [
        binascii.b2a_base64(raw[i : i + 57], newline=False) for i in range(0, len(raw), 57)
    ]
    return b"\r\n".join(lines) + b"\r\n"
