"""Logs are lines that machines or people can read, and hold nothing that opens anything."""

from __future__ import annotations

import json
import logging
import sys

import httpx
import pytest
import structlog

from consilo.hosting.logs import LogFormat, configure_logs

SECRET = "signature=very-secret-word"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def fail() -> None:
    url = f"http://127.0.0.1:1/objects/a?{SECRET}"
    raise RuntimeError(f"no answer from {url.partition('?')[0]}")


def test_json_has_a_line_for_each_event_with_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    structlog.get_logger("a").info("round closed", run="trial", updates=3, name="Ä")
    (line,) = lines(capsys)
    assert line.pop("timestamp")
    assert line == {"event": "round closed", "level": "info", "run": "trial", "updates": 3, "name": "Ä"}


def test_without_a_terminal_it_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    structlog.get_logger("a").info("ended")
    assert lines(capsys)[0]["event"] == "ended"


def test_on_a_terminal_it_is_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logs()
    structlog.get_logger("a").info("round closed", run="trial")
    text = capsys.readouterr().err
    assert "round closed" in text
    assert not text.startswith("{")


def test_the_standard_librarys_loggers_go_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    logging.getLogger("library").warning("it has %s", "happened")
    assert lines(capsys)[0]["event"] == "it has happened"
    configure_logs("text")
    logging.getLogger("library").warning("it has %s", "happened")
    assert "it has happened" in capsys.readouterr().err


def test_less_than_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "WARNING")
    structlog.get_logger("a").info("a")
    logging.getLogger("b").info("b")
    structlog.get_logger("c").warning("c")
    assert [line["event"] for line in lines(capsys)] == ["c"]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("by", ["structlog", "logging"])
def test_a_failure_is_told_with_its_place_but_no_local_variables(
    form: LogFormat, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(form)
    try:
        fail()
    except RuntimeError:
        (structlog.get_logger("a") if by == "structlog" else logging.getLogger("a")).exception("it failed")
    text = capsys.readouterr().err
    assert "it failed" in text
    assert "RuntimeError" in text
    assert "test_logs.py" in text
    assert SECRET not in text
    if form == "json":
        assert len(text.splitlines()) == 1


def test_requests_are_not_logged_with_their_urls(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "DEBUG")
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get(f"http://127.0.0.1:1/objects/a?{SECRET}")
    assert "signature" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", '"}{'])
def test_what_others_say_stays_within_its_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    structlog.get_logger("a").info("told", detail=text)
    (line,) = lines(capsys)
    assert line["detail"] == text
