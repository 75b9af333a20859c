"""MIME: which parts a message has, and how they are put into one another (RFC 2046).

    mixed
      alternative
        text/plain
        related (RFC 2387)
          text/html
          images
      attachments

A level with only one part in it is left out.
"""

import hashlib
from collections.abc import Sequence

from mailblast.compose.body import encode

Part = tuple[list[tuple[str, bytes]], bytes]  # its Content-* fields, and its body


class Structure:
    """How the messages of one run are put together; the same boundaries in all of them."""

    def __init__(
        self, run: str, images: Sequence[bytes], attachments: Sequence[bytes]
    ) -> None:
        """`images` and `attachments` are whole parts, those that every message has."""
        self._images = list(images)
        self._attachments = list(attachments)
        # "=_" is what neither quoted-printable nor base64 can write (RFC 2045 §6.7), and
        # what has it is not sent as 7bit: so a boundary never occurs in a part.
        self._stem = "=_" + hashlib.sha256(run.encode()).hexdigest()[:24]

    def message(self, text: str, html: str | None, more: Sequence[bytes]) -> Part:
        """The Content-* fields of a message, and its body.

        `more` are whole parts: the attachments of this recipient alone.
        """
        part = _text("plain", text)
        if html is not None:
            shown = _text("html", html)
            if self._images:
                parts = [_whole(shown), *self._images]
                shown = self._multipart('related; type="text/html"', parts)
            part = self._multipart("alternative", [_whole(part), _whole(shown)])
        attachments = [*self._attachments, *more]
        if attachments:
            part = self._multipart("mixed", [_whole(part), *attachments])
        return part

    def _multipart(self, kind: str, parts: Sequence[bytes]) -> Part:
        boundary = f"{self._stem}.{kind[0]}"
        line = f"--{boundary}".encode()
        between = b"\r\n%b\r\n" % line
        body = b"%b\r\n%b\r\n%b--\r\n" % (line, between.join(parts), line)
        value = f' multipart/{kind};\r\n boundary="{boundary}"'
        return [("Content-Type", value.encode())], body


def _text(kind: str, text: str) -> Part:
    encoding, body = encode(text)
    fields = [
        ("Content-Type", f" text/{kind}; charset=utf-8".encode()),
        ("Content-Transfer-Encoding", f" {encoding}".encode()),
    ]
    return fields, body


def _whole(part: Part) -> bytes:
    fields, body = part
    return header_lines(fields) + b"\r\n" + body


def header_lines(fields: Sequence[tuple[str, bytes]]) -> bytes:
    """Header fields as they are sent."""
    return b"".join([b"%b:%b\r\n" % (name.encode(), value) for name, value in fields])
