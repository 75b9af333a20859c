"""MTA-STS: a domain says over HTTPS that its mail hosts speak TLS, and which they are.

    _mta-sts.example.net  TXT  "v=STSv1; id=20261124"       `record_id`
    https://mta-sts.example.net/.well-known/mta-sts.txt     `parse`
        version: STSv1
        mode: enforce
        mx: *.example.net
        max_age: 604800

Rule: told the record and the text; asks nobody (`fetch` does, and `cache` remembers).  A
policy that cannot be understood is no policy (RFC 8461 §3–5).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from mailblast.errors import Refusal
from mailblast.mx import is_host

MAX_TEXT = 65_536  # octets of a policy (RFC 8461 §3.3)
MAX_AGE = 31_557_600  # seconds: a year (RFC 8461 §3.2)
MAX_PATTERNS = 100

_RECORD = re.compile(r"v=STSv1[ \t]*;(.*)", re.DOTALL)
_FIELD = re.compile(r"[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([!-:<>-~]+)[ \t]*")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*?)[ \t]*")
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)

Mode = Literal["enforce", "testing", "none"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain asks for.  `max_age`: for how many seconds the policy holds."""

    mode: Mode
    patterns: tuple[str, ...]
    max_age: int

    def lists(self, host: str) -> bool:
        """Whether a mail host is one of the policy's: `*` stands for one whole label.

        RFC 8461 §4.1, with the matching of names in certificates.
        """
        return host in self.patterns or f"*.{host.partition('.')[2]}" in self.patterns


def record_id(texts: Iterable[str]) -> str:
    """The id in the one TXT record for MTA-STS; "" when there is none, or more than one."""
    found = [match for text in texts if (match := _RECORD.fullmatch(text))]
    if len(found) != 1:
        return ""
    for field in found[0][1].split(";"):
        parted = _FIELD.fullmatch(field)
        if parted and parted[1] == "id":
            return parted[2] if _ID.fullmatch(parted[2]) else ""
    return ""


def parse(text: str) -> Policy | Refusal:
    """Read the text of a policy."""
    if len(text) > MAX_TEXT:
        return Refusal(f"a policy of more than {MAX_TEXT} octets")
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        if parted := _LINE.fullmatch(line):
            fields.setdefault(parted[1], []).append(parted[2])
    return _policy(fields)


def _policy(fields: dict[str, list[str]]) -> Policy | Refusal:
    # RFC 8461 §3.2: of a field that stands there twice only the first counts.
    version, mode, age = (fields.get(k, [""])[0] for k in ("version", "mode", "max_age"))
    if version != "STSv1":
        return Refusal("not a policy of version STSv1")
    if mode not in ("enforce", "testing", "none"):
        return Refusal("no mode that we know")
    if not _SECONDS.fullmatch(age):
        return Refusal("no max_age")
    patterns = _patterns(fields.get("mx", ()))
    if not patterns and mode != "none":
        return Refusal("no mail host is named")
    return Policy(cast(Mode, mode), patterns, min(int(age), MAX_AGE))


def _patterns(values: Sequence[str]) -> tuple[str, ...]:
    named = (value.lower().rstrip(".") for value in values[:MAX_PATTERNS])
    return tuple(one for one in named if is_host(one.removeprefix("*.")))
