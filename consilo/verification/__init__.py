"""Replay of a ledger's blocks, and recomputation of its global models: what anybody can check about a run."""

from consilo.verification.findings import Finding
from consilo.verification.steps import CheckedGlobal, Progress, Report, Step
from consilo.verification.verify import CannotVerify, verify_run

__all__ = ["CannotVerify", "CheckedGlobal", "Finding", "Progress", "Report", "Step", "verify_run"]
