"""Where a folder is: an IMAP URL (RFC 5092), without a password."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from mailblast.errors import Refusal

_PORTS = {"imaps": 993, "imap": 143}
_URL = re.compile(r"imaps?://", re.IGNORECASE)
# As they stand in modified UTF-7, but for the ampersand (RFC 3501 §5.1.3).
_PLAIN = re.compile(r"([ -%'-~]+)|(&)|([^ -~]+)")


@dataclass(frozen=True, slots=True)
class Address:
    """One folder of one user; `tls` is whether TLS begins with the first octet."""

    host: str
    port: int
    tls: bool
    user: str
    folder: str

    def __str__(self) -> str:
        scheme = "imaps" if self.tls else "imap"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[scheme] else f":{self.port}"
        user, folder = quote(self.user, safe=""), quote(self.folder)
        return f"{scheme}://{user}@{host}{port}/{folder}"


def is_address(text: str) -> bool:
    """Whether this means a folder of a server, and no file."""
    return _URL.match(text) is not None


def parse(text: str) -> Address | Refusal:
    """The folder that `imaps://user@host[:port]/FOLDER` names; INBOX where it names none.

    An @ in the name of the user may stand as it is.  A refusal repeats nothing of a URL that
    may have a password in it.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return Refusal("not an address of the form imaps://user@host/INBOX")
    if url.password is not None:
        return Refusal(
            "a password does not belong in a command line, where everybody on this machine "
            "sees it"
        )
    return _checked(url, port)


def _checked(url: SplitResult, port: int | None) -> Address | Refusal:
    host, user, folder = url.hostname or "", unquote(url.username or ""), url.path[1:]
    if not host or not user:
        return Refusal("user or host is missing: imaps://user@host/INBOX")
    if url.query or url.fragment or ";" in url.path or ";" in (url.username or ""):
        return Refusal("of an IMAP address only user, host, port and folder are used")
    name = unquote(folder) or "INBOX"
    if not (user.isprintable() and name.isprintable()):
        return Refusal("user or folder has a control character in it")
    tls = url.scheme == "imaps"
    return Address(host, port or _PORTS[url.scheme], tls, user, name)


def on_the_wire(folder: str) -> str:
    """The name of a folder as a quoted string, in modified UTF-7 (RFC 3501 §5.1.3)."""
    encoded = _PLAIN.sub(_modified, folder)
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _modified(found: re.Match[str]) -> str:
    plain, ampersand, other = found.groups()
    if ampersand:
        return "&-"
    if plain:
        return str(plain)
    code = base64.b64encode(other.encode("utf-16-be")).decode().rstrip("=")
    return f"&{code.replace('/', ',')}-"
