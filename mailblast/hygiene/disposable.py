"""Disposable domains: mailboxes for an hour, which nobody will read later.

The package disposable-email-domains has them.  It is data, kept by many and issued anew every
week, so it is no file of ours: that would be old within a month.
"""

from functools import cache
from importlib.metadata import version

_PACKAGE = "disposable-email-domains"


def is_disposable(domain: str) -> bool:
    """Whether a domain (A-labels, lower case), or one above it, is known to be disposable."""
    known = _known()
    labels = domain.split(".")
    return any(".".join(labels[n:]) in known for n in range(len(labels) - 1))


def edition() -> str:
    """Which edition of the data is installed."""
    return f"{_PACKAGE} {version(_PACKAGE)}"


@cache
def _known() -> set[str]:
    # When it is first asked for: loading ten thousand names costs 50 ms, and `send` needs none.
    from disposable_email_domains import blocklist

    return blocklist
