"""Checking campaign.toml and mailblast.toml, key by key, and putting the two together.

mailblast.toml holds the same tables as defaults for every campaign of the workspace;
campaign.toml wins, key by key.  [suppression] and [imap] hold for the whole workspace and stand
in mailblast.toml alone.  A file is judged whole: all its problems come at once, each with its
line.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailblast.campaign import imap, suppression
from mailblast.campaign.declared import ATTEST, rule_name
from mailblast.campaign.forms import DESTINATION, PLAIN_SECRET, PROVIDER, header_name
from mailblast.campaign.keys import DESTINATIONS, HEADERS, KEYS, Key
from mailblast.campaign.source import KeyPath, Source, read
from mailblast.errors import Problem, Refusal

CAMPAIGN_FILE = "campaign.toml"
WORKSPACE_FILE = "mailblast.toml"
STATE = ".mailblast"  # beside it: the ledger, the run book, the keys
REHEARSAL = "rehearsal"  # below STATE: a ledger and an inbox of its own
MAX_ENTRIES = 1000  # in a table that takes any name

_Tree = dict[str, Any]  # names to trees or to a Key; "*" is any name


def _tree(keys: Iterable[Key]) -> _Tree:
    tree: _Tree = {}
    for key in keys:
        node = tree
        for name in key.table.split("."):
            node = node.setdefault(name, {})
        node[key.name] = key
    return tree


WORKSPACE_KEYS = (*KEYS, *suppression.KEYS, *imap.KEYS)  # those of mailblast.toml
_WORKSPACE_TABLES = (suppression.TABLE, imap.TABLE)

_DEFAULTS = {
    (*key.table.split("."), key.name): key.form.take(key.default)
    for key in WORKSPACE_KEYS
    if key.default is not None
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that was given, where, and the directory its paths are seen from.

    `value` is None when it was refused; then there is a problem that says so.
    """

    value: Any
    where: str
    base: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the two files say together."""

    given: Mapping[KeyPath, Setting]
    tables: Mapping[str, str]  # the first-level tables that are there, and where

    def get(self, *path: str) -> Any:
        """The value of a key, or its default; None when there is neither."""
        if setting := self.given.get(path):
            return setting.value
        return _DEFAULTS.get(path)

    def path(self, *path: str) -> Path | None:
        """The value of a key that is a path, made absolute."""
        setting = self.given.get(path)
        return located(setting.base, setting.value) if setting and setting.value else None

    def where(self, *path: str) -> str:
        """The place of a key; when it is not given, of its table or else of the file."""
        if setting := self.given.get(path):
            return setting.where
        return self.tables.get(path[0], CAMPAIGN_FILE)

    def below(self, *path: str) -> Iterator[tuple[KeyPath, Setting]]:
        """The settings below a table, with what is left of their names."""
        for key, setting in self.given.items():
            if key[: len(path)] == path:
                yield key[len(path) :], setting


def located(base: Path, path: str) -> Path:
    """A path from a file in `base`; `~/` is the user's home."""
    try:
        return base / Path(path).expanduser()
    except RuntimeError:  # nobody of that name
        return base / path


def read_settings(
    directory: Path | None, workspace: Path
) -> tuple[Settings | None, list[Problem]]:
    """Read both files; the settings are None when a file cannot be read as TOML at all.

    Without a campaign's directory it is the defaults of the workspace alone.
    """
    given: dict[KeyPath, Setting] = {}
    tables: dict[str, str] = {}
    problems: list[Problem] = []
    broken = False
    paths = [workspace / WORKSPACE_FILE]
    if directory is not None:
        paths.append(directory / CAMPAIGN_FILE)
    for path in paths:
        if path.name == WORKSPACE_FILE and not path.exists():
            continue
        source = read(path)
        if isinstance(source, Problem):
            problems.append(source)
            broken = True
            continue
        found, wrong = checked(
            source, WORKSPACE_KEYS if path.name == WORKSPACE_FILE else KEYS
        )
        given |= found
        tables |= {name: source.where(name) for name in source.data}
        problems += wrong
    return (None if broken else Settings(given, tables)), problems


def checked(
    source: Source, keys: tuple[Key, ...] = KEYS
) -> tuple[dict[KeyPath, Setting], list[Problem]]:
    """What a file gives of these keys, and what is wrong with it."""
    check = _Check(source, keys)
    check.walk((), source.data, _tree(keys))
    return check.given, check.problems


