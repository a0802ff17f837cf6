"""Certificates of all sorts under HospitalA's CA, and MSPs of all sorts. Generates keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fabric_protos.msp import msp_config_pb2

from consilo.fabric.identities import Msp
from tests.fabric_members import START, organisation

ORGANISATION = organisation("HospitalA")
Builder = x509.CertificateBuilder


def name(common: str, *units: str) -> x509.Name:
    """A name."""
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def certificate(
    issuer: x509.Name,
    *,
    common: str = "peer0",
    units: tuple[str, ...] = ("peer",),
    authority: bool = False,
    path_length: int | None = None,
    change: Callable[[Builder], Builder] = lambda builder: builder,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    start: int = 0,
    days: int = 3650,
) -> tuple[Builder, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]:
    """A certificate that is not signed yet. `start`, in days: when it becomes valid."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = (
        Builder()
        .subject_name(name(common, *units))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START + timedelta(days=start))
        .not_valid_after(START + timedelta(days=start + days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
    )
    return change(builder), key


def pem(builder: Builder, signer: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Signed."""
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)


def subject(data: bytes) -> x509.Name:
    """The subject of a certificate."""
    return x509.load_pem_x509_certificate(data).subject


def msp(**fields: object) -> Msp:
    """HospitalA's MSP, with other fields."""
    read = msp_config_pb2.FabricMSPConfig.FromString(ORGANISATION.msp_configuration())
    for field, value in fields.items():
        if isinstance(value, list):
            del getattr(read, field)[:]
            getattr(read, field).extend(value)
        elif value is None:
            read.ClearField(field)
        else:
            getattr(read, field).CopyFrom(value)
    return Msp(read.SerializeToString())


def leaf(**options: object) -> bytes:
    """A certificate by HospitalA's CA."""
    builder, _ = certificate(ORGANISATION.authority.certificate.subject, **options)  # type: ignore[arg-type]
    return pem(builder, ORGANISATION.authority.key)
