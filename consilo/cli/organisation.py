"""`consilo organisation`: who is on the ledger, and with which roots, gateway and stores. Network and file I/O."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from consilo.api.errors import GatewayRefused
from consilo.api.party import Party
from consilo.cli.asking import confirm
from consilo.cli.commands import connected, group
from consilo.cli.exits import USAGE, CliError
from consilo.cli.output import moment, print_json, print_lines, print_table, short
from consilo.cli.roots import read_roots
from consilo.cli.session import Session
from consilo.protocol.bodies import RegisterOrganisation, RevokeMember
from consilo.protocol.certificates import roots_digest
from consilo.protocol.records import Organisation
from consilo.protocol.transaction import certificate_der

app = group("Organisations: list, register, revoke a certificate.")

_UNKNOWN = frozenset({"organisation-unknown", "token-untrusted"})


@app.command("list")
@connected
def list_organisations(session: Session) -> None:
    """List the organisations on the ledger."""
    found = session.call(lambda party: party.gateway.organisations())
    if session.as_json:
        print_json([_as_json(organisation) for organisation in found])
        return
    rows = [
        (each.msp, each.version, each.gateway, ", ".join(each.stores), short(_digest(each)), moment(each.registered_at))
        for each in found
    ]
    columns = ("organisation", "version", "gateway", "stores", "roots digest", "registered")
    print_table(columns, rows, empty="No organisation is registered on this ledger.")


@app.command()
@connected
def register(
    session: Session,
    ca: Annotated[
        Path, typer.Option(help="The CA's directory, or its certificates in PEM, the root last.", show_default=False)
    ],
    url: Annotated[
        str, typer.Option(help="URL of the organisation's gateway, as others reach it.", show_default=False)
    ],
    store: Annotated[
        list[str] | None,
        typer.Option(help="Host of a store of the organisation, `name:port` (may be repeated).", show_default=False),
    ] = None,
) -> None:
    """Register your organisation, or its next version.

    As its operator. On an embedded ledger the first registration must bring the roots that the genesis names.

    Example:
      consilo organisation register --ca hospital-a-ca --url http://127.0.0.1:8080 --store 127.0.0.1:8090
    """
    roots = tuple(base64.b64encode(root).decode() for root in read_roots(ca))
    msp = session.member.msp

    wanted = _registration_body(1, roots, url, tuple(store or ()))

    async def publish(party: Party) -> tuple[int, bool]:
        current = await _registration(party, msp)
        if current is None:
            await party.metadata_publish(wanted)
            return 1, False
        if (current.roots, current.gateway, current.stores) == (wanted.roots, wanted.gateway, wanted.stores):
            return current.version, True
        await party.metadata_publish(wanted.model_copy(update={"version": current.version + 1}))
        return current.version + 1, False

    version, unchanged = session.call(publish, registered=False)
    if session.as_json:
        print_json({"organisation": msp, "version": version, "unchanged": unchanged})
    elif unchanged:
        print_lines(f"{msp} is registered like this already, in version {version}.")
    else:
        print_lines(f"Registered {msp}, version {version}.")


@app.command()
@connected
def revoke(
    session: Session,
    serial: Annotated[
        str,
        typer.Argument(help="Serial number of the certificate; see `issued/` in the CA's directory.", metavar="SERIAL"),
    ],
    reason: Annotated[str, typer.Option(help="Why, for others to read.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Revoke a certificate of your organisation.

    As its operator; it cannot be undone.

    Example:
      consilo organisation revoke 3fa0c1 --reason "the laptop was lost" --yes
    """
    msp = session.member.msp
    number = serial.lower().lstrip("0")
    try:
        body = RevokeMember(serial=number, reason=reason)
    except ValueError:
        raise CliError("serial-malformed", f"{serial} is not a serial number in hexadecimal", exit_code=USAGE) from None
    confirm(f"Revoke certificate {number} of {msp}? It cannot be undone.", yes=yes)
    session.call(lambda party: party.metadata_publish(body))
    if session.as_json:
        print_json({"organisation": msp, "serial": number, "reason": reason})
    else:
        print_lines(f"Revoked certificate {number} of {msp}.")


async def _registration(party: Party, msp: str) -> Organisation | None:
    """The organisation's registration; None when the ledger does not know it, and so lets it read nothing."""
    try:
        return await party.organisation(msp, fresh=True)
    except GatewayRefused as error:
        if error.code in _UNKNOWN:
            return None
        raise


def _registration_body(
    version: int, roots: tuple[str, ...], gateway: str, stores: tuple[str, ...]
) -> RegisterOrganisation:
    try:
        return RegisterOrganisation(version=version, roots=roots, gateway=gateway, stores=stores)
    except ValueError:
        raise CliError(
            "registration-malformed",
            f"the gateway must be a URL in lower case without a query, and each store `host` or `host:port`, unlike "
            f"{gateway} {' '.join(stores)}",
            exit_code=USAGE,
        ) from None


def _digest(organisation: Organisation) -> str:
    return roots_digest([certificate_der(root) for root in organisation.roots])


def _as_json(organisation: Organisation) -> dict[str, object]:
    return {
        "organisation": organisation.msp,
        "version": organisation.version,
        "gateway": organisation.gateway,
        "stores": list(organisation.stores),
        "roots": list(organisation.roots),
        "roots_digest": _digest(organisation),
        "registered_at": organisation.registered_at,
    }
