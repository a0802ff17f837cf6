"""`consilo run propose`: from a form to a run on the ledger. Network and file I/O; may start a worker process."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer

from consilo.aggregation import AggregationError, strategy
from consilo.api.errors import GatewayRefused
from consilo.api.party import Party
from consilo.cli.commands import connected
from consilo.cli.exits import USAGE, CliError
from consilo.cli.form import InitialForm, RunForm, check_name, exact, read_form, specification_of
from consilo.cli.initial import InitialModel, initial_of_file, initial_of_run, initial_of_task
from consilo.cli.output import print_facts, print_json, print_lines
from consilo.cli.session import Session
from consilo.cli.words import specification_in_words
from consilo.protocol.bodies import ProposeRun
from consilo.protocol.specification import Artifact, Specification

_DRY_KEY: Final = "not-uploaded"
_MAX_FORM_BYTES: Final = 2**20


@connected
def propose(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The run, in TOML or JSON.", metavar="FILE", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name of the run; default: the file's.", show_default=False)] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Make the initial model with this class.", metavar="MODULE:CLASS", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the initial model; default: the file's, or 1.", min=0, show_default=False),
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(help="Take the initial model from this safetensors file.", show_default=False)
    ] = None,
    initial_from: Annotated[
        str | None,
        typer.Option(
            help="Take a global model of an earlier run; default: its latest.",
            metavar="RUN[:ROUND]",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the specification; upload and propose nothing.")
    ] = False,
) -> None:
    """Propose a run, as an operator.

    It counts as the approval of your organisation. The least that the file must hold:

    Example:
      rounds = 10
      minimum = 2
      aggregators = ["HospitalA/aggregator"]

      [task]
      name = "digits"

      [initial]
      class = "consilo.tasks.digits_linear:DigitsLinear"

      [silos]
      "HospitalA/silo" = 2000
      "HospitalB/silo" = 2000

    Each silo stands with the most samples that it may claim. Further fields, with their defaults: organisations (all
    that are named), verifiers, update_readers (none), cohort ("all", a count, or a fraction), threshold (the cohort),
    grace ("10s"), deadline ("1h"), selection ("all"), strategy ("fedavg"), approvals_required (all),
    attestations_required (0), mismatches_to_annul (1), retention_rounds (none).

    Example:
      consilo run propose digits.toml --name digits-1 --dry-run
      consilo run propose digits.toml --name digits-2 --initial-from digits-1:10
    """
    form = read_form(_read(file))
    run = name or form.name
    if run is not None:
        check_name(run)
    else:
        raise CliError("form-invalid", "the run has no name; give --name, or `name` in the file", exit_code=USAGE)
    _check_strategy(form)
    source = _source(form, file, task, seed, initial, initial_from)
    msp = session.member.msp
    if not dry_run:
        session.call(lambda party: _require_new(party, run))
    with TemporaryDirectory(prefix="consilo-propose-") as directory:
        model = _make(session, source, form, Path(directory))
        version = form.task.version or model.task_version or "1"

        def specify(artifact: Artifact) -> Specification:
            return specification_of(form, proposer=msp, version=version, initial=artifact, tensors=model.tensors)

        specification = specify(_local_artifact(msp, model))  # what is none must not be uploaded first
        if not dry_run:

            async def publish(party: Party) -> Specification:
                made = specify(await party.data_put(run, model.path))
                await party.metadata_publish(ProposeRun(run=run, specification=made))
                return made

            specification = session.call(publish)
    _print(session, run, specification, dry_run=dry_run)


def _print(session: Session, run: str, specification: Specification, *, dry_run: bool) -> None:
    digest = specification.digest()
    if session.as_json:
        value = {
            "run": run,
            "proposed": not dry_run,
            "specification_digest": digest,
            "specification": specification.model_dump(mode="json"),
        }
        print_json(value)
        return
    print_facts({"run": run, **specification_in_words(specification), "digest": digest})
    if dry_run:
        print_lines(
            "Nothing was uploaded or proposed. The digest will be another one: the store names the initial model's "
            f"object when it is uploaded, in place of `{_DRY_KEY}`."
        )
    else:
        print_lines(f"Proposed run {run}. Operators approve it with: consilo run approve {run}")


def _read(file: Path) -> Any:
    with file.open("rb") as opened:
        data = opened.read(_MAX_FORM_BYTES + 1)
    if len(data) > _MAX_FORM_BYTES:
        raise CliError("form-invalid", f"{file} is larger than {_MAX_FORM_BYTES} bytes", exit_code=USAGE)
    try:
        text = data.decode("utf-8")
        return json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if file.suffix == ".json" else "TOML"
        raise CliError("form-invalid", f"{file} is not {kind}: {error}", exit_code=USAGE) from None


def _check_strategy(form: RunForm) -> None:
    parameters = exact(form.strategy.parameters)
    try:
        made = strategy(form.strategy.name, form.strategy.version, parameters)
    except AggregationError as error:
        raise CliError(error.code, str(error), exit_code=USAGE) from None
    if form.minimum < made.minimum_inputs:
        raise CliError(
            "form-invalid",
            f"{made.name} with these parameters needs {made.minimum_inputs} updates; the minimum is {form.minimum}",
            exit_code=USAGE,
        )


def _source(
    form: RunForm, file: Path, task: str | None, seed: int | None, initial: Path | None, initial_from: str | None
) -> InitialForm:
    """Where the initial model comes from; options go before the file's `[initial]`."""
    given = form.initial
    options = sum(option is not None for option in (task, initial, initial_from))
    if options > 1:
        raise CliError("form-invalid", "give one of --task, --initial and --initial-from", exit_code=USAGE)
    earlier = None if options else given
    if initial_from is not None:
        earlier = _earlier(initial_from)
    if initial is None and earlier is not None and earlier.file is not None:
        initial = file.parent / earlier.file
    is_earlier = earlier is not None and earlier.run is not None
    if seed is not None and (initial is not None or is_earlier):
        what = "a file" if initial is not None else "that of an earlier run"
        raise CliError("form-invalid", f"a seed is for --task; the initial model is {what}", exit_code=USAGE)
    if initial is not None:
        return InitialForm.model_validate({"file": str(initial)})
    if earlier is not None and is_earlier:
        return earlier
    chosen = task or given.class_
    if chosen is None:
        raise CliError(
            "form-invalid",
            "no initial model: give --task MODULE:CLASS, --initial FILE or --initial-from RUN, or `class`, `file` or "
            "`run` under [initial]",
            exit_code=USAGE,
        )
    return InitialForm.model_validate({"class": chosen, "seed": given.seed if seed is None else seed})


