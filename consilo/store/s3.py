"""The S3 adapter of the object store port: URLs presigned by botocore's signer. The only module that imports botocore.

A signed PUT binds `Content-Length` and `If-None-Match: *`: the server refuses a body of another size, and a key that is
taken. Signing is pure, but for credentials that botocore must fetch or renew (workload identity); `head`, `delete`
and `list` are requests to the server. They block.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from consilo.store.errors import InvalidKey, InvalidSecret, StoreError, StoreUnavailable, TooLarge
from consilo.store.keys import check_key
from consilo.store.local import wall_clock
from consilo.store.port import MAX_LISTED, ObjectInfo, ObjectPage, SignedRequest, StoredObject
from consilo.store.s3_settings import S3Settings, read_credential

__all__ = ["S3ObjectStore"]

_MAX_EXPIRES_IN_SECONDS: Final = 7 * 24 * 3600  # what signature version 4 allows
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_BUSY: Final = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"})


class _Signer(S3SigV4QueryAuth):  # type: ignore[misc] # botocore has no types
    """botocore's signer of URLs, by a clock of ours: the expiry that callers are told is the one that is signed."""

    def __init__(self, credentials: Any, region: str, *, signed_at_seconds: int, expires_seconds: int) -> None:
        super().__init__(credentials, "s3", region, expires=expires_seconds)
        self._timestamp = datetime.fromtimestamp(signed_at_seconds, UTC).strftime("%Y%m%dT%H%M%SZ")

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = self._timestamp
        super()._modify_request_before_signing(request)


