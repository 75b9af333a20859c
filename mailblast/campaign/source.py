"""A TOML file with the line of every key, so that each error can point.

Rule: `tomllib` decides what the file says; the scan here only finds lines in a file that
`tomllib` has taken (TOML 1.0), and a key that it misses gets the line of its table.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailblast.errors import Problem

# A campaign file is a page or two; far more is some other file given by mistake.
MAX_BYTES = 1_000_000

_TOKEN = re.compile(
    r"""
    (?P<string> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5}
              | \"(?:\\.|[^\"\\\n])*\" | '[^'\n]*' )
  | (?P<comment> \#[^\n]* )
  | (?P<bare> [A-Za-z0-9_-]+ )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE = re.compile(r" ?\(at line (\d+), column (\d+)\)")

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What a TOML file says, and where."""

    path: Path
    data: dict[str, object]
    lines: dict[KeyPath, int]

    def where(self, *key: str) -> str:
        """The place of a key, `campaign.toml:12`; of its table when it has no line."""
        for length in range(len(key), 0, -1):
            if line := self.lines.get(key[:length]):
                return f"{self.path.name}:{line}"
        return self.path.name


def read(path: Path) -> Source | Problem:
    """Read a TOML file: UTF-8, with or without a BOM, of at most a megabyte."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Problem(
            path.name,
            f"there is none in {path.parent}",
            "is this the campaign's directory?",
        )
    except OSError as error:
        return Problem(path.name, f"cannot be read ({error.strerror})")
    if len(content) > MAX_BYTES:
        return Problem(path.name, f"is larger than {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(f"{path.name}:{line}", "not UTF-8", "save the file as UTF-8")
    return parse(path, text)


def parse(path: Path, text: str) -> Source | Problem:
    """Parse the text of the file at `path`."""
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return Problem(path.name, "is nested too deeply")
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        return _syntax_problem(path, text, str(error))
    return Source(path, data, dict(reversed(list(_lines(text)))))


def _syntax_problem(path: Path, text: str, error: str) -> Problem:
    # The message names no value of the file but may name a key; it is the parser's own.
    if found := _LINE.search(error):
        line, column = found.groups()
        what = f"{error[: found.start()]} (column {column})"
    else:
        line = str(len(text.rstrip().splitlines()) or 1)
        what = error.replace("(at end of document)", "(the file ends here)")
    hint = next((advice for part, advice in _ADVICE.items() if part in error), "")
    return Problem(f"{path.name}:{line}", f"not TOML: {what[:1].lower()}{what[1:]}", hint)


# By what the parser says: what most often is the matter.
_ADVICE = {
    "Invalid value": 'text stands in quotes: name = "text"',
    "Cannot overwrite": "something is given twice",
    "Cannot declare": "something is given twice",
    "Unclosed array": "a list ends with ]",
}


def _lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Each table and key with its line, in order; a table may come more than once."""
    table: KeyPath = ()
    parts: list[str] = []
    depth = 0
    header = value = False
    line = start = 1
    for token in _TOKEN.finditer(f"{text}\n"):
        kind, word = token.lastgroup, token.group()
        if value:
            depth += (word in "[{") - (word in "]}") if kind == "other" else 0
        elif kind == "bare" or kind == "string":
            start = start if parts else line
            parts.append(word if kind == "bare" else tomllib.loads(f"k={word}")["k"])
        elif word == "[":
            header = True
        elif word == "=":
            yield (*table, *parts), start
            value, parts = True, []
        if word == "\n" and depth == 0:
            if header:
                table = tuple(parts)
                yield table, start
            header, value, parts = False, False, []
        line += word.count("\n")
