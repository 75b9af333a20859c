"""What we say: the commands of one transaction, as bytes.

Rule: nothing that a server could misread leaves here.  An extension is used only if the
server offered it (RFC 5321 §2.2.1); what cannot be said with what it offers is refused
here, as a value, without a command: a `Reply` with code 0 and a status of our own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mailblast.smtp.reply import Reply

# A control character, a space or an angle bracket ends the path early and smuggles in a
# parameter or a whole command.  Quoted local parts that hold them are nobody's mailbox.
_UNSAFE = re.compile(r"[\x00-\x20<>\x7f-\xa0\u2028\u2029]")
_LONE_CR = re.compile(rb"\r(?!\n)")
_DOTTED = re.compile(rb"\r\n\.")
_XTEXT = re.compile(r"[^!-~]|[+=]")
_UNITEXT = re.compile(r"[\x00-\x20+=\\\x7f]")


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom and to whom one message goes; one recipient (RFC 5321 §3.3).

    `return_path` is "" for the null path.  `envelope_id` comes back in a notice of the
    server's (ENVID, RFC 3461 §4.4): at most 38 printable characters, or "".
    """

    return_path: str
    recipient: str
    smtputf8: bool = False
    envelope_id: str = ""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the server offered in its answer to EHLO.  A `size` of 0 is no limit."""

    pipelining: bool = False
    size_known: bool = False
    size: int = 0
    eightbit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    enhanced: bool = False

    @classmethod
    def offered(cls, keywords: Mapping[str, str]) -> "Extensions":
        """From the EHLO keywords, lower case, each with its parameters as sent."""
        limit = keywords.get("size", "").strip()
        return cls(
            pipelining="pipelining" in keywords,
            size_known="size" in keywords,
            # RFC 1870 §4: at most 20 digits.
            size=int(limit) if re.fullmatch("[0-9]{1,20}", limit) else 0,
            eightbit="8bitmime" in keywords,
            smtputf8="smtputf8" in keywords,
            dsn="dsn" in keywords,
            enhanced="enhancedstatuscodes" in keywords,
        )


def unsendable(envelope: Envelope, content: bytes, offered: Extensions) -> Reply | None:
    """Why this message cannot be offered to this server, or None when it can.

    A fault of the message, never of the address.
    """
    if _UNSAFE.search(envelope.return_path) or _UNSAFE.search(envelope.recipient):
        return Reply(0, "an address with a space, bracket or control character", "5.1.3")
    if not content.endswith(b"\r\n") or _bare(content):
        return Reply(0, "the message has a line that does not end in CRLF", "5.6.0")
    if _utf8(envelope) and not (offered.smtputf8 and offered.eightbit):
        # RFC 6531 §3.4.
        return Reply(0, "the address needs SMTPUTF8, which the server lacks", "5.6.7")
    if not (offered.eightbit or content.isascii()):
        # RFC 6152 §3.
        return Reply(0, "the message needs 8BITMIME, which the server lacks", "5.6.3")
    if 0 < offered.size < len(content):
        # RFC 1870 §6.1.
        text = f"the server takes {offered.size} octets, the message has {len(content)}"
        return Reply(0, text, "5.3.4")
    return None


def _bare(content: bytes) -> bool:
    """Whether a CR or LF stands alone (RFC 5321 §2.3.8): a message can be smuggled so.

    A pattern with one literal at its head, and counts of single octets: every message is
    looked through, and to count the pairs takes twice as long.
    """
    # No CR without its LF, and as many of the one as of the other.
    alone = _LONE_CR.search(content) is not None
    return alone or content.count(b"\n") != content.count(b"\r")


def _utf8(envelope: Envelope) -> bool:
    return envelope.smtputf8 or not (envelope.return_path + envelope.recipient).isascii()


def mail(envelope: Envelope, content: bytes, offered: Extensions) -> bytes:
    """MAIL with the parameters that the server understands (RFC 5321 §4.1.1.2)."""
    words = [f"MAIL FROM:<{envelope.return_path}>"]
    if offered.size_known:
        # RFC 1870 §6.1: the line ends count, dot-stuffing and the final dot do not.
        words.append(f"SIZE={len(content)}")
    if not content.isascii():
        words.append("BODY=8BITMIME")
    if _utf8(envelope):
        words.append("SMTPUTF8")
    if offered.dsn:
        # RFC 3461 §4.3: the headers suffice to know the message, and bodies are large.
        words.append("RET=HDRS")
        if envelope.envelope_id:
            words.append(f"ENVID={xtext(envelope.envelope_id)}")
    return " ".join(words).encode() + b"\r\n"


def rcpt(envelope: Envelope, offered: Extensions) -> bytes:
    """RCPT (RFC 5321 §4.1.1.3).  No notices of success: a bulk sender drowns in them."""
    words = [f"RCPT TO:<{envelope.recipient}>"]
    if offered.dsn:
        words.append("NOTIFY=FAILURE,DELAY")
        words.append(f"ORCPT={_original(envelope.recipient)}")
    return " ".join(words).encode() + b"\r\n"


def _original(recipient: str) -> str:
    """RFC 3461 §4.2; with a local part beyond ASCII RFC 6533 §3."""
    if recipient.isascii():
        return f"rfc822;{xtext(recipient)}"
    return "utf-8;" + _UNITEXT.sub(lambda m: f"\\x{{{ord(m[0]):02X}}}", recipient)


def xtext(text: str) -> str:
    """RFC 3461 §4: all but printable ASCII, and `+` and `=`, as `+XX`."""
    return _XTEXT.sub(lambda m: "".join(f"+{octet:02X}" for octet in m[0].encode()), text)


def stuffed(content: bytes) -> bytes:
    """`content` with each leading dot doubled (RFC 5321 §4.5.2), copied only if needed."""
    if content.startswith(b"."):
        content = b"." + content
    if _DOTTED.search(content) is None:  # twice as fast as to look for it by replacing
        return content
    return content.replace(b"\r\n.", b"\r\n..")
