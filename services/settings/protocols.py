"""Settings of the protocols that GraphQL is served by: statuses, methods and batches."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class ProtocolSettings(BaseSettings):
    """A part of `Settings`."""

    http_profile: str = Field(
        "audit",
        pattern="^(audit|draft)$",
        description="Statuses of answers in application/graphql-response+json: audit, which "
        "clients and the suite graphql-http know; or draft, the specification's of September 2026",
    )
    http_query_method: bool = Field(
        False,
        description="Take the method QUERY too: a POST that changes nothing, whose answer caches "
        "may keep. Proxies in front have to let it through",
    )
    http_batch_operations: int = Field(
        0, ge=0, le=10, description="Operations that one POST may send as a JSON array; 0: none"
    )
    incremental_delivery: bool = Field(
        False,
        description="Put @defer and @stream into the schema: clients that take multipart/mixed get "
        "answers in parts",
    )
    sse_single_connection: bool = Field(
        False,
        description="Let one event stream carry all operations of a client (graphql-sse's single "
        "connection mode); with several processes a balancer has to keep a client at one",
    )
    sse_keep_alive_seconds: float = Field(
        15,
        gt=0,
        le=300,
        description="How often an event stream without events is sent a comment, so that proxies "
        "keep it",
    )
