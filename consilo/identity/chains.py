"""A cache of verified chains: a member's certificates are the same in each of its requests. Thread-safe; no I/O.

What is kept is only that these certificates lead to these roots. Whether they are valid now is looked at in every call,
and whether they are revoked is for the caller to look at in every call.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Final

from consilo.protocol.certificates import VerifiedChain, roots_digest, verify_chain

DEFAULT_MAX_CHAINS: Final = 1024


class ChainCache:
    """`verify_chain` with a memory of the chains used most recently.

    Args:
        max_chains: how many chains are kept; about 2 kB each. 0 keeps none.
    """

    def __init__(self, max_chains: int = DEFAULT_MAX_CHAINS) -> None:
        self._max_chains = max_chains
        self._chains: OrderedDict[tuple[bytes, str], VerifiedChain] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._chains)

    def verify(self, certificates: Sequence[bytes], roots: Sequence[bytes], time: int) -> VerifiedChain:
        """As `consilo.protocol.certificates.verify_chain`: same arguments, same results, same errors.

        Chains that fail are not kept, so that nobody without a certificate can push others out.
        """
        key = (_digest(certificates), roots_digest(roots))
        with self._lock:
            chain = self._chains.get(key)
            if chain is not None and chain.not_before <= time <= chain.not_after:
                self._chains.move_to_end(key)
                return chain
        chain = verify_chain(certificates, roots, time)
        with self._lock:
            self._chains[key] = chain
            self._chains.move_to_end(key)
            while len(self._chains) > self._max_chains:
                self._chains.popitem(last=False)
        return chain


def _digest(certificates: Sequence[bytes]) -> bytes:
    # A digest of digests, so that no two sequences give the same bytes.
    return b"".join(hashlib.sha256(der).digest() for der in certificates)
