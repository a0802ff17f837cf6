"""What can be known to be wrong without a network ends the start, in words that say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from consilo.api.gateway import now_ms
from consilo.hosting.start import CannotStart, run_service
from consilo.identity.authority import Authority
from services.ledger.__main__ import prepare_ledger
from services.ledger.fabric.opening import load_client_identity, prepare_fabric
from services.ledger.fabric.settings import FabricPeer, FabricSettings
from services.ledger.port import LedgerUnavailable
from services.ledger.settings import LedgerSettings, LocalStoreAccess
from tests.unit.ledger.fabric.simulated_network import told_by_check

ROOT = Path(__file__).resolve().parents[4]
STORE = ["--store.url", "http://127.0.0.1:1", "--store.secret-file", "secret"]
EMBEDDED = ["--embedded.file", "ledger"]
PEER = {"address": "127.0.0.1:1", "msp": "HospitalA", "tls_ca_file": "ca.pem"}
FABRIC = [
    *("--fabric.channel", "consilo", "--fabric.msp", "HospitalA", "--fabric.state-file", "state.db"),
    *("--fabric.certificate-file", "certificate.pem", "--fabric.key-file", "key.pem"),
    *("--fabric.peers", json.dumps([PEER])),
]

Told = Callable[..., LedgerSettings | list[dict[str, str]]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The settings of a service with these flags, or what its log says when it cannot start."""

    def tell(*flags: str) -> LedgerSettings | list[dict[str, str]]:
        found: list[LedgerSettings] = []
        code = run_service(
            LedgerSettings, found.append, ["--log-format", "json", "--identity", "identity", *STORE, *flags]
        )
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        return found[0] if code == 0 else [line for line in lines if line["level"] == "critical"]

    return tell


