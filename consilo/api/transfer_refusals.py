"""What a store's refusal means, for the project's own store and for S3 servers. Reads a bounded piece of the answer.

Our store names a code in a header; an S3 server does so in a small XML document, of which nothing but the first
`<Code>` and `<Message>` is looked at, by pattern, without an XML parser. Neither is trusted: a code chooses among the
errors that the status allows, and is shown only when it looks like one.
"""

import http.client
import re
from contextlib import suppress
from typing import Final

from consilo.api.transfer_errors import (
    ObjectExists,
    ObjectMissing,
    TransferError,
    TransferRefused,
    TransferUnavailable,
    UrlExpired,
)
from consilo.store.local import CODE_HEADER, wall_clock

__all__ = ["refusal"]

_RETRYABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_WITH_DOCUMENT: Final = frozenset({400, 403, 404, 409, 412, 500, 503})
_MAX_DOCUMENT_BYTES: Final = 4096
_MAX_READS: Final = 4  # a store that sends its document byte by byte does not hold us for long
_OWN_CODE: Final = re.compile(r"[a-z-]{1,40}", re.ASCII)
_S3_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_S3_MESSAGE: Final = re.compile(rb"<Message>([^<]{1,200})</Message>")


def refusal(response: http.client.HTTPResponse, *, name: str, expires_at: int) -> TransferError:
    """The error that an answer with a status of no success stands for.

    Args:
        response: Its head is there, its body not read.
        name: Of the object, for the message: the URL without its query.
        expires_at: Of the signed request, milliseconds since 1970-01-01 UTC.
    """
    status = response.status
    own = response.headers.get(CODE_HEADER)
    code = own if own is not None and _OWN_CODE.fullmatch(own) else None
    has_expired = code == UrlExpired.code
    if own is None and status in _WITH_DOCUMENT:
        code, has_expired = _read_document(response)
    message = f"the store answered {status}{'' if code is None else f' ({code})'}: {name}"
    if status == 404 and code != "NoSuchBucket":
        return ObjectMissing(message)
    if status == 412:
        return ObjectExists(message)
    if has_expired or (status == 403 and wall_clock() >= expires_at):
        return UrlExpired(message)
    # Two S3 answers that ask for another try: the body came too slowly; another upload of the key is under way.
    if status in _RETRYABLE or (status, code) in {(400, "RequestTimeout"), (409, "ConditionalRequestConflict")}:
        return TransferUnavailable(message)
    if 300 <= status < 400:
        return TransferRefused(f"redirects are not followed; {message}")
    return TransferRefused(message)


def _read_document(response: http.client.HTTPResponse) -> tuple[str | None, bool]:
    # The code in an S3 server's error document, and whether it says that the URL's time is over.
    text = b""
    with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):  # then it has no code for us
        for _ in range(_MAX_READS):
            piece = response.read1(_MAX_DOCUMENT_BYTES - len(text))
            text += piece
            if not piece or len(text) >= _MAX_DOCUMENT_BYTES or b"</Error>" in text:
                break
    code, message = _S3_CODE.search(text), _S3_MESSAGE.search(text)
    if code is None:
        return None, False
    # ExpiredToken: the credentials that signed the URL ended before the URL did.
    over = code[1] in {b"ExpiredToken", b"RequestExpired"}
    over = over or (code[1] == b"AccessDenied" and message is not None and b"expired" in message[1].lower())
    return code[1].decode("ascii"), over and response.status in (400, 403)
