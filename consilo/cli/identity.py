"""`consilo identity`: make an organisation's CA, issue its members' certificates, look at one. Reads and writes files.

A failure is one sentence with its code on standard error, and exit status 1; wrong usage is exit status 2.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from consilo.cli.commands import group, local
from consilo.cli.output import print_json, print_lines
from consilo.cli.session import Session
from consilo.identity import files
from consilo.identity.authority import (
    AUTHORITY_VALIDITY_DAYS,
    MAX_VALIDITY_DAYS,
    MEMBER_VALIDITY_DAYS,
    Authority,
    record_issued,
)
from consilo.identity.errors import IdentityFileError
from consilo.protocol.certificates import CertificateError, MemberCertificate, read_certificate, roots_digest
from consilo.protocol.values import MSP_PATTERN, NAME_PATTERN, Role

_MILLISECONDS_PER_DAY: Final = 24 * 60 * 60 * 1000

app = group("Identities: an organisation's CA and its members.")


@dataclass(frozen=True)
class _Matches:
    pattern: str
    rule: str

    def __call__(self, value: str) -> str:
        if re.fullmatch(self.pattern, value) is None:
            raise typer.BadParameter(self.rule)
        return value


_msp = _Matches(MSP_PATTERN, "letters, digits, dots and hyphens, at most 64, a letter or digit first")
_name = _Matches(NAME_PATTERN, "lower-case letters, digits and inner hyphens, at most 63")


@app.command()
@local
def init(
    session: Session,
    msp: Annotated[str, typer.Option(help="MSP id of the organisation, e.g. HospitalA.", callback=_msp)],
    directory: Annotated[Path, typer.Option(help="Where the CA's key and certificate go.")],
    days: Annotated[
        int, typer.Option(help="For how many days the CA is valid.", min=1, max=MAX_VALIDITY_DAYS)
    ] = AUTHORITY_VALIDITY_DAYS,
) -> None:
    """Make an organisation's CA: `ca.key`, to be kept offline, and `ca.pem`, to be registered on the ledger."""
    authority = Authority.create(msp, now=_now(), validity_days=days)
    authority.save(directory)
    roots = roots_digest(authority.roots)
    if session.as_json:
        print_json({"msp": msp, "directory": str(directory), "roots_digest": roots})
        return
    print_lines(f"Made the CA of {msp} in {directory}.", f"roots digest  {roots}")
    print_lines(f"Keep {directory / files.AUTHORITY_KEY} secret: whoever has it can act as any member of {msp}.")


@app.command()
@local
def issue(
    session: Session,
    role: Annotated[Role, typer.Option(help="What the member may do.")],
    name: Annotated[str, typer.Option(help="Name of the member, e.g. silo-1.", callback=_name)],
    directory: Annotated[Path, typer.Option(help="The CA's directory, made by `consilo identity init`.")],
    output: Annotated[Path, typer.Option(help="Where the member's key and certificate go.")],
    days: Annotated[
        int, typer.Option(help="For how many days the certificate is valid.", min=1, max=MAX_VALIDITY_DAYS)
    ] = MEMBER_VALIDITY_DAYS,
) -> None:
    """Issue a member's identity: `key.pem` and `certificate.pem`."""
    identity = Authority.load(directory).issue(role, name, now=_now(), validity_days=days)
    identity.save(output)
    record = record_issued(directory, identity)
    if session.as_json:
        print_json({**_describe(identity.certificate, _now()), "directory": str(output), "record": str(record)})
        return
    print_lines(f"Issued {identity.member} ({role}) in {output}; a copy of its certificate is {record}.")
    print_lines(f"serial  {identity.certificate.serial}")


@app.command()
@local
def show(
    session: Session,
    directory: Annotated[Path, typer.Argument(help="The member's directory; its key is not read.")],
) -> None:
    """Show who a member is, and for how long."""
    path = directory / files.MEMBER_CERTIFICATES
    try:
        certificate = read_certificate(files.read_certificates(path)[0])
    except CertificateError as error:
        raise IdentityFileError("identity-malformed", f"{path}: {error.message}") from error
    description = _describe(certificate, _now())
    if session.as_json:
        print_json(description)
    else:
        print_lines(*(f"{key.replace('_', ' '):<12}  {value}" for key, value in description.items()))


def _describe(certificate: MemberCertificate, now: int) -> dict[str, str | int]:
    if now < certificate.not_before:
        status = "not yet valid"
    elif now > certificate.not_after:
        status = "expired"
    else:
        status = "valid"
    return {
        "member": certificate.member,
        "role": certificate.role,
        "status": status,
        "days_left": (certificate.not_after - now) // _MILLISECONDS_PER_DAY,
        "not_before": _iso(certificate.not_before),
        "not_after": _iso(certificate.not_after),
        "serial": certificate.serial,
        "fingerprint": certificate.fingerprint,
    }


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")


def _now() -> int:
    return time.time_ns() // 1_000_000
