"""Finding the policy packs: by the entry points of whatever is installed.

Ours are found like a company's own, so that theirs need nothing that ours do not.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from mailblast.check import Pack, book
from mailblast.check.book import Rule
from mailblast.check.pack import GROUP
from mailblast.errors import UserError


def known() -> tuple[str, ...]:
    """The names of all packs that are installed."""
    return tuple(sorted(_installed()))


def found(names: Iterable[str]) -> tuple[Pack, ...]:
    """These packs, in this order.  Raises UserError for one that is not there, or is broken."""
    installed = _installed()
    return tuple(_pack(name, installed) for name in dict.fromkeys(names))


def _installed() -> Mapping[str, EntryPoint]:
    """Where every pack is, by its name; of two that have one name the first counts."""
    points = tuple(entry_points(group=GROUP))  # it goes through all that is installed
    return {point.name: point for point in reversed(points)}


def _pack(name: str, installed: Mapping[str, EntryPoint]) -> Pack:
    if name not in installed:
        listed = ", ".join(known()) or "none: install mailblast itself (pip install -e .)"
        raise UserError(f'there is no policy pack "{name}"', f"installed are: {listed}")
    return _loaded(installed[name])


def _loaded(point: EntryPoint) -> Pack:
    try:
        pack = point.load()()
    except Exception as error:
        # Somebody else's package: whatever is wrong with it, the user is told which it is.
        raise UserError(
            f'the policy pack "{point.name}" cannot be used ({type(error).__name__}: {error})',
            f"it is {point.value}, which is not of mailblast" if not _ours(point) else "",
        ) from error
    if not isinstance(pack, Pack):
        raise UserError(f'the policy pack "{point.name}" ({point.value}) gives no Pack')
    return pack


def _ours(point: EntryPoint) -> bool:
    return point.value.startswith("mailblast.")


def rule(name: str) -> Rule:
    """The rule of this id: of the book, or of any pack.  Raises UserError."""
    wanted = name.strip().upper()
    for one in _all_rules():
        if one.id == wanted:
            return one
    near = sorted({one.id for one in _all_rules() if wanted in one.id})[:8]
    hint = f"did you mean {', '.join(near)}?" if near else "docs/rules.md has them all"
    raise UserError(f'there is no rule "{name}"', hint)


def _all_rules() -> Iterator[Rule]:
    yield from book.rules().values()
    installed = _installed()
    for name in sorted(installed):  # one by one: a broken one is in nobody's way
        yield from (term.rule for term in _pack(name, installed).terms)
