"""The root of the errors of this package. Pure; no I/O.

ProtocolError
|- InvalidInput       bytes or values that are not what the protocol's formats allow (refusals.py: a code per kind)
'- Refusal            a well-formed transaction that the rules do not admit       (refusals.py)
"""


class ProtocolError(Exception):
    """Root of all errors raised by `consilo.protocol`."""
