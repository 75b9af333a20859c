"""The documentation says what the program does: what can be checked is checked here."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from test_layers import DOORS, LAYERS

from mailblast.cli import cli
from mailblast.disposition import TRANSITIONS
from mailblast.event import EventKind
from mailblast.ledger.tables import SCHEMA_VERSION, metadata
from mailblast.reason import Reason

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
SOURCES = [
    path
    for path in sorted((ROOT / "mailblast").rglob("*"))
    if path.suffix in (".py", ".toml", ".html", ".md", ".txt")
]
CITED = re.compile(r"\bRFC[\s#]+(\d{3,5})\b")

# Where this was written is nobody's business.  In pieces, so that this file passes too.
FOREIGN = re.compile(
    "|".join(
        "".join(pieces)
        for pieces in (
            (r"(?<![\w.])/", r"work/"),
            (r"/tmp/", r"w\b"),
            (r"(?<![\w.])/", r"root\b"),
            (r"(?:index-url|trusted-host)", r"\s*=\s*\S"),
            (r"https?://[\w.-]*", r"(?:artifactory|nexus|devpi|pypi\.internal)"),
            (r"\bissue", r" #?\d"),
            (r"\bsession", r" of the project"),
        )
    ),
    re.IGNORECASE,
)


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, title
    return found[1]


def cells(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without their heads, each as its cells."""
    rows = [line[1:-1] for line in text.splitlines() if line.startswith("|")]
    parted = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    heads = {n - 1 for n, row in enumerate(parted) if set("".join(row)) <= {"-"}}
    return [row for n, row in enumerate(parted) if n not in heads and n - 1 not in heads]


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.commands:
            one = command.get_command(context, word)
            assert one is not None
            yield from commands(f"{name} {word}", one)


def committed() -> list[Path]:
    """The files of the project that are text: those that git knows or would know."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout to know which files are the project's")
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


# --- commands.md --------------------------------------------------------------------------


def test_commands_are_up_to_date():
    """docs/commands.md is what the commands say; `make docs` writes it."""
    write = {"__file__": str(DOCS / "write_commands.py"), "__name__": "write_commands"}
    exec((DOCS / "write_commands.py").read_text(), write)

    assert write["page"]() == read("commands.md")


@pytest.mark.parametrize(("name", "command"), list(commands("mailblast", cli)))
def test_everything_has_help(name, command):
    """Every command says what it does, and every option what it is for."""
    assert command.help, name
    for one in command.params:
        if isinstance(one, click.Option):
            assert one.help, f"{name} {one.opts}"


def test_rules_are_up_to_date():
    """docs/rules.md is what the rules say; `make docs` writes it."""
    write = {"__file__": str(DOCS / "write_rules.py"), "__name__": "write_rules"}
    exec((DOCS / "write_rules.py").read_text(), write)

    assert write["page"]() == read("rules.md")


# --- ledger.md ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_column_is_explained(table):
    """docs/ledger.md has every column of every table, in order, and no other."""
    explained = cells(section(read("ledger.md"), table.name))

    assert [row[0].strip("`") for row in explained] == [one.name for one in table.columns]
    assert all(row[1] for row in explained)


def test_the_schema_version_is_told():
    """docs/ledger.md names the version of the tables."""
    assert f"now {SCHEMA_VERSION}." in section(read("ledger.md"), "schema")


def test_every_transition_is_told():
    """The table of docs/ledger.md is `disposition.TRANSITIONS`."""
    text = section(read("ledger.md"), "Dispositions")
    head = next(line for line in text.splitlines() if line.startswith("| | "))
    kinds = re.findall(r"`(\w+)`", head)
    told = {
        row[0].strip("`"): {kind: to for kind, to in zip(kinds, row[1:], strict=True) if to}
        for row in cells(text)
    }

    assert told == {
        str(one): {str(kind): str(to) for kind, to in moves.items()}
        for one, moves in TRANSITIONS.items()
    }


def test_every_event_and_reason_is_told():
    """docs/ledger.md has every event kind, and every reason with its scope."""
    page = read("ledger.md")
    told = [row[0].strip("`") for row in cells(section(page, "Events"))]
    reasons = [tuple(row[:2]) for row in cells(section(page, "Reasons"))]

    assert told == [str(kind) for kind in EventKind]
    assert reasons == [(f"`{one}`", str(one.scope)) for one in Reason]


# --- rfc.md, architecture.md, dependencies.md ---------------------------------------------


def test_every_rfc_is_listed():
    """docs/rfc.md has each RFC that the source cites, and none that it does not.

    What the rules of `check` cite is in docs/rules.md, done or not.
    """
    ours = [path for path in SOURCES if path.parent.name not in ("rules", "packs")]
    cited = {n for path in ours for n in CITED.findall(path.read_text(encoding="utf-8"))}
    rows = cells(read("rfc.md"))

    assert [row[0] for row in rows] == [f"RFC {n}" for n in sorted(cited, key=int)]
    for _, title, done, what in rows:
        assert title
        assert what
        assert done in ("yes", "partly", "no")


def test_rfcs_are_spelt_one_way():
    """`RFC 5321 §4.5.3.2.6`, so that a search finds them all."""
    # RFC822.SIZE is a word of IMAP.
    wrong = re.compile(r"\bRFC-?\d{3}(?!\\?\.SIZE)|RFC \d+,? (?:section|sec)\b")

    for path in [*SOURCES, *PAGES]:
        found = wrong.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"


def test_the_layers_are_told():
    """The table of docs/architecture.md is that of tests/test_layers.py."""
    told = cells(section(read("architecture.md"), "The layers"))

    assert [name for row in told for name in re.findall(r"`([^`]+)`", row[1])] == LAYERS


def test_every_dependency_is_told():
    """docs/dependencies.md has each dependency of pyproject.toml, and the door of each."""
    project = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(
        r"^(?:dependencies|dev) = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL
    )
    wanted = [re.findall(r'^    "([\w-]+)', one, re.MULTILINE) for one in lists]
    page = read("dependencies.md")
    told = re.findall(r"^### ([\w-]+)$", page, re.MULTILINE)

    assert sorted(told) == sorted(name for names in wanted for name in names)
    for library, door in DOORS.items():
        if library not in ("sqlite3", "ssl", "dns"):
            assert f"`{door}`" in page, f"{library} has its door in {door}"


# --- All pages ----------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """A relative link in a page leads to a file, and to a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), target


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_nothing_of_this_machine():
    """No file of the project says where, or by which tools, it was written."""
    for path in committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found = FOREIGN.search(text)
        assert not found, f"{path.relative_to(ROOT)}: {found}"
