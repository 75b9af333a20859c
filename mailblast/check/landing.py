"""The page behind an unsubscribe link: what it wants of a visitor before it lets them go.

It is read as a browser takes it apart, and no script of it runs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from xml.etree.ElementTree import Element

from mailblast.check import page
from mailblast.errors import Refusal

MAX_LENGTH = 250_000  # characters; the page is a stranger's, and parsing has its price
MAX_WORDS = 200  # characters of a label

_CAPTCHA = re.compile(
    r"captcha|cf-turnstile|challenges\.cloudflare|arkoselabs|geetest", re.IGNORECASE
)
# What firewalls for web sites put in the place of a page, to see whether a robot asks
# (Cloudflare, Imperva, DataDome, HUMAN, AWS, Sucuri, DDoS-Guard).  Scripts of theirs stand in
# good pages too, so it takes a page without a button.
_WALL = re.compile(
    r"_cf_chl_opt|cf-browser-verification|_Incapsula_Resource|Incapsula incident|"
    r"captcha-delivery\.com|px-captcha|awsWafCookieDomainList|"
    r"Sucuri WebSite Firewall|DDoS-Guard",
    re.IGNORECASE,
)
_PAYMENT = re.compile(r"cc-(?:number|exp|csc)|card-?number|\biban\b", re.IGNORECASE)
_MAIL = re.compile(r"mail", re.IGNORECASE)
_UNSEEN = frozenset(("script", "style", "template", "noscript", "title"))
# What a form may ask without asking for information (16 CFR 316.5).
_NO_QUESTION = frozenset(
    ("hidden", "submit", "button", "reset", "image", "checkbox", "radio", "email")
)
_PRESSED = frozenset(("submit", "button", "image"))


@dataclass(frozen=True, slots=True)
class Landing:
    """`text` is what can be read; `posts` says that a form of it sends by POST, `clear` that
    one sends in clear text; `wall` that a firewall stands in the place of the page; `burden`
    is what it wants beside an address and a choice, "" if nothing; `choices` are the labels of
    what can be chosen, `buttons` the words of what can be pressed."""

    text: str
    posts: bool
    clear: bool
    wall: bool
    burden: str
    choices: tuple[str, ...]
    buttons: tuple[str, ...]


@lru_cache(maxsize=4)  # several rules look at the same page
def read(html: str) -> Landing | Refusal:
    """Take a page apart; a Refusal if that would take too long."""
    root = page.tree(html, MAX_LENGTH)
    if isinstance(root, Refusal):
        return root
    forms = list(root.iter("form"))
    posts = any(_attribute(one, "method").lower() == "post" for one in forms)
    return Landing(
        text=_text(root),
        posts=posts,
        clear=any(_attribute(one, "action").lower().startswith("http:") for one in forms),
        wall=not posts and bool(_WALL.search(html)),
        burden=next(_burdens(root), ""),
        choices=tuple(_choices(root)),
        buttons=tuple(_buttons(root)),
    )


def _attribute(element: Element, name: str) -> str:
    return (element.get(name) or "").strip()


def _text(element: Element) -> str:
    return " ".join("".join(_words(element)).split())


def _words(element: Element) -> Iterator[str]:
    waiting: list[Element | str] = [element]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one.tag, str) and one.tag not in _UNSEEN:  # a comment's is none
            yield f" {one.text or ''}"
            for child in reversed(one):
                waiting += (child.tail or "", child)


def _burdens(root: Element) -> Iterator[str]:
    for element in root.iter():
        if element.tag in ("script", "iframe", "div"):
            where = " ".join(_attribute(element, name) for name in ("src", "class", "id"))
            if _CAPTCHA.search(where):
                yield "a CAPTCHA"
        elif element.tag in ("input", "textarea"):
            yield from _asked(element)


def _asked(field: Element) -> Iterator[str]:
    """What a field of a form asks for that it may not."""
    kind = _attribute(field, "type").lower() or "text"
    names = [_attribute(field, one) for one in ("name", "id", "autocomplete")]
    if kind == "password":
        yield "a password"
    elif _PAYMENT.search(" ".join(names)):
        yield "a payment"
    elif field.get("required") is None or kind in _NO_QUESTION:
        return
    elif not any(map(_MAIL.search, names)):
        yield f'the field "{next(filter(None, names), kind)[:40]}"'


def _choices(root: Element) -> Iterator[str]:
    """The words beside each box, button and option."""
    beside: dict[str | Element | None, str] = {}
    for label in root.iter("label"):
        words = _text(label)[:MAX_WORDS]
        beside |= dict.fromkeys((label.get("for"), *label.iter("input")), words)
    for field in root.iter("input"):
        if _attribute(field, "type").lower() in ("checkbox", "radio"):
            words = beside.get(field) or beside.get(field.get("id") or "", "")
            words = words or _attribute(field, "value") or _attribute(field, "name")
            yield words[:MAX_WORDS]
    for option in root.iter("option"):
        yield _text(option)[:MAX_WORDS]


def _buttons(root: Element) -> Iterator[str]:
    for element in root.iter():
        if element.tag in ("button", "a"):
            yield _text(element)[:MAX_WORDS]
        elif element.tag == "input" and _attribute(element, "type").lower() in _PRESSED:
            yield (_attribute(element, "value") or _attribute(element, "alt"))[:MAX_WORDS]
