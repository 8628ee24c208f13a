"""Settings of HTTP connections: sizes, times and numbers, per process."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class ConnectionSettings(BaseSettings):
    """A part of `Settings`."""

    max_head_bytes: int = Field(
        32 * 1024,
        ge=4096,
        le=1024 * 1024,
        description="Largest head of a request: its target and all headers",
    )
    head_seconds: float = Field(
        10, gt=0, le=300, description="How long a request's head may take to arrive"
    )
    body_seconds: float = Field(
        30, gt=0, le=3600, description="How long a request's body may take to arrive"
    )
    connections_per_address: int = Field(
        500,
        ge=1,
        le=100_000,
        description="HTTP connections one address (IPv6: its /64) may have open, per process; "
        "TRUSTED_PROXIES have no limit",
    )
