"""Changes of a running network: the chaincode's next sequence, one more organisation. Starts and ends processes."""

from __future__ import annotations

from collections.abc import Callable

from fabric.config_update import adding_organisation, organisation_in
from fabric.control import Control
from fabric.creation import Progress, wait_for_chaincode
from fabric.description import Description, Organisation
from fabric.errors import NetworkError
from fabric.files import make_block, make_identities_of, write_package, write_peer_settings
from fabric.names import chaincode_name
from fabric.plan import check_msp, describe_organisation, package_of
from fabric.ports import PortLocks
from fabric.readiness import height
from fabric.together import together

Save = Callable[[Description], None]


async def upgrade(control: Control, description: Description, save: Save, progress: Progress) -> None:
    """Deploy the chaincode again, as a package of its own, under the next sequence.

    The servers of the next sequence start beside those of this one, which end once the channel has the new definition:
    no transaction fails in between.

    Args:
        control: of the network's processes.
        description: of the network as it is.
        save: is given the description as it has become, as soon as it has.
        progress: is told what is being done.

    Raises:
        NetworkError: it failed. Before the definition was committed everything is as it was.
    """
    control.require_running(description)
    layout = control.parts.layout
    sequence = description.sequence + 1
    package = package_of(description.chaincode, sequence)
    changed = description.model_copy(
        update={
            "sequence": sequence,
            "package_id": package.id,
            "organisations": tuple(_with_next_server(control, each, sequence) for each in description.organisations),
        }
    )
    msps = [organisation.msp for organisation in description.organisations]
    progress(f"chaincode servers of sequence {sequence}")
    committed = False
    try:
        for msp in msps:
            control.start_with_locks(changed, chaincode_name(msp, sequence))
        file = write_package(layout, package)

        async def prepare(msp: str) -> None:
            await control.chaincode_ready(changed, msp)
            commands = control.commands(changed, msp)
            await commands.install(file)
            await commands.approve()
            progress(f"{msp}: chaincode installed and approved")

        await together(map(prepare, msps))
        await control.commands(changed, msps[0]).commit(msps)
        committed = True
        save(changed)
        await wait_for_chaincode(control, changed)
    finally:
        ended = description.sequence if committed else sequence
        await control.end([chaincode_name(msp, ended) for msp in msps])


def _with_next_server(control: Control, organisation: Organisation, sequence: int) -> Organisation:
    server = organisation.chaincode
    log = control.parts.layout.log(chaincode_name(organisation.msp, sequence))
    changed = server.model_copy(update={"address": server.other_address, "other_address": server.address, "log": log})
    return organisation.model_copy(update={"chaincode": changed})


async def add_organisation(
    control: Control, description: Description, msp: str, save: Save, progress: Progress
) -> None:
    """Add an organisation to the channel, with a peer and a chaincode server.

    Args:
        control: of the network's processes.
        description: of the network as it is.
        msp: MSP id of the new organisation.
        save: is given the description as it has become, as soon as it has.
        progress: is told what is being done.

    Raises:
        NetworkError: it failed. Until the channel has been updated, everything is as it was.
    """
    check_msp(msp)
    if any(organisation.msp == msp for organisation in description.organisations):
        raise NetworkError(f"{msp} is in the network already")
    control.require_running(description)
    layout = control.parts.layout
    locks = PortLocks()
    try:
        organisation = describe_organisation(msp, description.sequence, layout, locks)
        changed = description.model_copy(update={"organisations": (*description.organisations, organisation)})
        progress(f"keys and certificates of {msp}")
        await make_identities_of(control.parts.binaries, layout, msp)
        await _update_channel(control, description, organisation)
        save(changed)
        progress(f"{msp}: on the channel, by the signatures of a majority")
        write_peer_settings(layout, organisation)
        control.start(control.parts.chaincode(changed, msp), locks)
        control.start(control.parts.peer(changed, msp), locks)
    finally:
        locks.close()
    await control.peer_ready(changed, msp)
    commands = control.commands(changed, msp)
    await commands.join(layout.genesis)
    blocks = await height(description.organisations[0].peer.operations_url, description.channel)
    await control.caught_up(changed, msp, blocks or 0)
    await commands.install(layout.package(package_of(description.chaincode, description.sequence).label))
    await commands.approve()
    await control.chaincode_ready(changed, msp)
    save(changed)
    progress(f"{msp}: peer joined, chaincode installed and approved")
    await wait_for_chaincode(control, changed)


async def _update_channel(control: Control, description: Description, organisation: Organisation) -> None:
    layout = control.parts.layout
    directory = layout.directory / "channel"
    new, now, update = (directory / f"{organisation.msp}.{kind}" for kind in ("block", "now.block", "update"))
    alone = description.model_copy(update={"organisations": (organisation,)})
    await make_block(control.parts.binaries, layout, alone, new)
    signers = [each.msp for each in description.organisations][: len(description.organisations) // 2 + 1]
    await control.commands(description, signers[0]).fetch_configuration(now)
    group = organisation_in(new.read_bytes(), organisation.msp)
    update.write_bytes(adding_organisation(now.read_bytes(), description.channel, organisation.msp, group))
    for msp in signers[1:]:
        await control.commands(description, msp).sign_update(update)
    await control.commands(description, signers[0]).send_update(update)
