"""CSS written into the elements: Gmail and others drop what stands in `<style>` or clip it.

css-inline works out which declarations each element gets; they are then put in front of the
element's own `style`.  Its serialised document is not used: an HTML parser mends what it
reads, and would move or drop what stands between Jinja's statements.

A `<style>` with `media` or `data-css-inline="ignore"` stays as it is.  Of the others, what
cannot be inlined (`@media`, `@font-face`) stays in one `<style>`.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import replace

import css_inline

from mailblast.template.environment import Source
from mailblast.template.markup import RAW_TEXT, Element, elements
from mailblast.template.shield import Shield, Tag, shield

_MARK = "data-mailblast"
# As css-inline writes tags: attributes in double quotes, the quotes in them escaped.
_WRITTEN = re.compile(rf'<(?:[^<>"]|"[^"]*")*? {_MARK}="(\d+)"(?:[^<>"]|"[^"]*")*>')
_STYLE = re.compile(r' style="([^"]*)"')
_KEPT = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
_INLINER = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

Edit = tuple[int, int, str]


def inline(source: Source) -> Source:
    """The template with its style sheets written into its elements, line for line.

    Raises TemplateError for a Jinja statement in a style sheet that is to be inlined.
    """
    shielded = shield(source)
    found = list(elements(shielded.masked))
    sheets = [element for element in found if _is_sheet(element)]
    if not sheets:
        return source
    try:
        written = _INLINER.inline(_marked(shielded, found))
    except css_inline.InlineError as error:
        raise shielded.error(
            sheets[0].start, f"the style sheet cannot be read: {error}"
        ) from None
    edits = _style_edits(shielded, found, written) + _sheet_edits(shielded, sheets, written)
    return replace(source, text=edited(source.text, edits))


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with stretches of it (from, to, what instead) replaced."""
    pieces, position = [], 0
    for start, end, instead in sorted(edits):
        pieces += [text[position:start], instead]
        position = end
    return "".join(pieces) + text[position:]


def _is_sheet(element: Element) -> bool:
    return (
        element.name == "style"
        and not element.closes
        and "media" not in element.attributes
        and "data-css-inline" not in element.attributes
    )


def _marked(shielded: Shield, found: list[Element]) -> str:
    """The bare elements, numbered, without text and without their own styles."""
    pieces = ["<!DOCTYPE html>"]
    for number, element in enumerate(found):
        if _is_sheet(element):
            pieces.append(f"<style>{_css(shielded, element)}</style>")
        elif element.closes:
            pieces.append(f"</{element.name}>")
        elif element.name not in RAW_TEXT:
            pieces.append(f'<{element.name} {_MARK}="{number}"{_selectable(element)}>')
    return "".join(pieces)


def _selectable(element: Element) -> str:
    # Any attribute may stand in a selector.  `href` of a <link> would be asked for.
    others = (
        a for a in element.attributes.values() if a.name not in ("style", "href", _MARK)
    )
    return "".join(f' {a.name}="{html.escape(a.plain)}"' for a in others)


def _css(shielded: Shield, element: Element) -> str:
    def write(number: int, tag: Tag) -> str:
        if tag.kind == "statement":
            raise shielded.error(
                tag.start,
                f"{tag.text} cannot stand in a style sheet that goes into the elements; "
                'use {{ … }}, or mark it <style data-css-inline="ignore">',
            )
        return shielded.token(number) if tag.kind == "expression" else ""

    end = shielded.masked.rfind("</", element.inner, element.end)
    return shielded.between(element.inner, max(end, element.inner), write)


def _style_edits(shielded: Shield, found: list[Element], written: str) -> list[Edit]:
    edits: list[Edit] = []
    for match in _WRITTEN.finditer(written):
        style = _STYLE.search(match[0])
        if style:
            element = found[int(match[1])]
            edits.append(_style_edit(element, _unshielded(shielded, style[1]).rstrip("; ")))
    # html5ever opens <b> again where it closed it itself: the same number twice.
    return list(dict.fromkeys(edits))


def _style_edit(element: Element, style: str) -> Edit:
    own = element.attributes.get("style")
    if own is None or not own.value:
        where = element.name_end if own is None else own.end + len(own.quote)
        return where, where, f' style="{style}"'
    if own.quote == "'":
        style = style.replace("'", "&#39;")
    return own.start, own.start, f"{style}; "


def _sheet_edits(shielded: Shield, sheets: list[Element], written: str) -> list[Edit]:
    kept = _unshielded(shielded, "".join(_KEPT.findall(written)))
    instead = f"<style>{kept}</style>" if kept else ""
    edits = []
    for sheet in sheets:
        # A Jinja comment keeps the lines in number, so that errors name the right one.
        lines = shielded.masked.count("\n", sheet.start, sheet.end)
        padding = "{#" + "\n" * lines + "#}" if lines else ""
        edits.append((sheet.start, sheet.end, instead + padding))
        instead = ""
    return edits


def _unshielded(shielded: Shield, css: str) -> str:
    css = re.sub(r"\{(?=[{%#])", "{ ", " ".join(css.split()))

    def text(match: re.Match[str]) -> str:
        return " ".join(shielded.tags[int(match[1])].text.split())

    return re.sub(rf"{shielded.word}(\d+)x", text, css)
