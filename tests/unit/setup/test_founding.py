"""The setup makes what is missing, once, whatever ended an earlier try, and says in a sentence what it cannot make."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consilo.embedded.blocks import decode_genesis
from consilo.identity import files
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.certificates import roots_digest, verify_chain
from consilo.store.signing import SigningSecrets
from services.setup.__main__ import found
from services.setup.founding import CannotFound
from services.setup.secrets import Content, SecretsUnavailable
from services.setup.settings import SetupSettings
from tests.unit.identity.factory import NOW
from tests.unit.setup.memory import MemorySecrets

DAY_MS = 24 * 60 * 60 * 1000
MEMBERS = {"operator": "operator", "gateway": "gateway", "silo": "silo"}


def plan(msp: str, prefix: str, members: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "msp": msp,
        "ca_secret": f"{prefix}-ca",
        "roots_secret": f"{prefix}-roots",
        "members": [{"name": name, "role": role, "secret": f"{prefix}-{name}"} for name, role in members.items()],
        **more,
    }


def settings(*organisations: dict[str, Any], **more: Any) -> SetupSettings:
    values = {
        "namespace": "somewhere",
        "organisations": organisations or (plan("HospitalA", "a", MEMBERS), plan("HospitalB", "b", MEMBERS)),
        "genesis": {"secret": "genesis", "ledger": "trial"},
        "store_secret": "store",
        **more,
    }
    return SetupSettings.model_validate(values)


def made(*organisations: dict[str, Any], now: int = NOW, **more: Any) -> MemorySecrets:
    secrets = MemorySecrets()
    found(settings(*organisations, **more), secrets, now=now)
    return secrets


def write(content: Content, directory: Path) -> Path:
    for key, value in content.items():
        files.write_new(directory / key, value, mode=0o600)
    return directory


def check_all(secrets: MemorySecrets, directory: Path) -> None:
    """Everybody is there, under one CA each, which the genesis admits."""
    organisations = {}
    for msp, prefix in (("HospitalA", "a"), ("HospitalB", "b")):
        authority = Authority.load(write(secrets.kept[f"{prefix}-ca"], directory / prefix / "ca"))
        assert authority.msp == msp
        roots = files.read_certificates(write(secrets.kept[f"{prefix}-roots"], directory / prefix / "roots") / "ca.pem")
        assert roots == authority.roots
        for name, role in MEMBERS.items():
            identity = Identity.load(write(secrets.kept[f"{prefix}-{name}"], directory / prefix / name))
            assert (identity.member, identity.role) == (f"{msp}/{name}", role)
            assert verify_chain(identity.certificates, roots, NOW).member.member == identity.member
        organisations[msp] = roots_digest(roots)
    genesis = decode_genesis(secrets.kept["genesis"]["genesis.json"])
    assert (genesis.ledger, genesis.organisations) == ("trial", organisations)
    SigningSecrets.from_file(write(secrets.kept["store"], directory / "store") / "secret")


def test_everything_that_is_asked_for_is_made_and_fits_together(tmp_path: Path) -> None:
    secrets = made()
    check_all(secrets, tmp_path)
    assert len(secrets.kept) == 2 * (2 + len(MEMBERS)) + 2, "and nothing else"


def test_the_roots_secret_holds_no_key() -> None:
    assert made().kept["a-roots"].keys() == {"ca.pem"}


def test_a_second_time_nothing_is_made_or_changed() -> None:
    secrets = made()
    before = copy.deepcopy(secrets.kept)
    secrets.creations_left = 0
    found(settings(), secrets, now=NOW + DAY_MS)
    assert secrets.kept == before


@pytest.mark.parametrize("creations", range(12))
def test_what_ended_in_between_is_completed_by_the_next_time(creations: int, tmp_path: Path) -> None:
    secrets = MemorySecrets()
    secrets.creations_left = creations
    with pytest.raises(SecretsUnavailable):
        found(settings(), secrets, now=NOW)
    before = copy.deepcopy(secrets.kept)
    secrets.creations_left = None
    found(settings(), secrets, now=NOW)
    assert before.items() <= secrets.kept.items()
    check_all(secrets, tmp_path)


def test_a_member_that_comes_later_is_issued_by_the_same_ca(tmp_path: Path) -> None:
    secrets = made(plan("HospitalA", "a", {"operator": "operator"}))
    found(settings(plan("HospitalA", "a", {"operator": "operator", "silo": "silo"})), secrets, now=NOW)
    identity = Identity.load(write(secrets.kept["a-silo"], tmp_path / "silo"))
    roots = files.read_certificates(write(secrets.kept["a-roots"], tmp_path / "roots") / "ca.pem")
    assert verify_chain(identity.certificates, roots, NOW).member.member == "HospitalA/silo"


def test_a_lost_member_is_issued_anew(tmp_path: Path) -> None:
    secrets = made()
    old = secrets.kept.pop("a-silo")
    found(settings(), secrets, now=NOW)
    assert secrets.kept["a-silo"] != old
    check_all(secrets, tmp_path)


def test_a_ca_that_was_taken_out_of_the_cluster_is_not_missed_while_all_are_issued() -> None:
    secrets = made()
    del secrets.kept["a-ca"]
    found(settings(), secrets, now=NOW)
    assert "a-ca" not in secrets.kept


def test_a_ca_that_was_taken_out_is_asked_for_and_not_replaced_when_somebody_must_be_issued() -> None:
    secrets = made()
    del secrets.kept["a-ca"], secrets.kept["a-silo"]
    with pytest.raises(CannotFound, match=r"a-ca.*bring the Secret of the CA back"):
        found(settings(), secrets, now=NOW)
    assert "a-ca" not in secrets.kept


def test_roots_of_another_ca_are_found_out() -> None:
    secrets = made()
    secrets.kept["a-roots"] = made().kept["a-roots"]
    del secrets.kept["a-silo"]
    with pytest.raises(CannotFound, match="a-ca and a-roots are of different CAs"):
        found(settings(), secrets, now=NOW)


def test_an_organisation_whose_ca_is_elsewhere_needs_its_roots_only() -> None:
    secrets = MemorySecrets()
    elsewhere = plan("HospitalA", "a", {}, ca_secret=None)
    with pytest.raises(CannotFound, match=r"no Secret a-roots: make it.*ca\.pem"):
        found(settings(elsewhere), secrets, now=NOW)
    secrets.kept["a-roots"] = made().kept["a-roots"]
    found(settings(elsewhere), secrets, now=NOW)
    assert secrets.kept.keys() == {"a-roots", "genesis", "store"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "no key ca.key"),
        ({"ca.key": b"nonsense", "ca.pem": b"nonsense"}, "holds no CA"),
        (None, "the CA of HospitalB, not of HospitalA"),
    ],
    ids=["nothing", "nonsense", "another-organisation's"],
)
def test_a_secret_that_holds_no_ca_of_the_organisation_is_named(content: Content | None, said: str) -> None:
    secrets = MemorySecrets()
    secrets.kept["a-ca"] = made().kept["b-ca"] if content is None else content
    with pytest.raises(CannotFound, match=said) as raised:
        found(settings(), secrets, now=NOW)
    assert "a-ca" in str(raised.value)
    assert "/consilo-ca-" not in str(raised.value), "a temporary file says nothing to anybody"


def test_an_embedded_ledger_admits_nobody_later_and_nothing_is_made_for_them() -> None:
    secrets = made(plan("HospitalA", "a", MEMBERS))
    before = copy.deepcopy(secrets.kept)
    with pytest.raises(CannotFound, match=r"made without HospitalB.*genesis"):
        found(settings(), secrets, now=NOW)
    assert secrets.kept == before


def test_an_embedded_ledger_admits_no_other_roots_of_an_organisation() -> None:
    secrets = made()
    for name in ("b-ca", "b-roots", *(f"b-{member}" for member in MEMBERS)):
        secrets.kept[name] = made().kept[name]
    secrets.kept["b-roots"] = made().kept["b-roots"]
    with pytest.raises(CannotFound, match=r"HospitalB, or with other roots"):
        found(settings(), secrets, now=NOW)


def test_the_name_of_a_ledger_cannot_be_changed() -> None:
    secrets = made()
    with pytest.raises(CannotFound, match="named trial, not other"):
        found(settings(genesis={"secret": "genesis", "ledger": "other"}), secrets, now=NOW)


@pytest.mark.parametrize(
    "content", [{}, {"genesis.json": b""}, {"genesis.json": b"{}"}], ids=["no-key", "empty", "none"]
)
def test_a_secret_that_holds_no_genesis_is_named(content: Content) -> None:
    secrets = made()
    secrets.kept["genesis"] = content
    with pytest.raises(CannotFound, match="the Secret genesis"):
        found(settings(), secrets, now=NOW)


def test_the_account_of_an_s3_server_is_two_words() -> None:
    account = made(store_secret=None, s3_secret="s3").kept["s3"]
    assert account.keys() == {"access-key", "secret-key"}
    assert all(word.decode().isalnum() for word in account.values()), "no line's end: they become variables"
    assert account["access-key"] != account["secret-key"]


def test_a_secret_of_words_that_lacks_one_is_named() -> None:
    secrets = made()
    secrets.kept["store"] = {"other": b"word"}
    with pytest.raises(CannotFound, match="store has no key secret"):
        found(settings(), secrets, now=NOW)


def test_who_makes_the_same_ca_at_the_same_time_is_followed(tmp_path: Path) -> None:
    other = made()

    class Overtaken(MemorySecrets):
        def create(self, name: str, content: Content) -> bool:
            if name == "a-ca":
                self.kept["a-ca"] = other.kept["a-ca"]
            return super().create(name, content)

    secrets = Overtaken()
    found(settings(), secrets, now=NOW)
    assert secrets.kept["a-ca"] == other.kept["a-ca"]
    check_all(secrets, tmp_path)


def test_a_certificate_that_ends_soon_is_told_with_what_to_do() -> None:
    secrets = made(member_validity_days=40)
    with capture_logs() as logs:
        found(settings(), secrets, now=NOW + 5 * DAY_MS)
    assert logs == []
    with capture_logs() as logs:
        found(settings(), secrets, now=NOW + 15 * DAY_MS)
    told = {line["member"]: line for line in logs}
    assert told.keys() == {f"{msp}/{name}" for msp in ("HospitalA", "HospitalB") for name in MEMBERS}
    assert told["HospitalA/silo"]["days_left"] == 25
    assert "delete the Secret a-silo" in told["HospitalA/silo"]["advice"]


def test_an_identity_that_is_somebody_else_s_is_told_and_left_as_it_is() -> None:
    secrets = made()
    secrets.kept["a-silo"] = secrets.kept["b-silo"]
    secrets.kept["a-operator"] = {"certificate.pem": b"nonsense"}
    with capture_logs() as logs:
        found(settings(), secrets, now=NOW)
    assert {(line["event"], line["secret"]) for line in logs} == {
        ("another member's identity", "a-silo"),
        ("no identity", "a-operator"),
    }


def test_no_log_and_no_error_holds_a_key() -> None:
    secrets = MemorySecrets()
    with capture_logs() as logs:
        found(settings(s3_secret="s3"), secrets, now=NOW)
    lines = [line for content in secrets.kept.values() for value in content.values() for line in value.splitlines()]
    words = {line.decode() for line in lines if len(line) > 40}
    told = repr(logs)
    assert words
    assert not [word for word in words if word in told]
