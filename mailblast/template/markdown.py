"""`message.md`: Markdown read once, while it is still a template, and set in a plain page.

A statement of Jinja on a line of its own becomes an HTML comment, which Markdown passes
through and which ends a paragraph as a blank line would; everything else becomes a word.
"""

import re

from markdown_it import MarkdownIt

from mailblast.template.environment import Source
from mailblast.template.shield import Shield, Tag, shield

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_PAGE = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title></title>
<style>
body { margin: 0; padding: 24px; color: #222222; background: #ffffff; }
body { font: 16px/1.5 Helvetica, Arial, sans-serif; }
h1, h2, h3 { line-height: 1.25; margin: 24px 0 12px; }
p, ul, ol, table, blockquote { margin: 0 0 16px; }
blockquote { padding-left: 16px; border-left: 4px solid #dddddd; color: #555555; }
th, td { padding: 4px 16px 4px 0; text-align: left; }
pre, code { font-family: Menlo, Consolas, monospace; font-size: 14px; }
img { max-width: 100%; }
a { color: #0b57d0; }
</style>
</head>
<body>
<div style="max-width: 640px; margin: 0 auto;">
"""
_PAGE_END = "</div>\n</body>\n</html>\n"


def page(source: Source) -> Source:
    """The HTML template for a Markdown template.

    Raises TemplateError where a Jinja statement has no place in Markdown.
    """
    shielded = shield(source)

    def write(number: int, tag: Tag) -> str:
        if tag.kind == "statement":
            token = shielded.token(number)
            return f"<!--{token}-->" if _alone(source.text, tag) else token
        return shielded.token(number) if tag.kind == "expression" else ""

    tokens = shielded.between(0, len(source.text), write)
    body = _joined_lists(_MARKDOWN.render(tokens), shielded)
    statements = [n for n, tag in enumerate(shielded.tags) if tag.kind == "statement"]
    return shielded.restore(_PAGE + body + _PAGE_END, source.name, statements)


def _alone(text: str, tag: Tag) -> bool:
    before = text[text.rfind("\n", 0, tag.start) + 1 : tag.start]
    end = text.find("\n", tag.end)
    return not before.strip() and not text[tag.end : end if end >= 0 else None].strip()


def _joined_lists(html: str, shielded: Shield) -> str:
    """A loop around list items makes one list of many items, not many lists of one."""
    loops = "|".join(str(n) for n, tag in enumerate(shielded.tags) if _FOR.match(tag.text))
    if not loops:
        return html
    loop = re.compile(
        rf"(<!--{shielded.word}(?:{loops})x-->\n)<(ul|ol)>\n"
        rf"((?:(?!<!--|</?[uo]l>).)*)</\2>\n(<!--{shielded.word}\d+x-->\n)",
        re.DOTALL,
    )
    return loop.sub(r"<\2>\n\1\3\4</\2>\n", html)


_FOR = re.compile(r"\{%[-+]?\s*for\b")
