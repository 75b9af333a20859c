"""Images that travel along: `<img src="logo.png">` becomes `cid:…` (RFC 2392)."""

import hashlib
import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from mailblast.template.environment import Source
from mailblast.template.markup import Attribute, elements
from mailblast.template.shield import FILLER, shield
from mailblast.template.styles import edited

_ELSEWHERE = re.compile(r"(?!cid:)[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Image:
    """A file within the campaign's directory, its Content-ID, and where it is asked for."""

    name: str
    content_id: str
    where: str


def inline_images(source: Source, domain: str) -> tuple[Source, tuple[Image, ...]]:
    """Point each `<img>` that names a file at a part of the message; say which files.

    Images elsewhere (`https:`, `data:`) are left alone.  Raises TemplateError for a file
    name with a tag of Jinja in it: which images a message has is the same for all.
    """
    shielded = shield(source)
    images: dict[str, Image] = {}
    edits = []
    for element in elements(shielded.masked):
        src = element.attributes.get("src")
        if element.name != "img" or element.closes or src is None or not _is_file(src):
            continue
        if FILLER in src.value:
            raise shielded.error(
                src.start, "the file name of an image has to stand there as it is"
            )
        name = unquote(src.plain.strip().removeprefix("cid:"))
        image = images.setdefault(
            name, Image(name, content_id(name, domain), shielded.where(src.start))
        )
        edits.append((src.start, src.end, f"cid:{image.content_id}"))
    return replace(source, text=edited(source.text, edits)), tuple(images.values())


def _is_file(src: Attribute) -> bool:
    # A tag of Jinja in front may well be a whole address.
    text = src.plain.strip()
    return bool(text) and not text.startswith(FILLER) and not _ELSEWHERE.match(text)


def content_id(name: str, domain: str) -> str:
    """A Content-ID for a file of this name, without angle brackets (RFC 2045 §7)."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[:24]}@{domain}"
