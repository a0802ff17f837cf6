"""Who is whose: certificates under the MSP of an organisation, by the rules of Fabric's MSP since version 1.4.3.

Pure; no I/O. An MSP comes from the channel's configuration. Its rules look at no clock, so that every peer decides
alike, whenever it looks: what ends a certificate is the MSP's revocation list.

Not known here, and refused with the configuration: MSPs that are not X.509, hashes other than SHA-256, name constraints
of CAs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fabric_protos.msp import msp_config_pb2
from google.protobuf.message import DecodeError

from consilo.fabric import chains
from consilo.fabric.errors import ConfigurationInvalid, IdentityInvalid

_CACHED: Final = 4096
_NODE_UNITS: Final = {
    "CLIENT": "client_ou_identifier",
    "PEER": "peer_ou_identifier",
    "ADMIN": "admin_ou_identifier",
    "ORDERER": "orderer_ou_identifier",
}


@dataclass(frozen=True)
class Identity:
    """A certificate whose chain leads to a root of its MSP.

    Attributes:
        msp: id of the MSP.
        fingerprint: of the certificate (`consilo.fabric.chains.fingerprint`).
        key: of the certificate.
        serial_number: of the certificate.
        issuers: the chain from the issuer to the root.
        units: the organisational units of the subject.
    """

    msp: str
    fingerprint: str
    key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)
    serial_number: int = field(compare=False)
    issuers: tuple[x509.Certificate, ...] = field(repr=False, compare=False)
    units: frozenset[str] = field(compare=False)

    @property
    def certifiers(self) -> bytes:
        """Fabric's name for the chain."""
        return chains.certifiers_identifier(self.issuers)


@dataclass(frozen=True)
class _Unit:
    name: str
    certifiers: bytes | None


