"""What all commands share: their common options, errors told in a sentence, exit codes. Writes to standard error.

    @app.command("list")
    @connected
    def list_runs(session: Session) -> None:
        names = session.call(lambda party: party.gateway.run_names())

`connected` gives a command the options with which it reaches a gateway; `local` gives one `--json` alone. Both turn
errors into `error [code]: sentence.` on standard error and an exit code of `consilo.cli.exits`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from consilo.api.errors import ApiError, GatewayUnavailable, LedgerRolledBack
from consilo.api.patience import is_away
from consilo.api.transfer_errors import TransferError
from consilo.cli.exits import FAILED, FOUND, INTERRUPTED, UNAVAILABLE, CliError
from consilo.cli.logs import command_logs
from consilo.cli.output import printable
from consilo.cli.session import DEFAULT_PATIENCE_SECONDS, Session
from consilo.embedded.errors import EmbeddedLedgerError, LedgerCorrupt, LedgerUnavailable
from consilo.identity.errors import IdentityError
from consilo.protocol.certificates import CertificateError
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.training.errors import WorkerError

P = ParamSpec("P")


def group(summary: str) -> typer.Typer:
    """A group of commands, in the one style that all have."""
    return typer.Typer(
        help=summary, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def _common(
    gateway: Annotated[
        str | None,
        typer.Option(help="URL of your organisation's ledger service.", envvar="CONSILO_GATEWAY", show_default=False),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(help="Directory of your member's identity.", envvar="CONSILO_IDENTITY", show_default=False),
    ] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for a gateway or store that is away.", min=0, max=86_400)
    ] = DEFAULT_PATIENCE_SECONDS,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Directory that remembers the newest block seen; default: ~/.local/state/consilo.",
            envvar="CONSILO_STATE",
            show_default=False,
        ),
    ] = None,
    private_networks: Annotated[
        list[str] | None,
        typer.Option(
            "--private-network",
            help="Network (CIDR) besides the public Internet in which other organisations' gateways and stores may "
            "lie; may be given more than once.",
            envvar="CONSILO_PRIVATE_NETWORKS",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The options of every connected command."""


_JSON_ALONE: Final = ("as_json",)


def connected(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """A command that reaches a gateway: its first argument is made from the common options."""
    common = inspect.signature(_common, eval_str=True).parameters
    return _command(function, common)


def local(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """A command that needs no gateway; of the common options it has `--json` only."""
    common = inspect.signature(_common, eval_str=True).parameters
    return _command(function, {name: common[name] for name in _JSON_ALONE})


def _command(function: Callable[Concatenate[Session, P], None], common: Any) -> Callable[..., None]:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in common.values()]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared

    def command(**values: Any) -> None:
        session = Session(**{name: values.pop(name) for name in common})
        with reported(), command_logs():
            function(session, **values)  # type: ignore[call-arg]

    command.__name__, command.__doc__ = function.__name__, _help(inspect.getdoc(function) or "")
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _help(text: str) -> str:
    """The text for click: paragraphs with indented lines are lists and examples, and keep their line breaks."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"\b\n{paragraph}" if "\n  " in paragraph else paragraph for paragraph in paragraphs)


@contextmanager
def reported() -> Iterator[None]:
    """Tell an error in one sentence on standard error, and exit with the code that it stands for."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of the output has left; typer ends quietly
        raise
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        sentence = printable(told.message)
        typer.echo(f"error [{told.code}]: {sentence}{'' if sentence.endswith(('.', '?')) else '.'}", err=True)
        for line in told.details:
            typer.echo(f"  {printable(line)}", err=True)
        raise typer.Exit(told.exit_code) from None


def explain(error: Exception) -> CliError | None:
    """What to tell of an error; None for one that is a defect of this program."""
    match error:
        case CliError():
            return error
        case LedgerRolledBack():
            return CliError(error.code, error.message, exit_code=FOUND)
        case GatewayUnavailable():
            return CliError(error.code, error.message, exit_code=UNAVAILABLE)
        case TransferError():
            return CliError(error.code, str(error), exit_code=UNAVAILABLE if is_away(error) else FAILED)
        case LedgerCorrupt():
            return CliError(error.code, error.message, exit_code=FOUND)
        case LedgerUnavailable():
            return CliError(error.code, error.message, exit_code=UNAVAILABLE)
        case WorkerError():
            return CliError(error.code, error.message, details=error.details)
        case ApiError() | EmbeddedLedgerError() | IdentityError() | CertificateError() | Refusal() | InvalidInput():
            return CliError(error.code, error.message)
        case OSError():
            place = "" if error.filename is None else f"{error.filename}: "
            return CliError("file-error", f"{place}{error.strerror or error}")
        case _:
            return None
