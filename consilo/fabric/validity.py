"""Which transactions count: what a peer's validation finds, found again. Pure; no I/O.

The order of the checks is Fabric's (`core/common/validation`, `core/committer/txvalidator/v20`), since the first that
fails gives the code:

1. the form of the envelope and its headers;
2. the creator: a valid identity of the channel, whose signature is over the payload;
3. the id: the hash of nonce and creator;
4. the form of the transaction: one action, whose proposal hash is that of what was asked;
5. the id is new;
6. the form of the outcome: one set of reads and writes for each namespace, of the chaincode that was called;
7. in each namespace that it writes to, and in that of the chaincode, endorsements that satisfy the policy.

What it read is judged afterwards, transaction by transaction (`consilo.fabric.versions`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

from consilo.fabric import chains
from consilo.fabric.configuration import Configuration
from consilo.fabric.errors import FabricBlockError, IdentityInvalid
from consilo.fabric.lifecycle import NotDefined, is_endorsed
from consilo.fabric.policies import SignedData
from consilo.fabric.readwrite import Accesses, decode_accesses
from consilo.fabric.transactions import CONFIG, ENDORSER_TRANSACTION, VALID

_CODES: Final = transaction_pb2.TxValidationCode
BAD_CREATOR_SIGNATURE: Final = _CODES.BAD_CREATOR_SIGNATURE
BAD_PROPOSAL_TXID: Final = _CODES.BAD_PROPOSAL_TXID
DUPLICATE_TXID: Final = _CODES.DUPLICATE_TXID
ENDORSEMENT_POLICY_FAILURE: Final = _CODES.ENDORSEMENT_POLICY_FAILURE
MVCC_READ_CONFLICT: Final = _CODES.MVCC_READ_CONFLICT
PHANTOM_READ_CONFLICT: Final = _CODES.PHANTOM_READ_CONFLICT
BAD_FORM: Final = _CODES.INVALID_OTHER_REASON
"""Stands for all codes that say that something is malformed: which one it is depends on the parser."""

_SAID_OF_FORM: Final = (
    VALID,
    BAD_CREATOR_SIGNATURE,
    BAD_PROPOSAL_TXID,
    DUPLICATE_TXID,
    ENDORSEMENT_POLICY_FAILURE,
    MVCC_READ_CONFLICT,
    PHANTOM_READ_CONFLICT,
    _CODES.NOT_VALIDATED,
)


class Invalid(Exception):
    """The transaction does not count.

    Attributes:
        code: as a peer would give it, or `BAD_FORM`.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Context:
    """What a transaction is judged by: all as before its block.

    Attributes:
        configuration: of the channel.
        definitions: public state of the namespace `_lifecycle`.
        ids: of all transactions in earlier blocks.
    """

    configuration: Configuration
    definitions: Mapping[bytes, bytes]
    ids: Collection[str]


def accords(judged: int, said: int) -> bool:
    """Whether the code that a peer gave is the one found here."""
    return judged == said or (judged == BAD_FORM and said not in _SAID_OF_FORM)


def name_of(code: int) -> str:
    """A code in Fabric's words."""
    try:
        return str(_CODES.Name(code))
    except ValueError:
        return f"code {code}"


def accesses_of(envelope: bytes) -> tuple[str, tuple[Accesses, ...]] | None:
    """Name of the chaincode that an envelope calls, and what it reads and writes; None where it cannot be read."""
    try:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        name: str = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension).chaincode_id.name
        return name, decode_accesses(_outcome(_action(payload.data)).results)
    except (DecodeError, FabricBlockError, Invalid):
        return None


