"""The table of providers: what is known of those who receive mail for many domains.

Two files of one form, `destinations.toml`: that of mailblast (each figure with its source and
date) and that of the workspace, which overrides it key by key and adds providers.

    [google]
    mx = [".google.com", ".googlemail.com"]
    domains = ["gmail.com", "googlemail.com"]
    connections = 5

`[default]` is for everyone of whom nothing better is known.  What follows from the table is
decided in `provider`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from mailblast.campaign import limits
from mailblast.campaign.forms import DOMAIN, Form, choice, listed
from mailblast.campaign.keys import DESTINATIONS, Key
from mailblast.campaign.settings import Setting, Settings, checked
from mailblast.campaign.source import Source, parse, read
from mailblast.errors import Problem, Refusal

FILE = "destinations.toml"
BUILT_IN = f"built-in {FILE}"
DEFAULT = "default"

Profile = Mapping[str, Setting]  # what one table says, key by key

_ENDING = re.compile(r"\.(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{2,63}")
ANYWHERE = ".*"  # the end of a domain that a provider has in many countries


def _host(value: object) -> str | Refusal:
    """A mail host, or an ending of some (`.google.com`)."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if len(text) <= 253 and _ENDING.fullmatch(text):
        return text
    return str(taken) if not isinstance(taken := DOMAIN.take(text), Refusal) else taken


def _domain(value: object) -> str | Refusal:
    """A domain, or one in any country (`yahoo.*`)."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text.endswith(ANYWHERE):
        taken = DOMAIN.take(f"{text.removesuffix(ANYWHERE)}.com")
        if not isinstance(taken, Refusal):
            return f"{taken.removesuffix('.com')}{ANYWHERE}"
    return str(taken) if not isinstance(taken := DOMAIN.take(text), Refusal) else taken


def _yes_or_no(value: object) -> bool | Refusal:
    return value if isinstance(value, bool) else YES_OR_NO.refuse()


MX = listed(
    Form("a mail host", _host), 'a list of mail hosts, or of endings as ".google.com"', 1
)
DOMAINS = listed(
    Form("a domain", _domain),
    'a list of domains; "yahoo.*" is yahoo.com, yahoo.fr, yahoo.co.uk and so on',
    1,
)
YES_OR_NO = Form("true or false", _yes_or_no)

KEYS = (
    Key("*", "mx", MX, "The mail hosts of this provider.", otherwise="none"),
    Key(
        "*",
        "domains",
        DOMAINS,
        "The domains of this provider that are known without a look-up.",
        otherwise="none",
    ),
    Key(
        "*",
        "per_host",
        YES_OR_NO,
        "Whether each mail host is a destination of its own, with the limits of this "
        "provider.",
        False,
    ),
    Key(
        "*",
        "tls",
        choice("required", "opportunistic"),
        "What becomes of a message when the server offers no TLS: it waits, or it goes in "
        "plain text.",
        "opportunistic",
    ),
    Key("*", "connections", limits.CONNECTIONS, "As in [throttle].", otherwise="[default]"),
    Key("*", "rate", limits.RATE, "As in [throttle].", otherwise="[default]"),
    Key(
        "*",
        "messages_per_connection",
        limits.MESSAGES_PER_CONNECTION,
        "As in [throttle].",
        otherwise="[default]",
    ),
    Key("*", "warmup", limits.WARMUP, "As in [throttle].", otherwise="[default]"),
)


def unpaced(profile: Profile) -> Profile:
    """A profile without rate and warm-up."""
    return {key: one for key, one in profile.items() if key not in ("rate", "warmup")}


@dataclass(frozen=True, slots=True)
class Throttles:
    """What the campaign says of limits: for every destination, and for those it names.

    A name is a provider's, a domain's (A-label) or a mail host's.  What follows from it is
    decided in `provider`.
    """

    everyone: Profile
    destinations: Mapping[str, Profile]

    def unpaced(self) -> "Throttles":
        """The same, as fast as can be."""
        each = {name: unpaced(one) for name, one in self.destinations.items()}
        return Throttles(unpaced(self.everyone), each)


def throttles(settings: Settings) -> Throttles:
    """What the two files say of limits."""
    destinations: dict[str, dict[str, Setting]] = {}
    for (name, key), setting in settings.below(*DESTINATIONS.split(".")):
        destinations.setdefault(name, {})[key] = setting
    everyone = {
        path[0]: setting for path, setting in settings.below("throttle") if len(path) == 1
    }
    return Throttles(everyone, dict(destinations))


@dataclass(frozen=True, slots=True)
class Profiles:
    """What both files say, by the name of the provider or `default`."""

    built_in: Mapping[str, Profile]
    own: Mapping[str, Profile]

    def unpaced(self) -> "Profiles":
        """The same, as fast as can be."""
        return Profiles(
            {name: unpaced(one) for name, one in self.built_in.items()},
            {name: unpaced(one) for name, one in self.own.items()},
        )

    def names(self) -> list[str]:
        """The providers, those of the workspace's file first."""
        return [one for one in dict.fromkeys([*self.own, *self.built_in]) if one != DEFAULT]


