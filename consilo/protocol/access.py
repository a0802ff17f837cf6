"""Who may read which artifact: the policy, and whether the ledger already allows it. Pure; no I/O.

Globals may be read by every member of the organisations that the run names. Updates may be read by the run's verifiers
and `update_readers` once their access is recorded, and by its aggregators when the ledger selected the update: the
selection is their record.
"""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.bodies import ArtifactReference, GlobalArtifact, UpdateArtifact
from consilo.protocol.records import GlobalModel, Opening, Update
from consilo.protocol.rounds import load_run, selection_of
from consilo.protocol.specification import Artifact, Specification
from consilo.protocol.state import State, read
from consilo.protocol.values import organisation_of


def reference_of(record: GlobalModel | Update) -> GlobalArtifact | UpdateArtifact:
    """How requests to read name the artifact of this record."""
    digest = record.artifact.sha256
    match record:
        case GlobalModel():
            return GlobalArtifact(kind="global", round=record.round, attempt=record.attempt, sha256=digest)
        case Update():
            return UpdateArtifact(
                kind="update", round=record.round, attempt=record.attempt, member=record.member, sha256=digest
            )


def artifact_record(state: State, run: str, reference: ArtifactReference) -> GlobalModel | Update | None:
    """The record whose artifact a reference names, or None when there is none with its digest."""
    key = keys.artifact(run, reference)
    record: GlobalModel | Update | None
    match reference:
        case GlobalArtifact():
            record = read(state, key, GlobalModel)
        case UpdateArtifact():
            record = read(state, key, Update)
    if record is None or record.artifact.sha256 != reference.sha256:
        return None
    return record


def artifact_of(state: State, run: str, reference: ArtifactReference) -> Artifact | None:
    """The artifact that a reference names, or None when there is none with its digest."""
    record = artifact_record(state, run, reference)
    return None if record is None else record.artifact


def artifact_owner(state: State, run: str, reference: ArtifactReference) -> str | None:
    """The organisation in whose store the artifact lies, or None when there is no such artifact."""
    artifact = artifact_of(state, run, reference)
    return None if artifact is None else artifact.organisation


def policy_names(specification: Specification, reader: str, reference: ArtifactReference) -> bool:
    """Whether the run's access policy names the reader for this kind of artifact."""
    match reference:
        case GlobalArtifact():
            return organisation_of(reader) in specification.organisations
        case UpdateArtifact():
            return reader in specification.verifiers or reader in specification.update_readers


def may_read(state: State, run: str, reader: str, reference: ArtifactReference) -> bool:
    """Whether the ledger, as it stands, lets the reader have the artifact.

    True for members of the organisation that owns it, for those whose access is recorded, and for an aggregator of the
    run when a selection names the update.
    """
    owner = artifact_owner(state, run, reference)
    if owner is None:
        return False
    if owner == organisation_of(reader) or state.get(keys.access(run, reference, reader)) is not None:
        return True
    return isinstance(reference, UpdateArtifact) and _is_selected_for(state, run, reader, reference)


def _is_selected_for(state: State, run: str, reader: str, reference: UpdateArtifact) -> bool:
    if reader not in load_run(state, run).specification.aggregators:
        return False
    attempt = reference.attempt  # the update may carry over into the selection of a later attempt
    while read(state, keys.opening(run, reference.round, attempt), Opening) is not None:
        selection = selection_of(state, run, reference.round, attempt)
        if selection is not None and any(
            (selected.member, selected.attempt) == (reference.member, reference.attempt)
            for selected in selection.selected
        ):
            return True
        attempt += 1
    return False
