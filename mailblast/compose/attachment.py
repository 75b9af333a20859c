"""Files that travel with a message, out of the campaign's directory and nowhere else.

The path of an attachment may come from the list, so from anybody: it names a file below the
directory, by no link that leads out, and never the list itself, a setting or a hidden file.
"""

import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from mailblast.compose.body import base64_lines
from mailblast.errors import Refusal

MAX_TOTAL = 25_000_000  # bytes of a message; Gmail and Outlook.com take no more
_TYPES = mimetypes.MimeTypes()  # the built-in table: the same on every machine
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
_PLAIN = re.compile(r"[ !#-\[\]-~]+")


class Files:
    """The files of a campaign that may go out."""

    def __init__(self, directory: Path, kept: Iterable[Path]) -> None:
        """`kept` are the files in the directory that are no one's business."""
        self._root = directory.resolve()
        self._kept = {path.resolve() for path in kept}

    def find(self, name: str) -> Path | Refusal:
        """The file of this name (`terms/2026.pdf`), or why it may not go out."""
        parts = PurePosixPath(name).parts
        inside = not name.startswith("/") and all(
            _NAME.fullmatch(part) and not part.startswith(".") for part in parts
        )
        if not parts or not inside:
            return Refusal(f"{name[:100]!r} is no file within the campaign's directory")
        path = self._root.joinpath(*parts).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            return Refusal(f"{name[:100]!r} is no file within the campaign's directory")
        if path in self._kept or any(
            p.startswith(".") for p in path.relative_to(self._root).parts
        ):
            return Refusal(f"{name[:100]!r} is not to leave the campaign's directory")
        if path.stat().st_size > MAX_TOTAL:
            return Refusal(f"{name[:100]!r} is larger than {MAX_TOTAL // 1_000_000} MB")
        return path


def attachment(path: Path) -> bytes:
    """A file as a MIME part to be saved."""
    return _part(path, "attachment", [])


def inline_image(path: Path, content_id: str) -> bytes:
    """A file as a MIME part to be shown where the HTML asks for `cid:…` (RFC 2392)."""
    return _part(path, "inline", [f"Content-ID: <{content_id}>"])


def _part(path: Path, disposition: str, more: list[str]) -> bytes:
    content = path.read_bytes()
    lines = [
        f"Content-Type: {content_type(path.name)}{_charset(path.name, content)}",
        "Content-Transfer-Encoding: base64",
        *more,
        f"Content-Disposition: {disposition};\r\n {_filename(path.name)}",
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + base64_lines(content)


def _charset(name: str, content: bytes) -> str:
    """Text of which nothing is said is US-ASCII (RFC 2046 §4.1.2), and "Dörte" would break."""
    if not content_type(name).startswith("text/"):
        return ""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return ""  # nobody knows; a guess would be worse
    return "; charset=utf-8"


def _filename(name: str) -> str:
    if _PLAIN.fullmatch(name) and len(name) <= 60:
        return f'filename="{name}"'
    # RFC 2231 §4; `'` is no attribute-char, and quote() leaves it alone only if asked to.
    return f"filename*=utf-8''{quote(name, safe='')}"


def content_type(name: str) -> str:
    """The type for a file name; what is unknown, packed or itself a mail is octets.

    message/* and multipart/* may not be base64 (RFC 2046 §5.2.1, RFC 2045 §6.4).
    """
    kind, packed = _TYPES.guess_type(name)
    if kind is None or packed or kind.startswith(("message/", "multipart/")):
        return "application/octet-stream"
    return kind
