"""The demonstration's consortium: hospitals with their CAs and members, and their registration. Writes identities."""

from __future__ import annotations

import base64
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from consilo.api.gateway import now_ms
from consilo.api.models import Head
from consilo.api.party import Party
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.values import Role


@dataclass(frozen=True)
class Hospital:
    """One organisation: its CA, its operator, its silo."""

    msp: str
    authority: Authority
    operator: Identity
    silo: Identity
    directory: Path

    def member(self, role: Role, name: str) -> Identity:
        """Issue another member, and keep it beside the others."""
        identity = self.authority.issue(role, name, now=now_ms())
        identity.save(self.directory / name)
        return identity

    def path(self, name: str) -> Path:
        """Directory of a member's identity."""
        return self.directory / name


def found_hospitals(count: int, directory: Path) -> list[Hospital]:
    """HospitalA, HospitalB, ... (numbers when letters do not suffice), each with a new CA, an operator and a silo."""
    letters = count <= len(string.ascii_uppercase)
    names = [string.ascii_uppercase[index] if letters else f"{index + 1:03}" for index in range(count)]
    return [found_hospital(f"Hospital{name}", directory) for name in names]


def found_hospital(msp: str, directory: Path) -> Hospital:
    """A hospital with a new CA, an operator and a silo; their files go below the directory."""
    place = directory / msp
    authority = Authority.create(msp, now=now_ms())
    authority.save(place / "authority")
    operator = authority.issue("operator", "operator", now=now_ms())
    silo = authority.issue("silo", "silo", now=now_ms())
    operator.save(place / "operator")
    silo.save(place / "silo")
    return Hospital(msp, authority, operator, silo, place)


def write_secret(path: Path) -> None:
    """A new signing secret for the store and its gateway."""
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32) + "\n", encoding="ascii")


async def register(hospital: Hospital, *, gateway: str, store_host: str) -> Head:
    """Put the hospital on the ledger, through its own gateway: its roots, its gateway, its store.

    Returns:
        The head of the ledger with the registration.
    """
    async with Party(hospital.operator, gateway, registered=False) as party:
        committed = await party.metadata_publish(
            RegisterOrganisation(
                version=1,
                roots=tuple(base64.b64encode(root).decode() for root in hospital.authority.roots),
                gateway=gateway,
                stores=(store_host,),
            )
        )
    return committed.head.head
