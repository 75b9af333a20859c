"""Reverse DNS: the names of an address, and whether they lead back to it (RFC 8601 §2.7.3).

Rule: told what the DNS answers, asks nobody (`lookup.Asking`).
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from mailblast.lookup import Asking, Failure, Question
from mailblast.mx import merged

MAX_NAMES = 10

# How providers name the lines of their customers.
_LINE = re.compile(
    r"(?<![a-z])(?:dyn(?:amic)?|[avx]?dsl|pool|dhcp|ppp(?:oe)?|cable|client)(?![a-z])"
)


@dataclass(frozen=True, slots=True)
class Reverse:
    """The names of an address; `confirmed` are those whose addresses it is among.

    `failure` says why there are no names; `unknown` that a name got no answer.
    """

    ip: str
    names: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    failure: Failure | None = None
    unknown: bool = False


def reversed_(ip: str) -> Asking[Reverse]:
    """Ask for the names of an address, and for the addresses of each."""
    address = ip_address(ip)
    (found,) = yield (Question("PTR", address.reverse_pointer),)
    names = found.records[:MAX_NAMES]
    if not names:
        return Reverse(ip, failure=found.failure or Failure.NODATA)
    asked = [(Question("A", name), Question("AAAA", name)) for name in names]
    flat = yield tuple(question for pair in asked for question in pair)
    back = [merged(flat[2 * n], flat[2 * n + 1]) for n in range(len(names))]
    confirmed = tuple(
        name
        for name, answer in zip(names, back, strict=True)
        if any(ip_address(one) == address for one in answer.records)
    )
    unknown = any(one.failure and one.failure.transient for one in back)
    return Reverse(ip, names, confirmed, None, unknown)


def generic(name: str, ip: str) -> str:
    """The part of a host's name that looks like an end-user line; "" where none does."""
    if found := _LINE.search(name):
        return found[0]
    address = ip_address(ip)
    if address.version == 4:
        octets = str(address).split(".")
        for order in (octets, octets[::-1]):
            for separator in (".", "-", "_", ""):
                written = separator.join(order)
                if re.search(rf"(?<![0-9]){re.escape(written)}(?![0-9])", name):
                    return written
        padded = "".join(one.zfill(3) for one in octets)
        return padded if padded in name else ""
    nibbles = address.exploded.replace(":", "")
    plain = re.sub(r"[^0-9a-f]", "", name.lower())
    return nibbles if nibbles in plain or nibbles[::-1] in plain else ""
