"""The forms of settings that are IP addresses: ours, and that of a DNS resolver."""

import re
from ipaddress import ip_address

from mailblast.campaign.forms import MAX_ITEMS, Form
from mailblast.errors import Refusal

_WITH_PORT = re.compile(r"([0-9.]+|\[[^\]]+\]):([0-9]{1,5})", re.ASCII)


def _ip(value: object) -> str | None:
    try:
        return str(ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _sources(value: object) -> tuple[str, ...] | Refusal:
    if not isinstance(value, list) or not value:
        return SOURCES.refuse()
    taken = tuple(address for one in value if (address := _ip(one)))
    families = {ip_address(one).version for one in taken}
    return taken if len(taken) == len(families) == len(value) else SOURCES.refuse()


def _resolver(value: object) -> str | Refusal:
    """ADDRESS:PORT, an address of IPv6 in brackets, as in a URL."""
    text = value if isinstance(value, str) else ""
    parted = _WITH_PORT.fullmatch(text)
    host, port = (parted[1], int(parted[2])) if parted else (text, 53)
    address = _ip(host.removeprefix("[").removesuffix("]"))
    if address is None or not 0 < port < 65_536:
        return RESOLVER.refuse()
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _addresses(value: object) -> tuple[str, ...] | Refusal:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        return ADDRESSES.refuse()
    taken = tuple(dict.fromkeys(address for one in value if (address := _ip(one))))
    return taken if len(taken) == len(value) else ADDRESSES.refuse()


ADDRESSES = Form("a list of IP addresses, each once", _addresses)
SOURCES = Form("a list of IP addresses, at most one of each family", _sources)
RESOLVER = Form(
    'an IP address, with or without a port: "127.0.0.1", "127.0.0.1:5353", "[::1]:53"',
    _resolver,
)
