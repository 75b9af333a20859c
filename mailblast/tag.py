"""The mark that every message carries, and by which what comes back is known.

A tag stands in the return path (`bounces+TAG@…`, VERP), in the envelope identifier (ENVID,
RFC 3461 §4.4) and in the unsubscribe link.  It says which delivery it belongs to and proves
by HMAC-SHA256 that we made it: so nobody can make up a bounce or unsubscribe somebody else
(RFC 8058 §3.1).  Of the address it says nothing.  The Message-ID has the delivery's number in
clear and of the tag only its end, the `mark`.

    1 byte    which key
    6 bytes   the delivery's number
    MAC       10 bytes in a return path, 16 in an unsubscribe link

in base32, lower case, unpadded: mail servers fold the case of a local part, and a return
path has 64 characters for it (RFC 5321 §4.5.3.1.1).
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mailblast.errors import UserError

Purpose = Literal["return-path", "unsubscribe"]

MAC_BYTES: Mapping[Purpose, int] = {"return-path": 10, "unsubscribe": 16}
MAX_DELIVERY = 2**48 - 1
MAX_KEY_ID = 255
MIN_KEY_BYTES = 16  # as long as the longest MAC; RFC 2104 §3 advises no less
_HEAD_BYTES = 7
LENGTHS: Mapping[Purpose, int] = {"return-path": 28, "unsubscribe": 37}
MARK = 8  # characters of the return path's MAC in a Message-ID: 36 bits


@dataclass(frozen=True, slots=True)
class Keyring:
    """Our secret keys by number.  The `current` one makes new tags; all are read."""

    current: int
    keys: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as it was read.  It means nothing until `genuine` says so."""

    key_id: int
    delivery: int
    mac: bytes


def make(keyring: Keyring, purpose: Purpose, run: str, delivery: int) -> str:
    """The tag of one delivery of a run: 28 characters, or 37 for `unsubscribe`."""
    if not 0 <= delivery <= MAX_DELIVERY:
        raise ValueError(f"no delivery has the number {delivery}")
    head = bytes([keyring.current]) + delivery.to_bytes(6, "big")
    mac = _mac(keyring.keys[keyring.current], purpose, run, head)
    return base64.b32encode(head + mac).decode("ascii").rstrip("=").lower()


def link(url: str, mark: str) -> str:
    """The link that unsubscribes a recipient: an `unsubscribe` tag below [unsubscribe] url."""
    return f"{url.rstrip('/')}/{mark}"


def read(text: str) -> Tag | None:
    """What a tag says, in whatever case it came back; None when it is none of ours."""
    if len(text) not in LENGTHS.values() or not text.isascii():
        return None
    upper = text.upper()
    try:
        raw = base64.b32decode(upper + "=" * (-len(upper) % 8))
    except binascii.Error:
        return None
    # The last character has bits to spare: only one of its spellings is ours.
    if base64.b32encode(raw).decode("ascii").rstrip("=") != upper:
        return None
    return Tag(raw[0], int.from_bytes(raw[1:_HEAD_BYTES], "big"), raw[_HEAD_BYTES:])


def purpose(tag: Tag) -> Purpose:
    """What a tag says it is for: the length of its MAC tells."""
    return "return-path" if len(tag.mac) == MAC_BYTES["return-path"] else "unsubscribe"


def genuine(keyring: Keyring, purpose: Purpose, run: str, tag: Tag) -> bool:
    """Whether we made this tag, for this purpose, in this run.  Takes constant time."""
    key = keyring.keys.get(tag.key_id)
    if key is None:
        return False
    head = bytes([tag.key_id]) + tag.delivery.to_bytes(6, "big")
    return hmac.compare_digest(_mac(key, purpose, run, head), tag.mac)


def marked(keyring: Keyring, run: str, delivery: int, mark: str) -> bool:
    """Whether a Message-ID of this delivery has this mark, with any of our keys.

    A Message-ID is short and often public (archives, replies), so it has a part of the MAC
    only.  To guess it takes 2^36 mails, and each wrong one is counted.
    """
    keyrings = (Keyring(number, keyring.keys) for number in keyring.keys)
    made = [make(one, "return-path", run, delivery)[-MARK:] for one in keyrings]
    given = mark.lower().encode()
    return any(hmac.compare_digest(one.encode(), given) for one in made)


def _mac(key: bytes, purpose: Purpose, run: str, head: bytes) -> bytes:
    # The purpose is part of what is signed: a return path, which every server on the way
    # sees, must not serve to unsubscribe.
    said = b"\0".join((b"mailblast", purpose.encode(), run.encode(), head))
    return hmac.digest(key, said, "sha256")[: MAC_BYTES[purpose]]


def format_keyring(keyring: Keyring) -> str:
    """The text of a key file: `NUMBER HEX` a line, the current key last."""
    order = sorted(keyring.keys, key=lambda number: (number == keyring.current, number))
    lines = [f"{number} {keyring.keys[number].hex()}\n" for number in order]
    return (
        "# mailblast: keep this secret, and keep every line. The last key makes new tags.\n"
        + ("".join(lines))
    )


def parse_keyring(text: str) -> Keyring:
    """Read the text of a key file.

    Raises UserError, which names the line and never shows a key.
    """
    keys: dict[int, bytes] = {}
    current = -1
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            current, key = _parse_key(number, line)
            if current in keys:
                raise UserError(f"secret.key:{number}: a second key number {current}")
            keys[current] = key
    if not keys:
        raise UserError("secret.key has no key in it")
    return Keyring(current, keys)


def _parse_key(line: int, text: str) -> tuple[int, bytes]:
    number, _, secret = text.strip().partition(" ")
    try:
        key_id, key = int(number), bytes.fromhex(secret)
    except ValueError:
        raise UserError(f'secret.key:{line}: a line is "NUMBER HEX"') from None
    if not 0 <= key_id <= MAX_KEY_ID:
        raise UserError(f"secret.key:{line}: key numbers are 0 to {MAX_KEY_ID}")
    if len(key) < MIN_KEY_BYTES:
        raise UserError(f"secret.key:{line}: a key has at least {MIN_KEY_BYTES} bytes")
    return key_id, key
