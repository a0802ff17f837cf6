"""How a service starts: settings, exit codes, and the line that says that it is ready."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import BaseModel, Field
from pydantic_settings import SettingsConfigDict

from consilo.hosting.start import CannotStart, ServiceSettings, announce, run_service


class Inner(BaseModel):
    size_bytes: int


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(
        env_prefix="CONSILO_EXAMPLE_", env_nested_delimiter="__", extra="forbid", cli_kebab_case=True
    )

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    names: list[str] = Field(default_factory=list)
    inner: Inner = Inner(size_bytes=1)


def log(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_it_serves_with_what_it_was_told_and_ends_with_0(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSILO_EXAMPLE_NAMES", '["a", "b"]')
    monkeypatch.setenv("CONSILO_EXAMPLE_INNER__SIZE_BYTES", "7")
    monkeypatch.setenv("CONSILO_EXAMPLE_PORT", "1")
    found: list[Settings] = []
    assert run_service(Settings, found.append, ["--port", "2"]) == 0
    assert (found[0].port, found[0].names, found[0].inner.size_bytes) == (2, ["a", "b"], 7)
    assert [line["event"] for line in log(capsys)] == ["ended"]


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["--port", "x"], "PORT"),
        (["--port", "65536"], "PORT"),
        (["--inner.size-bytes", "x"], "INNER__SIZE_BYTES"),
        (["--log-level", "LOUD"], "LOG_LEVEL"),
        (["--log-format", "xml"], "LOG_FORMAT"),
    ],
)
def test_a_wrong_setting_is_named_as_its_variable_and_ends_with_2(
    arguments: list[str], setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_service(Settings, lambda _: pytest.fail("it served"), arguments) == 2
    (line,) = log(capsys)
    assert (line["event"], line["setting"]) == ("cannot start: a setting is wrong", f"CONSILO_EXAMPLE_{setting}")
    assert line["level"] == "critical"
    assert line["reason"]


def test_a_wrong_settings_value_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSILO_EXAMPLE_PORT", "a-secret-word")
    assert run_service(Settings, lambda _: None, []) == 2
    assert "a-secret-word" not in json.dumps(log(capsys))


def test_a_variable_that_is_no_json_ends_with_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSILO_EXAMPLE_NAMES", "[a-secret-word")
    assert run_service(Settings, lambda _: None, []) == 2
    (line,) = log(capsys)
    assert line["event"] == "cannot start"
    assert "names" in line["reason"]
    assert "a-secret-word" not in line["reason"]


def test_a_service_that_cannot_start_says_why_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    def serve(_: Settings) -> None:
        raise CannotStart("there is no ledger at /nowhere")

    assert run_service(Settings, serve, []) == 2
    (line,) = log(capsys)
    assert (line["event"], line["reason"]) == ("cannot start", "there is no ledger at /nowhere")


def test_a_defect_is_logged_with_its_place_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    def serve(_: Settings) -> None:
        secret = "a-secret-word"
        Inner.model_validate({"size_bytes": "x" if secret else 1})

    assert run_service(Settings, serve, []) == 1
    (line,) = log(capsys)
    assert line["event"] == "failed by a defect"
    assert "ValidationError" in json.dumps(line)
    assert "a-secret-word" not in json.dumps(line)


def test_a_service_may_end_with_a_code_of_its_own() -> None:
    def serve(_: Settings) -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit) as end:
        run_service(Settings, serve, [])
    assert end.value.code == 1


def test_the_announcement_is_one_line_of_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    announce(url="http://127.0.0.1:8080", port=8080)
    told = capsys.readouterr().out
    assert told.endswith("\n")
    assert json.loads(told) == {"event": "listening", "url": "http://127.0.0.1:8080", "port": 8080}