class S3ObjectStore:
    """An `ObjectStore` whose bytes are kept in a bucket of an S3 server. Safe to share by threads."""

    def __init__(self, settings: S3Settings, *, clock: Callable[[], int] = wall_clock) -> None:
        """Takes where the bucket is; does not connect to it.

        Silences the log of botocore below warnings for the whole process: its debug lines hold signatures.

        Args:
            settings: The bucket, and the credentials.
            clock: Milliseconds since 1970-01-01 UTC.

        Raises:
            InvalidSecret: The credentials' files cannot be used, or no files are named and none are found elsewhere.
            StoreError: botocore cannot be set up.
        """
        logger = logging.getLogger("botocore")
        logger.setLevel(max(logger.level, logging.WARNING))
        self._settings = settings
        self._clock = clock
        try:
            session = Session()
            self._credentials = _credentials(settings, session)
            self._client = session.create_client(
                "s3",
                region_name=settings.region,
                endpoint_url=settings.endpoint_url or settings.public_endpoint_url,
                verify=None if settings.ca_file is None else str(settings.ca_file),
                config=_config(settings),
            )
        except StoreError:
            raise
        except (BotoCoreError, OSError, ValueError) as error:
            raise StoreError(f"cannot set up the client of the S3 server: {error}") from None

    def sign_put(self, key: str, size_bytes: int, expires_in_seconds: float) -> SignedRequest:
        """Signs one upload of exactly `size_bytes` bytes (see `ObjectStore.sign_put`).

        Raises:
            TooLarge: More bytes than the server takes in one PUT.
            StoreUnavailable: Credentials could not be renewed.
        """
        if size_bytes < 0:
            raise ValueError("an object's size is not negative")
        limit = self._settings.max_object_bytes
        if size_bytes > limit:
            raise TooLarge(
                f"{size_bytes} bytes: this store takes an object in one PUT of at most {limit} bytes, and uploads in "
                "several parts are not supported"
            )
        headers = {"Content-Length": str(size_bytes), "If-None-Match": "*"}
        return self._sign("PUT", key, expires_in_seconds, headers)

    def sign_get(self, key: str, expires_in_seconds: float) -> SignedRequest:
        """Signs downloads of `key` (see `ObjectStore.sign_get`).

        Raises:
            StoreUnavailable: Credentials could not be renewed.
        """
        return self._sign("GET", key, expires_in_seconds, {})

    def head(self, key: str) -> ObjectInfo | None:
        """Asks the server for the object's size (see `ObjectStore.head`). It keeps no digest of ours."""
        found = self._ask_of(self._client.head_object, key)
        return None if found is None else ObjectInfo(int(found["ContentLength"]), None)

    def delete(self, key: str) -> None:
        """Asks the server to remove the object (see `ObjectStore.delete`)."""
        self._ask_of(self._client.delete_object, key)

    def list(self, after: str, limit: int) -> ObjectPage:
        """Asks the server for a page of its objects (see `ObjectStore.list`), without those of others.

        Raises:
            StoreError: The bucket holds pages of other things.
        """
        if after:
            check_key(after)
        if not 1 <= limit <= MAX_LISTED:
            raise ValueError(f"a list has 1 to {MAX_LISTED} objects a page")
        prefix = self._settings.prefix
        start = {"StartAfter": prefix + after} if after else {}
        found = self._ask(self._client.list_objects_v2, "the list", Prefix=prefix, MaxKeys=limit, **start)
        objects: list[StoredObject] = []
        for entry in (found or {}).get("Contents", ()):
            try:
                key = check_key(str(entry["Key"]).removeprefix(prefix))
            except InvalidKey:
                continue
            objects.append(StoredObject(key, int(entry["Size"]), round(entry["LastModified"].timestamp() * 1000)))
        more = bool(found and found.get("IsTruncated"))
        if more and not (objects and objects[-1].key > after):
            raise StoreError(f"{self._settings.bucket_url} holds objects that are not Consilo's: give it a prefix")
        return ObjectPage(tuple(objects), objects[-1].key if more else None)

    def __repr__(self) -> str:
        """Shows where the bucket is."""
        return f"S3ObjectStore({self._settings.bucket_url})"

    def _sign(self, method: str, key: str, expires_in_seconds: float, headers: dict[str, str]) -> SignedRequest:
        check_key(key)
        if not 0 < expires_in_seconds <= _MAX_EXPIRES_IN_SECONDS:
            raise ValueError(f"a signed URL lives more than 0 and at most {_MAX_EXPIRES_IN_SECONDS} seconds")
        signed_at, expires = self._clock() // 1000, math.ceil(expires_in_seconds)
        request = AWSRequest(method, self._settings.bucket_url + key, headers=dict(headers))
        try:
            credentials = self._credentials.get_frozen_credentials()
            signer = _Signer(credentials, self._settings.region, signed_at_seconds=signed_at, expires_seconds=expires)
            signer.add_auth(request)
        except BotoCoreError as error:
            raise StoreUnavailable(f"cannot renew the credentials for the S3 server: {type(error).__name__}") from None
        return SignedRequest(method, request.url, headers, (signed_at + expires) * 1000)

    def _ask_of(self, operation: Callable[..., dict[str, Any]], key: str) -> dict[str, Any] | None:
        check_key(key)
        return self._ask(operation, key, Key=self._settings.prefix + key)

    def _ask(self, operation: Callable[..., dict[str, Any]], name: str, **arguments: Any) -> dict[str, Any] | None:
        # The answer, or None when there is no such object.
        settings = self._settings
        try:
            return operation(Bucket=settings.bucket, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))[:64]
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in _MISSING:
                return None
            kind = StoreUnavailable if status >= 500 or status == 429 or code in _BUSY else StoreError
            what = error.operation_name
            raise kind(f"the S3 server answered {status} ({code}) to {what} of {settings.bucket_url}{name}") from None
        except BotoCoreError as error:
            raise StoreUnavailable(f"no answer from the S3 server: {type(error).__name__}") from None


def _credentials(settings: S3Settings, session: Session) -> Any:
    if settings.access_key_file is not None and settings.secret_key_file is not None:
        session.set_credentials(read_credential(settings.access_key_file), read_credential(settings.secret_key_file))
    found = session.get_credentials()
    if found is None:
        raise InvalidSecret(
            "no credentials for the S3 server: name access_key_file and secret_key_file, or give them as botocore "
            "finds them (environment, shared file, workload identity)"
        )
    return found


def _config(settings: S3Settings) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": settings.addressing},
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        proxies={},  # as for the transfers: a store is reached directly
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
