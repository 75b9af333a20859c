"""A campaign's templates, compiled once and filled in for each recipient.

    message.md ──▶ page ─┐
    message.html ────────┴▶ images become cid:, CSS goes into the elements ──▶ HTML part
                            └▶ plaintext, where there is no message.txt ─────▶ text part

Values from the list are data and never templates: `{{ 7*7 }}` in a cell stays as it is.
The postal address and the unsubscribe link stand in every part of every message, whatever
the template does: where a rendered part lacks one, a footer is put under it
(15 U.S.C. 7704(a)(3)(A)(i), 7704(a)(5)(A)(ii) and (iii)).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailblast.errors import Refusal
from mailblast.template.environment import (
    GLOBALS,
    Compiled,
    Source,
    TemplateError,
    compile_source,
)
from mailblast.template.footer import Footer, address_html, mentions
from mailblast.template.images import Image, inline_images
from mailblast.template.markdown import page
from mailblast.template.plaintext import plaintext
from mailblast.template.styles import inline

__all__ = [
    "Image",
    "Rendered",
    "Source",
    "Sources",
    "Template",
    "TemplateError",
    "compile",
]

# What mailblast gives beside the list's columns; `email` is the address as it is mailed.
GIVEN = ("email", "organisation", "sender_name", "postal_address", "unsubscribe_url")
# No column may be called so: the recipient's address would pass for the sender's.
RESERVED = ("postal_address", "unsubscribe_url")
# A column called so goes first: a template speaks of the recipient.
COURTESY = ("organisation", "sender_name")


@dataclass(frozen=True, slots=True)
class Sources:
    """All the templates of a campaign, as they were written.

    `html` and `markdown` exclude each other; at least one of the three bodies is there.
    `domain` is the one under which images get their Content-ID.
    """

    subject: Source
    html: Source | None = None
    text: Source | None = None
    markdown: Source | None = None
    headers: tuple[tuple[str, Source], ...] = ()
    attachments: tuple[Source, ...] = ()
    domain: str = "localhost"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message for one recipient, before it is written as MIME.

    `html` is None where a campaign is text only; `attachments` are paths within the
    campaign's directory, not yet checked.
    """

    subject: str
    text: str
    html: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """The compiled templates of a campaign."""

    subject: Compiled
    text: Compiled
    html: Compiled | None
    headers: tuple[tuple[str, Compiled], ...]
    attachments: tuple[Compiled, ...]
    images: tuple[Image, ...]
    footer: Footer

    def render(
        self, fields: Mapping[str, str], given: Mapping[str, str]
    ) -> Rendered | Refusal:
        """Fill in one recipient's fields, and what is `GIVEN`; the latter goes first.

        `postal_address` is in lines.  A Refusal where this row's values do not fit; raises
        TemplateError where no row's could.
        """
        values = {**GLOBALS, **fields, **given}
        try:
            # HTML before text: where the text was made from it, errors name its lines.
            subject = _taken(self.subject, values)
            html = self._html(values)
            text = self.footer.under_text(_taken(self.text, values), values)
            headers = tuple([(name, _taken(each, values)) for name, each in self.headers])
            attachments = tuple([_taken(each, values) for each in self.attachments])
        except _RefusedError as refused:
            return refused.refusal
        return Rendered(subject, text, html, headers, attachments)

    def _html(self, values: dict[str, Any]) -> str | None:
        if self.html is None:
            return None
        marked = {**values, "postal_address": address_html(values["postal_address"])}
        return self.footer.under_html(_taken(self.html, marked), values)


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.why)
        self.refusal = refusal


def _taken(compiled: Compiled, values: dict[str, Any]) -> str:
    rendered = compiled.render(values)
    if isinstance(rendered, Refusal):
        raise _RefusedError(rendered)
    return rendered


def compile(sources: Sources) -> Template:  # noqa: A001
    """Compile a campaign's templates.  Raises TemplateError, with file and line."""
    html = page(sources.markdown) if sources.markdown else sources.html
    images: tuple[Image, ...] = ()
    text = sources.text
    shown: frozenset[str] = frozenset()
    if html:
        compile_source(html, html=True)  # a fault is told of the template as it was written
        text = text or plaintext(html)
        shown = mentions(html)
        html, images = inline_images(html, sources.domain)
        html = inline(html)
    if text is None:
        raise TemplateError("there is no message.html, message.txt or message.md")
    return Template(
        compile_source(sources.subject),
        compile_source(text),
        compile_source(html, html=True) if html else None,
        tuple((name, compile_source(source)) for name, source in sources.headers),
        tuple(compile_source(source) for source in sources.attachments),
        images,
        Footer(shown),
    )
