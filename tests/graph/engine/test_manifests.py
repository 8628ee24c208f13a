"""Documents that the operator publishes: read from files, known for good."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from graph.engine.documents import Documents
from graph.engine.persisted.manifests import read_published
from services.errors import StartupError
from tests.support.execution.execution_cases_schema import CONFIG, SCHEMA

TEXTS = ["{ item { id } }", "query Named { item { name } }"]
IDS = [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]
PAIRS = list(zip(IDS, TEXTS, strict=True))
LAYOUTS: dict[str, Any] = {
    "ids and texts": dict(PAIRS),
    "ids with a prefix": {f"sha256:{id_}": text for id_, text in PAIRS},
    "Apollo's": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [
            {"id": id_, "body": text, "name": "N", "type": "query"} for id_, text in PAIRS
        ],
    },
}


def write(folder: Path, content: Any, name: str = "manifest.json") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_manifests_are_read_as_build_tools_write_them(tmp_path: Path, layout: str) -> None:
    assert read_published(write(tmp_path, LAYOUTS[layout])) == dict(PAIRS)


def test_several_files_are_one_list(tmp_path: Path) -> None:
    names = [write(tmp_path, {id_: text}, f"{id_[:4]}.json") for id_, text in PAIRS]
    assert read_published(", ".join(names)) == dict(PAIRS)
    assert read_published("") == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "nonsense",
        {"operations": [{}]},
        {"a": 7},
        {"a" * 64: "{ item { id } }"},
        {"x": ""},
        {"x": "{ a }" + " " * 15_000},
        {"a b": "{ item { id } }"},
        {"x" * 129: "{ item { id } }"},
        {"md5:abc": "{ item { id } }"},
        {"operations": [{"id": "x", "body": "{ a }"}, {"id": "x", "body": "{ b }"}]},
    ],
)
def test_a_file_that_is_no_manifest_stops_the_start(tmp_path: Path, content: Any) -> None:
    with pytest.raises(StartupError, match="PUBLISHED_DOCUMENTS"):
        read_published(write(tmp_path, content))


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        read_published(str(tmp_path / "missing.json"))


def test_published_documents_stay_read_whatever_strangers_send() -> None:
    # given a registry with room for two, and a published document under a name
    documents = Documents(
        SCHEMA, CONFIG, introspection=False, capacity=2, published={"named": TEXTS[0]}
    )
    documents.get(TEXTS[0])
    # when clients register many
    for n in range(10):
        text = f"{{ item {{ a{n}: id }} }}"
        documents.get(text)
        documents.ids.remember(hashlib.sha256(text.encode()).hexdigest(), text)
        assert not documents.ids.has_text(text)
    # then the published one is found by its id alone, and is not read again
    parsed = documents.counters.parsed
    assert documents.ids.has_text(TEXTS[0])
    assert not documents.find(None, "named").errors
    assert documents.counters.parsed == parsed
