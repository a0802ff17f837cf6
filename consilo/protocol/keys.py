"""The keys of the ledger's state. Write-once and range-readable. Pure; no I/O.

    organisation/<msp>/<0001>                          Organisation       version by version
    revocation/<msp>/<serial>                          Revocation
    transaction/<digest>                               Applied            the payload was applied
    runs/<run>                                         Marker             index of all runs
    run/<run>/proposal                                 Proposal
    run/<run>/approval/<msp>                           Decision
    run/<run>/rejection/<msp>                          Decision
    run/<run>/stop/<msp>                               Decision
    run/<run>/{activated,rejected,stopped}             Marker
    run/<run>/finished/<0000>                          Marker             by generation
    run/<run>/generation/<0001>                        Generation         from 1 on: an annulment each
    run/<run>/entry/<0000>/<0000007>                   RoundEntry         generation, round
    run/<run>/round/<0000007>/attempt/<0001>/opening   Opening
    run/<run>/round/<0000007>/attempt/<0001>/selection Selection
    run/<run>/round/<0000007>/attempt/<0001>/update/<member>  Update
    run/<run>/global/<0000008>/<0001>                  GlobalModel        round, attempt of the round before
    run/<run>/attestation/<0000008>/<0001>/<member>    Attestation
    run/<run>/evaluation/<0000008>/<0001>/<member>     Evaluation
    run/<run>/access/global/<0000008>/<0001>/<reader>  Access
    run/<run>/access/update/<0000007>/<0001>/<owner>/<reader>  Access

Status is derived from markers; no value is ever overwritten.
"""

from __future__ import annotations

from consilo.protocol.bodies import GlobalArtifact, UpdateArtifact


def organisation(msp: str, version: int) -> str:
    """Key of one registration of an organisation."""
    return f"organisation/{msp}/{version:04}"


def revocation(msp: str, serial: str) -> str:
    """Key of a revoked certificate."""
    return f"revocation/{msp}/{serial}"


def transaction(digest: str) -> str:
    """Key of the mark that a payload was applied."""
    return f"transaction/{digest}"


def runs(name: str = "") -> str:
    """Key of a run's entry in the index of runs; without a name, the prefix of them all."""
    return f"runs/{name}"


def run(name: str, *parts: str) -> str:
    """Key under a run, e.g. `run("r", "approval", "HospitalA")`."""
    return "/".join(("run", name, *parts))


def generation(name: str, number: int) -> str:
    """Key of the annulment that started a generation (from 1 on)."""
    return f"run/{name}/generation/{number:04}"


def finished(name: str, generation_number: int) -> str:
    """Key of the mark that a run finished in a generation."""
    return f"run/{name}/finished/{generation_number:04}"


def entry(name: str, generation_number: int, round_number: int) -> str:
    """Key of the attempt with which a round was entered in a generation."""
    return f"run/{name}/entry/{generation_number:04}/{round_number:07}"


def _attempt(name: str, round_number: int, attempt: int) -> str:
    return f"run/{name}/round/{round_number:07}/attempt/{attempt:04}"


def opening(name: str, round_number: int, attempt: int) -> str:
    """Key of an attempt's opening."""
    return f"{_attempt(name, round_number, attempt)}/opening"


def selection(name: str, round_number: int, attempt: int) -> str:
    """Key of an attempt's selection."""
    return f"{_attempt(name, round_number, attempt)}/selection"


def updates(name: str, round_number: int, attempt: int) -> str:
    """Prefix of the keys of all updates published in an attempt."""
    return f"{_attempt(name, round_number, attempt)}/update/"


def update(name: str, round_number: int, attempt: int, member: str) -> str:
    """Key of a member's update published in an attempt."""
    return updates(name, round_number, attempt) + member


def global_model(name: str, round_number: int, attempt: int) -> str:
    """Key of a global model."""
    return f"run/{name}/global/{round_number:07}/{attempt:04}"


def attestation(name: str, round_number: int, attempt: int, verifier: str) -> str:
    """Key of a verifier's attestation of a global model."""
    return f"run/{name}/attestation/{round_number:07}/{attempt:04}/{verifier}"


def evaluation(name: str, round_number: int, attempt: int, member: str) -> str:
    """Key of a silo's evaluation of a global model."""
    return f"run/{name}/evaluation/{round_number:07}/{attempt:04}/{member}"


def artifact(name: str, reference: GlobalArtifact | UpdateArtifact) -> str:
    """Key of the record that holds the artifact."""
    match reference:
        case GlobalArtifact():
            return global_model(name, reference.round, reference.attempt)
        case UpdateArtifact():
            return update(name, reference.round, reference.attempt, reference.member)


def access(name: str, reference: GlobalArtifact | UpdateArtifact, reader: str) -> str:
    """Key of a reader's access to an artifact."""
    place = f"{reference.round:07}/{reference.attempt:04}"
    match reference:
        case GlobalArtifact():
            return f"run/{name}/access/global/{place}/{reader}"
        case UpdateArtifact():
            return f"run/{name}/access/update/{place}/{reference.member}/{reader}"


def end_of(prefix: str) -> str:
    """The exclusive end of the range of all keys that start with a prefix (which ends in a slash)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
