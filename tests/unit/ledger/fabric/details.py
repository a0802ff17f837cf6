"""The details of gRPC errors as Fabric's Gateway service gives them, made by hand."""

from __future__ import annotations

from fabric_protos.gateway import gateway_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from consilo.fabric.receipts import RefusalText


def refused(code: str, message: str = "no", *, status: int = 400) -> str:
    """What a peer says of a refusal of the chaincode."""
    text = RefusalText(code=code, message=message, retryable=False).encode().decode()
    return f"chaincode response {status}, {text}"


def details(*answers: tuple[str, str, str], code: int = 10, message: str = "failed") -> bytes:
    """A `google.rpc.Status` with an `ErrorDetail` for each address, MSP id and message."""
    status = b"\x08" + bytes([code]) + _field(2, message.encode())
    for address, msp, said in answers:
        wrapped = AnyMessage()
        wrapped.Pack(gateway_pb2.ErrorDetail(address=address, msp_id=msp, message=said))
        status += _field(3, wrapped.SerializeToString())
    return status


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])
