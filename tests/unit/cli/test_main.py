"""The command line as a whole: its help, its style, its exit codes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

import consilo
from consilo.api.errors import AnswerInvalid, GatewayRefused, GatewayUnavailable, LedgerRolledBack
from consilo.api.transfer_errors import ObjectMissing, TransferUnavailable
from consilo.cli import exits
from consilo.cli.commands import explain, reported
from consilo.cli.exits import CliError
from consilo.cli.main import app
from consilo.cli.output import duration, printable, size
from consilo.embedded.errors import LedgerCorrupt, LedgerFileError, LedgerUnavailable
from consilo.identity.errors import IdentityFileError
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.training.errors import TaskFailed

ROOT = typer.main.get_command(app)
GROUPS = ["run", "model", "ledger", "organisation", "identity", "task"]


def commands() -> Iterator[tuple[list[str], TyperCommand]]:
    """Path and command of every command that does something."""
    assert isinstance(ROOT, TyperGroup)
    context = typer.Context(ROOT, info_name="consilo")
    pending: list[tuple[list[str], TyperGroup, typer.Context]] = [([], ROOT, context)]
    while pending:
        path, group, parent = pending.pop()
        for name in group.list_commands(parent):
            command = group.get_command(parent, name)
            if isinstance(command, TyperGroup):
                pending.append(([*path, name], command, typer.Context(command, info_name=name, parent=parent)))
            else:
                assert isinstance(command, TyperCommand)
                yield [*path, name], command


COMMANDS = {" ".join(path): command for path, command in commands()}
EXAMPLES = [
    (name, line.strip())
    for name, command in COMMANDS.items()
    for line in re.sub(r"\n +(?=--)", " ", command.help or "").splitlines()
    if line.strip().startswith("consilo ")
]


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_help_needs_no_library_that_is_slow_to_load() -> None:
    program = (
        "import sys\n"
        "from consilo.cli.main import app\n"
        "try:\n"
        "    app(['--help'])\n"
        "except SystemExit as ended:\n"
        "    assert ended.code == 0\n"
        "slow = {'numpy', 'torch', 'httpx', 'pydantic', 'cryptography', 'rich'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Exit codes:" in ended.stdout


def test_help_names_every_command_and_every_exit_code() -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in [*GROUPS, "verify"]:
        assert re.search(rf"^  {name} ", out, re.MULTILINE)
    for number in (exits.OK, exits.FAILED, exits.USAGE, exits.FOUND, exits.UNAVAILABLE, exits.INTERRUPTED):
        assert re.search(rf"^    {number} +[a-z]", out, re.MULTILINE)


def test_the_version_is_the_library_s() -> None:
    assert run("--version") == (0, f"{consilo.__version__}\n", "")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_print_json_and_explains_itself(name: str) -> None:
    code, out, _ = run(*name.split(), "--help")
    assert code == 0
    assert "--json" in out
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    connected = {"--gateway", "--identity", "--patience", "--state"}
    assert connected <= options or not connected & options


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_the_examples_in_the_help_are_commands(name: str, example: str) -> None:
    program, *arguments = shlex.split(example)
    path = name.split()
    assert program == "consilo"
    assert arguments[: len(path)] == path
    COMMANDS[name].make_context(name, arguments[len(path) :])


def test_there_are_examples() -> None:
    assert {"verify", "run propose", "run approve", "model get", "ledger genesis", "task check"} <= {
        name for name, _ in EXAMPLES
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["run", "nothing"],
        ["run", "show"],
        ["verify", "r", "--round", "-1"],
        ["run", "list", "--patience", "soon"],
        ["ledger", "genesis", "--ledger", "x"],
    ],
)
def test_wrong_usage_has_exit_code_2(arguments: list[str]) -> None:
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "error_code"),
    [
        ([], "identity-not-given"),
        (["--gateway", "http://127.0.0.1:1"], "identity-not-given"),
        (["--gateway", "127.0.0.1:1", "--identity", "/"], "identity-missing"),
    ],
)
def test_what_is_not_given_is_asked_for(options: list[str], error_code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CONSILO_GATEWAY", "CONSILO_IDENTITY", "CONSILO_STATE"):
        monkeypatch.delenv(variable, raising=False)
    code, out, error = run("run", "list", *options)
    assert (code, out) == (1 if error_code == "identity-missing" else 2, "")
    assert error.startswith(f"error [{error_code}]: ")


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (CliError("x", "y", exit_code=2), "x", 2),
        (Refusal("run-unknown", "no run"), "run-unknown", 1),
        (InvalidInput("malformed", "no"), "malformed", 1),
        (GatewayRefused("not-in-cohort", "no", status=409, retryable=False), "not-in-cohort", 1),
        (GatewayUnavailable("away"), "gateway-unavailable", 4),
        (LedgerRolledBack("lost"), "ledger-rolled-back", 3),
        (AnswerInvalid("no"), "answer-invalid", 1),
        (ObjectMissing("gone"), "object-missing", 1),
        (TransferUnavailable("away"), "transfer-unavailable", 4),
        (IdentityFileError("identity-missing", "gone"), "identity-missing", 1),
        (LedgerCorrupt("broken", 3), "ledger-corrupt", 3),
        (LedgerFileError("ledger-missing", "gone"), "ledger-missing", 1),
        (LedgerUnavailable("ledger-full", "full"), "ledger-full", 4),
        (TaskFailed("it raised", ("Traceback",)), "task-failed", 1),
        (FileNotFoundError(2, "No such file or directory", "/x"), "file-error", 1),
    ],
)
def test_every_error_has_its_code_and_exit_code(
    error: Exception, code: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, reported():
        raise error
    assert ended.value.exit_code == exit_code
    told = capsys.readouterr()
    assert told.out == ""
    first, *details = told.err.splitlines()
    assert re.fullmatch(rf"error \[{code}\]: .*[^.]\.", first)
    assert details == (["  Traceback"] if isinstance(error, TaskFailed) else [])


def test_an_interrupt_is_told_by_the_exit_code_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, reported():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr() == ("", "")


def test_a_defect_is_not_dressed_up_as_a_refusal() -> None:
    assert explain(RuntimeError("a defect")) is None
    with pytest.raises(RuntimeError, match="a defect"), reported():
        raise RuntimeError("a defect")


def test_what_others_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "no\x1b[2J\x1b]0;owned\x07\r\nerror [fine]: all is well\u202e\u2028"
    with pytest.raises(typer.Exit), reported():
        raise GatewayRefused("run-unknown", hostile, status=404, retryable=False)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.rstrip("\n").isprintable()
    assert printable("plain ä 漢") == "plain ä 漢"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2736, "2.74 kB"), (999_499, "999 kB"), (10**9, "1 GB")],
)
def test_sizes_are_decimal(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 s"),
        (500, "0.5 s"),
        (1500, "1.5 s"),
        (60_000, "1 min"),
        (5_400_000, "1 h 30 min"),
        (90_061_000, "1 d 1 h 1 min 1 s"),
    ],
)
def test_durations_are_in_the_units_of_a_clock(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
