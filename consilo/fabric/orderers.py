"""The orderers' signatures on a block. Pure; no I/O."""

from __future__ import annotations

from typing import Any, Final

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.blocks import header_bytes, metadata
from consilo.fabric.configuration import Configuration
from consilo.fabric.errors import BlockWrong
from consilo.fabric.policies import SignedData

_POLICY: Final = "/Channel/Orderer/BlockValidation"


def check_orderers(raw: Any, configuration: Configuration) -> None:
    """Check that a `common.Block` is signed as the channel's policy for blocks demands.

    Args:
        raw: the block.
        configuration: of the channel, before the block.

    Raises:
        BlockWrong: `orderer`.
        ConfigurationInvalid: the policy is of a kind that is not known here.
    """
    header = header_bytes(raw.header)
    try:
        read = common_pb2.Metadata.FromString(metadata(raw, common_pb2.SIGNATURES))
        signed = [
            SignedData(
                signer=common_pb2.SignatureHeader.FromString(each.signature_header).creator,
                data=read.value + each.signature_header + header,
                signature=each.signature,
            )
            for each in read.signatures
        ]
    except DecodeError as error:
        raise BlockWrong("orderer", f"its orderers' signatures cannot be read: {error}") from None
    signers = configuration.msps.signers(signed)
    if not configuration.policies.satisfied(_POLICY, signers):
        who = ", ".join(sorted({signer.msp for signer in signers})) or "nobody"
        raise BlockWrong("orderer", f"signed by {who}, it is not signed as {_POLICY} demands: no orderer made it")
