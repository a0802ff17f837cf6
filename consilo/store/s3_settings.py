"""How to reach a bucket of an S3 server, and as whom. Pure but for reading the credentials' files; no network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from consilo.store.errors import InvalidKey, InvalidSecret
from consilo.store.keys import check_key

__all__ = ["SINGLE_PUT_BYTES", "S3Settings", "read_credential"]

SINGLE_PUT_BYTES: Final = 5 * 2**30
"""The largest object that Amazon S3 takes in one PUT."""

_MAX_CREDENTIAL_BYTES: Final = 4096
_CREDENTIAL: Final = re.compile(r"[\x21-\x7e]{1,512}", re.ASCII)


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        strange = parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc
        good = parts.scheme in ("http", "https") and parts.hostname and not strange
        port = parts.port
    except ValueError:
        good, port = None, None
    if not good:
        raise ValueError("an endpoint is http://host:port or https://host:port, without a path")
    host = parts.netloc.lower()
    return f"{parts.scheme}://{host.removesuffix(f':{port}') if _is_default(parts.scheme, port) else host}"


def _is_default(scheme: str, port: int | None) -> bool:
    # A client leaves the scheme's own port out of the Host header, which is signed.
    return port == {"http": 80, "https": 443}[scheme]


def _prefix(prefix: str) -> str:
    try:
        return check_key(prefix.rstrip("/")) + "/" if prefix else ""
    except InvalidKey as error:
        raise ValueError(str(error)) from None


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class S3Settings(BaseModel):
    """A bucket. Credentials come from the two files, or from where botocore looks by itself when none are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    public_endpoint_url: Endpoint = Field(
        description="base URL of the S3 server as clients reach it; URLs are signed for it"
    )
    endpoint_url: Endpoint | None = Field(
        None, description="base URL of the S3 server as the gateway reaches it; default: the public one"
    )
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = Field(
        description="name of the bucket; it must be there"
    )
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        "", description="put before every object's key, for a bucket that others use too"
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = Field(
        "us-east-1", description="region that is signed for"
    )
    addressing: Literal["path", "virtual"] = Field(
        "path", description="where the bucket's name stands: in the path, or in front of the endpoint's host"
    )
    access_key_file: Path | None = Field(
        None, description="file with the access key's id; default: botocore's chain (environment, workload identity)"
    )
    secret_key_file: Path | None = Field(None, description="file with the secret access key")
    ca_file: Path | None = Field(
        None, description="PEM file of roots for TLS from the gateway to the S3 server; default: the system's"
    )
    max_object_bytes: int = Field(
        SINGLE_PUT_BYTES,
        ge=1,
        description="largest artifact for which a URL is signed: what the server takes in one PUT (Amazon S3: 5 GiB)",
    )
    connect_timeout_seconds: float = Field(5.0, gt=0, description="for a connection of the gateway to the S3 server")
    read_timeout_seconds: float = Field(30.0, gt=0, description="longest wait of the gateway for an answer")
    max_attempts: int = Field(3, ge=1, le=20, description="how often the gateway tries a request in all")

    @model_validator(mode="after")
    def _both_files(self) -> Self:
        if (self.access_key_file is None) != (self.secret_key_file is None):
            raise ValueError("name both access_key_file and secret_key_file, or neither")
        return self

    @property
    def bucket_url(self) -> str:
        """Public base URL of the bucket's objects, ending in a slash: what clients see before the key."""
        scheme, _, host = self.public_endpoint_url.partition("://")
        if self.addressing == "virtual":
            return f"{scheme}://{self.bucket}.{host}/{self.prefix}"
        return f"{scheme}://{host}/{self.bucket}/{self.prefix}"


def read_credential(path: Path) -> str:
    """The one word in a credential's file.

    Raises:
        InvalidSecret: The file cannot be read, or does not hold exactly one word.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_CREDENTIAL_BYTES)
    except OSError as error:
        raise InvalidSecret(f"cannot read the file of an S3 credential {path}: {error.strerror}") from None
    text = content.decode("ascii", errors="replace").strip()
    if _CREDENTIAL.fullmatch(text) is None:
        raise InvalidSecret(f"the file of an S3 credential {path} does not hold one word of printable characters")
    return text
