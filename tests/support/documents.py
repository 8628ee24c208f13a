"""Requests for documents by their ids, in each form that clients send."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import httpx

import models
from resolvers.context import Context, Runtime
from resolvers.ops import document_releases

NOT_FOUND, REQUIRED = "PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_REQUIRED"


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def by_hash(text: str, *, with_text: bool = False, **more: Any) -> dict[str, Any]:
    """A request as Apollo's clients send it."""
    persisted = {"version": 1, "sha256Hash": sha256_of(text)}
    body = {"extensions": {"persistedQuery": persisted}, **more}
    return body | {"query": text} if with_text else body


async def push(
    runtime: Runtime, texts: Mapping[str, str], client: str = "web", version: str = "1.0"
) -> None:
    """Push documents as the command line does."""
    name = models.ReleaseName(client, version)
    await document_releases.push(Context(runtime), name, texts)


def code_of(response: httpx.Response) -> str:
    """The code of an answer's only error, which no cache may store."""
    body = response.json()
    assert "data" not in body, body
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers
    (error,) = body["errors"]
    code: str = error["extensions"]["code"]
    return code


def encode_parts(body: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a request as parameters of an address."""
    return {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()
    }
