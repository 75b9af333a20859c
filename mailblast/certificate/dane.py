"""DANE: a domain publishes, under DNSSEC, which certificate its mail host will show.

    _25._tcp.mx.example.net  TLSA  3 1 1 <SHA-256 of the public key>

Rule: told the records, the chain and the time; asks nobody.  RFC 7672 §3.1: of the usages
only 2 (an authority of their own) and 3 (this very key) count for mail, 0 and 1 are
unusable.  With usage 3 neither names nor dates matter: the record says it all.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256, sha512

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from mailblast.lookup import Tlsa

AUTHORITY, END_ENTITY = 2, 3  # RFC 7218: DANE-TA and DANE-EE
_WHOLE, _KEY = 0, 1  # selectors
_DIGESTS = {1: sha256, 2: sha512}
_LENGTHS = {1: 32, 2: 64}
MAX_RECORDS = 20
MAX_CHAIN = 10  # certificates; ours


def usable(records: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """Those records that can be applied to mail; the others are as if not there."""
    return tuple(record for record in records if _is_usable(record))[:MAX_RECORDS]


def _is_usable(record: Tlsa) -> bool:
    if record.usage not in (AUTHORITY, END_ENTITY) or record.selector not in (_WHOLE, _KEY):
        return False
    if record.matching == 0:
        return bool(record.data)
    return len(record.data) == _LENGTHS.get(record.matching)


def verified(
    records: Sequence[Tlsa], chain: Sequence[bytes], name: str, now: float
) -> bool:
    """Whether the certificates that a host showed are those that it published.

    `records` are usable ones; `chain` is as it came, DER, the host's own first; `name` is
    the host's; `now` in seconds since 1970.  One record that fits is enough.
    """
    chain = chain[:MAX_CHAIN]
    if not chain:
        return False
    own = [record for record in records if record.usage == END_ENTITY]
    if any(fits(record, chain[0]) for record in own):
        return True
    anchors = _anchors([one for one in records if one.usage == AUTHORITY], chain[1:])
    return any(_issued(chain, anchor, name, now) for anchor in anchors)


def fits(record: Tlsa, certificate: bytes) -> bool:
    """Whether a record is about this certificate (DER)."""
    chosen = certificate if record.selector == _WHOLE else _public_key(certificate)
    digest = _DIGESTS.get(record.matching)
    return bool(chosen) and (digest(chosen).digest() if digest else chosen) == record.data


def _anchors(records: Sequence[Tlsa], above: Sequence[bytes]) -> Iterator[bytes]:
    """The authorities that the records name: shown by the host, or in the record whole."""
    for record in records:
        yield from (one for one in above if fits(record, one))
        if (record.selector, record.matching) == (_WHOLE, 0):
            yield record.data


def _issued(chain: Sequence[bytes], anchor: bytes, name: str, now: float) -> bool:
    """Whether `anchor` vouches for the first of the chain: signatures, dates and name."""
    try:
        own, *between = [x509.load_der_x509_certificate(one) for one in chain]
        verifier = (
            PolicyBuilder()
            .store(Store([x509.load_der_x509_certificate(anchor)]))
            .time(datetime.fromtimestamp(now, UTC))
            .extension_policies(ee_policy=_HOST, ca_policy=_ABOVE)
            .build_server_verifier(x509.DNSName(name))
        )
        verifier.verify(own, between)
    except (ValueError, VerificationError):
        return False
    return True


def _may_sign(
    _policy: Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca:
        raise ValueError("not an authority")


def _signs_certificates(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a key that may not sign certificates")


# RFC 5280, without what browsers ask of public authorities beyond it: those of DANE are
# mostly somebody's own.
_HOST = ExtensionPolicy.permit_all().require_present(
    x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
)
_ABOVE = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _may_sign)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
)


def _public_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, octet by octet; b"" if there is none.

    Cut out rather than decoded and encoded again: the digest is over what was signed.
    """
    try:
        ((_, whole),) = _elements(certificate)
        (_, signed), *_ = _elements(whole)
        parts = [element for element, _ in _elements(signed)]
    except ValueError:
        return b""
    # RFC 5280 §4.1: an explicit version ([0]) stands in front, or it is version 1.
    at = 6 if parts[:1] and parts[0][0] == 0xA0 else 5
    return parts[at] if len(parts) > at else b""


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The elements that DER data is a row of: each whole, and its content."""
    while data:
        if len(data) < 2:
            raise ValueError("cut off")
        start, length = 2, data[1]
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start])
        if start > 6 or start + length > len(data):
            raise ValueError("cut off")
        yield data[: start + length], data[start : start + length]
        data = data[start + length :]
