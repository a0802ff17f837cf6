"""One consortium for tests that leave it as they found it: import the fixture, and mark the module with its event loop.

from tests.fabric.shared import shared

__all__ = ["shared"]
pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fabric.harness import FabricTrial, running_consortium


@dataclass
class Shared:
    """One consortium for tests that leave it as they found it; after one that fails there is a new one.

    Args:
        new_directory: makes an empty one.
    """

    new_directory: Callable[[], Path]
    _stack: AsyncExitStack | None = None
    _trial: FabricTrial | None = None

    @asynccontextmanager
    async def trial(self) -> AsyncIterator[FabricTrial]:
        """The consortium, for one test."""
        if self._stack is None or self._trial is None:
            self._stack = AsyncExitStack()
            self._trial = await self._stack.enter_async_context(running_consortium(self.new_directory()))
        try:
            yield self._trial
            await self._trial.check_idle()
        except BaseException as error:
            stack, self._stack = self._stack, None
            await stack.__aexit__(type(error), error, error.__traceback__)
            raise

    async def close(self) -> None:
        """End it, and check what it leaves behind."""
        if self._stack is not None:
            await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """A consortium for one test after the other."""
    consortium = Shared(lambda: tmp_path_factory.mktemp("consortium"))
    yield consortium
    await consortium.close()
