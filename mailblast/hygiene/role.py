"""Role accounts: addresses of a job (sales@, info@) and of no person."""

import tomllib
from importlib.resources import files

_TEXT = files("mailblast.hygiene").joinpath("role.toml").read_text(encoding="utf-8")
_NAMES = frozenset(name for names in tomllib.loads(_TEXT).values() for name in names)
_REQUEST = "-request"  # who keeps a mailing list (RFC 2142 §6)


def is_role(mailbox: str) -> bool:
    """Whether an address names a job: `Sales+news@b.example` does."""
    local = mailbox.rpartition("@")[0].partition("+")[0].lower()
    return local in _NAMES or local.endswith(_REQUEST)
