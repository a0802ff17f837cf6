"""One spelling for the path and query of a request, so that client and gateway bind a token to the same. Pure; no I/O.

RFC 3986, section 6.2.2: percent-encoding in upper case, and none for characters that need none. Nothing is resolved
and nothing reordered: a path with `.` or `..` segments has no canonical form, two orders of a query are two targets.
"""

from __future__ import annotations

import re
from typing import Final

MAX_TARGET_BYTES: Final = 8192

# pchar, slash and question mark of RFC 3986, and the brackets that clients commonly leave as they are in a query.
_TARGET: Final = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9A-Fa-f]{2})*")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~]")


def canonical_target(target: str) -> str:
    """The canonical spelling of a request's path and query.

    Args:
        target: in origin form (RFC 9112, section 3.2.1), percent-encoded, e.g. `/v1/runs/heart?limit=10`.

    Raises:
        ValueError: longer than `MAX_TARGET_BYTES`, no absolute path, characters that need encoding, or dot segments.
    """
    if len(target) > MAX_TARGET_BYTES or _TARGET.fullmatch(target) is None:
        raise ValueError(f"a target is a percent-encoded path and query of at most {MAX_TARGET_BYTES} bytes")
    canonical = _ESCAPE.sub(_normal, target)
    if any(segment in {".", ".."} for segment in canonical.partition("?")[0].split("/")):
        raise ValueError("a target has no `.` or `..` segments")
    return canonical


def _normal(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
