"""`consilo model`: the global models of a run. Network I/O; writes a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from consilo.api.party import Party
from consilo.cli.commands import connected, group
from consilo.cli.exits import CliError
from consilo.cli.output import moment, print_json, print_lines, print_table, size
from consilo.cli.records import state_of
from consilo.cli.session import Session
from consilo.protocol import keys
from consilo.protocol.access import reference_of
from consilo.protocol.records import Attestation, GlobalModel
from consilo.protocol.rounds import is_annulled
from consilo.protocol.state import DictState

app = group("Global models of a run: list, get.")

RunName = Annotated[str, typer.Argument(help="Name of the run.", metavar="RUN", show_default=False)]


@app.command("list")
@connected
def list_models(session: Session, run: RunName) -> None:
    """List the global models of a run, annulled ones too.

    Example:
      consilo model list digits-1
    """
    state = session.call(lambda party: _models_state(party, run))
    found = [_as_json(state, model) for model in _models(state, run)]
    if session.as_json:
        print_json(found)
        return
    rows = [
        (
            model["round"],
            model["attempt"],
            "annulled" if model["annulled"] else "stands",
            size(model["size_bytes"]),
            model["inputs"],
            ", ".join(f"{each['verifier']}: {each['verdict']}" for each in model["attestations"]) or "none",
            moment(model["published_at"]),
            model["sha256"],
        )
        for model in found
    ]
    columns = ("round", "attempt", "state", "size", "inputs", "attestations", "published", "sha256")
    print_table(columns, rows, empty=f"Run {run} has no global model yet.")


@app.command()
@connected
def get(
    session: Session,
    run: RunName,
    round_number: Annotated[
        int | None,
        typer.Option("--round", help="Number of the global model; default: the latest.", min=0, show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: RUN-global-NUMBER.safetensors.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Fetch a global model that stands. The file appears only when its digest is the ledger's.

    Example:
      consilo model get digits-1 --round 10 --output model.safetensors
    """
    model = session.call(lambda party: chosen_global(party, run, round_number))
    path = output or Path(f"{run}-global-{model.round}.safetensors")
    if path.exists() and not force:
        raise CliError("file-exists", f"{path} is there already; choose another --output, or say --force")
    if not path.parent.is_dir():
        raise CliError("file-error", f"{path.parent} is not a directory")
    session.call(lambda party: party.data_get(run, reference_of(model), model.artifact.organisation, path))
    if session.as_json:
        value = {"run": run, "round": model.round, "attempt": model.attempt, "sha256": model.artifact.sha256}
        print_json({**value, "size_bytes": model.artifact.size_bytes, "file": str(path)})
    else:
        print_lines(f"Global {model.round} of run {run} is in {path} ({size(model.artifact.size_bytes)}).")
        print_lines(f"sha256  {model.artifact.sha256}")


async def _models_state(party: Party, run: str) -> DictState:
    await party.metadata_get(run)  # refused when there is no such run
    return await state_of(party, *(f"{keys.run(run, kind)}/" for kind in ("global", "generation", "attestation")))


async def chosen_global(party: Party, run: str, round_number: int | None) -> GlobalModel:
    """The global of a number that stands; None: the latest.

    Raises:
        CliError: `global-unknown`.
    """
    status = await party.metadata_get(run)
    latest = status.latest
    if latest is None:
        raise CliError("global-unknown", f"run {run} has no global model yet; it is {status.state}")
    if round_number is None or round_number == latest.round:
        return latest
    state = await _models_state(party, run)
    for model in _models(state, run):
        if model.round == round_number and not is_annulled(state, model):
            return model
    raise CliError(
        "global-unknown", f"run {run} has no global {round_number} that stands; the latest is {latest.round}"
    )


def _models(state: DictState, run: str) -> list[GlobalModel]:
    prefix = f"{keys.run(run, 'global')}/"
    return [GlobalModel.decode(data) for _, data in state.range(prefix, keys.end_of(prefix))]


def _as_json(state: DictState, model: GlobalModel) -> dict[str, Any]:
    prefix = keys.attestation(model.run, model.round, model.attempt, "")
    attestations = [Attestation.decode(data) for _, data in state.range(prefix, keys.end_of(prefix))]
    return {
        "round": model.round,
        "attempt": model.attempt,
        "annulled": is_annulled(state, model),
        "sha256": model.artifact.sha256,
        "size_bytes": model.artifact.size_bytes,
        "organisation": model.artifact.organisation,
        "inputs": len(model.inputs),
        "published_by": model.published_by,
        "published_at": model.published_at,
        "attestations": [{"verifier": each.verifier, "verdict": each.verdict} for each in attestations],
    }
