"""Pages with figures: each benchmark has a section of its own, and writes no other.

A section stands between two comments, so that the prose around it is anybody's to write:

    <!-- million: written by `make million` -->
    …
    <!-- end of million -->
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"
BENCHMARKS = DOCS / "benchmarks.md"
PERFORMANCE = DOCS / "performance.md"


def rewrite(page: Path, name: str, text: str) -> None:
    """Put `text` where the section of this name is; the page must have it."""
    old = page.read_text(encoding="utf-8")
    section = re.compile(
        rf"(<!-- {name}: [^\n]* -->\n).*(<!-- end of {name} -->\n)", re.DOTALL
    )
    new, found = section.subn(lambda at: f"{at[1]}\n{text.strip()}\n\n{at[2]}", old)
    if found != 1:
        raise ValueError(f"{page} has {found} sections {name}")
    page.write_text(new, encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column is text, the others are figures."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