class _Check:
    """One file, held against the keys."""

    def __init__(self, source: Source, keys: tuple[Key, ...]) -> None:
        self._source = source
        self._keys = keys
        self.given: dict[KeyPath, Setting] = {}
        self.problems: list[Problem] = []

    def walk(self, path: KeyPath, value: object, node: _Tree | Key) -> None:
        """Check what stands under `path`, as deep as the keys go."""
        if isinstance(node, Key):
            self._take(path, value, node)
        elif not isinstance(value, dict):
            self._problem(path, f"{_bracketed(path)} must be a table")
        elif "*" in node and len(value) > MAX_ENTRIES:
            self._problem(path, f"{_bracketed(path)} has more than {MAX_ENTRIES} entries")
        else:
            for name, below in value.items():
                if found := node.get(name if name != "*" else "") or node.get("*"):
                    self.walk((*path, name), below, found)
                else:
                    self._unknown((*path, name), below, node)

    def _take(self, path: KeyPath, value: object, key: Key) -> None:
        where, base = self._source.where(*path), self._source.path.parent
        canonical = _canonical(path, key)
        if isinstance(canonical, Refusal):
            self._problem(path, f"{_spelled(path)} {canonical}")
            return
        if canonical in self.given:
            self._problem(path, f"{_spelled(path)} stands here twice")
        taken = key.form.take(value)
        if isinstance(taken, Refusal):
            plain = taken is PLAIN_SECRET
            self._problem(path, taken.why if plain else f"{_spelled(path)} {taken}")
            taken = None
        elif key.table == HEADERS:
            taken = (path[-1], taken)
        self.given[canonical] = Setting(taken, where, base)

    def _unknown(self, path: KeyPath, value: object, node: _Tree) -> None:
        name = path[-1]
        if len(path) == 1 and name in _WORKSPACE_TABLES and self._keys is KEYS:
            what = f"[{name}] binds every campaign of the workspace"
            self._problem(path, what, f"it belongs in {WORKSPACE_FILE}")
        elif isinstance(value, dict) and len(path) == 1:
            guess = _near(name, node)
            hint = f"did you mean [{guess}]?" if guess else "known: " + _listed(node)
            self._problem(path, f"unknown table [{_shown(name)}]", hint)
        else:
            self._problem(
                path, f'unknown key "{_shown(name)}"', _guess(name, node, self._keys)
            )

    def _problem(self, path: KeyPath, what: str, hint: str = "") -> None:
        self.problems.append(Problem(self._source.where(*path), what, hint))


def _canonical(path: KeyPath, key: Key) -> KeyPath | Refusal:
    """The path by which both files mean the same: names of headers and domains folded."""
    if key.table == HEADERS:
        return header_name(path[-1]) or (*path[:-1], path[-1].lower())
    if key.table == ATTEST:
        return rule_name(path[-1]) or path
    if key.table.startswith(DESTINATIONS) or key.table == "*":
        name = (PROVIDER if key.table == "*" else DESTINATION).take(path[-2])
        if isinstance(name, Refusal):
            return Refusal(f"stands under a name that {name}")
        return (*path[:-2], name, path[-1])
    return path


def _guess(name: str, node: _Tree, keys: tuple[Key, ...]) -> str:
    """What an unknown key may have been meant to be."""
    for key in keys:
        if key.name == name:
            return f"it belongs in [{key.table.removesuffix('.*')}]"
    if near := _near(name, {each: node[each] for each in node}):
        return f'did you mean "{near}"?'
    for table, below in _tree(keys).items():
        if near := _near(name, below):
            return f'did you mean "{near}" in [{table}]?'
    return f"known here: {_listed(node)}"


def _near(name: str, node: _Tree) -> str:
    return next(iter(difflib.get_close_matches(name[:100].lower(), node, 1, 0.65)), "")


def _listed(node: _Tree) -> str:
    return ", ".join(node)


def _spelled(path: KeyPath) -> str:
    return f"{_bracketed(path[:-1])} {_shown(path[-1])}"


def _bracketed(path: KeyPath) -> str:
    names = (f'"{_shown(name)}"' if "." in name else _shown(name) for name in path)
    return f"[{'.'.join(names)}]"


def _shown(name: str) -> str:
    return name[:60] if name.isprintable() else ascii(name[:60])[1:-1]
