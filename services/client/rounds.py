"""One run as the silo takes part in it: does what the ledger asks for next, and what to do when that fails. Async.

Failures of the task, of transfers and of the ledger are counted per attempt: after a few the silo waits for the next
one, so that nothing spins.
"""

from __future__ import annotations

from typing import Final

import structlog

from consilo.api.errors import ApiError, GatewayRefused, LedgerRolledBack
from consilo.api.follow import Look, Overtaken
from consilo.api.transfer_errors import TransferError
from consilo.protocol.records import GlobalModel, GlobalReference
from consilo.protocol.views import RunStatus
from consilo.training.errors import TaskNotFound, TaskRefusedValues, TaskStopped, TaskVersionMismatch, WorkerError
from services.client.plan import Turn, is_over, may_report, turn_of
from services.client.policy import task_name
from services.client.steps import ModelLost, Silo, Steps, TooManySamples
from services.client.tries import Tries

log = structlog.get_logger(__name__)

_OVERTAKEN: Final = frozenset(
    {"already-published", "already-evaluated", "round-closed", "attempt-superseded", "run-stopped", "global-annulled"}
)
"""Refusals that only say that the run has gone on."""

_ADVICE: Final = {
    "too-many-samples": "describe fewer samples in CONSILO_CLIENT_DATA, or agree on a run with a larger max_samples",
    "artifact-mismatch": "the task's model is not the run's; install the task's version that the run was made with",
    "certificate-expired": "issue a new certificate into the directory of CONSILO_CLIENT_IDENTITY",
    "certificate-revoked": "issue a new certificate into the directory of CONSILO_CLIENT_IDENTITY",
    "organisation-not-approved": "the organisation's operator has to approve the run",
}

_HOPELESS: Final = (TaskNotFound, TaskVersionMismatch, TaskRefusedValues, TooManySamples)
"""Failures that only the operator can mend."""

_EXPLAINED: Final = (WorkerError, ApiError, TransferError, OSError, ModelLost, TooManySamples)
"""Failures whose message says enough; others are defects, and logged with their traceback."""


