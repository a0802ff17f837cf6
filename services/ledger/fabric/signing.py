"""Signing for Fabric: a plain function from a digest to a signature, and the identity that goes with it. No I/O.

Fabric admits one of the two signatures that ECDSA has for a digest: the one with the low S. The other is refused as
`access denied`, as if the identity were unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from fabric_protos.msp import identities_pb2

from consilo.protocol.certificates import P256_ORDER

Sign = Callable[[bytes], bytes]
"""From a SHA-256 digest to an ECDSA signature in DER."""

_PREHASHED: Final = ec.ECDSA(Prehashed(SHA256()))


def signer(key: ec.EllipticCurvePrivateKey) -> Sign:
    """The function that signs digests with a key, as Fabric wants it.

    Raises:
        ValueError: the key is not on the curve P-256.
    """
    if key.curve.name != ec.SECP256R1.name:
        raise ValueError(f"a key on the curve {key.curve.name}; Fabric's clients have P-256 (secp256r1)")

    def sign(digest: bytes) -> bytes:
        return with_low_s(key.sign(digest, _PREHASHED))

    return sign


def with_low_s(signature: bytes) -> bytes:
    """The signature (DER, P-256) of the same digest whose S is in the lower half."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, P256_ORDER - s))


@dataclass(frozen=True)
class ClientIdentity:
    """Who speaks to peers: a member of a Fabric MSP (not of Consilo's).

    Attributes:
        msp: id of the MSP.
        certificate: PEM.
        sign: with the certificate's key.
        expires_at: end of the certificate's validity, milliseconds since 1970-01-01 UTC.
    """

    msp: str
    certificate: bytes = field(repr=False)
    sign: Sign = field(repr=False)
    expires_at: int

    @property
    def creator(self) -> bytes:
        """The serialised identity, as it stands in headers."""
        return _serialised(self.msp, self.certificate)

    def sign_message(self, message: bytes) -> bytes:
        """The signature of a message."""
        return self.sign(hashlib.sha256(message).digest())


def _serialised(msp: str, certificate: bytes) -> bytes:
    identity: bytes = identities_pb2.SerializedIdentity(mspid=msp, id_bytes=certificate).SerializeToString()
    return identity
