"""The operations a web client sends, as files: variables and role stand in comments above."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

import models
from resolvers.context import Runtime
from tests.support.api_client import GraphQL, connect_app, token_for

_FOLDER = Path(__file__).parents[1] / "operations"
_HEADER = re.compile(r"^# (variables|role): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    query: str
    variables: dict[str, Any]
    role: models.Role | None

    @property
    def is_sized(self) -> bool:
        return bool({"first", "ids"} & self.variables.keys())

    def sized(self, size: int, **more: Any) -> dict[str, Any]:
        """Its variables, asking for so many items."""
        changed = dict(self.variables) | more
        if "first" in changed:
            changed["first"] = size
        if "ids" in changed:
            changed["ids"] = changed["ids"][:size]
        return changed


def operations() -> list[Operation]:
    return [_read(file) for file in sorted(_FOLDER.glob("*.graphql"))]


def _read(file: Path) -> Operation:
    text = file.read_text(encoding="utf-8")
    header = dict(_HEADER.findall(text))
    role = models.Role(header["role"]) if "role" in header else None
    return Operation(file.stem, text, json.loads(header["variables"]), role)


class Client:
    """Sends operations to an application as whoever they are for."""

    def __init__(self, runtime: Runtime, app: Starlette) -> None:
        self._runtime = runtime
        self._app = app

    async def __call__(self, operation: Operation, variables: dict[str, Any]) -> dict[str, Any]:
        """The data; errors fail the test."""
        role = operation.role
        token = token_for(self._runtime, role) if role is not None else None
        async with connect_app(self._app) as client:
            status, body = await GraphQL(client)(operation.query, variables, token)
        assert (status, body.keys()) == (200, {"data"}), (operation.name, body)
        data: dict[str, Any] = body["data"]
        return data