class SiloRun:
    """The silo's part in one run. `step` is for `consilo.api.follow.follow_runs`."""

    def __init__(self, silo: Silo, status: RunStatus) -> None:
        specification = status.proposal.specification
        self._silo = silo
        self._run = status.run
        self._steps = Steps(silo, status.run, specification, silo.settings.tasks[task_name(specification.task)])
        self._tries = Tries(silo.settings.retries)
        self._evaluated: set[GlobalReference] = set()
        self._turn: Turn | None = None
        self._tried = (0, 0)

    async def step(self, look: Look) -> float | None:
        """Do what is due; returns after how many seconds to look again, or None."""
        status = look.status
        self._silo.board.see(self._run, status.state)
        turn = turn_of(status, self._silo.party.member)
        if status.state == "proposed" or (status.state == "active" and status.latest is None):
            self._steps.warm_up(self._warmed_up)
        try:
            if turn is not None and not self._tries.is_settled(turn.attempt):
                if seconds := self._tries.seconds_left(turn.attempt):
                    return seconds
                again = await self._update(look, turn)
                if again is not None:
                    return again
            await self._evaluate(look, turn)
            if is_over(status):
                await self._steps.rest()
        finally:
            self._silo.board.phase(self._run, "loading" if self._steps.is_loading else "waiting")
        return None

    def _warmed_up(self, error: BaseException | None) -> None:
        """The task was loaded ahead of the first training, or cannot be: shown, and told when a training needs it."""
        board = self._silo.board
        board.loaded(self._run, error is None)
        if error is not None:
            board.trouble(self._run, _code(error))
            log.warning("the task cannot be loaded ahead", **_explanation(error))
        if board.phase_of(self._run) == "loading":
            board.phase(self._run, "waiting")

    async def close(self) -> None:
        """End the worker."""
        await self._steps.close()

    async def _update(self, look: Look, turn: Turn) -> float | None:
        """Train and publish; returns after how many seconds to try again."""
        self._turn = turn
        self._silo.board.attempt(self._run, *turn.attempt)
        try:
            await look.keep(self._steps.update(self._current), self._is_current)
        except (LedgerRolledBack, Overtaken):
            raise
        except TaskStopped:
            raise Overtaken("the training was stopped") from None
        except Exception as error:  # also of a defect: it must not make the silo train over and over
            return self._failed(error, self._tried)
        self._tries.settle(self._tried)
        return None

    def _current(self) -> Turn:
        """The silo's turn as it is now; from here on this is the attempt that is being tried."""
        assert self._turn is not None  # noqa: S101 - set before anything asks
        self._tried = self._turn.attempt
        return self._turn

    def _is_current(self, status: RunStatus) -> bool:
        """Whether the same training is still wanted, be it in a later attempt."""
        turn = turn_of(status, self._silo.party.member)
        if turn is None or self._turn is None or turn.work != self._turn.work:
            return False
        self._turn = turn
        self._silo.board.attempt(self._run, *turn.attempt)
        return True

    def _failed(self, error: Exception, attempt: tuple[int, int]) -> float | None:
        place = {"round": attempt[0], "attempt": attempt[1]}
        code = _code(error)
        if code in _OVERTAKEN:
            log.info("the run has gone on without this update", code=code, **place)
            self._tries.settle(attempt)
            return None
        final = isinstance(error, _HOPELESS) or (isinstance(error, GatewayRefused) and not error.retryable)
        self._silo.board.trouble(self._run, code)
        wait = self._tries.failed(attempt, again=not final)
        log.error(
            "given up for this attempt" if wait is None else "failed; trying again",
            **place,
            **_explanation(error),
            **({} if wait is None else {"again_in_seconds": wait}),
        )
        return wait

    async def _evaluate(self, look: Look, turn: Turn | None) -> None:
        """Evaluate the newest global, if the silo has it or it is the run's last; what fails is not tried again."""
        model = look.status.latest
        if model is None or not await self._is_to_evaluate(look.status, model):
            return

        def is_of_use(status: RunStatus) -> bool:  # waiting for a store must not keep the silo from training
            due = turn_of(status, self._silo.party.member)
            return due is None or due == turn or self._silo.board.phase_of(self._run) != "downloading"

        try:
            await look.keep(self._steps.evaluate(model), is_of_use)
        except (LedgerRolledBack, Overtaken):
            raise
        except Exception as error:
            code = _code(error)
            if code not in _OVERTAKEN:
                self._silo.board.trouble(self._run, code)
                log.error("not evaluated", round=model.round, **_explanation(error))  # noqa: TRY400 - it is explained
        self._evaluated.add(model.reference)

    async def _is_to_evaluate(self, status: RunStatus, model: GlobalModel) -> bool:
        if not self._silo.settings.evaluate or model.reference in self._evaluated:
            return False
        if status.state not in {"active", "finished"} or not may_report(status, self._silo.party.member):
            return False
        return status.state == "finished" or await self._steps.has(model)


def _code(error: BaseException) -> str:
    if isinstance(error, WorkerError | ApiError | TransferError):
        return error.code
    if isinstance(error, TooManySamples):
        return "too-many-samples"
    if isinstance(error, ModelLost):
        return "model-lost"
    return "file-unusable" if isinstance(error, OSError) else "defect"


def _explanation(error: BaseException) -> dict[str, object]:
    """What the log says of a failure. A task's traceback is for the silo's own log; it goes nowhere else."""
    code = _code(error)
    found: dict[str, object] = {"code": code, "reason": str(error)}
    if isinstance(error, WorkerError | GatewayRefused):
        found["reason"] = error.message
    if isinstance(error, WorkerError) and error.details:
        found["details"] = list(error.details)
    if not isinstance(error, _EXPLAINED):
        found["exc_info"] = error
    if code in _ADVICE and isinstance(error, GatewayRefused):
        found["advice"] = _ADVICE[code]
    return found
