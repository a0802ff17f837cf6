"""The errors of this package. Pure; no I/O.

FabricError
|- FabricBlockError       bytes that are no block
|- BlockWrong             a block that contradicts itself, those before it, or the channel's configuration
|- IdentityInvalid        a certificate that is not one of the MSP that it claims
'- ConfigurationInvalid   a configuration, or a change of it, that the channel does not admit or this version not know
"""

from __future__ import annotations


class FabricError(Exception):
    """Root of the errors of `consilo.fabric`.

    Attributes:
        code: stable, for programs.
        message: what was wrong, in words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FabricBlockError(FabricError, ValueError):
    """`code` is `malformed`."""


class BlockWrong(FabricError):
    """`code` is the step of `consilo.fabric.channel` that the block fails."""


class IdentityInvalid(FabricError):
    """`code` is `identity-invalid`."""

    def __init__(self, message: str) -> None:
        super().__init__("identity-invalid", message)


class ConfigurationInvalid(FabricError):
    """`code` is `configuration-invalid`."""

    def __init__(self, message: str) -> None:
        super().__init__("configuration-invalid", message)
