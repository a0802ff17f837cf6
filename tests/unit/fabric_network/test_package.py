"""The chaincode's package and the builder that peers run on it, without a peer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from consilo.fabric.package import Package, placeholder, service_package
from fabric.layout import BUILDER
from fabric.node_settings import BUILDER_VARIABLES

PEM = "-----BEGIN CERTIFICATE-----\nAb+/c0==\n-----END CERTIFICATE-----\n"


def package(label: str = "consilo_1", slot: str = "odd") -> Package:
    return service_package(label, placeholder(slot), placeholder("root_cert"))


def unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive.getmembers()}  # type: ignore[union-attr]


def build(source: Path, output: Path, variables: str | None) -> subprocess.CompletedProcess[str]:
    output.mkdir()
    environment = {"PATH": "/usr/bin:/bin"}  # what a peer leaves of its own, but for what it propagates
    if variables is not None:
        environment[BUILDER_VARIABLES] = variables
    command = [str(BUILDER / "bin" / "build"), str(source), str(source), str(output)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_the_id_is_the_same_wherever_the_package_is_made() -> None:
    made = package()
    assert made.id == f"consilo_1:{hashlib.sha256(made.data).hexdigest()}"
    assert made.id == "consilo_1:cf74769149badf05a719941edb6ba9c545ab1a83ffb5e60cf28f62fe93da29e5"
    assert made == package()
    assert made.id != package("consilo_2").id


def test_a_package_for_one_peer_names_its_server_and_the_servers_root_certificate() -> None:
    made = service_package("consilo", "chaincode.example:9999", PEM)
    connection = json.loads(unpacked(unpacked(made.data)["code.tar.gz"])["connection.json"])
    assert (connection["address"], connection["root_cert"]) == ("chaincode.example:9999", PEM)
    assert made.id != service_package("consilo", "chaincode.example:9998", PEM).id
    assert made.id != service_package("consilo", "chaincode.example:9999", PEM + "\n").id


def test_nothing_in_the_package_tells_when_or_by_whom_it_was_made() -> None:
    data = package().data
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, no system
    for level in (gzip.decompress(data), gzip.decompress(unpacked(data)["code.tar.gz"])):
        with tarfile.open(fileobj=io.BytesIO(level)) as archive:
            for entry in archive.getmembers():
                assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")


def test_the_package_says_where_the_server_is_and_holds_no_code() -> None:
    files = unpacked(package().data)
    assert json.loads(files["metadata.json"]) == {"label": "consilo_1", "path": "", "type": "ccaas"}
    assert json.loads(unpacked(files["code.tar.gz"])["connection.json"]) == {
        "address": "{{.odd}}",
        "dial_timeout": "10s",
        "tls_required": True,
        "client_auth_required": False,
        "root_cert": "{{.root_cert}}",
    }


@pytest.mark.parametrize(("kind", "code"), [("ccaas", 0), ("golang", 1)])
def test_the_builder_takes_chaincode_that_is_a_service(tmp_path: Path, kind: str, code: int) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps({"type": kind, "label": "ccaas"}))
    command = [str(BUILDER / "bin" / "detect"), str(tmp_path), str(tmp_path)]
    assert subprocess.run(command, timeout=30, check=False).returncode == code


def test_the_builder_fills_in_what_its_peer_knows(tmp_path: Path) -> None:
    source, output, release = (tmp_path / name for name in ("source", "output", "release"))
    source.mkdir()
    code = unpacked(package().data)["code.tar.gz"]
    (source / "connection.json").write_bytes(unpacked(code)["connection.json"])
    (source / "META-INF").mkdir()
    (source / "META-INF" / "index.json").write_text("{}")
    variables = {"even": "127.0.0.1:2", "odd": "127.0.0.1:1", "root_cert": PEM}
    assert build(source, output, json.dumps(variables)).returncode == 0
    subprocess.run([str(BUILDER / "bin" / "release"), str(output), str(release)], timeout=30, check=True)
    connection = json.loads((release / "chaincode" / "server" / "connection.json").read_text())
    assert (connection["address"], connection["root_cert"]) == ("127.0.0.1:1", PEM)
    assert (release / "index.json").read_text() == "{}"


@pytest.mark.parametrize(
    "variables", [None, "", "{}", '{"even": "127.0.0.1:2"}'], ids=["unset", "empty", "none", "other"]
)
def test_the_builder_fails_when_its_peer_does_not_know_the_address(tmp_path: Path, variables: str | None) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "connection.json").write_text('{"address": "{{.odd}}"}')
    done = build(source, tmp_path / "output", variables)
    assert done.returncode == 1
    assert BUILDER_VARIABLES in done.stderr
    assert "{{.odd}}" in done.stderr


def test_the_builder_fails_on_a_package_without_an_address(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    done = build(source, tmp_path / "output", None)
    assert done.returncode == 1
    assert "connection.json" in done.stderr
