"""Canonical JSON: one byte string per value, so that digests and signatures mean the same to everyone. Pure; no I/O.

Keys sorted by code point, no white space, UTF-8 without escapes but those JSON requires, integers only within
+-(2**53 - 1), no floats (numbers that are not integers travel as strings: values.py), no duplicate keys.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, NoReturn

from consilo.protocol.refusals import InvalidInput

MAX_INTEGER: Final = 2**53 - 1
MAX_DEPTH: Final = 32
MAX_BYTES: Final = 8 * 1024 * 1024
"""Default bound on one parsed text; callers that admit less pass their own."""


def canonical(value: Any) -> bytes:
    """The canonical bytes of a JSON value (dict, list, tuple, str, int, bool, None).

    Raises:
        InvalidInput: `malformed`, when the value holds something that has no canonical form.
    """
    _check(value, 0)
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:  # UnicodeEncodeError (a lone surrogate) is a ValueError
        raise InvalidInput("malformed", f"no canonical form: {error}") from None


def parse(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON text (canonical or not) into a value that has a canonical form.

    Raises:
        InvalidInput: `too-large`, or `malformed` for anything that is not JSON, has duplicate keys, floats, integers
            beyond +-(2**53 - 1), invalid UTF-8, or is nested deeper than 32.
    """
    if len(data) > max_bytes:
        raise InvalidInput("too-large", f"{len(data)} bytes; at most {max_bytes} are read")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except RecursionError:
        raise InvalidInput("malformed", f"nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise InvalidInput("malformed", f"not JSON: {error}") from None
    _check(value, 0)
    return value


def digest(data: bytes) -> str:
    """SHA-256 of the bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return result


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:32]} is no integer; such numbers travel as strings")


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInput("malformed", f"nested deeper than {MAX_DEPTH}")
    match value:
        case None | bool():
            return
        case str():
            if not value.isascii():
                try:
                    value.encode("utf-8")
                except UnicodeEncodeError:
                    raise InvalidInput("malformed", "a string holds a lone surrogate") from None
        case int():
            if abs(value) > MAX_INTEGER:
                raise InvalidInput("malformed", f"an integer is beyond +-{MAX_INTEGER}")
        case list() | tuple():
            for item in value:
                _check(item, depth + 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidInput("malformed", "an object's key is not a string")
                _check(key, depth + 1)
                _check(item, depth + 1)
        case _:
            raise InvalidInput("malformed", f"a {type(value).__name__} has no canonical form")
