"""Jinja's tags put out of harm's way while a template is read as HTML or as Markdown.

Those who read HTML and Markdown know nothing of `{{ … }}` and `{% … %}`.  So the tags are
found as Jinja itself finds them, and stand aside:

* `mask` keeps every position: each character of a tag becomes one filler.
* `tokens` has a word instead of each tag; `restore` puts the tags back and sees that each
  statement is there again, once and in its order.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import jinja2

from mailblast.template.environment import TEXT, Source, TemplateError

# A private-use character: no markup, no blank, and allowed in a name.
FILLER = "\ue000"

Kind = Literal["expression", "statement", "comment", "raw"]
_KINDS: dict[str, Kind] = {
    "variable_begin": "expression",
    "block_begin": "statement",
    "comment_begin": "comment",
    "raw_begin": "raw",
    "raw_end": "raw",
}


@dataclass(frozen=True, slots=True)
class Tag:
    """One Jinja tag of a template: where it stands, and on which line."""

    kind: Kind
    text: str
    start: int
    line: int

    @property
    def end(self) -> int:
        """The position behind the tag."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Shield:
    """A template and the tags in it."""

    source: Source
    tags: tuple[Tag, ...]
    masked: str
    word: str  # how the words begin that stand for tags; it occurs nowhere in the source

    def token(self, number: int) -> str:
        """The word that stands for the tag of this number."""
        return f"{self.word}{number}x"

    def between(self, start: int, end: int, write: Callable[[int, Tag], str]) -> str:
        """A stretch of the source, with what `write` says in place of each tag."""
        first = bisect_right(self.tags, start - 1, key=lambda tag: tag.start)
        pieces = []
        for number in range(first, len(self.tags)):
            tag = self.tags[number]
            if tag.start >= end:
                break
            pieces += [self.source.text[start : tag.start], write(number, tag)]
            start = tag.end
        return "".join(pieces) + self.source.text[start:end]

    def error(self, position: int, what: str) -> TemplateError:
        """An error that names the line of a position in the source."""
        return TemplateError(f"{self.where(position)}: {what}")

    def where(self, position: int) -> str:
        """The file and line of a position in the source."""
        return self.source.where(self.source.text.count("\n", 0, position) + 1)

    def restore(self, text: str, name: str, statements: Sequence[int]) -> Source:
        """Put the tags back into a text made from one with tokens.

        Raises TemplateError if one of the statements went missing, came twice or moved: the
        text would mean something else.
        """
        pattern = re.compile(rf"(?:<!--|&lt;!--)?{self.word}(\d+)x(?:-->|--&gt;)?")
        literal = _BRACES.sub(r"{{ '\g<0>' }}", text)
        self._check([int(number) for number in pattern.findall(literal)], statements)
        # A line break within each tag prints nothing, and gives each tag a line of its own:
        # so a line of the new text tells the line in the file.
        restored = pattern.sub(lambda m: _broken(self.tags[int(m[1])].text), literal)
        return Source(name, restored, self._lines(literal, pattern))

    def _check(self, found: Sequence[int], statements: Sequence[int]) -> None:
        have = [number for number in found if self.tags[number].kind == "statement"]
        for wanted, had in zip_longest(statements, have):
            if wanted != had:
                tag = self.tags[had if wanted is None else wanted]
                raise self.error(tag.start, f"{tag.text} cannot stand where it stands")

    def _lines(self, literal: str, pattern: re.Pattern[str]) -> tuple[int, ...]:
        lines = [1]
        position = 0
        for match in pattern.finditer(literal):
            tag = self.tags[int(match[1])]
            lines += [lines[-1]] * literal.count("\n", position, match.start())
            lines += range(tag.line, tag.line + tag.text.count("\n") + 1)
            position = match.end()
        return (*lines, *[lines[-1]] * literal.count("\n", position))


_BRACES = re.compile(r"\{[{%#]")
_OPENING = re.compile(r"\{[{%#][-+]?")


def _broken(tag: str) -> str:
    opening = _OPENING.match(tag)
    return f"{opening[0]}\n{tag[opening.end() :]}" if opening else tag


def shield(source: Source) -> Shield:
    """Find the tags of a template.  Raises TemplateError where Jinja cannot read it."""
    try:
        tags = tuple(_tags(source.text))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{source.where(error.lineno)}: {error.message}") from None
    word = "mbx"
    while word in source.text.lower():
        word += "q"
    return Shield(source, tags, _masked(source.text, tags), word)


def _tags(source: str) -> list[Tag]:
    tags: list[Tag] = []
    kind: Kind | None = None
    text, line, position = "", 0, 0
    for number, token, value in TEXT.lexer.tokeniter(source, None):
        if token in _KINDS:
            kind, text, line = _KINDS[token], "", number
        if kind is None:
            continue
        text += value
        if token.endswith("_end") or kind == "raw":
            # The end of a tag takes blanks behind it along, which are not of the tag.
            start = source.index(text.rstrip(), position)
            tags.append(Tag(kind, text.rstrip(), start, line))
            position, kind = tags[-1].end, None
    return tags


def _masked(source: str, tags: tuple[Tag, ...]) -> str:
    pieces, position = [], 0
    for tag in tags:
        pieces += [source[position : tag.start], re.sub(r"[^\n]", FILLER, tag.text)]
        position = tag.end
    return "".join(pieces) + source[position:]
