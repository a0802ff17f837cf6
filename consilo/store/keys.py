"""What an object's key may be. Pure, but for the randomness of `unique_key`; no I/O.

A key is one or more segments joined by `/`. A segment is `[a-z0-9_-][a-z0-9._-]*`, at most 255 characters: no upper
case (some file systems fold it), no leading dot (so neither `.` nor `..`, and a store may keep files of its own under
dotted names), nothing that a URL's path would have to escape. A key has at most 512 characters.
"""

import re
import secrets

from consilo.store.errors import InvalidKey

__all__ = ["MAX_KEY_CHARACTERS", "MAX_SEGMENT_CHARACTERS", "check_key", "unique_key"]

MAX_KEY_CHARACTERS = 512
MAX_SEGMENT_CHARACTERS = 255
_SUFFIX_BYTES = 16
_SEGMENT = re.compile(r"[a-z0-9_-][a-z0-9._-]*", re.ASCII)


def check_key(key: str) -> str:
    """Returns `key` unchanged.

    Raises:
        InvalidKey: It is not a key; the message says which rule it breaks.
    """
    if not key:
        raise InvalidKey("an object key is not empty")
    if len(key) > MAX_KEY_CHARACTERS:
        raise InvalidKey(f"an object key has at most {MAX_KEY_CHARACTERS} characters, this one has {len(key)}")
    for segment in key.split("/"):
        if len(segment) > MAX_SEGMENT_CHARACTERS:
            raise InvalidKey(f"a segment of an object key has at most {MAX_SEGMENT_CHARACTERS} characters")
        if _SEGMENT.fullmatch(segment) is None:
            raise InvalidKey(
                f"{segment[:80]!r} is not a segment of an object key: use a-z 0-9 . _ -, with no dot in front, "
                "and one / between segments"
            )
    return key


def unique_key(*parts: str) -> str:
    """A key that no one else can have or guess: the parts in lower case, then 128 random bits.

    Lower case loses nothing: what makes the key unique is its last segment, and records name the owner.

    Args:
        *parts: For example a run's id, `"round"`, `"000007"`, `"HospitalA/silo"`; a part may itself contain `/`.

    Raises:
        InvalidKey: A part has a character that no key may have, or the key would be too long.
    """
    return check_key("/".join([*(part.lower() for part in parts), secrets.token_hex(_SUFFIX_BYTES)]))
