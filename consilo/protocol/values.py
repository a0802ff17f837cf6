"""The value types of records: names, members, digests, numbers, places. Pure; no I/O.

All names are ASCII, so that no two of them look alike, and hold no path character but where a slash is theirs.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

Role = Literal["operator", "aggregator", "silo", "verifier", "viewer", "gateway"]

MSP_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9.\-]{0,63}"
NAME_PATTERN: Final = r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"

Msp = Annotated[str, StringConstraints(pattern=rf"^{MSP_PATTERN}\z")]
"""Id of an organisation: its MSP id, e.g. `HospitalA`."""

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}\z")]
"""Lower-case name of a run, strategy or metric's owner: letters, digits and inner hyphens, at most 63."""

Member = Annotated[str, StringConstraints(pattern=rf"^{MSP_PATTERN}/{NAME_PATTERN}\z")]
"""Id of a member: `<msp>/<name>`."""

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,127}\z")]
"""Name of a metric, task, strategy or parameter."""

Text = Annotated[str, StringConstraints(max_length=1000)]
"""Free text for people: a reason, a detail."""

LedgerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.\-]{0,248}\z")]
"""Name of a ledger; on Fabric that of the channel."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
"""SHA-256 as 64 lower-case hexadecimal digits."""

Serial = Annotated[str, StringConstraints(pattern=r"^[1-9a-f][0-9a-f]{0,39}\z")]
"""Serial number of a certificate, lower-case hexadecimal without leading zeros."""

_SEGMENT: Final = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"
_HOST: Final = r"[a-z0-9](?:[a-z0-9.\-]{0,252}[a-z0-9])?(?::[0-9]{1,5})?"

ObjectKey = Annotated[str, StringConstraints(pattern=rf"^{_SEGMENT}(/{_SEGMENT})*\z", max_length=512)]
"""Key of an object in a store: segments that start with a letter or digit, so no `..` and no empty one."""

Host = Annotated[str, StringConstraints(pattern=rf"^{_HOST}\z")]
"""Host of a store: `name` or `name:port`, lower case."""

Url = Annotated[str, StringConstraints(pattern=rf"^https?://{_HOST}(?:/[A-Za-z0-9_.\-/]*)?\z")]
"""Base URL of a gateway, without user, query or fragment."""

Milliseconds = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A point in time, since 1970-01-01 UTC."""

Duration = Annotated[int, Field(ge=0, le=100 * 366 * 24 * 3_600_000)]
"""A duration in milliseconds, at most a hundred years: added to a point in time, it gives a point in time."""

RoundNumber = Annotated[int, Field(ge=0, le=9_999_999)]
AttemptNumber = Annotated[int, Field(ge=0, le=9_999)]
Samples = Annotated[int, Field(ge=1, lt=2**29)]
"""Number of samples: below 2**29, so that its product with a float32 is exact in float64."""


def format_number(value: float) -> str:
    """The one spelling of a finite float that records admit: `repr`.

    Raises:
        ValueError: the value is NaN or infinite.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return repr(float(value))


def parse_number(text: str) -> float:
    """The float of its canonical spelling.

    Raises:
        ValueError: not a number, not finite, or spelled otherwise than `repr` does.
    """
    value = float(text)
    if not math.isfinite(value) or repr(value) != text:
        raise ValueError(f"{text[:32]!r} is not the canonical spelling of a finite number")
    return value


def _number(text: str) -> str:
    parse_number(text)
    return text


Number = Annotated[str, StringConstraints(max_length=32), AfterValidator(_number)]
"""A finite float as `repr(float(s)) == s`."""

Metrics = Annotated[dict[Label, Number], Field(max_length=64)]
"""Metrics by name."""


def organisation_of(member: str) -> str:
    """The MSP id in a member's id."""
    return member.split("/", 1)[0]
