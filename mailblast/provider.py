"""Which destination a domain belongs to, and which limits it has.

Receivers count by their mail hosts, not by the recipient's domain ("based on the MX record
domain", Google support answer 81126), so all domains that share mail hosts are one destination.

Rule: this module is told the mail hosts, where they are known, and never looks them up.  What
names a destination beats what is said of all; the campaign's word beats that of the workspace's
destinations.toml, and that beats the table that mailblast brings.  Through a relay the receivers
never see our connections: there the table only groups, and its figures do not count.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mailblast.campaign import (
    Campaign,
    Limits,
    Profile,
    Profiles,
    Rate,
    Setting,
    Throttles,
)
from mailblast.campaign.providers import ANYWHERE, BUILT_IN, DEFAULT

# The countries of `yahoo.*`: a country, or com or co below one.  More would take in whoever
# has a domain `live` somewhere.
_COUNTRY = re.compile(r"com|(?:com?\.)?[a-z]{2}")

_KEYS = tuple(each.name for each in fields(Limits))
_NOBODY: Profile = {}


@dataclass(frozen=True, slots=True)
class Placed:
    """The destination of a domain; `provider` is "" where none is known."""

    destination: str
    provider: str
    why: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """One limit of a destination, as it holds, and the words and places that decided it."""

    key: str
    value: Any
    where: str


class Destinations:
    """The table of providers and the campaign's limits, put together."""

    def __init__(self, profiles: Profiles, throttles: Throttles, *, direct: bool) -> None:
        self._profiles = profiles
        self._throttles = throttles
        self._direct = direct
        self._endings = dict(self._listed("mx"))
        self._domains = dict(self._listed("domains"))

    @classmethod
    def of(cls, campaign: Campaign) -> "Destinations":
        """Those of a campaign, by the way that its mail leaves."""
        via: str = campaign.delivery.via
        return cls(campaign.providers, campaign.throttle, direct=via == "direct")

    # --- Which destination -----------------------------------------------------------------

    def place(self, domain: str, hosts: Sequence[str] = ()) -> Placed:
        """The destination of a domain (A-label, lower case).

        `hosts` are the most preferred of its mail hosts (those of the lowest preference), in
        any order; empty where they are not known.  Through a relay they do not matter.
        """
        hosts = sorted(host.lower().rstrip(".") for host in hosts) if self._direct else []
        named = self._throttles.destinations
        provider, why = self._provider(domain, hosts)
        if domain in named:
            return Placed(domain, provider, f"the campaign names {domain}")
        if host := next((one for one in hosts if one in named), ""):
            return Placed(host, provider, f"the campaign names its mail host {host}")
        if provider and not self._value(provider, "per_host"):
            return Placed(provider, provider, why)
        if hosts:
            host = next((one for one in hosts if self._ending(one)), hosts[0])
            each = f"{why}, and each host of {provider} is one of its own"
            why = each if provider else f"its mail host is {host}, of no provider known"
            return Placed(host, provider, why)
        return Placed(domain, provider, why or "no provider and no mail host is known")

    def place_again(self, domain: str, destination: str) -> Placed:
        """The destination of a domain that was sent to before, and belonged to `destination`: to
        a provider, or to its mail host."""
        if not self._direct or destination == domain:
            return self.place(domain)
        if "." in destination:
            return self.place(domain, [destination])
        return Placed(destination, destination, "so it was when it was last sent to")

    def _provider(self, domain: str, hosts: Sequence[str]) -> tuple[str, str]:
        """The provider of a domain, or "", and how it was found."""
        listed, pattern = self._listed_domain(domain)
        if listed in self._profiles.own and "domains" in self._profiles.own[listed]:
            return listed, self._said(listed, "domains", f"{pattern} is")
        for host in hosts:
            if ending := self._ending(host):
                name = self._endings[ending]
                ends = "is" if ending == host else f"ends with {ending}, which is"
                return name, self._said(name, "mx", f"its mail host {host} {ends}")
        if listed and not hosts:
            return listed, self._said(listed, "domains", f"{pattern} is")
        return "", ""

    def _said(self, provider: str, key: str, what: str) -> str:
        setting = self._setting(provider, key)
        return f"{what} in {key} of [{provider}] ({setting.where if setting else ''})"

    def _ending(self, host: str) -> str:
        """The entry of an `mx` list that a host fits: itself, or its longest ending."""
        labels = host.split(".")
        endings = (f".{'.'.join(labels[n:])}" for n in range(1, len(labels)))
        return next((one for one in (host, *endings) if one in self._endings), "")

    def _listed_domain(self, domain: str) -> tuple[str, str]:
        """The provider that lists a domain, and the entry; "" if none does."""
        first, _, rest = domain.partition(".")
        anywhere = f"{first}{ANYWHERE}"
        if domain in self._domains:
            return self._domains[domain], domain
        if anywhere in self._domains and _COUNTRY.fullmatch(rest):
            return self._domains[anywhere], anywhere
        return "", ""

    def _listed(self, key: str) -> Iterator[tuple[str, str]]:
        """Every entry of a list with its provider; the last one of an entry holds."""
        for name in reversed(self._profiles.names()):
            for one in self._value(name, key) or ():
                yield one, name

    def _value(self, provider: str, key: str) -> Any:
        setting = self._setting(provider, key)
        return setting.value if setting else None

    def _setting(self, provider: str, key: str) -> Setting | None:
        for table in (self._profiles.own, self._profiles.built_in):
            if key in table.get(provider, _NOBODY):
                return table[provider][key]
        return None

    def named(self) -> list[str]:
        """Every destination that has a name in a file: those of the campaign first."""
        return list(dict.fromkeys([*self._throttles.destinations, *self._profiles.names()]))

    # --- Which limits ----------------------------------------------------------------------

    def limits(self, destination: str, provider: str = "") -> Limits:
        """The limits of a destination, by the name that `place` gave it.

        `provider` as well where it is known: a domain that the campaign names has a name of
        its own and still the limits of its provider.
        """
        rulings = self.rulings(destination, provider)
        return Limits(**{one.key: one.value for one in rulings})

    def rulings(self, destination: str, provider: str = "") -> list[Ruling]:
        """Each limit of a destination, and where it comes from."""
        provider = provider or self.provider_of(destination)
        return [self._ruling(key, destination, provider) for key in _KEYS]

    def provider_of(self, destination: str) -> str:
        """Who runs a destination, by the name that `place` gave it; "" if nobody known."""
        if destination in self._profiles.own or destination in self._profiles.built_in:
            return destination
        if ending := self._ending(destination):
            return self._endings[ending]
        return self._listed_domain(destination)[0]

    def _ruling(self, key: str, destination: str, provider: str) -> Ruling:
        given = next(self._given(key, destination, provider), None)
        everyone = self._throttles.everyone.get(key)
        if given is None:
            return Ruling(key, getattr(_PLAIN, key), "the default")
        if everyone and given.where.startswith(BUILT_IN):
            return _stricter(key, given, everyone)
        return Ruling(key, given.value, given.where)

    def _given(self, key: str, destination: str, provider: str) -> Iterator[Setting]:
        """What is said of a limit, by whatever says it, the strongest first."""
        own, built_in = self._profiles.own, self._profiles.built_in
        said: list[Profile | None] = [
            self._throttles.destinations.get(destination),
            self._throttles.destinations.get(provider),
            own.get(provider),
            built_in.get(provider) if self._direct else None,
            self._throttles.everyone,
            own.get(DEFAULT),
            built_in.get(DEFAULT) if self._direct else None,
        ]
        for profile in said:
            if profile and key in profile:
                yield profile[key]


_PLAIN = Limits()


def _stricter(key: str, known: Setting, asked: Setting) -> Ruling:
    """What mailblast knows of a provider beside what [throttle] asks of everyone.

    [throttle] may be gentler; to be less so, the campaign has to name the provider.
    """
    if isinstance(known.value, Rate):
        both = known.value.stricter(asked.value)
        where = " and ".join(
            one.where for one in (known, asked) if one.value != Rate() and both != Rate()
        )
        return Ruling(key, both, where or asked.where)
    if isinstance(known.value, int) and asked.value < known.value:
        return Ruling(key, asked.value, asked.where)
    return Ruling(key, known.value, known.where)
