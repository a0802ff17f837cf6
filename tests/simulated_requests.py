"""Signed transactions of a simulated consortium, apart from applying them. Pure but for the keys it signs with.

Every field of a body has a default taken from the state as it is now, and can be overridden, also by what the body does
not allow: bodies are built without validation, so that any attack can be signed. `by` signs with another identity than
that of the member whom the payload names.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from consilo.identity.identity import Identity
from consilo.protocol.canonical import canonical, digest
from consilo.protocol.model import Record
from consilo.protocol.records import GlobalModel, Opening, SelectedUpdate
from consilo.protocol.refusals import Refusal
from consilo.protocol.specification import Specification
from consilo.protocol.state import DictState
from consilo.protocol.tensors import TensorSchema, TensorSpec
from consilo.protocol.transaction import Payload, Transaction, envelope, signed_bytes
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RunStatus, run_status
from tests import simulated_members

SCHEMA: Final = TensorSchema(tensors=(TensorSpec(name="weights", dtype="F32", shape=(2,)),))
GRACE_MS: Final = 10_000
DEADLINE_MS: Final = 60_000


@dataclass(frozen=True)
class Layout:
    """Who takes part: MSP ids and member ids, sorted."""

    organisations: tuple[str, ...]
    silos: tuple[str, ...]
    aggregators: tuple[str, ...]
    verifiers: tuple[str, ...]
    readers: tuple[str, ...]


def signed(payload: Payload, identity: Identity) -> Transaction:
    """The transaction of a payload, signed by whomever."""
    return envelope(payload, identity.certificates, identity.sign(signed_bytes(payload)))


def plain(value: Any) -> Any:
    """The JSON value of records within containers."""
    match value:
        case Record():
            return value.model_dump(mode="json")
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case _:
            return value


@dataclass
class Requests:
    """Makes transactions for one ledger.

    Attributes:
        state: the ledger's; only read.
        layout: who takes part.
        run: the run that is meant when none is named.
        identities: members that sign with another identity than the cached one.
        label: tells the cached identities apart from those of other consortia (see `simulated_members`).
    """

    state: DictState
    layout: Layout
    run: str = "trial"
    identities: dict[str, Identity] = field(default_factory=dict)
    label: str = ""

    def identity(self, member: str) -> Identity:
        """The identity that a member signs with."""
        if member in self.identities:
            return self.identities[member]
        # The cache tells apart what is left out from what is given as its default.
        label = (None, self.label) if self.label else ()
        return simulated_members.identity(member, *label)

    def sign(
        self, member: str, kind: str, body: Mapping[str, object], *, by: Identity | None = None, ledger: str = ""
    ) -> Transaction:
        """A signed transaction of any kind and body."""
        payload = Payload(ledger=ledger or self.state.ledger, member=member, type=kind, body=plain(body))
        return signed(payload, by or self.identity(member))

    def status(self, run: str | None = None) -> RunStatus | None:
        """Where a run stands; None when it was not proposed."""
        try:
            return run_status(self.state, run or self.run)
        except Refusal:
            return None

    def specification(self, **fields: object) -> dict[str, Any]:
        """A specification (JSON) that names everybody of the layout: all silos are asked in each of two rounds."""
        silos = len(self.layout.silos)
        first = self.layout.organisations[0]
        defaults: dict[str, object] = {
            "task": {"name": "digits", "version": "1", "parameters": {"epochs": 1}},
            "initial": artifact(first, "initial"),
            "tensors": SCHEMA,
            "organisations": self.layout.organisations,
            "silos": [{"member": member, "max_samples": 1000} for member in self.layout.silos],
            "aggregators": self.layout.aggregators,
            "verifiers": self.layout.verifiers,
            "update_readers": self.layout.readers,
            "rounds": 2,
            "cohort": {"kind": "all"},
            "threshold": max(1, silos - 1),
            "minimum": max(1, silos - 2),
            "grace_ms": GRACE_MS,
            "deadline_ms": DEADLINE_MS,
            "selection": {"policy": "all"},
            "strategy": {"name": "fedavg", "version": 1, "parameters": {}},
            "approvals_required": len(self.layout.organisations),
            "attestations_required": 0,
            "mismatches_to_annul": 1,
            "retention_rounds": None,
            "schema_version": 1,
            "rules": 1,
        }
        value: dict[str, Any] = plain({**defaults, **fields})
        return value

    def register_organisation(self, msp: str, *, by: Identity | None = None, **fields: object) -> Transaction:
        """The next version of an organisation, with its own roots."""
        version = 1
        while self.state.get(f"organisation/{msp}/{version:04}") is not None:
            version += 1
        defaults = {
            "version": version,
            "roots": [base64.b64encode(root).decode() for root in simulated_members.authority(msp).roots],
            "gateway": f"http://{msp.lower()}.example:8000",
            "stores": [f"store.{msp.lower()}.example"],
        }
        return self.sign(f"{msp}/operator", "register_organisation", {**defaults, **fields}, by=by)

    def revoke_member(self, member: str, *, by: Identity | None = None, **fields: object) -> Transaction:
        """The revocation of a member's certificate by its organisation's operator."""
        defaults = {"serial": self.identity(member).certificate.serial, "reason": "left"}
        return self.sign(f"{organisation_of(member)}/operator", "revoke_member", {**defaults, **fields}, by=by)

    def propose_run(self, member: str | None = None, *, by: Identity | None = None, **fields: object) -> Transaction:
        """A proposal; fields other than `run` go into its specification (or `specification` replaces it)."""
        run = fields.pop("run", self.run)
        member = member or f"{self.layout.organisations[0]}/operator"
        fields.setdefault("initial", artifact(organisation_of(member), "initial"))
        specification = fields.pop("specification", None) or self.specification(**fields)
        return self.sign(member, "propose_run", {"run": run, "specification": specification}, by=by)

    def approve_run(self, msp: str, *, by: Identity | None = None, **fields: object) -> Transaction:
        """The approval of an organisation's operator."""
        status = self.status(str(fields.get("run", self.run)))
        fallback = Specification.decode(canonical(self.specification())).digest()
        defaults = {"run": self.run, "specification": fallback if status is None else status.specification_digest}
        return self.sign(f"{msp}/operator", "approve_run", {**defaults, **fields}, by=by)

    def reject_run(self, msp: str, *, by: Identity | None = None, **fields: object) -> Transaction:
        """The rejection of an organisation's operator."""
        return self.sign(f"{msp}/operator", "reject_run", {"run": self.run, "reason": "no", **fields}, by=by)

    def stop_run(self, msp: str, *, by: Identity | None = None, **fields: object) -> Transaction:
        """An organisation's wish that the run ends."""
        return self.sign(f"{msp}/operator", "stop_run", {"run": self.run, "reason": "enough", **fields}, by=by)

    def publish_update(self, member: str | None = None, *, by: Identity | None = None, **fields: object) -> Transaction:
        """An update in the current attempt; by default of the first of the cohort that has none yet."""
        opening, status = self._opening(fields), self.status(str(fields.get("run", self.run)))
        if member is None:
            done = () if status is None or status.attempt is None else status.attempt.updates
            have = {update.member for update in done}
            cohort = self.layout.silos if opening is None else opening.cohort
            member = next((silo for silo in cohort if silo not in have), cohort[0])
        place = self._place(opening, fields)
        name = f"{place['run']}/{place['round']}/{place['attempt']}/{member.replace('/', '-')}"
        defaults = {
            **place,
            "base": digest(b"initial") if opening is None else opening.base.sha256,
            "artifact": artifact(organisation_of(member), name),
            "num_samples": 10,
            "metrics": {"accuracy": "0.9"},
        }
        return self.sign(member, "publish_update", {**defaults, **fields}, by=by)

    def close_round(self, member: str | None = None, *, by: Identity | None = None, **fields: object) -> Transaction:
        """The closing of the current attempt, with the updates that are there."""
        status = self.status(str(fields.get("run", self.run)))
        seen = digest(b"[]") if status is None or status.attempt is None else status.attempt.updates_digest
        defaults = {**self._place(self._opening(fields), fields), "updates": seen}
        return self.sign(member or self.layout.aggregators[0], "close_round", {**defaults, **fields}, by=by)

    def reopen_round(
        self,
        member: str | None = None,
        excluded: Mapping[str, str] | None = None,
        *,
        by: Identity | None = None,
        **fields: object,
    ) -> Transaction:
        """The next attempt; `excluded` maps members to reasons."""
        exclusions = [{"member": name, "reason": reason} for name, reason in sorted((excluded or {}).items())]
        defaults = {**self._place(self._opening(fields), fields), "excluded": exclusions}
        return self.sign(member or self.layout.aggregators[0], "reopen_round", {**defaults, **fields}, by=by)

    def publish_global(self, member: str | None = None, *, by: Identity | None = None, **fields: object) -> Transaction:
        """The next global: the initial one, or that of the recorded selection (without inputs when there is none)."""
        member = member or self.layout.aggregators[0]
        status = self.status(str(fields.get("run", self.run)))
        opening = self._opening(fields)
        inputs: tuple[SelectedUpdate, ...] = ()
        if status is not None and status.attempt is not None and status.attempt.selection is not None:
            inputs = status.attempt.selection.selected
        run = str(fields.get("run", self.run))
        round_number = 0 if opening is None else opening.round + 1
        attempt = 0 if opening is None else opening.attempt
        name = f"{run}/global/{round_number}/{attempt}"
        initial = artifact(self.layout.organisations[0], "initial")
        if status is not None:
            initial = plain(status.proposal.specification.initial)
        defaults = {
            "run": run,
            "round": round_number,
            "attempt": attempt,
            "artifact": artifact(organisation_of(member), name) if round_number else initial,
            "inputs": inputs,
            "strategy": {"name": "fedavg", "version": 1, "parameters": {}}
            if status is None
            else status.proposal.specification.strategy,
        }
        return self.sign(member, "publish_global", {**defaults, **fields}, by=by)

    def attest_global(
        self,
        member: str | None = None,
        verdict: str = "ok",
        model: GlobalModel | None = None,
        *,
        by: Identity | None = None,
        **fields: object,
    ) -> Transaction:
        """A verifier's word, by default on the latest global."""
        defaults = {**self._model(model, fields), "verdict": verdict, "detail": ""}
        member = member or (self.layout.verifiers or ("HospitalX/verifier",))[0]
        return self.sign(member, "attest_global", {**defaults, **fields}, by=by)

    def report_evaluation(
        self,
        member: str | None = None,
        model: GlobalModel | None = None,
        *,
        by: Identity | None = None,
        **fields: object,
    ) -> Transaction:
        """A silo's evaluation, by default of the latest global."""
        defaults = {**self._model(model, fields), "num_samples": 5, "metrics": {"accuracy": "0.8"}}
        return self.sign(member or self.layout.silos[0], "report_evaluation", {**defaults, **fields}, by=by)

    def record_access(
        self, member: str, *references: Record, by: Identity | None = None, **fields: object
    ) -> Transaction:
        """The announcement to read artifacts."""
        return self.sign(member, "record_access", {"run": self.run, "artifacts": references, **fields}, by=by)

    def _opening(self, fields: Mapping[str, object]) -> Opening | None:
        """The opening of the current attempt, else of the last one that there was."""
        run = str(fields.get("run", self.run))
        status = self.status(run)
        if status is not None and status.attempt is not None:
            return status.attempt.opening
        found = [key for key in self.state.records if key.startswith(f"run/{run}/round/") and key.endswith("/opening")]
        return Opening.decode(self.state.records[max(found)]) if found else None

    def _place(self, opening: Opening | None, fields: Mapping[str, object]) -> dict[str, object]:
        place: dict[str, object] = {"run": self.run, "round": 0, "attempt": 1}
        if opening is not None:
            place.update(round=opening.round, attempt=opening.attempt)
        return {name: fields.get(name, value) for name, value in place.items()}

    def _model(self, model: GlobalModel | None, fields: Mapping[str, object]) -> dict[str, object]:
        if model is None:
            status = self.status(str(fields.get("run", self.run)))
            model = None if status is None else status.latest
        if model is None:
            return {"run": self.run, "round": 1, "attempt": 1, "sha256": digest(b"")}
        return {"run": model.run, "round": model.round, "attempt": model.attempt, "sha256": model.artifact.sha256}


def artifact(organisation: str, name: str, **fields: object) -> dict[str, Any]:
    """An artifact (JSON) whose digest is that of its name."""
    value = {"organisation": organisation, "key": name, "sha256": digest(name.encode())}
    return {**value, "size_bytes": SCHEMA.artifact_bytes, **fields}
