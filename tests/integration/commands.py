"""`consilo` on the test consortium: the real command line, as a member. Starts no process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from consilo.cli.main import app
from tests.integration.consortium import Consortium


@dataclass(frozen=True)
class Commands:
    """Runs commands as members; what they remember is kept in `directory`."""

    consortium: Consortium
    directory: Path

    def run(self, member: str, *arguments: object, answer: str = "", **environment: str) -> Result:
        """The result of a command."""
        self.consortium.identity(member)
        return CliRunner().invoke(
            app,
            [str(argument) for argument in arguments],
            input=answer,
            env={
                "CONSILO_GATEWAY": self.consortium.ledger.url,
                "CONSILO_IDENTITY": str(self.consortium.identity_directory(member)),
                "CONSILO_STATE": str(self.directory / "state"),
                **environment,
            },
        )

    def good(self, member: str, *arguments: object, answer: str = "") -> str:
        """The output of a command that must succeed."""
        result = self.run(member, *arguments, answer=answer)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout

    def json(self, member: str, *arguments: object, code: int = 0) -> Any:
        """What a command prints with `--json`."""
        result = self.run(member, *arguments, "--json")
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return json.loads(result.stdout)

    def refused(self, member: str, *arguments: object, code: int = 1, answer: str = "") -> str:
        """The standard error of a command that must fail with this exit code."""
        result = self.run(member, *arguments, answer=answer)
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        assert result.stdout == ""
        return result.stderr
