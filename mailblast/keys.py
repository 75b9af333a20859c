"""Our keys: the one that signs messages (DKIM), and the one that signs tags.

Both lie below `.mailblast` with mode 0600.  A DKIM key is made on request, because its other
half must be published in the DNS first; only for the practice Internet, where nobody asks
the DNS, is one made when it is needed.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from mailblast.campaign import Campaign, Dkim
from mailblast.campaign.forms import DOMAIN, SELECTOR
from mailblast.errors import Refusal, Refused, UserError
from mailblast.ledger import Ledger
from mailblast.secret import private_directory, write_secret
from mailblast.signing import Algorithm, Signer, new_key
from mailblast.tag import Keyring, format_keyring, parse_keyring

STATE = ".mailblast"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What is to be published for a key: the TXT record `record` at `name`."""

    path: Path
    name: str
    record: str


def keyring(ledger: Ledger) -> Keyring:
    """The secret keys of the ledger's tags; a first one is made if there is none."""
    fresh = Keyring(1, {1: secrets.token_bytes(32)})
    return parse_keyring(ledger.secret(format_keyring(fresh)))


def key_path(dkim: Dkim, workspace: Path) -> Path:
    """Where the private key of a campaign is."""
    return dkim.key or workspace / STATE / "keys" / f"{dkim.domain}.{dkim.selector}.pem"


def dkim_named(domain: str, selector: str, algorithm: Algorithm) -> Dkim:
    """A key as a campaign would name it: the domain as A-label, in lower case.

    Raises UserError for what is no domain or no selector; a path is neither.
    """
    found: list[str] = []
    for form, text in ((DOMAIN, domain), (SELECTOR, selector)):
        taken = form.take(text)
        if isinstance(taken, Refusal):
            raise UserError(f"{text}: not {form.words}")
        found.append(taken)
    return Dkim(found[0], found[1], None, algorithm)


def dkim_key(campaign: Campaign, workspace: Path) -> tuple[bytes | None, Path | None]:
    """The private key (PEM) of a campaign, and its path if it was made just now.

    (None, None) when the campaign is not signed.  Raises UserError when there is no key, or
    when others can read it.
    """
    if campaign.dkim is None:
        return None, None
    path = key_path(campaign.dkim, workspace)
    made = None
    if not path.exists() and campaign.delivery.via == "sandbox":
        new_dkim_key(
            campaign.dkim.domain, campaign.dkim.selector, campaign.dkim.algorithm, path
        )
        made = path
    return read_key(path, campaign.dkim), made


def read_key(path: Path, dkim: Dkim) -> bytes:
    """Read a private key; raises UserError."""
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: there is no such DKIM key",
            f"mailblast keys new {dkim.domain} --selector {dkim.selector}",
        ) from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if mode & 0o077:
        raise UserError(f"{path}: others can read this private key", f"chmod 600 {path}")
    return pem


def new_dkim_key(domain: str, selector: str, algorithm: Algorithm, path: Path) -> PublicKey:
    """Make a key at `path`; raises Refused when there is one: what it signed would be void."""
    private_directory(path.parent)
    pem = new_key(algorithm)
    if not write_secret(path, pem):
        raise Refused(
            f"{path}: there is a key already",
            "choose another --selector; the old key must stay published while mail "
            "signed with it is on its way",
        )
    return public_key(pem, domain, selector, algorithm, path)


def public_key(
    pem: bytes, domain: str, selector: str, algorithm: Algorithm, path: Path
) -> PublicKey:
    """What is to be published for a private key."""
    signer = Signer(pem, domain, selector, algorithm)
    return PublicKey(path, signer.name, signer.record())
