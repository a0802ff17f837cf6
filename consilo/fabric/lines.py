"""A block as one line of a ledger service's `/v1/blocks`: its base64 as a JSON string. Pure; no I/O."""

from __future__ import annotations

import base64
import binascii

from consilo.fabric.errors import FabricBlockError


def encode_line(data: bytes) -> bytes:
    """The line of a serialised `common.Block`."""
    return b'"' + base64.b64encode(data) + b'"'


def decode_line(line: bytes) -> bytes:
    """The serialised `common.Block` of a line.

    Raises:
        FabricBlockError: `malformed`.
    """
    if len(line) < 2 or line[:1] + line[-1:] != b'""':
        raise FabricBlockError("malformed", "a block must come as a JSON string")
    try:
        return base64.b64decode(line[1:-1], validate=True)
    except binascii.Error:
        raise FabricBlockError("malformed", "a block must come in base64") from None
