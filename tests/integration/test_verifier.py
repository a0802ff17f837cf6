"""The verifier as a process, on a real ledger and store: what it attests, what it waits for, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pytest

from consilo.api.watch import watch
from consilo.protocol.bodies import AttestGlobal, CloseRound, PublishGlobal
from consilo.protocol.records import Attestation, GlobalModel
from consilo.protocol.specification import Artifact
from tests.integration.consortium import Consortium, Service, until_true
from tests.integration.trial import SILOS, Trial, Weights, started

VERIFIER: Final = "HospitalC/verifier"
HONEST: Final = "HospitalA/aggregator"
LIAR: Final = "HospitalB/aggregator-liar"
BOTH: Final = [HONEST, LIAR]


@pytest.fixture(scope="module")
def verifier(consortium: Consortium) -> Iterator[Service]:
    """Works for every run that names it."""
    with consortium.service("verifier", VERIFIER, retry_first_seconds=0.1, retry_longest_seconds=0.2) as service:
        yield service
        assert "signature=" not in service.log(), "a signed URL is a capability"
        assert not service.events("failed")


async def attested(trial: Trial, round_number: int) -> Attestation:
    """Wait for the verifier's word on the newest global, which must be that of this round."""
    status = await trial.until(
        lambda status: status.latest is not None and status.latest.round == round_number and bool(status.attestations)
    )
    (attestation,) = status.attestations
    assert attestation.verifier == VERIFIER
    return attestation


async def publish(trial: Trial, member: str, values: Weights, artifact: Artifact | None = None) -> GlobalModel:
    """What an aggregator does once the round is closed, with any values, or with what was put before."""
    status = await trial.until(lambda status: status.attempt is not None and status.attempt.selection is not None)
    assert status.attempt is not None
    selection = status.attempt.selection
    assert selection is not None
    artifact = artifact or await trial.put(member, values)
    await (await trial.party(member)).metadata_publish(
        PublishGlobal(
            run=trial.run,
            round=selection.round + 1,
            attempt=selection.attempt,
            artifact=artifact,
            inputs=selection.selected,
            strategy=trial.specification.strategy,
        )
    )
    summary = await (await trial.party("HospitalA/operator")).gateway.round(trial.run, selection.round)
    assert summary.model is not None
    return summary.model


async def open_by(trial: Trial, member: str) -> None:
    """Open round 0, as an aggregator does."""
    specification = trial.specification
    await (await trial.party(member)).metadata_publish(
        PublishGlobal(
            run=trial.run,
            round=0,
            attempt=0,
            artifact=specification.initial,
            inputs=(),
            strategy=specification.strategy,
        )
    )


async def close_by(trial: Trial, member: str) -> None:
    """Close the round, as an aggregator does."""
    attempt = (await trial.status()).attempt
    assert attempt is not None
    await (await trial.party(member)).metadata_publish(
        CloseRound(
            run=trial.run,
            round=attempt.opening.round,
            attempt=attempt.opening.attempt,
            updates=attempt.updates_digest,
        )
    )


