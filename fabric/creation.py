"""A network from nothing: keys, channel, processes, chaincode. Writes files, starts processes.

What does not wait for anything else runs at the same time: chaincode servers start while keys are made, peers install
the chaincode while the orderers elect their leader.
"""

from __future__ import annotations

from collections.abc import Callable

from fabric.binaries import Tools
from fabric.commands import run
from fabric.control import Control
from fabric.description import Description
from fabric.errors import CommandFailed
from fabric.files import make_block, make_identities, write_orderer_settings, write_package, write_peer_settings
from fabric.layout import Layout
from fabric.plan import Wanted, describe, package_of
from fabric.ports import PortLocks
from fabric.together import together

Progress = Callable[[str], None]


async def create(wanted: Wanted, control: Control, progress: Progress) -> Description:
    """Make and start a network, and deploy the chaincode on it.

    Args:
        wanted: what network.
        control: of its processes.
        progress: is told what is being done.

    Raises:
        NetworkError: something failed; what was started still runs.
    """
    parts = control.parts
    parts.layout.directory.mkdir(parents=True, exist_ok=True)
    locks = PortLocks()
    try:
        description = describe(wanted, parts.layout, locks)
        msps = [organisation.msp for organisation in description.organisations]
        names = [orderer.name for orderer in description.orderers]
        progress(f"keys and certificates of {', '.join(msps)} and {len(names)} orderer{'s' * (len(names) > 1)}")
        await make_identities(parts.binaries, parts.layout, description)
        for msp in msps:  # first, for they take longest to start
            control.start(parts.chaincode(description, msp), locks)
        await make_block(parts.binaries, parts.layout, description, parts.layout.genesis)
        progress("orderers and peers")
        for orderer in description.orderers:
            write_orderer_settings(parts.layout, orderer)
            control.start(parts.orderer(orderer.name), locks)
        for organisation in description.organisations:
            write_peer_settings(parts.layout, organisation)
            control.start(parts.peer(description, organisation.msp), locks)
    finally:
        locks.close()
    package = write_package(parts.layout, package_of(description.chaincode, description.sequence))

    async def prepare(msp: str) -> None:
        await control.peer_ready(description, msp)
        commands = control.commands(description, msp)
        await commands.join(parts.layout.genesis)
        await commands.install(package)
        await commands.approve()
        await control.chaincode_ready(description, msp)  # or the peer would dial it in vain once it is committed
        progress(f"{msp}: peer joined, chaincode installed and approved")

    joins = [join_orderer(control, description, name) for name in names]
    await together([*joins, *map(prepare, msps)])
    await control.commands(description, msps[0]).commit(msps)
    progress("chaincode committed; waiting until it answers at every peer, and the peers have met")
    await wait_for_chaincode(control, description)
    return description


async def join_orderer(control: Control, description: Description, name: str) -> None:
    """Make an orderer a member of the channel, once it runs."""
    await control.orderer_ready(description, name)
    await send_join(control.parts.binaries, control.parts.layout, description, name)


async def send_join(tools: Tools, layout: Layout, description: Description, name: str) -> None:
    """Make an orderer that runs a member of the channel; if it is one, that is good, too.

    Raises:
        CommandFailed: it did not become one.
    """
    tls = layout.orderer_admin.tls
    answer = await run(
        tools.osnadmin,
        *("channel", "join", "--channelID", description.channel, "--config-block", layout.genesis),
        *("-o", description.orderer(name).admin_address, "--ca-file", layout.orderer_tls_ca),
        *("--client-cert", tls / "client.crt", "--client-key", tls / "client.key"),
    )
    # osnadmin ends without an error whatever the orderer answers: 201 joined, 405 it is on the channel already.
    if "Status: 201" not in answer and "Status: 405" not in answer:
        raise CommandFailed(f"{name} did not join the channel: {answer.strip()}", answer)


async def wait_for_chaincode(control: Control, description: Description) -> None:
    """Wait until the chaincode that has been committed answers at every peer, and the peers know each other."""

    async def answers(msp: str) -> None:
        await control.commands(description, msp).until_chaincode_answers()

    msps = [organisation.msp for organisation in description.organisations]
    await together([control.peers_have_met(description, msps), *map(answers, msps)])
