"""Settings of the store service: from the environment (`CONSILO_STORE_...`) or the command line. Reads no files."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Positive = Annotated[float, Field(gt=0)]


class StoreSettings(BaseSettings):
    """Keeps an organisation's objects in a directory and serves them by signed URLs."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILO_STORE_",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m services.store",
        cli_implicit_flags=True,
    )

    directory: Path = Field(description="directory of the objects; made if missing; one service at a time may use it")
    secret_file: Path = Field(
        description="file with one or two signing secrets, one on a line, each at least 32 bytes: the first signs, "
        "both are accepted"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8090, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    port_file: Path | None = Field(default=None, description="file to write the port to when listening")
    max_object_bytes: int = Field(default=64 * 2**30, ge=0, description="largest object taken")
    minimum_free_bytes: int = Field(default=256 * 2**20, ge=0, description="room that uploads leave on the disk")
    fsync: bool = Field(default=True, description="answer an upload only when it would survive a power cut")
    max_connections: int = Field(
        default=64, ge=1, le=10_000, description="connections served at once; a few more can ask for the health pages"
    )
    header_timeout_seconds: Positive = Field(
        default=10, description="for a request's head, from its first byte; on a new connection also for that byte"
    )
    idle_timeout_seconds: Positive = Field(default=60, description="between two requests of a connection")
    stall_timeout_seconds: Positive = Field(default=30, description="without a single byte sent or received")
    minimum_bytes_per_second: int = Field(
        default=64 * 1024, ge=1, description="a transfer slower than this is cut off, after one stall timeout of grace"
    )
    shutdown_grace_seconds: float = Field(
        default=30, ge=0, description="for transfers in flight when the service is told to end"
    )