def read_profiles(workspace: Path) -> tuple[Profiles, list[Problem]]:
    """The table, with the workspace's own file if there is one, and what is wrong with it."""
    path = workspace / FILE
    if not path.exists():
        return Profiles(built_in(), {}), []
    source = read(path)
    if isinstance(source, Problem):
        return Profiles(built_in(), {}), [source]
    own, problems = _profiles(source)
    profiles = Profiles(built_in(), own)
    return profiles, problems + list(_contradictions(profiles))


@cache
def built_in() -> Mapping[str, Profile]:
    """The table that mailblast brings."""
    text = files("mailblast").joinpath(FILE).read_text(encoding="utf-8")
    source = parse(Path(BUILT_IN), text)
    assert isinstance(source, Source), source  # noqa: S101 - our own file, and tested
    found, problems = _profiles(source)
    assert not problems, problems  # noqa: S101
    return found


def _profiles(source: Source) -> tuple[dict[str, Profile], list[Problem]]:
    given, problems = checked(source, KEYS)
    found: dict[str, dict[str, Setting]] = {}
    for (name, key), setting in given.items():
        if setting.value is not None:
            found.setdefault(name, {})[key] = setting
    return dict(found), problems


def _contradictions(profiles: Profiles) -> Iterator[Problem]:
    """What is good line by line, and can mean nothing, or two things."""
    seen: dict[str, str] = {}
    for name, profile in profiles.own.items():
        where = next(iter(profile.values())).where
        if name == DEFAULT:
            for key in ("mx", "domains", "per_host"):
                if key in profile:
                    what = f"[{DEFAULT}] is for everyone else and has no {key}"
                    yield Problem(profile[key].where, what)
            continue
        if name not in profiles.built_in and not {"mx", "domains"} & set(profile):
            what = f"[{name}] has neither mx nor domains"
            yield Problem(where, what, f"known providers: {', '.join(profiles.built_in)}")
        for key in ("mx", "domains"):
            for one in profile[key].value if key in profile else ():
                if seen.setdefault(one, name) != name:
                    what = f"{one} stands in [{seen[one]}] and in [{name}]"
                    yield Problem(profile[key].where, what)


def strangers(settings: Settings, profiles: Profiles) -> Iterator[Problem]:
    """Names in [throttle.destinations] that are no provider's, and no domain's either."""
    known = profiles.names()
    told = set()
    for (name, _), setting in settings.below(*DESTINATIONS.split(".")):
        if "." in name or name in known or name in told:
            continue
        told.add(name)
        near = difflib.get_close_matches(name, known, 1, 0.6)
        hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
        yield Problem(setting.where, f'no provider is called "{name}"', hint)
