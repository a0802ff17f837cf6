"""Organisations of a simulated Fabric channel: CAs, peers, orderers, clients, administrators. Real keys, made once.

They look like what Fabric's `cryptogen` makes: a root each, certificates whose organisational unit tells their role.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fabric_protos.common import configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import identities_pb2, msp_config_pb2, msp_principal_pb2

from consilo.protocol.certificates import P256_ORDER

ROLES: Final = ("client", "peer", "admin", "orderer")
START: Final = datetime(2025, 1, 1, tzinfo=UTC)
SIGNATURE: Final = 1
IMPLICIT_META: Final = 3
ORDERERS: Final = "Orderers"
"""MSP id of the orderers' organisation."""

MspRole = msp_principal_pb2.MSPRole


@dataclass(frozen=True)
class Signer:
    """Somebody with a Fabric identity."""

    msp: str
    pem: bytes
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def identity(self) -> bytes:
        """Serialised."""
        return bytes(identities_pb2.SerializedIdentity(mspid=self.msp, id_bytes=self.pem).SerializeToString())

    def sign(self, data: bytes, *, low_s: bool = True) -> bytes:
        """ECDSA in DER; with the higher value of s, which Fabric refuses, unless `low_s`."""
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(SHA256())))
        return encode_dss_signature(r, min(s, P256_ORDER - s) if low_s else max(s, P256_ORDER - s))


@dataclass(frozen=True)
class FabricOrganisation:
    """An organisation with a CA."""

    msp: str
    authority: Signer

    def issue(
        self, role: str, name: str = "", *, msp: str | None = None, units: tuple[str, ...] | None = None
    ) -> Signer:
        """A new certificate; by default in the unit of its role. `msp`: whose it claims to be."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units or (role,)]
        builder = _certificate(name or f"{role}.{self.msp}", names, self.authority.certificate.subject, key)
        certificate = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(
            self.authority.key, SHA256()
        )
        return Signer(msp or self.msp, certificate.public_bytes(Encoding.PEM), key, certificate)

    @property
    def peer(self) -> Signer:
        """Its peer."""
        return member(self.msp, "peer")

    @property
    def client(self) -> Signer:
        """Its gateway's identity."""
        return member(self.msp, "client")

    @property
    def admin(self) -> Signer:
        """Its administrator."""
        return member(self.msp, "admin")

    def msp_configuration(self, *revoked: Signer) -> bytes:
        """Its MSP, as a serialised `FabricMSPConfig`."""
        units = {
            f"{role}_ou_identifier": msp_config_pb2.FabricOUIdentifier(
                certificate=self.authority.pem, organizational_unit_identifier=role
            )
            for role in ROLES
        }
        made = msp_config_pb2.FabricMSPConfig(
            name=self.msp,
            root_certs=[self.authority.pem],
            fabric_node_ous=msp_config_pb2.FabricNodeOUs(enable=True, **units),
            revocation_list=[self._revocation_list(revoked)] if revoked else [],
        )
        return bytes(made.SerializeToString())

    def _revocation_list(self, revoked: tuple[Signer, ...]) -> bytes:
        own = self.authority.certificate
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(own.subject)
            .last_update(START)
            .next_update(START + timedelta(days=1))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.key.public_key()), critical=False
            )
        )
        for signer in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(signer.certificate.serial_number)
                .revocation_date(START)
                .build()
            )
        return builder.sign(self.authority.key, SHA256()).public_bytes(Encoding.PEM)

    def group(self, *revoked: Signer) -> configtx_pb2.ConfigGroup:
        """Its part of a channel's configuration."""
        group = configtx_pb2.ConfigGroup(mod_policy="Admins")
        value = msp_config_pb2.MSPConfig(type=0, config=self.msp_configuration(*revoked)).SerializeToString()
        group.values["MSP"].CopyFrom(configtx_pb2.ConfigValue(value=value, mod_policy="Admins"))
        for name, role in (
            ("Readers", MspRole.MEMBER),
            ("Writers", MspRole.MEMBER),
            ("Admins", MspRole.ADMIN),
            ("Endorsement", MspRole.PEER),
        ):
            set_policy(group, name, SIGNATURE, signature_policy(1, (self.msp, role)))
        return group


@cache
def organisation(msp: str, label: str = "") -> FabricOrganisation:
    """An organisation; with a label, another one that goes by the same name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca.{msp}")])
    certificate = (
        _certificate(f"ca.{msp}", [], name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return FabricOrganisation(msp, Signer(msp, certificate.public_bytes(Encoding.PEM), key, certificate))


@cache
def member(msp: str, role: str, name: str = "") -> Signer:
    """One of an organisation's own."""
    return organisation(msp).issue(role, name)


def principal(msp: str, role: int) -> msp_principal_pb2.MSPPrincipal:
    """Anybody of a role."""
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
        principal=MspRole(msp_identifier=msp, role=role).SerializeToString(),
    )


def signature_policy(needed: int, *roles: tuple[str, int]) -> policies_pb2.SignaturePolicyEnvelope:
    """So many of these roles (MSP id, `MspRole`)."""
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(roles))]
    return policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=needed, rules=rules)),
        identities=[principal(*role) for role in roles],
    )


def implicit_policy(rule: str, below: str) -> policies_pb2.ImplicitMetaPolicy:
    """`ANY`, `ALL` or `MAJORITY` of the groups below."""
    return policies_pb2.ImplicitMetaPolicy(rule=policies_pb2.ImplicitMetaPolicy.Rule.Value(rule), sub_policy=below)


def set_policy(
    group: configtx_pb2.ConfigGroup,
    name: str,
    kind: int,
    policy: policies_pb2.SignaturePolicyEnvelope | policies_pb2.ImplicitMetaPolicy,
) -> None:
    """Put a policy into a group."""
    group.policies[name].CopyFrom(
        configtx_pb2.ConfigPolicy(
            policy=policies_pb2.Policy(type=kind, value=policy.SerializeToString()), mod_policy="Admins"
        )
    )


def channel_group(msps: Sequence[str]) -> configtx_pb2.ConfigGroup:
    """The configuration of a channel of these organisations."""
    root = configtx_pb2.ConfigGroup(mod_policy="Admins")
    orderers, application = root.groups["Orderer"], root.groups["Application"]
    orderers.groups[ORDERERS].CopyFrom(organisation(ORDERERS).group())
    for msp in msps:
        application.groups[msp].CopyFrom(organisation(msp).group())
    for group, capability in ((root, "V2_0"), (orderers, "V2_0"), (application, "V2_5")):
        group.mod_policy = "Admins"
        capabilities = configuration_pb2.Capabilities(capabilities={capability: configuration_pb2.Capability()})
        group.values["Capabilities"].CopyFrom(
            configtx_pb2.ConfigValue(value=capabilities.SerializeToString(), mod_policy="Admins")
        )
        for name, rule in (("Readers", "ANY"), ("Writers", "ANY"), ("Admins", "MAJORITY")):
            set_policy(group, name, IMPLICIT_META, implicit_policy(rule, name))
    set_policy(orderers, "BlockValidation", IMPLICIT_META, implicit_policy("ANY", "Writers"))
    for name in ("Endorsement", "LifecycleEndorsement"):
        set_policy(application, name, IMPLICIT_META, implicit_policy("MAJORITY", "Endorsement"))
    return root


def _certificate(
    name: str, units: list[x509.NameAttribute[str]], issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=3650))
    )
