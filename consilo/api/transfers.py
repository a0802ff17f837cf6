"""Bulk transfers by signed URLs: blocking, for threads. Does network and file I/O.

A store is not trusted: it is one of the hosts that the ledger names, no redirect is followed, no proxy is used, sizes
are known beforehand, and digests are computed here. On http.client, because nothing else in Python moves bytes as fast.
"""

import os
import secrets
from collections.abc import Collection
from pathlib import Path

from consilo.api.networks import Networks
from consilo.api.pace import Pace
from consilo.api.transfer_errors import DigestMismatch, SizeMismatch, TransferRefused
from consilo.api.transfer_exchange import Exchange
from consilo.api.transfer_streams import Download, Upload
from consilo.store.following import FollowingDigest
from consilo.store.port import SignedRequest, without_query

__all__ = ["Download", "Upload", "download_file", "open_download", "open_upload", "upload_file"]

_BLOCK_BYTES = 1024 * 1024


def open_download(
    request: SignedRequest,
    *,
    expected_bytes: int,
    allowed_hosts: Collection[str],
    timeout_seconds: float,
    total_timeout_seconds: float | None = None,
    ca_file: Path | None = None,
    networks: Networks | None = None,
    pace: Pace | None = None,
) -> Download:
    """Starts to download an object.

    Args:
        request: A signed GET.
        expected_bytes: The object's size, from the ledger; an object of another size is refused.
        allowed_hosts: `host:port`, or `host` for the scheme's own port. Compared exactly, before connecting.
        timeout_seconds: Longest wait for the network, each time.
        total_timeout_seconds: Longest time for the whole transfer, or None.
        ca_file: Roots to trust for https instead of the system's.
        networks: To which the host must lead; None: to any.
        pace: That the store must keep up; None: any.

    Raises:
        TransferError: See `transfer_errors.py`.
    """
    exchange = Exchange(
        request,
        "GET",
        allowed_hosts=allowed_hosts,
        timeout_seconds=timeout_seconds,
        total_timeout_seconds=total_timeout_seconds,
        ca_file=ca_file,
        networks=networks,
    )
    try:
        exchange.start({"Accept-Encoding": "identity"})
        response = exchange.response()
        if response.length is None or response.headers.get("Content-Encoding", "identity") != "identity":
            raise TransferRefused(f"the store answers without a plain body of known size: {exchange.name}")
        if response.length != expected_bytes:
            raise SizeMismatch(f"the store has {response.length} bytes, not {expected_bytes}: {exchange.name}")
        return Download(exchange, response, expected_bytes, pace)
    except BaseException:
        exchange.close()
        raise


def open_upload(
    request: SignedRequest,
    *,
    size_bytes: int,
    allowed_hosts: Collection[str],
    timeout_seconds: float,
    total_timeout_seconds: float | None = None,
    ca_file: Path | None = None,
    networks: Networks | None = None,
) -> Upload:
    """Starts to upload an object of exactly `size_bytes` bytes by a signed PUT; otherwise as `open_download`."""
    signed = {name.lower(): value for name, value in request.headers.items()}.get("content-length", str(size_bytes))
    exchange = Exchange(
        request,
        "PUT",
        allowed_hosts=allowed_hosts,
        timeout_seconds=timeout_seconds,
        total_timeout_seconds=total_timeout_seconds,
        ca_file=ca_file,
        networks=networks,
    )
    if signed != str(size_bytes):
        raise SizeMismatch(f"the URL was signed for {signed} bytes, not for {size_bytes}: {exchange.name}")
    try:
        exchange.start({"Content-Length": str(size_bytes)})
        return Upload(exchange, size_bytes)
    except BaseException:
        exchange.close()
        raise


def download_file(
    request: SignedRequest,
    path: Path,
    *,
    expected_bytes: int,
    expected_sha256: str,
    allowed_hosts: Collection[str],
    timeout_seconds: float,
    total_timeout_seconds: float | None = None,
    ca_file: Path | None = None,
    networks: Networks | None = None,
    pace: Pace | None = None,
) -> None:
    """Downloads an object to `path`, which appears (or is replaced) only when size and digest are right.

    Raises:
        DigestMismatch: The store served other bytes.
        TransferError: As `open_download`.
        OSError: The file cannot be written.
    """
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open_download(
            request,
            expected_bytes=expected_bytes,
            allowed_hosts=allowed_hosts,
            timeout_seconds=timeout_seconds,
            total_timeout_seconds=total_timeout_seconds,
            ca_file=ca_file,
            networks=networks,
            pace=pace,
        ) as download:
            digest = _receive(download, descriptor, expected_bytes)
        if digest != expected_sha256:
            raise DigestMismatch(f"SHA-256 is {digest}, not {expected_sha256}: {without_query(request.url)}")
        part.replace(path)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)


def upload_file(
    request: SignedRequest,
    path: Path,
    *,
    allowed_hosts: Collection[str],
    timeout_seconds: float,
    total_timeout_seconds: float | None = None,
    ca_file: Path | None = None,
    networks: Networks | None = None,
) -> str:
    """Uploads a file and returns its SHA-256 (lower-case hex), computed here while it is sent.

    Raises:
        DigestMismatch: The store received other bytes (or the file changed meanwhile); the object is of no use.
        TransferError: As `open_upload`.
        OSError: The file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        with (
            open_upload(
                request,
                size_bytes=size_bytes,
                allowed_hosts=allowed_hosts,
                timeout_seconds=timeout_seconds,
                total_timeout_seconds=total_timeout_seconds,
                ca_file=ca_file,
                networks=networks,
            ) as upload,
            FollowingDigest(file.fileno(), size_bytes) as following,
        ):
            following.reached(size_bytes)
            upload.write_file(file.fileno())
            digest = following.finish()
            told = upload.finish()
    if told is not None and told != digest:
        raise DigestMismatch(f"the store received SHA-256 {told}, not {digest}: {without_query(request.url)}")
    return digest


def _receive(download: Download, descriptor: int, size_bytes: int) -> str:
    # Writes all bytes to the file and returns their digest, computed by a second thread from the file.
    block = memoryview(bytearray(min(_BLOCK_BYTES, max(size_bytes, 1))))
    position = 0
    with FollowingDigest(descriptor, size_bytes) as following:
        while count := download.readinto(block):
            view = block[:count]
            while view:
                view = view[os.write(descriptor, view) :]
            position += count
            following.reached(position)
        return following.finish()
