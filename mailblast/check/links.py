"""Where links lead, and whether they say so."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from urllib.parse import SplitResult, urlsplit

from mailblast.check import each
from mailblast.check.facts import Sample
from mailblast.check.finding import Verdict, failed, warned
from mailblast.check.pack import Check
from mailblast.check.page import Page

MANY = 10  # hosts in one message
# What a reader's program opens; cid: is a part of the message itself (RFC 2392).
_LINKS = frozenset(("https", "http", "mailto", "tel", "sms", "facetime", "webcal"))
_IMAGES = frozenset(("https", "http", "cid"))
_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_TRAILING = ".,;:!?)]}'"
_UNFILLED = re.compile(r"\{\{|\}\}|%7B%7B|\{%", re.IGNORECASE)
# What looks like an address: with a scheme, with www., or a domain and nothing else.
_SHOWN = re.compile(r"(?:https?://|\bwww\.)([a-z0-9.-]+\.[a-z]{2,})", re.IGNORECASE)
_DOMAIN = re.compile(
    r"((?:[a-z0-9-]+\.)+(?:com|net|org|edu|gov|info|biz|[a-z]{2}))/?", re.IGNORECASE
)
_MAILBOX = re.compile(r"[^\s<>@]+@[^\s<>@]+\.[a-z]{2,}", re.IGNORECASE)


@cache
def shorteners() -> frozenset[str]:
    """The hosts of services that shorten anybody's addresses."""
    text = files("mailblast.check").joinpath("shorteners.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)["hosts"])


def _split(link: str) -> SplitResult:
    try:
        parts = urlsplit(link)
        _ = parts.hostname, parts.port
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def targets(sample: Sample, page: Page | None) -> dict[str, str]:
    """Every address in a message, with where it stands."""
    found = {
        one.rstrip(_TRAILING): "the text" for one in reversed(_URL.findall(sample.text))
    }
    if page is not None:
        found |= {one.source: "an image" for one in page.pictures}
        found |= {one.target: "a link" for one in page.anchors}
    return found


def honest(sample: Sample, page: Page | None) -> Iterator[Verdict]:
    """MSG-LINKS: a link shows where it leads, and that is a name of somebody's own."""
    for link, place in targets(sample, page).items():
        if why := _obscure(_split(link)):
            yield failed(place, link=link[:100], reason=why)
    for anchor in page.anchors if page else ():
        target = _split(anchor.target)
        shown = _shown(anchor.text, target.scheme)
        leads = target.path if target.scheme == "mailto" else target.hostname or ""
        if not shown or not leads or _same(shown, leads.lower()):
            continue
        finding = warned if _DOMAIN.fullmatch(anchor.text) else failed
        yield finding("a link", link=anchor.target[:100], reason=f"its text shows {shown}")


def _obscure(link: SplitResult) -> str:
    host = (link.hostname or "").lower()
    if link.scheme not in ("http", "https"):
        return ""
    if _numeric(host):
        return "an IP address and no name"
    if "@" in link.netloc:
        return "a user name before the host, as those use who hide one"
    if host.removeprefix("www.") in shorteners():
        return f"{host} is a shortener: nobody sees where it leads"
    return ""


def _numeric(host: str) -> bool:
    # Also 3232235777 and 0xc0.0xa8.1.1, which browsers take for addresses.
    if re.fullmatch(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _shown(text: str, scheme: str) -> str:
    """The host or the mailbox that the text of a link shows ("" if it is words)."""
    if scheme == "mailto":
        found = _MAILBOX.search(text)
        return found[0].lower() if found else ""
    host = _SHOWN.search(text) or _DOMAIN.fullmatch(text)
    return host[1].lower() if host else ""


def _same(shown: str, leads: str) -> bool:
    shown, leads = (one.removeprefix("www.") for one in (shown, leads))
    return shown == leads or shown.endswith(f".{leads}") or leads.endswith(f".{shown}")


def leading(_: Sample, page: Page) -> Iterator[Verdict]:
    """MSG-LINK-SCHEME: every link leads somewhere, and every image is somewhere."""
    for anchor in page.anchors:
        if anchor.target.startswith("#"):
            if anchor.target[1:] not in page.names:
                yield failed(
                    "a link", link=anchor.target[:100], reason="there is no such place"
                )
        elif (anchor.target or anchor.text) and (why := _nowhere(anchor.target, _LINKS)):
            yield failed("a link", link=anchor.target[:100] or anchor.text, reason=why)
    for picture in page.pictures:
        if why := _nowhere(picture.source, _IMAGES):
            yield failed("an image", link=picture.source[:100] or "An image", reason=why)


def _nowhere(link: str, schemes: frozenset[str]) -> str:
    parts = _split(link)
    if not link:
        return "it has no address"
    if _UNFILLED.search(link):
        return "it is not filled in"
    if not parts.scheme:
        return "it has no https:// before it"
    if parts.scheme not in schemes:
        return f"mail programs do not open {parts.scheme}: addresses"
    if parts.scheme in ("http", "https") and not parts.hostname:
        return "it names no host"
    return ""


def private(sample: Sample, page: Page | None) -> Iterator[Verdict]:
    """MSG-LINK-HTTP: nothing is asked for without TLS."""
    for link, place in targets(sample, page).items():
        if _split(link).scheme == "http":
            yield failed(place, link=link[:100])


def few(sample: Sample, page: Page | None) -> Iterator[Verdict]:
    """MSG-LINK-DOMAINS: a message leads to few hosts."""
    links = (_split(one) for one in targets(sample, page))
    hosts = {one.hostname for one in links if one.scheme in ("http", "https")}
    if len(hosts) > MANY:
        yield failed("", n=len(hosts), limit=MANY)


CHECKS: dict[str, Check] = {
    "MSG-LINKS": each.part(honest),
    "MSG-LINK-SCHEME": each.page(leading),
    "MSG-LINK-HTTP": each.part(private),
    "MSG-LINK-DOMAINS": each.part(few),
}
