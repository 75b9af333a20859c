"""The line of every key in a TOML file."""

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailblast.campaign.source import Source, parse
from mailblast.errors import Problem


def test_lines_of_every_kind_of_key() -> None:
    """The scan finds keys whatever the way they are written."""
    source = parse(
        Path("campaign.toml"),
        '''# a = 1
a = """
[x]
b = 1
"""
[t."x.y"] # [z]
k = [
  "]", # ]
  { i = "}" },
]
'q r'.s = 'x = 1'
[[many]]
k = 1
[t.u]
last = 1''',
    )
    assert isinstance(source, Source)

    places = {".".join(key): line for key, line in source.lines.items()}
    assert places == {
        "a": 2,
        "t.x.y": 6,
        "t.x.y.k": 7,
        "t.x.y.q r.s": 11,
        "many": 12,
        "many.k": 13,
        "t.u": 14,
        "t.u.last": 15,
    }
    assert source.where("t", "x.y", "k", "i") == "campaign.toml:7"
    assert source.where("nowhere") == "campaign.toml"


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5)


@given(
    st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=20), max_size=8)
)
def test_lines_of_any_file(values: dict[str, str]) -> None:
    """Every key of a file is found on the line where it begins."""
    text, expected = "[table]\n", {}
    for name, value in values.items():
        expected[name] = text.count("\n") + 1
        # JSON's strings are TOML's, but for the characters that TOML wants escaped too.
        quoted = json.dumps(value).replace("\x7f", "\\u007f")
        quoted = re.sub(r"(?:\\u[dD][89a-f]..){2}", "?", quoted)
        text += f"{json.dumps(name, ensure_ascii=False)} = [\n{quoted}\n]\n"
    source = parse(Path("x.toml"), text)

    assert isinstance(source, Source)
    assert expected == {key[1]: line for key, line in source.lines.items() if len(key) == 2}


@given(st.text())
def test_any_text_is_a_source_or_a_problem(text: str) -> None:
    """No file makes the reader raise."""
    assert isinstance(parse(Path("x.toml"), text), Source | Problem)
