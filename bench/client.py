"""Single requests for checks and preparation; the load itself is load.py."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from bench.items import Request
from bench.processes import BenchError


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            answer = json.loads(self.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise BenchError(f"HTTP {self.status} without JSON: {self.body[:300]!r}")
        return answer


def send(port: int, request: Request) -> Response:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = request.body.encode() or None
        connection.request(request.method, request.path, body, request.headers)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, response.read())
    finally:
        connection.close()


def ask(port: int, text: str, variables: dict[str, Any], token: str | None = None) -> Any:
    """The `data` of one operation.

    Raises:
        BenchError: no JSON, or `errors` in the answer.
    """
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    body = json.dumps({"query": text, "variables": variables})
    answer = send(port, Request("POST", "/graphql", headers, body)).json()
    if answer.get("errors"):
        raise BenchError(f"{text.split('(')[0]}: {json.dumps(answer['errors'])[:500]}")
    return answer["data"]
