"""Everything the attacks send, registered as it is written down, and what no answer may show.

An attack names the row of the threats it belongs to; test_rows.py counts them and asks that every
row is tried, here or in a test it names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

JSON = {"content-type": "application/json"}
GOOD = {"query": "{ __typename }"}
LEAK_WORDS = "Traceback (most recent call last): NoneType has no attribute"
MASKED = "Something went wrong on our side."

# What exceptions, tracebacks and our own files look like.
_LEAKS = re.compile(
    r"Traceback|\bFile \"|\.py\b|line \d+, in |site-packages|/work/|/home/|/usr/lib|<class '"
    r"|object at 0x|\bNoneType\b|ObjectId|\b(?:Key|Type|Value|Attribute|Runtime|Recursion|Overflow"
    r"|Unicode\w*|JSONDecode|Assertion|Index|OS|Connection)Error\b|\bException\b"
    r"|pymongo|\bbeanie\b|strawberry|starlette|uvicorn|redis\.|mongodb://|redis://|E11000"
    r"|WRONGTYPE|NOSCRIPT|\$expr|isoformat|does not match format|unterminated|maximum recursion"
    r"|unhashable|out of range|takes \d+ positional|unexpected keyword"
)


@dataclass(frozen=True, slots=True)
class Attack:
    """One request, and the answer it must get: `code` is that of every error, None for no error."""

    row: str
    name: str
    content: bytes
    method: str = "POST"
    path: str = "/graphql"
    headers: Mapping[str, str] = field(default_factory=lambda: dict(JSON))
    status: int = 200
    code: str | None = "VALIDATION_FAILED"

    @property
    def text(self) -> str:
        """All of it that a server could echo."""
        return f"{self.method} {self.path} {dict(self.headers)} {self.content!r}"


_TRIED: dict[str, set[str]] = {}  # row -> digests of what was sent


def record_attempt(row: str, *sent: object) -> None:
    """Registers one payload; the same bytes count once."""
    digest = hashlib.sha256(repr(sent).encode()).hexdigest()
    _TRIED.setdefault(row, set()).add(digest)


def attempts_by_row() -> dict[str, int]:
    return {row: len(attempts) for row, attempts in _TRIED.items()}


def count_distinct() -> int:
    return len(set().union(*_TRIED.values()))


def request(row: str, name: str, content: bytes = b"", **options: Any) -> Attack:
    attack = Attack(row, name, content, **options)
    record_attempt(row, attack.method, attack.path, sorted(attack.headers.items()), attack.content)
    return attack


def document(
    row: str, name: str, query: str, variables: Mapping[str, Any] | None = None, **options: Any
) -> Attack:
    """A well-formed request for this operation."""
    body = {"query": query, "variables": dict(variables or {})}
    return request(row, name, json.dumps(body).encode(), **options)


def get_request(row: str, name: str, **options: Any) -> Attack:
    """The same by GET; what is not of Attack goes into the address."""
    mine: dict[str, Any] = {
        key: options.pop(key) for key in ("headers", "status", "code") if key in options
    }
    mine.setdefault("headers", {})
    path = f"/graphql?{urlencode(options)}"
    return request(row, name, method="GET", path=path, **mine)


def each(attacks: Iterable[Attack]) -> pytest.MarkDecorator:
    """The parameter `attack` of a test, once for each."""
    return pytest.mark.parametrize("attack", list(attacks), ids=lambda one: one.name)


def assert_nothing_leaks(text: str, sent: str = "") -> None:
    """No text of an exception, path or class of ours; what the client wrote may come back."""
    for match in _LEAKS.finditer(text):
        assert match[0] in sent, f"{match[0]!r} in {text[:500]}"


def codes_of(response: httpx.Response) -> set[str]:
    return {error["extensions"]["code"] for error in response.json().get("errors", [])}


async def send(client: httpx.AsyncClient, attack: Attack, **headers: str) -> httpx.Response:
    return await client.request(
        attack.method, attack.path, content=attack.content, headers={**attack.headers, **headers}
    )


async def assert_repelled(
    client: httpx.AsyncClient, attack: Attack, **headers: str
) -> httpx.Response:
    """Sends it, and sees the answer it must get; then the next good request gets its own."""
    response = await send(client, attack, **headers)
    assert response.status_code == attack.status, response.text[:500]
    shown = response.text + repr(response.headers.raw)
    assert_nothing_leaks(shown, attack.text)
    assert MASKED not in response.text
    if response.content and "json" in response.headers.get("content-type", ""):
        assert codes_of(response) == ({attack.code} if attack.code else set()), response.text[:500]
        assert len(response.json().get("errors", [])) <= 6  # five, and that it gave up
    elif attack.method != "HEAD" and attack.status not in (204, 304):
        assert attack.code is None, response.text[:500]
    await answers(client)
    return response


async def answers(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json=GOOD)
    assert (response.status_code, response.json()) == (200, {"data": {"__typename": "Query"}})
