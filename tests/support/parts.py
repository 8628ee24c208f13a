"""Clients of answers in parts: multipart/mixed, and both formats of what is in them."""

from __future__ import annotations

import json
from typing import Any

import httpx

PENDING = "multipart/mixed;incrementalSpec=v0.2, application/json"
PATHS = "multipart/mixed;deferSpec=20220824, application/json"
Part = dict[str, Any]


def read_parts(response: httpx.Response) -> list[Part]:
    """The parts of an answer, each as decoded JSON."""
    assert 'multipart/mixed; boundary="graphql"' in response.headers["content-type"]
    preamble, *pieces, end = response.text.split("\r\n--graphql")
    assert (preamble, end) == ("", "--\r\n")
    parts = []
    for piece in pieces:
        head, _, body = piece.partition("\r\n\r\n")
        assert head.strip() == "content-type: application/json; charset=utf-8"
        parts.append(json.loads(body))
    assert [one["hasNext"] for one in parts] == [True] * (len(parts) - 1) + [False]
    return parts


def merge_parts(parts: list[Part]) -> tuple[Any, list[Any]]:
    """The data that parts of either format come to, and all errors."""
    data, errors = parts[0]["data"], list(parts[0].get("errors", []))
    pending: dict[str, Part] = {}
    for part in parts:
        pending |= {one["id"]: one for one in part.get("pending", [])}
        for patch in part.get("incremental", []):
            errors += patch.get("errors", [])
            path = patch.get("path")
            if path is None:
                path = [*pending[patch["id"]]["path"], *patch.get("subPath", [])]
            elif patch.get("items"):
                assert len(_at(data, path[:-1])) == path.pop()  # its place is the list's end
            if patch.get("items"):
                _at(data, path).extend(patch["items"])
            elif patch.get("data"):
                _merge(_at(data, path), patch["data"])
        for completed in part.get("completed", []):
            errors += completed.get("errors", [])
    return data, errors


def _at(data: Any, path: list[Any]) -> Any:
    for key in path:
        data = data[key]
    return data


def _merge(target: Part, patch: Part) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
