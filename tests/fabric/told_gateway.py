"""The ledger service that at a certain moment does what a file tells it: once orderers have accepted a transaction.

The file is `<msp>.told` in $TOLD_DIRECTORY, JSON: the transaction's `type`, and whom to `kill` with -9: process ids, or
`self`. It becomes `<msp>.accepted`, which says of which transaction that was.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from consilo.hosting.start import run_service
from consilo.protocol.transaction import Transaction
from services.ledger.__main__ import serve
from services.ledger.fabric import opening
from services.ledger.fabric.client import GatewayClient
from services.ledger.fabric.messages import Endorsed, Proposal
from services.ledger.settings import LedgerSettings


class ToldClient(GatewayClient):
    """Kills between the orderers' word and anything that could come after it."""

    directory: Path

    def __init__(self, connection: Any, identity: Any, **options: Any) -> None:
        super().__init__(connection, identity, **options)
        self._msp = identity.msp
        self._requests: dict[str, Transaction] = {}

    def propose(self, arguments: Sequence[bytes], time: int) -> Proposal:
        proposal = super().propose(arguments, time)
        if arguments[0] == b"submit":
            self._requests[proposal.transaction_id] = Transaction.decode(arguments[1])
        return proposal

    async def submit(self, endorsed: Endorsed) -> None:
        await super().submit(endorsed)
        file = self.directory / f"{self._msp}.told"
        request = self._requests.pop(endorsed.transaction_id)
        told = json.loads(file.read_text()) if file.exists() else None
        if told is None or told["type"] != request.payload.type:
            return
        for each in told["kill"]:
            if each != "self":
                os.kill(each, signal.SIGKILL)
        what = {"id": endorsed.transaction_id, "transaction": request.id, "type": request.payload.type}
        file.write_text(json.dumps(what))
        file.rename(file.with_suffix(".accepted"))
        if "self" in told["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    ToldClient.directory = Path(os.environ["TOLD_DIRECTORY"])
    vars(opening)["GatewayClient"] = ToldClient
    sys.exit(run_service(LedgerSettings, serve))