def one_bit_off(values: Weights) -> Weights:
    """The same values, but for the last bit of one."""
    bits = values.copy().view(np.uint32)
    bits[len(bits) // 2] ^= 1
    return bits.view(np.float32)


async def words_on(trial: Trial, round_number: int, attempt: int) -> dict[str, Literal["ok", "mismatch"]]:
    """What each verifier has said on a global, whether it stands or not."""
    prefix = f"run/{trial.run}/attestation/{round_number:07}/{attempt:04}/"
    records = await (await trial.party("HospitalA/operator")).gateway.records(prefix)
    found = [Attestation.decode(record.record.encode()) for record in records.records]
    return {attestation.verifier: attestation.verdict for attestation in found}


async def test_every_global_is_recomputed_and_attested_before_the_next_round_opens(
    consortium: Consortium, verifier: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, rounds=3, verifiers=[VERIFIER], attestations_required=1) as trial:
        with consortium.service("aggregator", HONEST):
            for round_number in range(3):
                status = await trial.until_open(round_number)
                assert status.attempt is not None
                if round_number:
                    (attestation,) = status.attestations
                    assert attestation.verdict == "ok"
                    assert status.attempt.opening.opened_at >= attestation.attested_at
                await trial.train_all()
            last = await attested(trial, 3)
            assert last.verdict == "ok"
            assert last.sha256 in last.detail
            assert (await trial.until(lambda status: status.state == "finished")).latest is not None


async def test_the_accesses_to_all_inputs_of_a_global_are_recorded_by_one_transaction(
    consortium: Consortium, verifier: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, rounds=1, verifiers=[VERIFIER]) as trial:
        with consortium.service("aggregator", HONEST):
            auditor = await trial.party("HospitalA/operator")
            recorded: list[str] = []
            async with aclosing(watch(auditor, trial.run)) as events:
                async for event in events:
                    if event is None:
                        await trial.until_open(0)
                        await trial.train_all()
                        continue
                    if event.event.member == VERIFIER:
                        recorded.append(event.event.type)
                    if event.event.type == "attest_global":
                        break
        assert recorded == ["record_access", "attest_global"]


async def test_a_lie_is_annulled_and_an_honest_aggregator_goes_on(
    consortium: Consortium, verifier: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, rounds=2, aggregators=BOTH, verifiers=[VERIFIER]) as trial:
        await open_by(trial, LIAR)
        await trial.train_all()
        await close_by(trial, LIAR)
        lie = await publish(trial, LIAR, one_bit_off(trial.average(SILOS)))
        status = await trial.until_open(0, attempt=2)
        assert status.generation == 1
        assert status.attempt is not None
        assert status.attempt.opening.reason == "annulled"
        assert [carried.member for carried in status.attempt.opening.carried] == list(SILOS)
        assert await words_on(trial, 1, 1) == {VERIFIER: "mismatch"}
        with consortium.service("aggregator", HONEST):
            attestation = await attested(trial, 1)
            assert attestation.verdict == "ok"
            assert attestation.sha256 != lie.artifact.sha256
            truth = (await trial.status()).latest
            assert truth is not None
            np.testing.assert_array_equal(await trial.fetch(truth), trial.average(SILOS))
            await trial.until_open(1, attempt=2)  # the first one was on the lie
            await trial.train_all()
            assert (await attested(trial, 2)).verdict == "ok"


async def test_a_global_of_an_update_that_is_not_finite_is_a_mismatch(
    consortium: Consortium, verifier: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, aggregators=BOTH, verifiers=[VERIFIER]) as trial:
        await open_by(trial, LIAR)
        await trial.train_all(SILOS[:2])
        await trial.train(SILOS[2], values=np.full(trial.elements, np.inf, np.float32))
        await close_by(trial, LIAR)
        await publish(trial, LIAR, trial.average(SILOS[:2]))
        await trial.until_open(0, attempt=2)
        assert await words_on(trial, 1, 1) == {VERIFIER: "mismatch"}
    assert any("not finite" in str(event["detail"]) for event in verifier.events("global recomputed"))


async def test_it_says_nothing_until_the_inputs_can_be_had(
    consortium: Consortium, verifier: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, aggregators=BOTH, verifiers=[VERIFIER]) as trial:
        await open_by(trial, LIAR)
        await trial.train_all(SILOS[1:])
        path = consortium.object_path((await trial.train(SILOS[0])).artifact.key)
        kept = path.rename(tmp_path / "kept")
        await close_by(trial, LIAR)
        model = await publish(trial, LIAR, trial.average(SILOS))
        await until_true(lambda: _put_off(verifier, trial), "the verifier to put it off")
        assert await words_on(trial, 1, model.attempt) == {}
        kept.rename(path)
        assert (await attested(trial, 1)).verdict == "ok"


async def test_it_does_not_wait_for_the_inputs_of_an_annulled_global(
    consortium: Consortium, verifier: Service, tmp_path: Path
) -> None:
    other = "HospitalB/verifier"
    async with started(consortium, tmp_path, aggregators=BOTH, verifiers=[other, VERIFIER]) as trial:
        await open_by(trial, LIAR)
        await trial.train_all(SILOS[1:])
        path = consortium.object_path((await trial.train(SILOS[0])).artifact.key)
        kept = path.rename(tmp_path / "kept")
        await close_by(trial, LIAR)
        lie = await publish(trial, LIAR, trial.random())
        await until_true(lambda: _put_off(verifier, trial), "the verifier to put it off")
        await (await trial.party(other)).metadata_publish(
            AttestGlobal(
                run=trial.run, round=1, attempt=1, sha256=lie.artifact.sha256, verdict="mismatch", detail="by hand"
            )
        )
        await trial.until_open(0, attempt=2)
        kept.rename(path)
        with consortium.service("aggregator", HONEST):
            assert (await attested(trial, 1)).verdict == "ok"
        assert await words_on(trial, 1, 1) == {other: "mismatch"}


def _put_off(verifier: Service, trial: Trial) -> bool:
    return any(event["run"] == trial.run for event in verifier.events("not attested yet: artifacts cannot be had"))


async def test_one_that_starts_late_attests_all_globals_that_stand_the_oldest_first(
    consortium: Consortium, tmp_path: Path
) -> None:
    late = "HospitalB/verifier-late"
    async with started(consortium, tmp_path, rounds=3, verifiers=[late]) as trial:
        with consortium.service("aggregator", HONEST):
            for round_number in range(3):
                await trial.until_open(round_number)
                await trial.train_all()
            await trial.until_global(3)
        with consortium.service("verifier", late) as service:
            await trial.until(lambda status: bool(status.attestations))
            operator = await trial.party("HospitalA/operator")
            summaries = [await operator.gateway.round(trial.run, number) for number in range(3)]
            words = [attestation for summary in summaries for attestation in summary.attestations]
            assert [(word.round, word.verdict) for word in words] == [(1, "ok"), (2, "ok"), (3, "ok")]
            assert [word.attested_at for word in words] == sorted(word.attested_at for word in words)
            assert service.end() == 0
        with consortium.service("verifier", late) as again:
            await until_true(lambda: bool(again.events("connected")), "the start")
            assert again.end() == 0
            assert not again.events("global recomputed"), "all is attested"


async def test_it_can_demand_that_the_global_itself_is_served_right(consortium: Consortium, tmp_path: Path) -> None:
    strict = "HospitalC/verifier-strict"
    limits = {"fetch_globals": "true", "retry_first_seconds": 0.1, "retry_longest_seconds": 0.2}
    async with started(consortium, tmp_path, aggregators=BOTH, verifiers=[strict]) as trial:
        with consortium.service("verifier", strict, **limits) as service:
            await open_by(trial, LIAR)
            await trial.train_all()
            await close_by(trial, LIAR)
            artifact = await trial.put(LIAR, trial.average(SILOS))
            path = consortium.object_path(artifact.key)
            right = path.read_bytes()
            path.chmod(0o600)
            path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
            await publish(trial, LIAR, trial.average(SILOS), artifact=artifact)
            await until_true(lambda: bool(service.events("the global itself cannot be had")), "the warning")
            assert await words_on(trial, 1, 1) == {}
            path.write_bytes(right)
            status = await trial.until(lambda status: bool(status.attestations))
            assert [said.verdict for said in status.attestations] == ["ok"]
