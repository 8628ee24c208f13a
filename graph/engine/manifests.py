"""Documents that the operator publishes: files of texts by their id, the SHA-256 of the text.

Two layouts are read: one object of ids and texts, as relay-compiler and GraphQL Code Generator
write it, and Apollo's persisted query manifest. Ids may begin with `sha256:`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from services.errors import StartupError

MAX_PUBLISHED = 10_000
_PREFIX = "sha256:"


def read_manifests(paths: str) -> dict[str, str]:
    """Read the texts by id from files, whose paths are separated by commas.

    Raises:
        StartupError: a file cannot be read, or an id is not its text's.
    """
    texts: dict[str, str] = {}
    for name in (part.strip() for part in paths.split(",")):
        if name:
            texts.update(_read(Path(name)))
    if len(texts) > MAX_PUBLISHED:
        raise StartupError(f"PUBLISHED_DOCUMENTS: at most {MAX_PUBLISHED} documents.")
    return texts


def _read(path: Path) -> Iterator[tuple[str, str]]:
    try:
        entries = list(_entries(orjson.loads(path.read_bytes())))
        digests = [hashlib.sha256(text.encode()).hexdigest() for _, text in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no manifest"
        raise StartupError(f"PUBLISHED_DOCUMENTS: {path}: {problem}.") from None
    for (id_, text), digest in zip(entries, digests, strict=True):
        if digest != id_:
            raise StartupError(
                f"PUBLISHED_DOCUMENTS: {path}: {id_[:80]} is not the SHA-256 of its document."
            )
        yield id_, text


def _entries(manifest: Any) -> Iterator[tuple[str, str]]:
    operations = manifest.get("operations")
    if isinstance(operations, list):
        for operation in operations:
            yield operation["id"].removeprefix(_PREFIX), operation["body"]
        return
    for id_, text in manifest.items():
        yield id_.removeprefix(_PREFIX), text
