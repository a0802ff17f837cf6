"""The errors of this package. Pure; no I/O.

IdentityError
|- IdentityFileError  a directory of an authority or member that cannot be read or written as asked
|- AuthorityError     a certificate that an authority will not issue
'- TokenRefused       a request whose token does not prove who sent it
"""

from __future__ import annotations


class IdentityError(Exception):
    """Root of the errors of `consilo.identity`. Messages hold no secret: neither keys nor tokens.

    Attributes:
        code: stable, for programs.
        message: what was wrong and what to do, for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class IdentityFileError(IdentityError):
    """Files that cannot be used.

    `code` is `identity-exists`, `identity-missing`, `identity-unreadable`, `identity-malformed`, `identity-unwritable`
    or `key-exposed`.
    """


class AuthorityError(IdentityError):
    """A certificate that is not issued. `code` is `name-invalid`, `authority-expired` or `validity-invalid`."""


class TokenRefused(IdentityError):
    """A request token that does not count.

    `code` is `token-missing`, `token-malformed`, `token-expired`, `token-wrong-audience`, `token-wrong-request` or
    `token-untrusted`.
    """
