"""Settings of a process's operation: how it is watched, drained and kept from being open."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

MAX_PROCESSES = 256


class ProcessSettings(BaseSettings):
    """A part of `Settings`."""

    processes: int | None = Field(
        None,
        ge=0,
        le=MAX_PROCESSES,
        description="Serving processes that `serve` starts and watches, or auto; 0 and auto: one "
        "for each core; empty: it serves by itself",
    )
    process_silence_seconds: float = Field(
        30.0,
        ge=5,
        le=600,
        description="How long the event loop of a serving process may stand still before the "
        "process is replaced",
    )
    operations_in_flight: int = Field(
        32,
        ge=1,
        le=10_000,
        description="Operations that run at once while the process is busy; more may only wait for "
        "stores. Providers' sources and subscriptions are not counted",
    )
    operations_queued: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Operations that may wait for their place; more are refused at once with 503",
    )
    operations_queue_seconds: float = Field(
        5.0,
        gt=0,
        le=60,
        description="How long an operation may wait; one that would wait longer is refused at once",
    )
    http_door: str = Field(
        "short",
        pattern="^(short|asgi)$",
        description="How requests to /graphql are answered: short, by the HTTP protocol itself; or "
        "asgi, by the application as all others are",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token that /metrics needs, on every port; empty: none"
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of its own for /metrics, which the public one then has not; of all "
        "PROCESSES together; empty: none",
    )
    worker_metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of a worker process for /metrics, /ready and /health; each process on a "
        "machine needs its own; empty: none",
    )
    drain_seconds: float | None = Field(
        None,
        ge=0,
        le=300,
        description="How long after SIGTERM /ready is 503 before the listener closes; default 5 in "
        "production, else 0",
    )
    allow_open_development: bool = Field(
        False,
        description="Let development, with its published secret and demo users, listen on a HOST "
        "that others reach",
    )

    @field_validator("processes", mode="before")
    @classmethod
    def _read_auto(cls, value: object) -> object:
        return 0 if isinstance(value, str) and value.strip().lower() == "auto" else value
