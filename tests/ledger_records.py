"""Which record stands under which key: an account of the ledger's keys of its own, to hold the real one against."""

from __future__ import annotations

import re
from typing import Final

from consilo.protocol import records
from consilo.protocol.model import Record

_MSP: Final = r"[A-Za-z0-9.\-]+"
_NAME: Final = r"[a-z0-9\-]+"
_MEMBER: Final = rf"{_MSP}/{_NAME}"
_RUN: Final = rf"run/{_NAME}"
_ROUND: Final = r"\d{7}"
_ATTEMPT: Final = r"\d{4}"

_MODELS: Final[tuple[tuple[str, type[Record]], ...]] = (
    (rf"organisation/{_MSP}/\d{{4}}", records.Organisation),
    (rf"revocation/{_MSP}/[0-9a-f]+", records.Revocation),
    (r"transaction/[0-9a-f]{64}", records.Applied),
    (rf"runs/{_NAME}", records.Marker),
    (rf"{_RUN}/proposal", records.Proposal),
    (rf"{_RUN}/(?:approval|rejection|stop)/{_MSP}", records.Decision),
    (rf"{_RUN}/(?:activated|rejected|stopped|finished/\d{{4}})", records.Marker),
    (rf"{_RUN}/generation/\d{{4}}", records.Generation),
    (rf"{_RUN}/entry/\d{{4}}/{_ROUND}", records.RoundEntry),
    (rf"{_RUN}/round/{_ROUND}/attempt/{_ATTEMPT}/opening", records.Opening),
    (rf"{_RUN}/round/{_ROUND}/attempt/{_ATTEMPT}/selection", records.Selection),
    (rf"{_RUN}/round/{_ROUND}/attempt/{_ATTEMPT}/update/{_MEMBER}", records.Update),
    (rf"{_RUN}/global/{_ROUND}/{_ATTEMPT}", records.GlobalModel),
    (rf"{_RUN}/attestation/{_ROUND}/{_ATTEMPT}/{_MEMBER}", records.Attestation),
    (rf"{_RUN}/evaluation/{_ROUND}/{_ATTEMPT}/{_MEMBER}", records.Evaluation),
    (rf"{_RUN}/access/global/{_ROUND}/{_ATTEMPT}/{_MEMBER}", records.Access),
    (rf"{_RUN}/access/update/{_ROUND}/{_ATTEMPT}/{_MEMBER}/{_MEMBER}", records.Access),
)


def model_of(key: str) -> type[Record]:
    """The model of the record under a key.

    Raises:
        AssertionError: none or several of the forms of keys fit.
    """
    models = [model for pattern, model in _MODELS if re.fullmatch(pattern, key)]
    assert len(models) == 1, f"{key} fits {len(models)} forms of keys"
    return models[0]


def decode(key: str, data: bytes) -> Record:
    """The record under a key, which must be in its one canonical form."""
    record = model_of(key).decode(data)
    assert record.encode() == data, f"{key} is not canonical"
    return record
