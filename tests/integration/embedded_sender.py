"""A process that opens a ledger, submits without end from several threads, and says on its output what is committed.

python -m tests.integration.embedded_sender <ledger> <identity> <first number> <threads>
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from consilo.embedded.errors import EmbeddedLedgerError
from consilo.embedded.ledger import EmbeddedLedger
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RevokeMember
from tests.unit.embedded.parties import Clock, signed


def main() -> None:
    path, directory, first, threads = sys.argv[1:]
    operator = Identity.load(Path(directory))
    try:
        ledger = EmbeddedLedger.open(Path(path), clock=Clock())
    except EmbeddedLedgerError as error:
        print("refused", error.code, flush=True)
        return
    print("open", flush=True)
    output = threading.Lock()

    def send(start: int) -> None:
        for number in range(start, start + 100_000):
            transaction = signed(operator, "revoke_member", RevokeMember(serial=f"{number:x}", reason="lost"))
            receipt = ledger.submit(transaction).result(60)
            with output:
                print("ack", receipt.transaction, receipt.position, receipt.head.height, receipt.head.hash, flush=True)

    workers = [
        threading.Thread(target=send, args=(int(first) + 100_000 * index,), daemon=True)
        for index in range(int(threads))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
