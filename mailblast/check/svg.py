"""A logo as BIMI wants it: SVG Tiny Portable/Secure, a picture that does nothing.

The profile is draft-svg-tiny-ps-abrotman: SVG Tiny 1.2 less everything that moves, runs, links or
loads; what is not of it is told.  The XML is a stranger's: one with a DOCTYPE is refused before
an entity in it can grow.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from mailblast.errors import Refusal

MAX_OCTETS = 32_768  # 32 KB (bimigroup.org, "Solving SVG issues")
MAX_UNPACKED = 500_000  # octets that are looked at

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
# The elements of SVG Tiny 1.2, less those that move, run, link, load or make a choice.
_KNOWN = frozenset((
    *("svg", "g", "defs", "use", "title", "desc", "metadata"),
    *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon"),
    *("text", "tspan", "textArea", "tbreak", "font", "font-face", "font-face-src"),
    *("glyph", "missing-glyph", "hkern"),
    *("linearGradient", "radialGradient", "stop", "solidColor"),
))  # fmt: skip
_BOX = re.compile(r"[\s,]+")


class _Doctype(Exception):
    """There is one."""


class _NoDoctype(TreeBuilder):
    def doctype(self, *_: object) -> None:
        raise _Doctype


def faults(octets: bytes) -> tuple[str, ...] | Refusal:
    """What keeps a logo from being shown; a Refusal where it is no SVG at all."""
    plain = _unpacked(octets)
    if isinstance(plain, Refusal):
        return plain
    parser = XMLParser(target=_NoDoctype())  # noqa: S314 - a DOCTYPE is refused at once
    try:
        parser.feed(plain)
        root = parser.close()
    except _Doctype:
        return Refusal("it has a DOCTYPE, which no logo may have")
    except (ParseError, ValueError, LookupError):
        return Refusal("it is no XML")
    if not isinstance(root, Element) or root.tag != f"{_SVG}svg":
        return Refusal("it is no SVG")
    size = [f"it has {len(plain):,} octets; {MAX_OCTETS:,} are the most"]
    return (*_of_root(root), *_of_parts(root), *(size if len(plain) > MAX_OCTETS else ()))


def _unpacked(octets: bytes) -> bytes | Refusal:
    if octets[:2] != b"\x1f\x8b":
        return octets
    try:
        with gzip.open(BytesIO(octets)) as file:
            plain = file.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error):
        return Refusal("it is packed, and cannot be unpacked")
    return plain if len(plain) <= MAX_UNPACKED else Refusal("unpacked it is far too large")


def _of_root(root: Element) -> Iterator[str]:
    if root.get("baseProfile") != "tiny-ps":
        yield 'it has no baseProfile="tiny-ps"'
    if root.get("version") != "1.2":
        yield 'it has no version="1.2"'
    title = root.find(f"{_SVG}title")
    if title is None or not (title.text or "").strip():
        yield "it has no <title>"
    if root.get("x") is not None or root.get("y") is not None:
        yield "its <svg> has x or y"
    if not _is_square(root):
        yield "it is not square"


def _is_square(root: Element) -> bool:
    box = _BOX.split((root.get("viewBox") or "").strip())
    sides = box[2:] if len(box) == 4 else [root.get("width"), root.get("height")]
    return sides[0] is not None and sides[0] == sides[1]


def _of_parts(root: Element) -> Iterator[str]:
    for tag in dict.fromkeys(one.tag for one in root.iter()):
        name = tag.removeprefix(_SVG)
        if name not in _KNOWN:
            yield f"it has <{name.rpartition('}')[2]}>"
    if any(_leads_out(one) for one in root.iter()):
        yield "it refers to something outside of itself"
    if any(name.lower().startswith("on") for one in root.iter() for name in one.attrib):
        yield "it has a handler of events"


def _leads_out(element: Element) -> bool:
    target = element.get(_XLINK) or element.get("href") or "#"
    return not target.strip().startswith("#") or "url(http" in (element.get("style") or "")
