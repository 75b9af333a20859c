"""Slips of the hand in well-known domains: gmial.com, and what was meant.

One slip is one letter too many, too few, another one, or two exchanged (Damerau, "A technique
for computer detection and correction of spelling errors", 1964: four of five are of these
kinds).  The first letter is hardly ever wrong, and who differs in it alone is somebody else:
mail.com, ymail.com and email.com are none of Gmail's.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.resources import files

_DATA = tomllib.loads(
    files("mailblast.hygiene").joinpath("typo.toml").read_text(encoding="utf-8")
)
_KNOWN = frozenset(_DATA["known"])
_ALL = frozenset((*_KNOWN, *_DATA["short"], *_DATA["real"]))


def meant(domain: str) -> str:
    """The well-known domain that was meant, "" where none is beside this one."""
    if domain in _ALL:
        return ""
    return _ENDINGS.get(domain) or _neighbour(domain)


def _neighbour(domain: str) -> str:
    name, _, rest = domain.partition(".")
    for shorter in (name, *_without_one(name)):
        for known in _BESIDE.get(f"{shorter}.{rest}", ()):
            if _one_slip(name, known):
                return f"{known}.{rest}"
    return ""


def _one_slip(typed: str, known: str) -> bool:
    """Whether one slip leads from a name to the other."""
    if sorted(typed) == sorted(known):
        return _exchanged(typed, known)
    if typed[0] != known[0]:
        return typed[1:] == known  # ggmail, or whatever was hit beside it
    if len(typed) == len(known):
        return sum(a != b for a, b in zip(typed, known, strict=True)) == 1
    longer, shorter = sorted((typed, known), key=len, reverse=True)
    return shorter in _without_one(longer)


def _exchanged(typed: str, known: str) -> bool:
    different = [n for n, (a, b) in enumerate(zip(typed, known, strict=True)) if a != b]
    return len(different) == 2 and different[1] - different[0] == 1


def _without_one(name: str) -> list[str]:
    return [name[:n] + name[n + 1 :] for n in range(len(name))]


def _beside(domains: Iterable[str]) -> dict[str, list[str]]:
    """The known names by what is left of them with no letter or one taken out: two names that
    are one slip apart have something left in common."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for domain in domains:
        name, _, rest = domain.partition(".")
        for shorter in dict.fromkeys((name, *_without_one(name))):
            found[f"{shorter}.{rest}"].append(name)
    return dict(found)


def _endings() -> Iterator[tuple[str, str]]:
    for domain in (*_DATA["known"], *_DATA["short"]):
        name, _, ending = domain.rpartition(".")
        wrong = list(_DATA["endings"].get(ending, ()))
        if domain in _KNOWN:
            wrong += _DATA["foreign"].get(ending, ())
        for one in wrong:
            yield f"{name}.{one}", domain


_BESIDE = _beside(_KNOWN)
_ENDINGS = {wrong: right for wrong, right in _endings() if wrong not in _ALL}
