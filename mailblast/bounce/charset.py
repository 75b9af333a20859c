"""Bytes to characters: charsets, encoded words (RFC 2047), markup to plain text.

Rule: linear in the input whatever it is, and never an exception.  What cannot be decoded is
shown (`\\xe9`, U+FFFD), because the rest of a notice is still worth reading.
"""

import base64
import binascii
import html
import quopri
import re

# Python has codecs that are no charsets, and some (punycode, idna) are quadratic.
_KNOWN = re.compile(
    r"(?:us-)?ascii|utf-?(?:8|16(?:le|be)?)|(?:iso|windows|cp|koi8|euc|mac|tis)[\w.-]{1,24}"
    r"|shift[_-]jis|sjis|x-sjis|gb2312|gbk|gb18030|big5|ks_c_5601-1987|latin-?1|unicode-1-1-utf-8"
)
_OTHER_NAMES = {"x-sjis": "shift_jis", "unicode-1-1-utf-8": "utf-8", "gb2312": "gb18030"}
_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]*)?\?([bqBQ])\?([^?\s]{0,1000})\?=")
_BETWEEN = re.compile(r"(\?=)[ \t]+(?==\?)")

_TAG = re.compile(r"<[^<>]*>")
_BREAK = re.compile(
    r"<(?:br|/?p|/?div|/?tr|/?t[dh]|/?li|/?h\d|hr|/table)\b[^<>]*>", re.IGNORECASE
)
_HIDDEN = ("style", "script", "title")
_SPACES = re.compile(r"[ \t\xa0\r]+")
_NEWLINES = re.compile(r"\n(?:[ ]?\n){2,}")


def decode(content: bytes, name: str) -> str:
    """Bytes in the charset of that name; else as UTF-8, with what is none shown."""
    known = name.strip().lower()
    if known not in ("", "utf-8", "us-ascii") and _KNOWN.fullmatch(known):
        try:
            return content.decode(_OTHER_NAMES.get(known, known), "replace")
        except (LookupError, UnicodeError):
            pass
    return content.decode("utf-8", "backslashreplace")


def words(value: str) -> str:
    """The value of a field with its encoded words undone."""
    if "=?" not in value:
        return value
    return _WORD.sub(_undone, _BETWEEN.sub(r"\1", value))


def _undone(word: re.Match[str]) -> str:
    letters = word[3].encode("utf-8", "replace")
    try:
        if word[2] in "qQ":
            content = quopri.decodestring(letters.replace(b"_", b" "))
        else:
            content = base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return word[0]
    return decode(content, word[1])


def plain(markup: str) -> str:
    """HTML as lines of text: what stands in one cell or paragraph is one line."""
    for name in _HIDDEN:
        markup = _without(markup, name)
    # White space is one space in HTML, and a line ends where markup says so.
    text = _TAG.sub("", _BREAK.sub("\n", markup.replace("\r", "").replace("\n", " ")))
    lines = (_SPACES.sub(" ", line).strip() for line in html.unescape(text).split("\n"))
    return _NEWLINES.sub("\n\n", "\n".join(lines))


def _without(markup: str, name: str) -> str:
    """Markup without the elements of that name: found, not searched for by a pattern."""
    lower, kept, at = markup.lower(), [], 0
    while (start := lower.find(f"<{name}", at)) >= 0:
        end = lower.find(f"</{name}", start)
        if end < 0:
            break
        kept.append(markup[at:start])
        at = end
    return "".join([*kept, markup[at:]])
