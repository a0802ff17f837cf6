"""What peers say when they say no: the details of a gRPC status, and the refusals of the chaincode in them. Pure.

The trailing metadata `grpc-status-details-bin` hold a `google.rpc.Status` with one `gateway.ErrorDetail` for each peer
or orderer that was asked. The few fields are read by hand: the package that has the message needs another protobuf.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fabric_protos.gateway import gateway_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from consilo.fabric.receipts import RefusalText
from consilo.protocol.refusals import InvalidInput

DETAILS_KEY: Final = "grpc-status-details-bin"
MISMATCH: Final = "ProposalResponsePayloads do not match"

_REFUSED: Final = re.compile(r"chaincode response (\d{3}), (.*)", re.DOTALL)
_DETAILS_FIELD: Final = 3  # google.rpc.Status{1: code, 2: message, 3: repeated google.protobuf.Any details}


@dataclass(frozen=True)
class Answer:
    """What one peer or orderer answered.

    Attributes:
        address: of it.
        msp: its organisation.
        message: in its words.
    """

    address: str
    msp: str
    message: str

    @property
    def refusal(self) -> RefusalText | None:
        """The refusal, when it is one of the chaincode."""
        match = _REFUSED.fullmatch(self.message)
        if match is None:
            return None
        try:
            return RefusalText.decode(match[2].encode())
        except InvalidInput:
            return None

    @property
    def differs(self) -> bool:
        """Whether the peer came to another result than the one that was asked first."""
        return MISMATCH in self.message

    def __str__(self) -> str:
        refusal = self.refusal
        said = self.message if refusal is None else f"refused, {refusal.code}: {refusal.message}"
        return f"{self.msp or 'an unnamed organisation'} ({self.address}): {said}"


def answers_in(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[Answer, ...]:
    """The answers in the trailing metadata of a call. What cannot be read is left out: it only explains an error."""
    found: list[Answer] = []
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                for detail in map(AnyMessage.FromString, _fields(value, _DETAILS_FIELD)):
                    message = gateway_pb2.ErrorDetail()
                    if detail.Unpack(message):
                        found.append(Answer(message.address, message.msp_id, message.message))
            except (DecodeError, IndexError):
                break
    return tuple(found)


def _fields(data: bytes, wanted: int) -> Iterator[bytes]:
    """The contents of all length-delimited fields of one number, in a message of such fields and integers.

    Raises:
        IndexError: the message ends too early.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        size, at = _varint(data, at)  # the value itself, when it is an integer
        if tag & 7 == 2:
            at += size
            if at > len(data):
                raise IndexError("cut off")
            if tag >> 3 == wanted:
                yield data[at - size : at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
