"""An operator's console: a pod of the organisation in which `consilo` runs with the operator's identity.

Commands are run there, and not on this machine, since gateways and stores are known to each other by the names that
they have inside the cluster. Starts processes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from k8s.cluster import Cluster
from k8s.commands import CommandFailed
from k8s.organisations import CONSOLE, Organisation

_CONSILO: Final = ("consilo",)


class Console:
    """The console of one organisation.

    Args:
        cluster: that it is in.
        organisation: whose operator sits at it.
    """

    def __init__(self, cluster: Cluster, organisation: Organisation) -> None:
        self.organisation = organisation
        self._cluster = cluster

    async def __call__(self, *arguments: str, given: str | None = None) -> str:
        """What `consilo` says with these arguments.

        Raises:
            CommandFailed: it ended with another exit code than 0, which is the error's `code`.
        """
        return await self._cluster.execute(
            CONSOLE,
            *_CONSILO,
            *arguments,
            namespace=self.organisation.namespace,
            given=given,
            timeout_seconds=self._cluster.timeout_seconds,
        )

    async def json(self, *arguments: str, given: str | None = None) -> Any:
        """The same, as JSON.

        Raises:
            CommandFailed: as above.
        """
        return json.loads(await self(*arguments, "--json", given=given))

    async def run(self, name: str) -> dict[str, Any] | None:
        """Where a run stands; None when there is none of that name.

        Raises:
            CommandFailed: it cannot be asked for.
        """
        try:
            found: dict[str, Any] = await self.json("run", "show", name)
        except CommandFailed as error:
            if "[run-unknown]" in error.said:
                return None
            raise
        return found

    async def changes(self, run: str) -> AsyncGenerator[dict[str, Any], None]:
        """Where a run stands, now and whenever that changes, until it is over. Whoever stops reading must close it.

        Raises:
            CommandFailed: it was stopped or rejected, or cannot be followed.
        """
        command = (*_CONSILO, "run", "watch", run, "--json")
        following = self._cluster.follow(CONSOLE, *command, namespace=self.organisation.namespace)
        async with aclosing(following):
            async for line in following:
                yield json.loads(line)