def _earlier(text: str) -> InitialForm:
    """What `RUN[:ROUND]` names."""
    run, colon, number = text.partition(":")
    check_name(run)
    if colon and not (number.isascii() and number.isdecimal() and len(number) <= 7):
        raise CliError("form-invalid", f"{text[:80]!r} is not RUN or RUN:ROUND", exit_code=USAGE)
    return InitialForm(run=run, round=int(number) if colon else None)


def _make(session: Session, source: InitialForm, form: RunForm, directory: Path) -> InitialModel:
    if source.run is not None:
        return initial_of_run(session, source.run, source.round, directory)
    if source.class_ is None:
        assert source.file is not None  # noqa: S101 - `_source` gives one of the two
        return initial_of_file(Path(source.file), directory)
    return initial_of_task(source.class_, exact(form.task.parameters), source.seed, form.task.version, directory)


def _local_artifact(msp: str, model: InitialModel) -> Artifact:
    with model.path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return Artifact(organisation=msp, key=_DRY_KEY, sha256=sha256, size_bytes=model.tensors.artifact_bytes)


async def _require_new(party: Party, run: str) -> None:
    """Look before uploading whether the name is free; the ledger decides in the end."""
    try:
        await party.metadata_get(run)
    except GatewayRefused as error:
        if error.code == "run-unknown":
            return
        raise
    raise CliError("run-exists", f"a run {run} was proposed before; choose another name")
