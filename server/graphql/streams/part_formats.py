"""The two known formats of an answer in parts.

Source: specs.apollo.dev/incremental, v0.1 and v0.2.
"""

from __future__ import annotations

from typing import Any

from server.graphql.negotiation.accept import PartFormat

Part = dict[str, Any]
Path = list[str | int]


class PartWriter:
    """Writes one answer's parts in the format that its client takes."""

    def __init__(self, format_: PartFormat) -> None:
        self._by_path = _PathParts() if format_ is PartFormat.PATHS else None

    def write(self, part: Part) -> Part | None:
        """Return the part in the format; None if it has nothing to say there."""
        return part if self._by_path is None else self._by_path.convert(part)


class _PathParts:
    """Conversion to v0.1, where each part says where it belongs."""

    def __init__(self) -> None:
        self._pending: dict[str, Part] = {}
        self._lengths: dict[str, int] = {}  # of streamed lists, as far as they were sent

    def convert(self, part: Part) -> Part | None:
        """Convert one part."""
        for pending in part.get("pending", ()):
            self._pending[pending["id"]] = pending
        self._measure_lists(part)
        patches = [self._patch(one) for one in part.get("incremental", ())]
        patches += [self._failure(one) for one in part.get("completed", ()) if "errors" in one]
        converted: Part = {name: part[name] for name in ("errors", "data") if name in part}
        if patches:
            converted["incremental"] = patches
        if not converted and part["hasNext"]:
            return None
        return {**converted, "hasNext": part["hasNext"]}

    def _measure_lists(self, part: Part) -> None:
        """Find out how much of the lists that begin to be streamed was sent with this part."""
        for pending in part.get("pending", ()):
            sent = _find(part.get("data"), pending["path"])
            for one in part.get("incremental", ()):
                base = self._path_of(one)
                if sent is None and pending["path"][: len(base)] == base:
                    sent = _find(one.get("data"), pending["path"][len(base) :])
            if isinstance(sent, list):
                self._lengths[pending["id"]] = len(sent)

    def _patch(self, result: Part) -> Part:
        path = self._path_of(result)
        patch: Part = {name: result[name] for name in ("errors", "data") if name in result}
        if "items" in result:
            patch["items"] = result["items"]
            begin = self._lengths.get(result["id"], 0)
            path = [*path, begin]
            self._lengths[result["id"]] = begin + len(result["items"])
        return self._labelled(result["id"], {**patch, "path": path})

    def _failure(self, completed: Part) -> Part:
        id_ = completed["id"]
        path = self._pending[id_]["path"]
        if id_ in self._lengths:
            failure = {"items": None, "path": [*path, self._lengths[id_]]}
        else:
            failure = {"data": None, "path": path}
        return self._labelled(id_, {**failure, "errors": completed["errors"]})

    def _path_of(self, result: Part) -> Path:
        path: Path = [*self._pending[result["id"]]["path"], *result.get("subPath", ())]
        return path

    def _labelled(self, id_: str, patch: Part) -> Part:
        label = self._pending[id_].get("label")
        return patch if label is None else {**patch, "label": label}


def _find(data: Any, path: Path) -> Any:
    """Return what is at a path; None where there is nothing."""
    for key in path:
        if isinstance(key, int):
            data = data[key] if isinstance(data, list) and key < len(data) else None
        else:
            data = data.get(key) if isinstance(data, dict) else None
    return data
