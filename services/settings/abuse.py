"""Settings of the abuse watch: thresholds and levels of address prefixes."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class AbuseSettings(BaseSettings):
    """A part of `Settings`."""

    abuse_mode: str = Field(
        "enforce",
        pattern="^(enforce|log|off)$",
        description="enforce; log: count and log who would be slowed down or blocked; or off",
    )
    abuse_exempt: str = Field(
        "", description="Addresses and networks that are never watched, separated by commas"
    )
    abuse_requests_per_second: int = Field(
        50, ge=1, description="Requests a second from one prefix (/24, /64) that are not suspicious"
    )
    abuse_operation_shapes: int = Field(
        20, ge=1, description="Documents nobody sent before, from one prefix in a minute, likewise"
    )
    abuse_half_life_seconds: float = Field(
        60, gt=0, description="How long until a prefix's score of suspicion has halved"
    )
    abuse_slow_score: int = Field(100, ge=1, description="Score from which answers are delayed")
    abuse_documents_score: int = Field(
        200, ge=1, description="Score from which only documents known by their id are run"
    )
    abuse_block_score: int = Field(400, ge=1, description="Score from which a prefix is blocked")
    abuse_block_seconds: float = Field(
        60, gt=0, description="How long a first block lasts; each further one twice as long"
    )
    abuse_block_most_seconds: float = Field(
        86_400, gt=0, description="How long a block lasts at most"
    )
