"""JSON from a process on this machine. Network I/O on loopback, blocking: for threads."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 2.0
_MOST_BYTES: Final = 1 << 20


class PageMissing(Exception):
    """The process does not answer, or not with JSON."""


def read_page(url: str) -> dict[str, Any]:
    """The object of JSON at a URL.

    Raises:
        PageMissing: there is none.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path)
        page = json.loads(connection.getresponse().read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PageMissing(f"{url}: {error}") from None
    finally:
        connection.close()
    if not isinstance(page, dict):
        raise PageMissing(f"{url}: it is no object")
    return page
