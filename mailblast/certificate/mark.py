"""Verified Mark Certificates: an authority says that a domain may show this logo (BIMI).

Rule: told the PEM text; asks nobody.  Who issued it, and whether it was revoked, is not looked at:
that is a receiver's to judge, by a list of its own.
"""

from dataclasses import dataclass
from datetime import UTC, date

from cryptography import x509

from mailblast.errors import Refusal

# A logo in a certificate (RFC 9399 §4.1), and one that is made for BIMI
# (draft-fetch-validation-vmc-wchuang).
_LOGOTYPE = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.12")
_BRAND = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.31")


@dataclass(frozen=True, slots=True)
class MarkCertificate:
    """`names` are the domains that it is for, lower case; `ends` is its last day."""

    names: tuple[str, ...]
    ends: date
    has_logo: bool
    for_marks: bool


def read(pem: bytes) -> MarkCertificate | Refusal:
    """The first certificate of a chain in PEM."""
    try:
        first = x509.load_pem_x509_certificates(pem)[0]
        extensions = first.extensions
    except (
        ValueError,
        IndexError,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        return Refusal("what is there is no certificate in PEM")
    return MarkCertificate(
        names=_names(extensions),
        ends=first.not_valid_after_utc.astimezone(UTC).date(),
        has_logo=any(one.oid == _LOGOTYPE for one in extensions),
        for_marks=_BRAND in _purposes(extensions),
    )


def _names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(one.lower() for one in found.value.get_values_for_type(x509.DNSName))


def _purposes(extensions: x509.Extensions) -> tuple[x509.ObjectIdentifier, ...]:
    try:
        return tuple(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return ()
