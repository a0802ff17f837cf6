"""The base of every record and transaction body: frozen, strict, unknown fields refused. Pure; no I/O."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from consilo.protocol.canonical import canonical, digest
from consilo.protocol.refusals import InvalidInput


class Record(BaseModel):
    """Base of all records. Instances are immutable; validation is strict (no coercion) and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def encode(self) -> bytes:
        """The canonical bytes of the record.

        Raises:
            InvalidInput: `malformed`, when a free-form field holds something without a canonical form.
        """
        return canonical(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of the canonical bytes, hexadecimal."""
        return digest(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            InvalidInput: `malformed`, naming the first field that is wrong.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or cls.__name__
            # An unknown field's name is the sender's choice: cut and escaped, since messages go into logs.
            raise InvalidInput("malformed", f"{ascii(place[:100])[1:-1]}: {first['msg']}") from None
