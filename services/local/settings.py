"""What the demonstration can be told: flags of `python -m services.local`, variables of `make demo`. Reads no files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.local.foundations import LedgerKind
from services.local.stores import StoreKind

TASKS = {
    "digits": "consilo.tasks.digits:Digits",
    "digits_linear": "consilo.tasks.digits_linear:DigitsLinear",
    "breast_cancer": "consilo.tasks.breast_cancer:BreastCancer",
}

_HOSPITALS: Final[dict[LedgerKind, int]] = {"embedded": 4, "fabric": 3}


class DemoSettings(BaseSettings):
    """Trains one model over several hospitals on this machine, and checks every step of it afterwards."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="python -m services.local",
        env_prefix="CONSILO_DEMO_",
    )

    ledger: LedgerKind = Field(
        "embedded",
        description="one file behind one gateway; or a Fabric network in which each hospital has a peer, a gateway and "
        "a store of its own (needs Fabric's binaries)",
    )
    silos: Annotated[int, Field(ge=1, le=16)] | None = Field(
        None, description="hospitals, each with one silo; default: 4, on Fabric 3"
    )
    rounds: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="rounds of federated training")
    task: Literal["digits", "digits_linear", "breast_cancer"] = Field("digits", description="what is trained")
    alpha: Annotated[float, Field(gt=0, le=1e6)] = Field(
        0.5, description="how evenly classes are spread over the silos (Dirichlet): small is uneven"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(7, description="of the split and of the initial model")
    store: StoreKind = Field(
        "local", description="object stores: the store service, or versitygw (an S3 server, which must be on PATH)"
    )
    keep: bool = Field(False, description="leave the services up at the end, until Ctrl-C")
    report: Path | None = Field(None, description="file to write all figures to, as JSON")
    directory: Path | None = Field(
        None, description="where to keep ledger, models, identities and logs; default: a temporary directory"
    )
    start_timeout_seconds: float = Field(60.0, gt=0, description="for one service to start")
    round_timeout_seconds: float = Field(120.0, gt=0, description="for one round, before the demonstration gives up")

    @property
    def hospitals(self) -> int:
        """How many take part."""
        return self.silos or _HOSPITALS[self.ledger]

    @property
    def task_class(self) -> str:
        """The task, as `module:Class`."""
        return TASKS[self.task]

    def data_of(self, silo: int | None) -> dict[str, object]:
        """What a silo's operator tells the task about the data; None: all silos' data pooled."""
        return {"silo": silo, "silos": self.hospitals, "alpha": repr(self.alpha), "seed": self.seed}