class Files:
    """The files of a client identity, good ones at first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.write()

    def write(self, *, key: Any = None, certified: Any = None, ends: timedelta = timedelta(days=1)) -> None:
        """Write key and certificate; by default of the one key, valid for a day."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key((certified or key or self.key).public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + ends)
            .sign(self.key, SHA256())
        )
        (self.directory / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (self.directory / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        path = self.directory / "key.pem"
        path.write_bytes((key or self.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)

    def settings(self, **changes: Any) -> FabricSettings:
        """Settings that name them."""
        peer = {**PEER, "tls_ca_file": self.directory / "ca.pem"}
        values = {
            "channel": "consilo",
            "msp": "HospitalA",
            "certificate_file": self.directory / "certificate.pem",
            "key_file": self.directory / "key.pem",
            "peers": [peer],
            "state_file": self.directory / "state.db",
            **changes,
        }
        return FabricSettings.model_validate(values)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# -- Settings ----------------------------------------------------------------------------------------------------------


def test_a_channel_is_told_by_flags(told: Told) -> None:
    settings = told(*FABRIC)
    assert isinstance(settings, LedgerSettings)
    assert settings.embedded is None
    assert settings.fabric is not None
    assert (settings.fabric.channel, settings.fabric.chaincode) == ("consilo", "consilo")
    assert [peer.address for peer in settings.fabric.peers] == ["127.0.0.1:1"]


def test_a_channel_is_told_by_the_environment(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for flag, value in zip(FABRIC[::2], FABRIC[1::2], strict=True):
        name = flag.removeprefix("--fabric.").replace("-", "_").upper()
        monkeypatch.setenv(f"CONSILO_LEDGER_FABRIC__{name}", value)
    assert told() == told(*FABRIC)


@pytest.mark.parametrize("flags", [[], [*EMBEDDED, *FABRIC]], ids=["none", "both"])
def test_there_is_exactly_one_ledger(told: Told, flags: list[str]) -> None:
    lines = told(*flags)
    assert isinstance(lines, list)
    words = "set up exactly one ledger: either `embedded` (a file) or `fabric` (a channel)"
    assert [line["reason"] for line in lines] == [words]


@pytest.mark.parametrize(
    ("flag", "value", "setting"),
    [
        ("--fabric.channel", "Consilo!", "CHANNEL"),
        ("--fabric.chaincode", "a b", "CHAINCODE"),
        ("--fabric.msp", "", "MSP"),
        ("--fabric.peers", "[]", "PEERS"),
        ("--fabric.peers", json.dumps([{**PEER, "address": "https://peer:7051"}]), "PEERS__0__ADDRESS"),
        ("--fabric.peers", json.dumps([{**PEER, "address": "peer"}]), "PEERS__0__ADDRESS"),
        ("--fabric.peers", json.dumps([{**PEER, "port": 7051}]), "PEERS__0__PORT"),
        ("--fabric.peers", json.dumps([{"address": "peer:7051", "msp": "A"}]), "PEERS__0__TLS_CA_FILE"),
        ("--fabric.endorse-timeout-seconds", "0", "ENDORSE_TIMEOUT_SECONDS"),
        ("--fabric.max-message-bytes", "10", "MAX_MESSAGE_BYTES"),
    ],
)
def test_a_wrong_setting_is_named_as_the_operator_knows_it(told: Told, flag: str, value: str, setting: str) -> None:
    flags = [*FABRIC, flag, value] if flag not in FABRIC else [*FABRIC]
    if flag in FABRIC:
        flags[flags.index(flag) + 1] = value
    lines = told(*flags)
    assert isinstance(lines, list)
    assert [line["setting"] for line in lines] == [f"CONSILO_LEDGER_FABRIC__{setting}"]


@pytest.mark.parametrize("missing", FABRIC[::2])
def test_a_setting_that_is_missing_is_named(told: Told, missing: str) -> None:
    at = FABRIC.index(missing)
    lines = told(*FABRIC[:at], *FABRIC[at + 2 :])
    assert isinstance(lines, list)
    name = missing.removeprefix("--fabric.").replace("-", "_").upper()
    assert [line["setting"] for line in lines] == [f"CONSILO_LEDGER_FABRIC__{name}"]


def test_addresses_may_be_names_or_numbers() -> None:
    for address in ("peer0.hospital-a.example:7051", "127.0.0.1:7051", "[::1]:7051"):
        assert FabricPeer.model_validate({**PEER, "address": address}).address == address


# -- Wiring ------------------------------------------------------------------------------------------------------------


def ledger_settings(fabric: FabricSettings, organisations: list[str]) -> LedgerSettings:
    return LedgerSettings(
        identity=Path("identity"),
        organisations=organisations,
        fabric=fabric,
        store=LocalStoreAccess(url="http://127.0.0.1:1", secret_file=Path("secret")),
    )


def gateway_of(msp: str) -> Any:
    return Authority.create(msp, now=now_ms()).issue("gateway", "gateway", now=now_ms())


@pytest.mark.parametrize("organisations", [["HospitalB"], ["HospitalA", "HospitalB"]], ids=["another", "several"])
def test_on_fabric_a_gateway_is_of_its_own_organisation_alone(files: Files, organisations: list[str]) -> None:
    with pytest.raises(CannotStart, match="the one of HospitalA; leave out the setting `organisations`"):
        prepare_ledger(ledger_settings(files.settings(), organisations), gateway_of("HospitalA"))


def test_on_fabric_a_gateway_speaks_for_the_organisation_of_its_identity(files: Files) -> None:
    with pytest.raises(CannotStart, match="client identity is of MSP HospitalA, the gateway's own of HospitalB"):
        prepare_ledger(ledger_settings(files.settings(), []), gateway_of("HospitalB"))


async def test_its_own_organisation_may_be_named(files: Files) -> None:
    settings = ledger_settings(files.settings(), ["HospitalA"])
    ledger = await prepare_ledger(settings, gateway_of("HospitalA"))()
    assert (ledger.name, ledger.kind) == ("consilo", "fabric")
    await ledger.close()


def outcome_of(program: str) -> str:
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    return done.stdout.strip()


def test_without_its_packages_the_extra_is_named(files: Files) -> None:
    program = f"""
import sys, types
sys.modules["grpc"] = None
from consilo.hosting.start import CannotStart
from services.ledger.__main__ import prepare_ledger
from services.ledger.fabric.settings import FabricSettings
settings = FabricSettings.model_validate_json({files.settings().model_dump_json()!r})
try:
    prepare_ledger(types.SimpleNamespace(fabric=settings, organisations=[]), types.SimpleNamespace(msp="HospitalA"))
except CannotStart as error:
    print(error)
"""
    assert outcome_of(program) == "a ledger on Fabric needs grpc: install the extra `fabric`"


def test_a_gateway_of_an_embedded_ledger_loads_nothing_of_fabric() -> None:
    program = (
        "import sys, services.ledger.__main__; print({'grpc', 'fabric_protos', 'google.protobuf'} & {*sys.modules})"
    )
    assert outcome_of(program) == "set()"


# -- Files -------------------------------------------------------------------------------------------------------------


def test_an_identity_is_read_from_its_files(files: Files) -> None:
    settings = files.settings()
    identity = load_client_identity("HospitalA", settings.certificate_file, settings.key_file)
    assert identity.msp == "HospitalA"
    assert identity.certificate == settings.certificate_file.read_bytes()
    assert now_ms() < identity.expires_at <= now_ms() + 86_400_000
    files.key.public_key().verify(identity.sign_message(b"words"), b"words", ec.ECDSA(SHA256()))


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"something else"], ids=["missing", "garbage"])
def test_a_file_that_cannot_be_used_is_named(files: Files, name: str, content: bytes | None) -> None:
    path = files.directory / name
    path.unlink()
    if content is not None:
        path.touch(0o600)
        path.write_bytes(content)
    with pytest.raises(CannotStart, match=rf"{name} (is not|does not)"):
        prepare_fabric(files.settings())


def test_a_key_that_everyone_may_read_is_refused(files: Files) -> None:
    (files.directory / "key.pem").chmod(0o644)
    with pytest.raises(CannotStart, match="chmod 600"):
        prepare_fabric(files.settings())


def test_a_key_of_another_certificate_is_refused(files: Files) -> None:
    files.write(certified=ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(CannotStart, match=r"key\.pem is not the key of the certificate in .*certificate\.pem"):
        prepare_fabric(files.settings())


def test_a_key_of_a_kind_that_fabric_does_not_take_is_refused(files: Files) -> None:
    files.write(key=ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(CannotStart, match=r"key\.pem holds a key on the curve secp384r1; Fabric's clients have P-256"):
        prepare_fabric(files.settings())


def test_a_certificate_that_has_expired_is_refused(files: Files) -> None:
    files.write(ends=-timedelta(seconds=1))
    with pytest.raises(CannotStart, match=r"certificate\.pem expired at .*: renew it"):
        prepare_fabric(files.settings())


def test_a_state_file_that_cannot_be_made_is_named(files: Files) -> None:
    with pytest.raises(CannotStart, match=r"nowhere/state\.db\.lock cannot be made: No such file or directory"):
        prepare_fabric(files.settings(state_file=files.directory / "nowhere" / "state.db"))


async def test_a_state_file_of_another_channel_ends_the_start(files: Files) -> None:
    ledger = await prepare_fabric(files.settings())()
    await ledger.close()
    with pytest.raises(CannotStart, match=r"state\.db is the replica of chaincode consilo on channel consilo, not"):
        prepare_fabric(files.settings(channel="other"))


async def test_a_network_that_is_not_there_lets_it_start_and_is_told_by_check(files: Files) -> None:
    ledger = await prepare_fabric(files.settings(evaluate_timeout_seconds=5))()
    error = await told_by_check(ledger, "the peer of HospitalA at 127.0.0.1:1: it cannot be reached")
    assert error.code == "ledger-unavailable"
    with pytest.raises(LedgerUnavailable):
        await ledger.head()
    await ledger.close()
