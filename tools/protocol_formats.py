"""The protocol reference's chapters on bytes: canonical form, transactions, certificates, artifacts, blocks.

Pure.
"""

from __future__ import annotations

from consilo.embedded import blocks
from consilo.protocol import canonical, certificates, state, tensors, transaction
from consilo.protocol.tensors import DTYPE_BYTES, FLOATING
from tools.markdown import bullets, code, doc, heading, paragraph, table


def formats_chapter() -> str:
    """Everything that somebody who reads or writes the bytes must know."""
    prefix = transaction.SIGNATURE_PREFIX.decode().rstrip("\n")
    return "\n\n".join(
        [
            heading(2, "Formats"),
            heading(3, "Canonical form"),
            doc(canonical),
            bullets(
                [
                    f"Nesting: at most {canonical.MAX_DEPTH}; at most {canonical.MAX_BYTES} bytes in one text, unless "
                    "the reader takes fewer.",
                    "Numbers that are not integers travel as the text that Python's `repr` writes: "
                    "`repr(float(text)) == text`, finite.",
                    "Unknown fields are refused everywhere.",
                ]
            ),
            heading(3, "Transactions and signatures"),
            doc(transaction),
            bullets(
                [
                    f"The prefix is {code(prefix)} and a line feed, before the canonical bytes of the payload.",
                    f"r and s are {certificates.SIGNATURE_BYTES // 2} bytes each, big-endian; s is in the lower half "
                    "of its range, so that nobody on the way can respell a signature.",
                    f"The chain has 1 to {transaction.MAX_CERTIFICATES} certificates, without the root.",
                    "The same payload by the same member is the same transaction: applied again it succeeds and "
                    "changes nothing. That is looked at before every other precondition.",
                ]
            ),
            heading(3, "Certificates"),
            doc(certificates),
            doc(certificates.verify_chain),
            bullets(
                [
                    f"A certificate has at most {certificates.MAX_CERTIFICATE_BYTES} bytes of DER; an organisation has "
                    f"1 to {certificates.MAX_ROOTS} roots, of which a registration takes 8 at most.",
                    f"Roles: {', '.join(code(role) for role in certificates.ROLES)}.",
                    "No certificate of the chain may be revoked by the organisation.",
                ]
            ),
            heading(3, "Artifacts"),
            doc(tensors),
            paragraph(
                "The first 8 bytes are the length of the JSON text that follows, little-endian. The data follow in "
                "the order of the names, each tensor's elements little-endian and in C order. An artifact's digest is "
                "the SHA-256 of all its bytes."
            ),
            table(
                ("dtype", "bytes of an element", "combined by"),
                [
                    (code(name), str(size), "the strategy's mean" if name in FLOATING else "the strategy's maximum")
                    for name, size in DTYPE_BYTES.items()
                ],
            ),
            heading(3, "Writes of a transaction"),
            doc(state.writes_digest),
            heading(3, "Blocks of the embedded ledger"),
            doc(blocks),
            doc(blocks.Genesis),
            doc(blocks.vouched),
        ]
    )
