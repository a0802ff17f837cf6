"""Questions about what `everything_once` left on a ledger, of every kind that there is. Pure."""

from __future__ import annotations

from consilo.protocol.access import reference_of
from consilo.protocol.model import Record
from consilo.protocol.queries import (
    Certificates,
    NoArguments,
    OfOrganisation,
    OfRound,
    OfRun,
    Page,
    Reading,
)
from consilo.protocol.records import GlobalModel, Update
from consilo.protocol.retention import ArtifactsOfRun
from tests.simulators import Consortium


def questions(c: Consortium) -> dict[str, list[Record]]:
    """Arguments by query, for some of which there is nothing."""
    run = c.make.run
    msps = (*c.layout.organisations, "HospitalX", "HospitalZ")
    members = [*c.layout.silos, *c.layout.aggregators, *c.layout.readers, "HospitalX/silo"]
    serials = tuple(c.make.identity(silo).certificate.serial for silo in c.layout.silos)
    references = [*map(reference_of, c.all(GlobalModel)), *map(reference_of, c.all(Update))]
    unknown = [reference.model_copy(update={"sha256": "0" * 64}) for reference in references[:1]]
    prefixes = (f"run/{run}/", f"run/{run}/global/", "organisation/", "runs/", "nothing/")
    middle = f"run/{run}/global/0000000/0000"
    return {
        "organisation": [OfOrganisation(msp=msp) for msp in msps],
        "organisations": [NoArguments()],
        "standing": [Certificates(msp=msp, serials=serials) for msp in msps],
        "run_names": [NoArguments()],
        "run_status": [OfRun(run=run), OfRun(run="never-proposed")],
        "round": [
            *(OfRound(run=run, round=number) for number in (0, 1, 2, 9_999_999)),
            OfRound(run="never-proposed", round=0),
        ],
        "permission": [
            Reading(run=run, reader=reader, artifact=reference)
            for reader in members
            for reference in (*references, *unknown)
        ],
        "records": [
            *(Page(prefix=prefix, after="", limit=limit) for prefix in prefixes for limit in (1, 7, 1000)),
            *(Page(prefix=prefixes[0], after=after, limit=7) for after in (middle, "a", "zzz", prefixes[0])),
        ],
        "artifacts": [
            *(
                ArtifactsOfRun(run=run, organisations=organisations, after=after, limit=limit)
                for organisations in (msps[:1], msps)
                for after in ("", middle)
                for limit in (1, 1000)
            ),
            ArtifactsOfRun(run="never-proposed", organisations=msps, after="", limit=1),
        ],
    }
