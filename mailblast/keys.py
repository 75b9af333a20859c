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
from mailblast.campaign.settings import STATE
from mailblast.errors import Refusal, Refused, UserError
from mailblast.ledger import Ledger
from mailblast.secret import private_directory, write_secret
from mailblast.signing import Algorithm, Signer, new_key
from mailblast.tag import Keyring, format_keyring, parse_keyring


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


def dkim_keys(campaign: Campaign, workspace: Path) -> tuple[bytes, ...]:
    """The private keys (PEM) of a campaign, as `Dkim.keys`; none when it is not signed.

    Raises UserError when one is not there, or when others can read it.
    """
    keys = campaign.dkim.keys if campaign.dkim else ()
    return tuple(read_key(key_path(key, workspace), key) for key in keys)


def practice_keys(campaign: Campaign, workspace: Path) -> tuple[Path, ...]:
    """Make the keys that a campaign lacks, if it only practises; where they are."""
    if campaign.dkim is None or campaign.delivery.via != "sandbox":
        return ()
    paths = {key_path(key, workspace): key for key in campaign.dkim.keys}
    made = {path: key for path, key in paths.items() if not path.exists()}
    for path, key in made.items():
        new_dkim_key(key.domain, key.selector, key.algorithm, path)
    return tuple(made)


def read_key(path: Path, dkim: Dkim) -> bytes:
    """Read a private key; raises UserError."""
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: there is no such DKIM key",
            how_to_make(dkim),
        ) from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if mode & 0o077:
        raise UserError(f"{path}: others can read this private key", f"chmod 600 {path}")
    return pem


def how_to_make(dkim: Dkim) -> str:
    """The command that makes a key."""
    usual = "" if dkim.algorithm == "rsa-sha256" else f" --algorithm {dkim.algorithm}"
    return f"mailblast keys new {dkim.domain} --selector {dkim.selector}{usual}"


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
