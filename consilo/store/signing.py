"""Signatures of the local store's URLs: HMAC-SHA256 over method, key, expiry and size. Pure but for reading secrets.

A signed URL is `<base>/objects/<key>?secret=<id>&expires=<ms>[&size=<bytes>]&signature=<hex>`: exactly these
parameters, in this order, once each, and nothing escaped. Anything else is refused before the signature is computed.
The list of objects is signed in the same way: `<base>/objects?after=<key>&limit=<count>&secret=...`.
`secret` names which of the two secrets was used, so that secrets can be rotated while URLs are under way.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consilo.store.errors import InvalidKey, InvalidSecret, UrlExpired, UrlInvalid
from consilo.store.keys import check_key
from consilo.store.port import MAX_LISTED

__all__ = [
    "LIST_PATH",
    "MIN_SECRET_BYTES",
    "OBJECTS_PATH",
    "SignedList",
    "SignedTarget",
    "SigningSecrets",
    "signed_list",
    "signed_target",
    "verify_list",
    "verify_target",
]

OBJECTS_PATH = "/objects/"
LIST_PATH = "/objects"
MIN_SECRET_BYTES = 32
_MAX_SECRETS = 2
_MAX_SECRET_FILE_BYTES = 64 * 1024
_METHODS = frozenset({"GET", "PUT", "HEAD", "DELETE"})
_QUERY = re.compile(
    r"secret=(?P<secret>[0-9a-f]{16})&expires=(?P<expires>0|[1-9][0-9]{0,15})"
    r"(?:&size=(?P<size>0|[1-9][0-9]{0,17}))?&signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_LIST = "LIST"  # what is signed in place of a method: no URL of an object can be one of a list
_LIST_QUERY = re.compile(
    r"after=(?P<after>[a-z0-9._/-]{0,512})&limit=(?P<limit>[1-9][0-9]{0,3})&secret=(?P<secret>[0-9a-f]{16})"
    r"&expires=(?P<expires>0|[1-9][0-9]{0,15})&signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)


class SigningSecrets:
    """One or two secrets: the first signs, both verify. Its text shows none of them."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Takes one or two different secrets of at least 32 bytes.

        Raises:
            InvalidSecret: None or more than two were given, one is too short, or both are the same.
        """
        if not 1 <= len(secrets) <= _MAX_SECRETS:
            raise InvalidSecret(f"give one or two signing secrets, not {len(secrets)}")
        if any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise InvalidSecret(f"a signing secret has at least {MIN_SECRET_BYTES} bytes")
        self._by_id = {_secret_id(secret): secret for secret in secrets}
        if len(self._by_id) != len(secrets):
            raise InvalidSecret("the two signing secrets are the same")
        self.signing_id = _secret_id(secrets[0])

    @classmethod
    def from_file(cls, path: Path) -> "SigningSecrets":
        """Reads a file with one secret on each of its one or two lines; the first line signs.

        Raises:
            InvalidSecret: The file cannot be read, or does not hold one or two good secrets.
        """
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_SECRET_FILE_BYTES + 1)
        except OSError as error:
            raise InvalidSecret(f"cannot read the file of signing secrets {path}: {error.strerror}") from None
        if len(content) > _MAX_SECRET_FILE_BYTES:
            raise InvalidSecret(f"the file of signing secrets {path} is larger than {_MAX_SECRET_FILE_BYTES} bytes")
        lines = [line.strip() for line in content.split(b"\n")]
        return cls([line for line in lines if line])

    def sign(self, secret_id: str, message: bytes) -> str | None:
        """The signature of `message` in lower-case hex; None when no secret has this id."""
        secret = self._by_id.get(secret_id)
        return None if secret is None else hmac.new(secret, message, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        """Shows the ids of the secrets."""
        return f"SigningSecrets({', '.join(self._by_id)})"


@dataclass(frozen=True, slots=True)
class SignedTarget:
    """What a verified URL allows.

    Attributes:
        key: Of the object.
        size_bytes: The exact size of a PUT; None for other methods.
    """

    key: str
    size_bytes: int | None


def signed_target(
    secrets: SigningSecrets, method: str, key: str, *, expires_at: int, size_bytes: int | None = None
) -> str:
    """The path and query of a signed URL.

    Args:
        secrets: The first of them signs.
        method: GET, PUT, HEAD or DELETE.
        key: Of the object.
        expires_at: Milliseconds since 1970-01-01 UTC.
        size_bytes: Exact size, for PUT and for nothing else.

    Raises:
        InvalidKey: Not a key.
        ValueError: A method that is not one of the four, or a size where none belongs or the other way round.
    """
    check_key(key)
    if method not in _METHODS:
        raise ValueError(f"{method} is not a method that is signed")
    if (size_bytes is not None) != (method == "PUT"):
        raise ValueError("a PUT is signed with a size, nothing else is")
    message = _message(method, key, expires_at, size_bytes)
    signature = secrets.sign(secrets.signing_id, message)
    size = "" if size_bytes is None else f"&size={size_bytes}"
    return f"{OBJECTS_PATH}{key}?secret={secrets.signing_id}&expires={expires_at}{size}&signature={signature}"


def verify_target(secrets: SigningSecrets, method: str, target: str, *, now: int) -> SignedTarget:
    """Checks a request's target (path and query) and says what it allows.

    Args:
        secrets: Any of them may have signed.
        method: Of the request.
        target: As it came: not decoded.
        now: Milliseconds since 1970-01-01 UTC.

    Raises:
        UrlInvalid: Not signed, not in the one allowed form, or signed for something else.
        UrlExpired: Signed rightly, but `now` is not before the expiry.
    """
    path, _, query = target.partition("?")
    parts = _QUERY.fullmatch(query)
    if not path.startswith(OBJECTS_PATH) or parts is None:
        raise UrlInvalid("the URL is not a signed one: ask the owner's gateway for a new URL")
    try:
        key = check_key(path.removeprefix(OBJECTS_PATH))
    except InvalidKey:
        raise UrlInvalid("the URL does not name an object") from None
    size_bytes = None if parts["size"] is None else int(parts["size"])
    expires_at = int(parts["expires"])
    if method not in _METHODS or (size_bytes is not None) != (method == "PUT"):
        raise UrlInvalid("the URL was signed for another method")
    expected = secrets.sign(parts["secret"], _message(method, key, expires_at, size_bytes))
    if expected is None or not hmac.compare_digest(expected, parts["signature"]):
        raise UrlInvalid("the URL was signed for another request or by another secret: ask for a new URL")
    # After the signature: whoever has none learns nothing of the store's clock.
    if now >= expires_at:
        raise UrlExpired("the URL has expired: ask the owner's gateway for a new URL")
    return SignedTarget(key, size_bytes)


@dataclass(frozen=True, slots=True)
class SignedList:
    """What a verified URL of a list asks for (see `ObjectStore.list`)."""

    after: str
    limit: int


def signed_list(secrets: SigningSecrets, after: str, limit: int, *, expires_at: int) -> str:
    """The path and query of a signed URL that lists objects, by GET.

    Raises:
        InvalidKey: `after` is neither empty nor a key.
        ValueError: A limit that is not from 1 to `MAX_LISTED`.
    """
    if after:
        check_key(after)
    if not 1 <= limit <= MAX_LISTED:
        raise ValueError(f"a list has 1 to {MAX_LISTED} objects a page")
    signature = secrets.sign(secrets.signing_id, _message(_LIST, after, expires_at, limit))
    return (
        f"{LIST_PATH}?after={after}&limit={limit}&secret={secrets.signing_id}"
        f"&expires={expires_at}&signature={signature}"
    )


def verify_list(secrets: SigningSecrets, target: str, *, now: int) -> SignedList:
    """Checks the target of a GET that lists objects, and says what it asks for.

    Raises:
        UrlInvalid: Not signed, not in the one allowed form, or signed for something else.
        UrlExpired: Signed rightly, but `now` is not before the expiry.
    """
    path, _, query = target.partition("?")
    parts = _LIST_QUERY.fullmatch(query)
    if path != LIST_PATH or parts is None or int(parts["limit"]) > MAX_LISTED:
        raise UrlInvalid("the URL is not a signed one")
    after, limit, expires_at = parts["after"], int(parts["limit"]), int(parts["expires"])
    expected = secrets.sign(parts["secret"], _message(_LIST, after, expires_at, limit))
    if expected is None or not hmac.compare_digest(expected, parts["signature"]):
        raise UrlInvalid("the URL was signed for another request or by another secret")
    if now >= expires_at:
        raise UrlExpired("the URL has expired")
    return SignedList(after, limit)


def _message(method: str, key: str, expires_at: int, size_bytes: int | None) -> bytes:
    # Injective: no field can contain a line feed.
    size = "" if size_bytes is None else str(size_bytes)
    return f"consilo-store-1\n{method}\n{key}\n{expires_at}\n{size}".encode("ascii")


def _secret_id(secret: bytes) -> str:
    # Derived, so that a file of secrets needs no names; a MAC, so that the id tells nothing of the secret.
    return hmac.new(secret, b"consilo-store-secret-id", hashlib.sha256).hexdigest()[:16]
