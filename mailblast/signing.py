"""DKIM: the signature under every message (RFC 6376, RFC 8301, RFC 8463).

Signing is done with `cryptography`: dkimpy signs with RSA in pure Python, 147 messages a
second.  Verifying is done with dkimpy: what two who never spoke agree on is right.

    a=rsa-sha256 (or ed25519-sha256)     c=relaxed/simple     no l=, no x=

With a second key there are two signatures, each by itself: that with RSA on top, for whoever
looks at one alone.

`simple` for the body, for we send exactly what we sign.  The fields a forger would like to
add a second time are listed once more than they are present, so that an added one breaks
the signature (RFC 6376 §8.15).  RSASSA-PKCS1-v1_5 and Ed25519 are deterministic: the same
message signed again is the same to the byte.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import dkim
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mailblast.errors import Refusal, UserError

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]
Fields = Sequence[tuple[str, bytes]]

# Present or not, nobody may add one (RFC 6376 §5.4.1, RFC 8058 §4).
OVERSIGNED = (
    "from", "to", "cc", "subject", "date", "reply-to", "message-id", "mime-version",
    "content-type", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip
# A mailing list on the way may have a List-Id of its own to add: signed, not oversigned.
SIGNED = (
    "content-transfer-encoding", "list-id", "feedback-id", "list-help", "list-archive",
    "list-owner", "list-post", "list-subscribe", "cfbl-address", "cfbl-feedback-id",
)  # fmt: skip

MOST_SIGNATURES = 2  # that we put on a message
RSA_BITS = 2048  # RFC 8301 §3.2: signers SHOULD use at least 2048 bits
MIN_RSA_BITS = 1024  # …and MUST NOT use fewer than 1024
_PADDING = padding.PKCS1v15()
_SHA256 = hashes.SHA256()


class Hashed(NamedTuple):
    """What every signature of a message is about: the names of its fields in lower case, the
    fields as they are hashed, and the SHA-256 of the body in base64."""

    names: tuple[str, ...]
    fields: bytes
    body: bytes


class Unsigned(NamedTuple):
    """A DKIM-Signature field that ends in `b=`, and the bytes that are to be signed."""

    field: bytes
    hashed: bytes


class PublicHalf(NamedTuple):
    """A public key: `kind` is the k= of its record, `octets` its one canonical form."""

    kind: Literal["rsa", "ed25519"]
    bits: int
    octets: bytes


class Signer:
    """One private key, and the name under which its public half is published."""

    def __init__(
        self, pem: bytes, domain: str, selector: str, algorithm: Algorithm
    ) -> None:
        """`pem` is an unencrypted private key that fits the algorithm, else UserError."""
        self._key = _load(pem, algorithm)
        self.domain = domain
        self.selector = selector
        self.algorithm = algorithm

    @property
    def name(self) -> str:
        """Where the public key is published in the DNS (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"

    def record(self) -> str:
        """The TXT record to publish at `name` (RFC 6376 §3.6.1, RFC 8463 §4)."""
        public = self._key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return f"v=DKIM1; k=ed25519; p={_base64(public.public_bytes_raw())}"
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"v=DKIM1; k=rsa; p={_base64(der)}"

    @property
    def public(self) -> PublicHalf:
        """The public half of the key."""
        return _half(self._key.public_key())

    def sign(self, fields: Fields, body: bytes, at: int) -> bytes:
        """The DKIM-Signature field for a message, with its CRLF, to be put on top.

        `fields` are the header fields in their order, folded or not, without the last CRLF;
        `body` has CRLF line ends, the last of them exactly one; `at` is in seconds since
        1970.
        """
        return self.complete(self.prepare(hashed(fields, body), at))

    def prepare(self, message: Hashed, at: int) -> Unsigned:
        """All of `sign` but the signature itself, which takes longer than all the rest.

        Of many messages, what is written before and after it then runs undisturbed: each
        signature drives all else out of the processor's caches.
        """
        field = self._field(message, at)
        return Unsigned(field, message.fields + _relaxed("dkim-signature", field))

    def complete(self, unsigned: Unsigned) -> bytes:
        """The DKIM-Signature field, signed."""
        mark = self._raw_signature(unsigned.hashed)
        return b"DKIM-Signature:%b%b\r\n" % (unsigned.field, _folded(_base64(mark)))

    def _field(self, message: Hashed, at: int) -> bytes:
        head = (
            f" v=1; a={self.algorithm}; c=relaxed/simple; d={self.domain};\r\n"
            f" s={self.selector}; t={at};\r\n h="
        )
        return b"%b%b;\r\n bh=%b;\r\n b=" % (
            head.encode(),
            _listed(message.names),
            message.body,
        )

    def _raw_signature(self, data: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, _PADDING, _SHA256)
        # RFC 8463 §3: Ed25519 signs the SHA-256 of the data, not the data.
        return self._key.sign(hashlib.sha256(data).digest())


def _load(
    pem: bytes, algorithm: Algorithm
) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UserError("the DKIM key is no unencrypted private key in PEM form") from None
    if algorithm == "ed25519-sha256":
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key
    elif isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise UserError(f"the DKIM key has {key.key_size} bits; {RSA_BITS} are usual")
        return key
    raise UserError(f"the DKIM key is not one for {algorithm}")


def hashed(fields: Fields, body: bytes) -> Hashed:
    """A message as `Signer.sign` gets it, made ready for one signature or several."""
    names = tuple([name.lower() for name, _ in fields])
    lines = [_relaxed(names[at], fields[at][1]) for at in _order(names)]
    digest = base64.b64encode(hashlib.sha256(body).digest())
    return Hashed(names, b"\r\n".join([*lines, b""]), digest)


@lru_cache(maxsize=64)  # most fields are the same in every message
def _relaxed(name: str, value: bytes) -> bytes:
    # RFC 6376 §3.4.2.  VT and FF are blanks to split() too, but no field of ours has them.
    return b"%b:%b" % (name.encode(), b" ".join(value.split()))


@lru_cache(maxsize=64)
def _order(names: tuple[str, ...]) -> tuple[int, ...]:
    """Which fields are hashed, in the order of h=; of two, the lower one first."""
    last_first = range(len(names) - 1, -1, -1)
    wanted = (*OVERSIGNED, *SIGNED)
    return tuple([at for name in wanted for at in last_first if names[at] == name])


@lru_cache(maxsize=64)
def _listed(names: tuple[str, ...]) -> bytes:
    """The value of h=, folded: what is there, and once more what may not be added."""
    listed = [name for name in OVERSIGNED for _ in range(names.count(name) + 1)]
    listed += [name for name in SIGNED for _ in range(names.count(name))]
    lines = [""]
    for name in listed:
        if len(lines[-1]) + len(name) > 70:
            lines.append("")
        lines[-1] += name + ":"
    return "\r\n  ".join(lines).removesuffix(":").encode()


def _folded(text: str) -> bytes:
    return "\r\n ".join(text[i : i + 72] for i in range(0, len(text), 72)).encode()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def new_key(algorithm: Algorithm) -> bytes:
    """A new private key, as unencrypted PKCS #8 PEM."""
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if algorithm == "ed25519-sha256":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_half(kind: str, data: str) -> PublicHalf | Refusal:
    """The public key in a record: its k= and its p= (RFC 6376 §3.6.1, RFC 8463 §4).

    An RSA key stands there as SubjectPublicKeyInfo or as RSAPublicKey: the RFC says the
    second and shows the first, and verifiers take both.
    """
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
        if kind == "ed25519":
            return _half(ed25519.Ed25519PublicKey.from_public_bytes(raw))
        key = serialization.load_der_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Refusal(f"p= is no {kind} key")
    return (
        _half(key) if isinstance(key, rsa.RSAPublicKey) else Refusal(f"p= is no {kind} key")
    )


def _half(key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> PublicHalf:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicHalf("ed25519", 256, key.public_bytes_raw())
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return PublicHalf("rsa", key.key_size, der)


def verify(message: bytes, name: str, record: str) -> bool:
    """Whether a signature holds that names this key, if the DNS has `record` at `name`."""

    def lookup(asked: bytes | str, timeout: float = 0) -> bytes | None:  # noqa: ARG001
        text = asked.decode("ascii") if isinstance(asked, bytes) else asked
        return record.encode() if text.rstrip(".").lower() == name.lower() else None

    kind = _Ed25519 if _tags(record).get("k") == "ed25519" else dkim.DKIM
    for number in range(MOST_SIGNATURES):
        with suppress(dkim.DKIMException, ValueError, KeyError, IndexError):
            if kind(message).verify(idx=number, dnsfunc=lookup):
                return True
    return False


def _tags(record: str) -> dict[str, str]:
    pairs = (tag.partition("=") for tag in record.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


class _Ed25519(dkim.DKIM):  # type: ignore[misc]
    """dkimpy, but with `cryptography` for the one step for which it wants PyNaCl."""

    def verify_sig(
        self, sig: Any, include_headers: Any, sig_header: Any, dnsfunc: Callable[..., Any]
    ) -> bool:
        record = dnsfunc(sig[b"s"] + b"._domainkey." + sig[b"d"] + b".")
        if record is None or sig[b"a"] != b"ed25519-sha256":
            return False
        self.pk = _Public(base64.b64decode(_tags(record.decode())["p"]))
        self.ktag, self.keysize = b"ed25519", 256
        # It gives True for any key that does not raise what only PyNaCl can raise.
        self.verify_sig_process(sig, include_headers, sig_header, dnsfunc)
        return self.pk.holds


class _Public:
    """Looks like a PyNaCl key to dkimpy; `holds` says what came of it."""

    def __init__(self, raw: bytes) -> None:
        self._key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        self.holds = False

    def verify(self, digest: bytes, signature: bytes) -> None:
        try:
            self._key.verify(signature, digest)
        except InvalidSignature:
            return
        self.holds = True