class Msp:
    """The membership service provider of one organisation.

    Args:
        configuration: a serialised `msp.FabricMSPConfig`.

    Raises:
        ConfigurationInvalid: it is none that can be used.
    """

    def __init__(self, configuration: bytes) -> None:
        try:
            read = msp_config_pb2.FabricMSPConfig.FromString(configuration)
            self.id: str = read.name
            self._roots = [chains.read_authority(pem) for pem in read.root_certs]
            self._intermediates = [chains.read_authority(pem) for pem in read.intermediate_certs]
            self._admins = {chains.fingerprint(x509.load_pem_x509_certificate(pem)) for pem in read.admins}
            self._revocations = [chains.read_revocations(data) for data in read.revocation_list]
        except (DecodeError, *chains.MALFORMED) as error:
            raise ConfigurationInvalid(f"an MSP cannot be used: {error}") from None
        hashes = {read.crypto_config.signature_hash_family, read.crypto_config.identity_identifier_hash_function}
        if not hashes <= {"", "SHA2", "SHA256"}:
            raise ConfigurationInvalid(f"MSP {self.id} uses other hashes than SHA-256, which are not known here")
        if not self._roots:
            raise ConfigurationInvalid(f"MSP {self.id} has no root certificate")
        self._above = {each: self._chain(each, "an intermediate CA") for each in self._intermediates}
        self._inner = {issuer for above in self._above.values() for issuer in above}
        self._units = [self._unit(unit) for unit in read.organizational_unit_identifiers]
        nodes = read.fabric_node_ous
        self._roles = {
            role: self._unit(getattr(nodes, name)) for role, name in _NODE_UNITS.items() if nodes.HasField(name)
        }
        self._tells_roles_apart = bool(nodes.enable and self._roles)
        self._identities: dict[bytes, Identity | IdentityInvalid] = {}

    def identity(self, pem: bytes) -> Identity:
        """The identity of a certificate (PEM) that leads to one of the roots. It need not be valid otherwise.

        Raises:
            IdentityInvalid: it does not.
        """
        found = self._identities.get(pem)
        if found is None:
            try:
                found = self._read(pem)
            except (ConfigurationInvalid, IdentityInvalid) as error:
                found = IdentityInvalid(error.message)
            if len(self._identities) >= _CACHED:  # anybody may send certificates: what is kept of them is bounded
                self._identities.clear()
            self._identities[pem] = found
        if isinstance(found, IdentityInvalid):
            raise found
        return found

    def check(self, identity: Identity) -> None:
        """Check that an identity is valid: not revoked, in a unit of the MSP, of exactly one role.

        Raises:
            IdentityInvalid: it is not.
        """
        for revocations in self._revocations:
            if chains.revokes(identity.issuers[0], revocations, identity.serial_number):
                raise IdentityInvalid(f"the certificate is revoked by {self.id}")
        units = ", ".join(sorted(identity.units))[:200] or "none"
        if self._units and not any(
            unit.name in identity.units and unit.certifiers == identity.certifiers for unit in self._units
        ):
            raise IdentityInvalid(f"the certificate is in no organisational unit of {self.id}, but in: {units}")
        if self._tells_roles_apart:
            roles = [unit for unit in self._roles.values() if unit.name in identity.units]
            if len(roles) != 1 or roles[0].certifiers not in (None, identity.certifiers):
                raise IdentityInvalid(f"the certificate has not one role at {self.id}; its units are: {units}")

    def is_valid(self, identity: Identity) -> bool:
        """Whether `check` finds nothing wrong."""
        try:
            self.check(identity)
        except IdentityInvalid:
            return False
        return True

    def has_role(self, identity: Identity, role: str) -> bool:
        """Whether an identity is valid and has a role: `MEMBER`, `ADMIN`, `CLIENT`, `PEER` or `ORDERER`."""
        if role == "ADMIN" and identity.fingerprint in self._admins:
            return True
        if role != "MEMBER":
            unit = self._roles.get(role)
            if not self._tells_roles_apart or unit is None or unit.name not in identity.units:
                return False
        return self.is_valid(identity)

    def _read(self, pem: bytes) -> Identity:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
            key = certificate.public_key()
            is_authority = chains.is_authority(certificate)
            serial_number = certificate.serial_number
        except chains.MALFORMED as error:
            raise IdentityInvalid(f"the certificate cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in chains.ORDERS:
            raise IdentityInvalid("the certificate's key is not on the curve P-256 or P-384")
        if is_authority:
            raise IdentityInvalid("a CA's certificate is no identity")
        issuers = self._chain(certificate, "the certificate")
        if issuers[0] in self._inner:
            raise IdentityInvalid(f"the certificate was issued by a CA of {self.id} that issues CAs")
        return Identity(
            msp=self.id,
            fingerprint=chains.fingerprint(certificate),
            key=key,
            serial_number=serial_number,
            issuers=tuple(issuers),
            units=frozenset(str(name.value) for name in names),
        )

    def _chain(self, certificate: x509.Certificate, what: str) -> list[x509.Certificate]:
        """The one chain of issuers up to a root."""
        found = chains.chains(certificate, self._roots, self._intermediates)
        if len(found) != 1:
            raise ConfigurationInvalid(f"{what} leads to the roots of {self.id} in {len(found)} ways, not in one")
        return found[0]

    def _unit(self, unit: Any) -> _Unit:
        name = unit.organizational_unit_identifier
        if not unit.certificate:
            return _Unit(name, None)
        try:
            wanted = chains.fingerprint(x509.load_pem_x509_certificate(unit.certificate))
        except chains.MALFORMED as error:
            raise ConfigurationInvalid(f"a unit of MSP {self.id} names no certificate: {error}") from None
        for known in (*self._roots, *self._intermediates):
            if chains.fingerprint(known) == wanted:
                return _Unit(name, chains.certifiers_identifier((known, *self._above.get(known, []))))
        raise ConfigurationInvalid(f"a unit of MSP {self.id} names a CA that is none of its own")
