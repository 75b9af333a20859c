"""dane: which TLSA records count, and whether a chain of certificates is what they say."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from types import SimpleNamespace

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mailblast.certificate import dane
from mailblast.certificate.dane import MAX_RECORDS, fits, usable, verified
from mailblast.lookup import Tlsa

NAME = "mx.x.example"
NOW = datetime.now(UTC).timestamp()
LATER = NOW + 2 * 86400  # when the host's certificate has expired


def der(pem: trustme.Blob) -> bytes:
    return x509.load_pem_x509_certificate(pem.bytes()).public_bytes(Encoding.DER)


def key_of(certificate: bytes) -> bytes:
    """The public key as cryptography writes it: another way than ours."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def made():
    """A root, an authority below it, and a host's certificate: as it is shown, leaf first."""
    root = trustme.CA()
    between = root.create_child_ca()
    leaf = between.issue_cert(NAME, not_after=datetime.now(UTC) + timedelta(days=1))
    chain = [der(blob) for blob in leaf.cert_chain_pems]
    return SimpleNamespace(
        leaf=chain[0],
        between=der(between.cert_pem),
        root=der(root.cert_pem),
        chain=[chain[0], der(between.cert_pem), der(root.cert_pem)],
        authority=between,
    )


def record(usage: int, selector: int, matching: int, certificate: bytes) -> Tlsa:
    """The record that a domain publishes for this certificate."""
    chosen = key_of(certificate) if selector else certificate
    data = {0: chosen, 1: sha256(chosen).digest(), 2: sha512(chosen).digest()}[matching]
    return Tlsa(usage, selector, matching, data)


@pytest.mark.parametrize(
    ("given_record", "counts"),
    [
        (Tlsa(3, 1, 1, b"x" * 32), True),
        (Tlsa(3, 0, 2, b"x" * 64), True),
        (Tlsa(2, 0, 1, b"x" * 32), True),
        (Tlsa(3, 1, 0, b"x"), True),
        (Tlsa(0, 1, 1, b"x" * 32), False),  # RFC 7672 §3.1.3
        (Tlsa(1, 1, 1, b"x" * 32), False),
        (Tlsa(4, 1, 1, b"x" * 32), False),
        (Tlsa(3, 2, 1, b"x" * 32), False),
        (Tlsa(3, 1, 3, b"x" * 32), False),
        (Tlsa(3, 1, 1, b"x" * 31), False),
        (Tlsa(3, 1, 2, b"x" * 32), False),
        (Tlsa(3, 1, 0, b""), False),
    ],
)
def test_what_is_usable(given_record, counts):
    """Usages 2 and 3, whole or by key, with a digest of the right length."""
    assert bool(usable([given_record])) is counts


def test_records_are_bounded():
    """A thousand records are cut."""
    assert len(usable([Tlsa(3, 1, 1, b"x" * 32)] * 1000)) == MAX_RECORDS


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_end_entity(made, selector, matching):
    """Usage 3 fits the host's own certificate, in each of the six notations."""
    own, other = (record(3, selector, matching, one) for one in (made.leaf, made.root))

    assert verified([own], made.chain, NAME, NOW)
    assert verified([own], made.chain[:1], NAME, NOW)
    assert not verified([other], made.chain, NAME, NOW)


def test_end_entity_names_and_dates_do_not_matter(made):
    """RFC 7671 §5.1: with usage 3 the record says it all."""
    own = record(3, 1, 1, made.leaf)

    assert verified([own], made.chain, "other.example", NOW)
    assert verified([own], made.chain, NAME, LATER)


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("which", ["between", "root"])
def test_authority(made, selector, matching, which):
    """Usage 2 fits any authority of the chain, in each notation."""
    above = record(2, selector, matching, getattr(made, which))

    assert verified([above], made.chain, NAME, NOW)


def test_authority_names_and_dates_matter(made):
    """RFC 7672 §3.1.2: below an authority the name and the dates are checked."""
    above = record(2, 0, 1, made.root)

    assert not verified([above], made.chain, "other.example", NOW)
    assert not verified([above], made.chain, NAME, LATER)


def test_authority_that_did_not_sign(made):
    """To show an authority is not enough: the chain must lead to it."""
    stranger = trustme.CA()
    above = record(2, 0, 1, der(stranger.cert_pem))

    assert not verified([above], [*made.chain, der(stranger.cert_pem)], NAME, NOW)


def test_authority_does_not_fit_the_host_itself(made):
    """A record of usage 2 about the host's own certificate names no authority."""
    assert not verified([record(2, 0, 1, made.leaf)], made.chain, NAME, NOW)


def test_authority_that_is_not_shown(made):
    """A digest needs the certificate in the chain; a record that holds it whole does not."""
    shown = made.chain[:2]

    assert not verified([record(2, 0, 1, made.root)], shown, NAME, NOW)
    assert verified([record(2, 0, 0, made.root)], shown, NAME, NOW)


def test_a_leaf_is_no_authority():
    """A host's certificate cannot vouch for another."""
    host = trustme.CA().issue_cert("evil.example")
    key = ec.generate_private_key(ec.SECP256R1())
    signer = x509.load_pem_x509_certificate(host.cert_chain_pems[0].bytes())
    forged = _signed_by_a_leaf(signer, key)
    chain = [forged, der(host.cert_chain_pems[0])]

    assert not verified([record(2, 0, 1, chain[1])], chain, NAME, NOW)


def _signed_by_a_leaf(signer: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=True)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )


def test_one_record_that_fits_is_enough(made):
    """While a key is changed two records stand side by side."""
    old = Tlsa(3, 1, 1, b"x" * 32)

    assert verified([old, record(3, 1, 1, made.leaf)], made.chain, NAME, NOW)
    assert not verified([old], made.chain, NAME, NOW)
    assert not verified([], made.chain, NAME, NOW)
    assert not verified([old], [], NAME, NOW)


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_the_public_key_is_cut_out_right(kind):
    """Of each kind of key, octet by octet as another library writes it."""
    key = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ec": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2030, 1, 1))
        .sign(key, None if kind == "ed25519" else SHA256())
        .public_bytes(Encoding.DER)
    )

    assert dane._public_key(certificate) == key_of(certificate)
    assert fits(record(3, 1, 1, certificate), certificate)


@given(st.binary(max_size=300))
def test_garbage_is_no_certificate(data):
    """Whatever a server shows is compared, and breaks nothing."""
    records = [
        Tlsa(3, 1, 1, b"x" * 32),
        Tlsa(2, 0, 0, data or b"x"),
        Tlsa(2, 1, 1, b"x" * 32),
    ]

    assert not verified(records, [data, data], NAME, NOW)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_a_damaged_certificate_fits_nothing_else(at, change):
    """A certificate with some octets changed is another one."""
    whole = _WHOLE
    damaged = whole[: at % len(whole)] + change + whole[at % len(whole) + len(change) :]

    assert fits(record(3, 0, 1, whole), damaged) is (damaged == whole)
    fits(Tlsa(3, 1, 1, b"x" * 32), damaged)


_WHOLE = der(trustme.CA().cert_pem)
