import subprocess
import sys
from pathlib import Path

from services.store.settings import StoreSettings
from tests.unit.store.running import DEADLINE_SECONDS, SECRET, RunningStore, running_store


def test_the_port_is_written_to_a_file_for_whoever_starts_the_service(tmp_path: Path) -> None:
    with running_store(tmp_path, "--port-file", str(tmp_path / "port")) as store:
        assert (tmp_path / "port").read_text() == f"{store.port}\n"
        assert "listening" in store.log()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.store", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    ended = run("--directory", str(tmp_path), "--port", "70000")
    assert ended.returncode == 2
    assert "CONSILO_STORE_PORT" in ended.stderr
    assert "CONSILO_STORE_SECRET_FILE" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_directory_in_use_a_short_secret_and_a_taken_port_are_told(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        check_refusals(tmp_path, store)


def check_refusals(tmp_path: Path, store: RunningStore) -> None:
    secret_file = tmp_path / "more-secrets"
    secret_file.write_bytes(SECRET)
    ended = run("--directory", str(store.directory), "--secret-file", str(secret_file), "--port", "0")
    assert (ended.returncode, "another store service" in ended.stderr) == (2, True)
    ended = run("--directory", str(tmp_path / "o"), "--secret-file", str(secret_file), "--port", str(store.port))
    assert (ended.returncode, "in use" in ended.stderr) == (2, True)
    secret_file.write_bytes(b"short")
    ended = run("--directory", str(tmp_path / "o"), "--secret-file", str(secret_file))
    assert (ended.returncode, "32 bytes" in ended.stderr) == (2, True)


def test_help_shows_every_setting() -> None:
    shown = run("--help").stdout
    for name in StoreSettings.model_fields:
        assert f"--{name.replace('_', '-')}" in shown
