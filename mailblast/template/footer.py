"""The postal address and the way out, in each part of each message.

A template places them itself (`{{ postal_address }}`, `{{ unsubscribe_url }}`), or a footer
is put under the part.  That is decided on what was rendered, not on the template: a link
within an `{% if %}` is not there for everybody.

Rules: CANSPAM-ADDRESS (15 U.S.C. 7704(a)(5)(A)(iii)), CANSPAM-OPTOUT-PRESENT and
-CONSPICUOUS (7704(a)(3)(A)(i)): visible, in words that say what the link does, no small
print.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup, escape

from mailblast.template.environment import Source
from mailblast.template.markup import RAW_TEXT, elements
from mailblast.template.shield import shield

_HTML = (
    '<div style="margin:24px 0 0;padding:16px 0;background:#ffffff;color:#444444;'
    'font:13px/1.5 Helvetica,Arial,sans-serif">%s</div>\n'
)
_LINK = '<a href="%s" style="color:#444444;text-decoration:underline">Unsubscribe</a>'
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NAMES = re.compile(r"\b(?:postal_address|unsubscribe_url)\b")


@dataclass(frozen=True, slots=True)
class Footer:
    """Puts under a part what is missing there.

    `shown` names what the HTML template mentions where a reader can see it: an address in
    a comment is not displayed.
    """

    shown: frozenset[str]

    def under_text(self, text: str, values: Mapping[str, str]) -> str:
        """The text part, with a footer if it needs one."""
        address, link = values["postal_address"], values["unsubscribe_url"]
        missing = []
        if not _all_in(text, address.split("\n")):
            missing.append(address)
        if link not in text:
            missing.append(f"Unsubscribe: {link}")
        return "\n\n".join([text.rstrip(), *missing]) + "\n" if missing else text

    def under_html(self, html: str, values: Mapping[str, str]) -> str:
        """The HTML part, with a footer before `</body>` if it needs one."""
        address = values["postal_address"]
        link = str(escape(values["unsubscribe_url"]))
        missing = []
        if not self._shows("postal_address", _lines_html(address), html):
            missing.append(str(address_html(address)))
        if not self._shows("unsubscribe_url", [link], html):
            missing.append(_LINK % link)
        if not missing:
            return html
        end = html.rfind("</body")
        end = end if end >= 0 else len(html)
        return html[:end] + _HTML % "<br>".join(missing) + html[end:]

    def _shows(self, name: str, wanted: Sequence[str], html: str) -> bool:
        if not any(wanted):
            return True  # there is none
        return name in self.shown and _all_in(html, wanted)


def _all_in(text: str, parts: Sequence[str]) -> bool:
    for part in parts:  # noqa: SIM110 - a generator takes longer than the search
        if part not in text:
            return False
    return True


@lru_cache(maxsize=4)
def _lines_html(address: str) -> list[str]:
    return str(address_html(address)).split("<br>")


@lru_cache(maxsize=4)
def address_html(address: str) -> Markup:
    """The lines of a postal address, for HTML."""
    return Markup("<br>").join(address.split("\n"))


def mentions(source: Source) -> frozenset[str]:
    """Which of the two an HTML template mentions outside comments, styles and the like."""
    shielded = shield(source)
    unseen = [match.span() for match in _COMMENT.finditer(shielded.masked)]
    unseen += [(e.inner, e.end) for e in elements(shielded.masked) if e.name in RAW_TEXT]
    return frozenset(
        name
        for tag in shielded.tags
        if tag.kind != "comment" and not any(s <= tag.start < e for s, e in unseen)
        for name in _NAMES.findall(tag.text)
    )
