"""A DKIM key as it stands in the DNS (RFC 6376 §3.6.1).

    mb1._domainkey.example.com  TXT  "v=DKIM1; k=rsa; p=MIIB…"

Rule: told the text; asks nobody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mailblast.errors import Refusal
from mailblast.signing import PublicHalf, public_half

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The tags of a record; what they leave out is as the RFC says."""

    tags: Mapping[str, str]

    @property
    def kind(self) -> str:
        """`rsa` or `ed25519`, or what nobody knows."""
        return self.tags.get("k", "rsa").lower()

    @property
    def revoked(self) -> bool:
        """Whether the key was taken back: p= is there, and empty."""
        return not self.tags["p"]

    @property
    def testing(self) -> bool:
        """Whether verifiers must treat the mail as if it were not signed (t=y)."""
        return "y" in self._listed("t", "")

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes that may be used; none named means any."""
        return self._listed("h", "")

    @property
    def for_mail(self) -> bool:
        """Whether the key is one for e-mail."""
        return not {"*", "email"}.isdisjoint(self._listed("s", "*"))

    @property
    def public(self) -> PublicHalf | Refusal:
        """The key."""
        if self.kind not in ("rsa", "ed25519"):
            return Refusal(f"k={self.kind} is no kind of key that is known")
        return public_half(self.kind, self.tags["p"])

    def _listed(self, tag: str, otherwise: str) -> tuple[str, ...]:
        parts = self.tags.get(tag, otherwise).split(":")
        return tuple(part.strip().lower() for part in parts if part.strip())


def parse(text: str) -> KeyRecord | Refusal:
    """Read a record.  A tag must not stand there twice (RFC 6376 §3.2)."""
    tags: dict[str, str] = {}
    for number, part in enumerate(text.strip().removesuffix(";").split(";")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.fullmatch(name):
            return Refusal(f'"{part.strip()[:40]}" is no tag')
        if name in tags:
            return Refusal(f"{name}= stands there twice")
        if name == "v" and (number or value != "DKIM1"):
            return Refusal("v= must come first and be DKIM1")
        tags[name] = value
    return KeyRecord(tags) if "p" in tags else Refusal("it has no p=")
