"""The replay of a ledger on Fabric over changes of the channel's configuration. Generates keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.peer import transaction_pb2

from tests.fabric_blocks import FabricChannel
from tests.fabric_members import organisation
from tests.fabric_requests import signed_envelope
from tests.unit.verification.fabric_ledgers import FIRST, Ledger, admitted, first

CODES = transaction_pb2.TxValidationCode


def test_an_organisation_that_a_majority_of_administrators_added_counts() -> None:
    ledger = Ledger(taken=3)
    admins = [organisation(msp).admin for msp in ("HospitalA", "HospitalB")]
    ledger.channel.add(ledger.channel.configured(adding("HospitalD"), *admins))
    request = ledger.channel.endorsed(ledger.revocation(1), time=admitted()[3].time)
    ledger.channel.add(request, codes=[CODES.ENDORSEMENT_POLICY_FAILURE])  # two of four are no majority now
    request.endorsers = [organisation(msp).peer for msp in ("HospitalA", "HospitalB", "HospitalD")]
    ledger.channel.add(
        ledger.channel.endorsed(ledger.revocation(2), time=admitted()[3].time, endorsers=request.endorsers)
    )
    assert ledger.replayed().findings == []


@pytest.mark.parametrize(
    "signers",
    [
        lambda: [],
        lambda: [organisation("HospitalA").admin],
        lambda: [organisation("HospitalA").admin, organisation("HospitalA").issue("admin", "second")],
        lambda: [organisation("HospitalA").admin, organisation("HospitalB").client],
        lambda: [organisation("HospitalA").admin, organisation("HospitalD").admin],
    ],
    ids=["nobody", "one", "two-of-one", "a-client", "the-new-one-itself"],
)
def test_an_organisation_that_no_majority_added_is_found(signers: Callable[[], list[Any]]) -> None:
    ledger = Ledger(taken=3)
    ledger.channel.add(ledger.channel.configured(adding("HospitalD"), *signers()))
    found = ledger.replayed()
    assert first(found) == ("configuration", FIRST + 3, 1)
    assert "is not signed as /Channel/Application/Admins demands" in found.findings[0].message


def test_a_configuration_that_is_not_what_was_signed_for_is_found() -> None:
    ledger = Ledger(taken=3)
    admins = [organisation(msp).admin for msp in ("HospitalA", "HospitalB")]
    envelope = ledger.channel.configured(adding("HospitalD"), *admins)

    def more(config: Any) -> None:
        config.config.channel_group.groups["Application"].groups["HospitalE"].CopyFrom(
            organisation("HospitalE").group()
        )

    ledger.channel.add(reconfigured(envelope, ledger.channel, more))
    assert first(ledger.replayed()) == ("configuration", FIRST + 3, 1)
    ledger.channel.blocks.pop()
    ledger.channel.add(reconfigured(envelope, ledger.channel, lambda config: setattr(config.config, "sequence", 5)))
    found = ledger.replayed()
    assert first(found) == ("configuration", FIRST + 3, 1)
    assert "number 5 does not follow 0" in found.findings[0].message


def test_a_configuration_that_nobody_asked_for_is_found() -> None:
    ledger = Ledger(taken=3)
    envelope = ledger.channel.configured(adding("HospitalD"), organisation("HospitalA").admin)
    ledger.channel.add(reconfigured(envelope, ledger.channel, lambda config: config.ClearField("last_update")))
    assert first(ledger.replayed()) == ("configuration", FIRST + 3, 1)


def test_a_configuration_among_other_transactions_is_found() -> None:
    ledger = Ledger(taken=3)
    admins = [organisation(msp).admin for msp in ("HospitalA", "HospitalB")]
    envelope = ledger.channel.configured(adding("HospitalD"), *admins)
    ledger.channel.add(ledger.next(), envelope)
    assert first(ledger.replayed()) == ("configuration", FIRST + 3, 1)


def test_a_revoked_peer_s_endorsement_does_not_count() -> None:
    ledger = Ledger(taken=3)
    revoked = organisation("HospitalB").peer
    admins = [organisation("HospitalB").admin]

    def revoke(group: Any) -> None:
        own = group.groups["Application"].groups["HospitalB"]
        version = own.values["MSP"].version + 1
        own.values["MSP"].CopyFrom(organisation("HospitalB").group(revoked).values["MSP"])
        own.values["MSP"].version = version

    ledger.channel.add(ledger.channel.configured(revoke, *admins))
    ledger.channel.add(ledger.next(), codes=[CODES.ENDORSEMENT_POLICY_FAILURE])
    assert ledger.replayed().findings == []
    ledger.channel.add(ledger.channel.endorsed(ledger.revocation(1), time=admitted()[3].time))
    assert first(ledger.replayed()) == ("endorsement", FIRST + 5, 2)


def adding(msp: str) -> Callable[[Any], None]:
    """The change of a configuration that adds an organisation."""

    def add(group: Any) -> None:
        group.groups["Application"].version += 1
        group.groups["Application"].groups[msp].CopyFrom(organisation(msp).group())

    return add


def reconfigured(envelope: bytes, channel: FabricChannel, change: Callable[[Any], None]) -> bytes:
    """A change of the configuration, changed by the orderer that brings it."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
    config = configtx_pb2.ConfigEnvelope.FromString(payload.data)
    change(config)
    payload.data = config.SerializeToString()
    return signed_envelope(channel.orderer, payload)