def judge(envelope: bytes, context: Context) -> tuple[Accesses, ...]:
    """Judge a transaction, but for what it read.

    Args:
        envelope: serialised.
        context: by what.

    Returns:
        What it reads and writes; nothing for a configuration.

    Raises:
        Invalid: it does not count.
        ConfigurationInvalid: a policy is of a kind that is not known here.
    """
    try:
        whole = common_pb2.Envelope.FromString(envelope)
        payload = common_pb2.Payload.FromString(whole.payload)
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        signer = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    except DecodeError as error:
        raise Invalid(BAD_FORM, f"its envelope cannot be read: {error}") from None
    if channel.type not in (CONFIG, ENDORSER_TRANSACTION) or channel.epoch or not signer.nonce or not signer.creator:
        raise Invalid(BAD_FORM, "its headers are not those of a transaction")  # 1.
    _check_creator(context.configuration, channel.channel_id, signer.creator, whole)  # 2.
    if channel.type == CONFIG:
        return ()
    if channel.tx_id != hashlib.sha256(signer.nonce + signer.creator).hexdigest():
        raise Invalid(BAD_PROPOSAL_TXID, "its id is not the hash of nonce and creator")  # 3.
    try:
        action = _action(payload.data)
        _check_action(payload.header, action)  # 4.
        if channel.tx_id in context.ids:
            raise Invalid(DUPLICATE_TXID, "a transaction of this id is in an earlier block")  # 5.
        outcome = _outcome(action)
        accesses = decode_accesses(outcome.results)
        called = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension).chaincode_id.name
        _check_outcome(called, outcome, accesses)  # 6.
    except (DecodeError, FabricBlockError) as error:
        raise Invalid(BAD_FORM, f"it cannot be read: {error}") from None
    _check_endorsements(called, action.action, accesses, context)  # 7.
    return accesses


def _check_creator(configuration: Configuration, channel: str, creator: bytes, envelope: Any) -> None:
    if channel != configuration.channel:
        raise Invalid(BAD_CREATOR_SIGNATURE, f"it is for channel {channel[:100]!r}")
    try:
        identity = configuration.msps.identity(creator)
        configuration.msps.check(identity)
    except IdentityInvalid as error:
        raise Invalid(BAD_CREATOR_SIGNATURE, f"its creator is not of the channel: {error.message}") from None
    if not chains.verify(identity.key, envelope.signature, envelope.payload):
        raise Invalid(BAD_CREATOR_SIGNATURE, f"its signature is not that of its creator, of {identity.msp}")


@dataclass(frozen=True)
class _ActionOf:
    header: bytes
    payload: Any

    @property
    def action(self) -> Any:
        return self.payload.action


def _action(data: bytes) -> _ActionOf:
    actions = transaction_pb2.Transaction.FromString(data).actions
    if len(actions) != 1:
        raise Invalid(BAD_FORM, f"it has {len(actions)} actions; Fabric admits one")
    return _ActionOf(actions[0].header, transaction_pb2.ChaincodeActionPayload.FromString(actions[0].payload))


def _check_action(header: Any, action: _ActionOf) -> None:
    signer = common_pb2.SignatureHeader.FromString(action.header)
    if not signer.nonce or not signer.creator:
        raise Invalid(BAD_FORM, "its action has no creator")
    answer = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    asked = header.channel_header + action.header + action.payload.chaincode_proposal_payload
    if answer.proposal_hash != hashlib.sha256(asked).digest():
        raise Invalid(BAD_FORM, "what was endorsed is not what was asked: the proposal hash is another")


def _outcome(action: _ActionOf) -> Any:
    answer = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    return proposal_pb2.ChaincodeAction.FromString(answer.extension)


def _check_outcome(called: str, outcome: Any, accesses: tuple[Accesses, ...]) -> None:
    if not called or called != outcome.chaincode_id.name or not outcome.chaincode_id.version:
        raise Invalid(BAD_FORM, "what was endorsed is the outcome of another chaincode than was called")
    if outcome.events and chaincode_event_pb2.ChaincodeEvent.FromString(outcome.events).chaincode_id != called:
        raise Invalid(BAD_FORM, "its event is one of another chaincode than was called")
    namespaces = [each.space.namespace for each in accesses if not each.space.collection]
    if len(set(namespaces)) != len(namespaces):
        raise Invalid(BAD_FORM, "it has two sets of reads and writes for one namespace")


def _check_endorsements(called: str, endorsed: Any, accesses: tuple[Accesses, ...], context: Context) -> None:
    answer = endorsed.proposal_response_payload
    signers = context.configuration.msps.signers(
        SignedData(each.endorser, answer + each.endorser, each.signature) for each in endorsed.endorsements
    )
    for namespace in sorted({called, *(each.space.namespace for each in accesses if each.changes)}):
        try:
            suffices = is_endorsed(
                accesses, namespace, signers, configuration=context.configuration, values=context.definitions
            )
        except NotDefined as error:
            raise Invalid(BAD_FORM, str(error)) from None
        if not suffices:
            who = ", ".join(sorted({signer.msp for signer in signers})) or "nobody"
            message = f"its endorsements by {who} do not satisfy the policy of {namespace[:100]}"
            raise Invalid(ENDORSEMENT_POLICY_FAILURE, message)
