"""Files of documents by id, as clients' build tools write them.

Apollo's persisted query manifest; one object of ids and texts, as relay-compiler and the client
preset of GraphQL Code Generator write it; and folders of `.graphql` files (folders.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from graph.engine.persisted.folders import read_folder
from services.documents.ids import is_sha256, normalize_id
from services.documents.trusted import MAX_CHARACTERS
from services.errors import StartupError

MAX_PUBLISHED = 10_000  # documents of one start or push
MAX_FILE_BYTES = 64 * 1024 * 1024


class UnreadableManifest(ValueError):
    """A file is no manifest, or one of its ids or texts is none; the message says which."""


def read_published(paths: str) -> dict[str, str]:
    """Read the texts by id from the files of PUBLISHED_DOCUMENTS, separated by commas.

    Raises:
        StartupError: a file cannot be read, or an id is not its text's.
    """
    names = [part.strip() for part in paths.split(",")]
    try:
        return read_manifests([Path(name) for name in names if name])
    except UnreadableManifest as error:
        raise StartupError(f"PUBLISHED_DOCUMENTS: {error}") from None


def read_manifests(paths: list[Path]) -> dict[str, str]:
    """Read the texts by id from manifests and folders.

    Raises:
        UnreadableManifest: one cannot be read, or an id is no id, not its text's, or two texts'.
    """
    texts: dict[str, str] = {}
    for path in paths:
        for name, text in _read(path):
            document_id = _check(path, name, text)
            if texts.setdefault(document_id, text) != text:
                raise UnreadableManifest(f"{path}: two documents have the id {name[:80]}.")
    if len(texts) > MAX_PUBLISHED:
        raise UnreadableManifest(f"There are more than {MAX_PUBLISHED} documents.")
    return texts


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        if path.is_dir():
            return [(f"sha256:{_hash(text)}", text) for text in read_folder(path)]
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnreadableManifest(f"{path}: it has more than {MAX_FILE_BYTES} bytes.")
        return list(_entries(orjson.loads(path.read_bytes())))
    except OSError as error:
        raise UnreadableManifest(f"{path}: {error.strerror}.") from None
    except UnreadableManifest:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f": {error}" if path.is_dir() else ""
        raise UnreadableManifest(f"{path}: it is no manifest{why}.") from None


def _check(path: Path, name: Any, text: Any) -> str:
    document_id = normalize_id(name) if isinstance(name, str) else None
    if document_id is None:
        raise UnreadableManifest(f"{path}: {str(name)[:80]!r} is no id of a document.")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_CHARACTERS:
        raise UnreadableManifest(
            f"{path}: {name[:80]} is no text of 1 to {MAX_CHARACTERS} characters."
        )
    if is_sha256(document_id) and _hash(text) != document_id:
        raise UnreadableManifest(f"{path}: {name[:80]} is not the SHA-256 of its document.")
    return document_id


def _entries(manifest: Any) -> Iterator[tuple[Any, Any]]:
    operations = manifest.get("operations")
    if isinstance(operations, list):
        for operation in operations:
            yield operation["id"], operation["body"]
    else:
        yield from manifest.items()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
