"""Certificates and roots that are replaced while a run is under way: the run goes on with the new ones."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.api.errors import ApiError
from consilo.api.gateway import now_ms
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RegisterOrganisation, RevokeMember
from consilo.protocol.values import Role
from consilo.verification import verify_run
from tests.integration.client_play import play
from tests.integration.consortium import Consortium, running_consortium
from tests.integration.made_runs import AUDITOR
from tests.integration.trial import SILOS, started


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A consortium whose certificates may be revoked: no other test uses it."""
    with running_consortium(tmp_path_factory.mktemp("rotated")) as running:
        yield running


def reissue(consortium: Consortium, member: str, role: Role) -> Identity:
    """Give a member a new certificate in place of the one it has; returns the old one."""
    old = consortium.identity(member)
    msp, name = member.split("/")
    new = consortium.authorities[msp].issue(role, name, now=now_ms())
    directory = consortium.identity_directory(member)
    directory.rename(directory.with_name(f"{directory.name}-{old.certificate.serial}"))
    new.save(directory)
    consortium._identities[member] = new
    return old


async def revoke(consortium: Consortium, identity: Identity) -> None:
    async with consortium.party(f"{identity.msp}/operator") as operator:
        await operator.metadata_publish(RevokeMember(serial=identity.certificate.serial, reason="renewed"))


async def register(consortium: Consortium, msp: str, version: int, authorities: list[Authority]) -> None:
    """Register an organisation's roots, signed by its operator as it is known now."""
    async with consortium.party(f"{msp}/operator") as operator:
        await operator.metadata_publish(
            RegisterOrganisation(
                version=version,
                roots=tuple(base64.b64encode(root).decode() for each in authorities for root in each.roots),
                gateway=consortium.ledger.url,
                stores=(consortium.store.url.removeprefix("http://"),),
            )
        )


async def refuses(consortium: Consortium, identity: Identity, code: str) -> None:
    """The gateway knows the identity no more."""
    from consilo.api.party import Party

    with pytest.raises(ApiError) as refused:
        async with Party(identity, consortium.ledger.url) as party:
            await party.metadata_get("any")
    assert refused.value.code == code


async def test_a_run_goes_on_with_new_certificates_of_silo_and_aggregator(own: Consortium, tmp_path: Path) -> None:
    async with started(own, tmp_path, rounds=3, update_readers=[AUDITOR]) as trial:
        with own.service("aggregator", "HospitalA/aggregator"):
            await trial.until_open(0)
            await trial.train_all()
            await trial.until_global(1)
        old_aggregator = reissue(own, "HospitalA/aggregator", "aggregator")
        await revoke(own, old_aggregator)
        await refuses(own, old_aggregator, "token-untrusted")

        # The silo renews between two updates of the run, with the round open.
        await trial.train_all(SILOS[:2])
        old_silo = reissue(own, SILOS[2], "silo")
        await revoke(own, old_silo)
        await refuses(own, old_silo, "token-untrusted")
        trial._parties.pop(SILOS[2])
        with own.service("aggregator", "HospitalA/aggregator") as aggregator:
            await trial.train(SILOS[2])
            model = await trial.until_global(2)
            assert [selected.member for selected in model.inputs] == list(SILOS)
            await trial.until_open(2)
            await trial.train_all()
            await trial.until_global(3)
            assert not aggregator.events("failed")
        assert (await trial.status()).state == "finished"
        async with own.party(AUDITOR) as auditor:
            assert (await verify_run(auditor, trial.run)).complete, "what was signed before stays signed"


async def test_a_run_goes_on_under_new_roots(own: Consortium, tmp_path: Path) -> None:
    async with started(own, tmp_path, rounds=2, update_readers=[AUDITOR]) as trial:
        with own.service("aggregator", "HospitalA/aggregator"):
            await trial.until_open(0)
            await trial.train_all()
            await trial.until_global(1)
            old = own.authorities["HospitalB"]
            new = Authority.create("HospitalB", now=now_ms())
            await register(own, "HospitalB", 2, [old, new])  # both count
            own.authorities["HospitalB"] = new
            retired = [reissue(own, "HospitalB/silo", "silo"), reissue(own, "HospitalB/operator", "operator")]
            await register(own, "HospitalB", 3, [new])  # by the new operator: the old roots count no more
            for identity in retired:
                await refuses(own, identity, "token-untrusted")
            for member in ("HospitalB/silo", "HospitalB/operator"):
                trial._parties.pop(member, None)
            await trial.train_all()
            model = await trial.until_global(2)
            assert [selected.member for selected in model.inputs] == list(SILOS)
        async with own.party(AUDITOR) as auditor:
            assert (await verify_run(auditor, trial.run)).complete


async def test_a_silo_service_goes_on_with_the_certificate_it_is_restarted_with(
    own: Consortium, tmp_path: Path
) -> None:
    async with play(own, tmp_path, "renewed") as p:
        await p.start()
        with p.client() as client:
            await p.published()
            assert client.end() == 0
        await revoke(own, reissue(own, p.silo, "silo"))
        with p.client() as client:
            await p.next_global()
            await p.published(round=1)
            assert client.end() == 0
