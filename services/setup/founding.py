"""What is missing of an organisation's Secrets is made; what is there stays as it is. Uses private temporary files.

Any number of runs, ended anywhere, come to the same: a Secret appears whole, later ones follow from those before. A CA
that was made once is never replaced by a new one. When its Secret is gone, because the key was taken out of the
cluster, that is no fault as long as nobody has to be issued.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from consilo.embedded.blocks import Genesis, decode_genesis
from consilo.identity import files
from consilo.identity.authority import Authority
from consilo.identity.errors import IdentityError
from consilo.identity.files import encode_certificates
from consilo.protocol.certificates import CertificateError, check_roots, read_certificate, roots_digest
from consilo.protocol.refusals import InvalidInput
from services.setup.secrets import Content, Secrets
from services.setup.settings import GenesisPlan, MemberPlan, OrganisationPlan

GENESIS_KEY: Final = "genesis.json"
STORE_KEY: Final = "secret"
S3_KEYS: Final = ("access-key", "secret-key")

_SECRET_BYTES: Final = 32
_MILLISECONDS_PER_DAY: Final = 24 * 60 * 60 * 1000

log = structlog.get_logger(__name__)


class CannotFound(Exception):
    """What is there and what is asked for do not go together. The message says what to do."""


@dataclass(frozen=True)
class Founding:
    """Makes what is missing.

    Attributes:
        secrets: where it is kept.
        now: milliseconds since the epoch.
        validity_days: of certificates that are issued.
        warning_days: a certificate that is valid for fewer days than this is told in the log.
    """

    secrets: Secrets
    now: int
    validity_days: int
    warning_days: int

    def organisation(self, plan: OrganisationPlan) -> tuple[bytes, ...]:
        """Make an organisation's CA, roots and members.

        Returns:
            Its roots, DER.

        Raises:
            CannotFound: a Secret is missing that cannot be made here, or one does not hold what it should.
            SecretsUnavailable: Secrets cannot be read or made.
        """
        known = {member: self.secrets.read(member.secret) for member in plan.members}
        missing = [member for member, content in known.items() if content is None]
        for member, content in known.items():
            if content is not None:
                self._look_at(plan.msp, member, content)
        roots = self.secrets.read(plan.roots_secret)
        if not missing and roots is not None:
            return _roots(plan, roots)
        if plan.ca_secret is None:
            raise CannotFound(
                f"there is no Secret {plan.roots_secret}: make it, with the certificate of the CA of {plan.msp} under "
                f"the key {files.AUTHORITY_CERTIFICATES}"
            )
        authority = self._authority(plan, plan.ca_secret, is_new=roots is None and len(missing) == len(known))
        if roots is None:
            self._create(plan.roots_secret, {files.AUTHORITY_CERTIFICATES: encode_certificates(authority.roots)})
        elif _roots(plan, roots) != authority.roots:
            raise CannotFound(
                f"the Secrets {plan.ca_secret} and {plan.roots_secret} are of different CAs: remove the one that is "
                f"wrong. {plan.msp} is registered on the ledger with the roots of one of them"
            )
        for member in missing:
            self._issue(authority, member)
        return authority.roots

    def check_admitted(self, plan: GenesisPlan, organisations: Iterable[str]) -> None:
        """Check that an embedded ledger that is there is the one, and admits these organisations (MSP ids).

        To be asked before anything is made for them.

        Raises:
            CannotFound: it does not, or is another one.
            SecretsUnavailable: Secrets cannot be read.
        """
        genesis = self._genesis(plan)
        if genesis is None:
            return
        if genesis.ledger != plan.ledger:
            raise CannotFound(
                f"the ledger is named {genesis.ledger}, not {plan.ledger}: a ledger's name is for ever; set it back"
            )
        self._refuse_strangers(plan, sorted(set(organisations) - genesis.organisations.keys()))

    def genesis(self, plan: GenesisPlan, organisations: Mapping[str, tuple[bytes, ...]]) -> None:
        """Make the genesis of an embedded ledger that admits these organisations.

        Args:
            plan: its name and Secret.
            organisations: MSP id -> roots, DER.

        Raises:
            CannotFound: there is one, and it does not admit all of them with these roots.
            SecretsUnavailable: Secrets cannot be read or made.
        """
        digests = {msp: roots_digest(roots) for msp, roots in organisations.items()}
        found = self._genesis(plan)
        if found is None:
            made = Genesis(ledger=plan.ledger, organisations=digests, created_at=self.now)
            self._create(plan.secret, {GENESIS_KEY: made.encode()})
            return
        self._refuse_strangers(
            plan, sorted(msp for msp, digest in digests.items() if found.organisations.get(msp) != digest)
        )

    def _genesis(self, plan: GenesisPlan) -> Genesis | None:
        content = self.secrets.read(plan.secret)
        if content is None:
            return None
        try:
            return decode_genesis(_value(plan.secret, content, GENESIS_KEY))
        except InvalidInput as error:
            raise CannotFound(f"the Secret {plan.secret} holds no genesis: {error.message}") from None

    @staticmethod
    def _refuse_strangers(plan: GenesisPlan, strangers: Sequence[str]) -> None:
        if strangers:
            raise CannotFound(
                f"the ledger was made without {', '.join(strangers)}, or with other roots of it: an embedded ledger "
                "admits the organisations of its genesis for ever. Leave them out, or install anew: remove the "
                f"release, its volumes and the Secret {plan.secret}"
            )

    def words(self, secret: str, keys: Sequence[str]) -> None:
        """Make a Secret of random words, one under each of these keys.

        Raises:
            CannotFound: there is one, and a key is missing.
            SecretsUnavailable: Secrets cannot be read or made.
        """
        content = self.secrets.read(secret)
        if content is None:
            # Without a line's end: some are given as variables of the environment.
            self._create(secret, {key: random.token_hex(_SECRET_BYTES).encode() for key in keys})
            return
        for key in keys:
            _value(secret, content, key)

    def _authority(self, plan: OrganisationPlan, secret: str, *, is_new: bool) -> Authority:
        content = self.secrets.read(secret)
        if content is None:
            if not is_new:
                raise CannotFound(
                    f"the CA's Secret {secret} is not there, and a member of {plan.msp} has none of its own: bring the "
                    f"Secret of the CA back until it is issued. A new CA would be another one than the ledger has"
                )
            content = _content_of(Authority.create(plan.msp, now=self.now))
            if not self._create(secret, content):
                content = self.secrets.read(secret) or {}
        with TemporaryDirectory(prefix="consilo-ca-") as name:
            directory = Path(name)
            for key in (files.AUTHORITY_KEY, files.AUTHORITY_CERTIFICATES):
                files.write_new(directory / key, _value(secret, content, key), mode=0o600)
            try:
                authority = Authority.load(directory)
            except IdentityError as error:
                reason = error.message.replace(f"{directory}/", "").replace(str(directory), "it")
                raise CannotFound(f"the Secret {secret} holds no CA: {reason}") from None
        if authority.msp != plan.msp:
            raise CannotFound(f"the Secret {secret} holds the CA of {authority.msp}, not of {plan.msp}")
        return authority

    def _issue(self, authority: Authority, member: MemberPlan) -> None:
        try:
            identity = authority.issue(member.role, member.name, now=self.now, validity_days=self.validity_days)
        except IdentityError as error:
            raise CannotFound(error.message) from None
        with TemporaryDirectory(prefix="consilo-member-") as name:
            directory = Path(name) / "member"
            identity.save(directory)
            content = {key: (directory / key).read_bytes() for key in (files.MEMBER_KEY, files.MEMBER_CERTIFICATES)}
        if self._create(member.secret, content):
            # The serial number is what a lost key's certificate is revoked by.
            log.info("issued", member=identity.member, role=identity.role, serial=identity.certificate.serial)

    def _look_at(self, msp: str, member: MemberPlan, content: Content) -> None:
        """Tell what is wrong with an identity that is there: whoever uses it says so too, nothing is mended here."""
        with TemporaryDirectory(prefix="consilo-member-") as name:
            path = Path(name) / files.MEMBER_CERTIFICATES
            files.write_new(path, content.get(files.MEMBER_CERTIFICATES, b""))
            try:
                certificate = read_certificate(files.read_certificates(path)[0])
            except (IdentityError, CertificateError):
                log.warning("no identity", secret=member.secret, key=files.MEMBER_CERTIFICATES)
                return
        if (certificate.member, certificate.role) != (f"{msp}/{member.name}", member.role):
            log.warning(
                "another member's identity", secret=member.secret, member=certificate.member, role=certificate.role
            )
        days = (certificate.not_after - self.now) // _MILLISECONDS_PER_DAY
        if days < self.warning_days:
            log.warning(
                "a certificate ends soon",
                member=certificate.member,
                days_left=days,
                advice=f"delete the Secret {member.secret} and upgrade the release: it is issued anew; then restart "
                "what uses it",
            )

    def _create(self, name: str, content: Content) -> bool:
        made = self.secrets.create(name, content)
        if made:
            log.info("made", secret=name, keys=sorted(content))
        return made


def _content_of(authority: Authority) -> Content:
    with TemporaryDirectory(prefix="consilo-ca-") as name:
        directory = Path(name) / "ca"
        authority.save(directory)
        return {key: (directory / key).read_bytes() for key in (files.AUTHORITY_KEY, files.AUTHORITY_CERTIFICATES)}


def _roots(plan: OrganisationPlan, content: Content) -> tuple[bytes, ...]:
    """The root of an organisation: the last of the certificates."""
    with TemporaryDirectory(prefix="consilo-roots-") as name:
        path = Path(name) / files.AUTHORITY_CERTIFICATES
        files.write_new(path, _value(plan.roots_secret, content, files.AUTHORITY_CERTIFICATES))
        try:
            roots = files.read_certificates(path)[-1:]
            check_roots(roots)
        except (IdentityError, CertificateError):
            raise CannotFound(
                f"the Secret {plan.roots_secret} holds no certificate of a CA under {files.AUTHORITY_CERTIFICATES}"
            ) from None
    return roots


def _value(secret: str, content: Content, key: str) -> bytes:
    value = content.get(key)
    if not value:
        raise CannotFound(f"the Secret {secret} has no key {key}, or nothing under it")
    return value
