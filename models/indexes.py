"""Indexes as declared on the documents against those MongoDB has, and bringing them into step.

A command of its own, never a step of starting up. An index is known by what it is, not by its
name, so a changed one is built under a free name before the old one goes. Only where MongoDB has
no room for both (text: one a collection) the old one goes first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import pymongo
from beanie import Document
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from models.database import DOCUMENTS
from models.mongo.reading import database_errors
from services.errors import StartupError

_BUILD_SECONDS = 3600.0
_NO_ROOM_BESIDE = {67, 85, 86}  # CannotCreateIndex, IndexOptionsConflict, IndexKeySpecsConflict
_DUPLICATE_KEY = 11000
_NUMBERED = re.compile(r"_\d+$")
_OF_TEXT = ("_fts", "_ftsx")  # how MongoDB lists the key of a text index
IndexDefinition = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """How one collection stands, by names. `changed` have another shape there than declared,
    `extra` are declared nowhere."""

    collection: str
    in_place: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    @property
    def is_in_step(self) -> bool:
        return not (self.missing or self.changed or self.extra)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """`wanted` have to be built, `outdated` are what they replace; both by declared name."""

    plan: IndexPlan
    wanted: dict[str, IndexModel]
    outdated: dict[str, list[str]]  # to the real names
    real_names: set[str]


async def plan_indexes() -> list[IndexPlan]:
    """One plan per collection.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    return [(await _compare(document)).plan for document in DOCUMENTS]


async def apply_indexes(*, drop_extra: bool = False) -> list[IndexPlan]:
    """Builds what is missing or changed, then drops what it replaces; returns what was to do.

    Indexes declared nowhere stay, unless `drop_extra`. May be broken off and begun again.

    Raises:
        StartupError: stored documents break a unique index.
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    plans = []
    for document in DOCUMENTS:
        compared = await _compare(document)
        plans.append(compared.plan)
        with database_errors(), pymongo.timeout(_BUILD_SECONDS):
            await _build(document, compared)
            await _drop(document, chain.from_iterable(compared.outdated.values()))
            await _drop(document, compared.plan.extra if drop_extra else ())
    return plans


async def _compare(document: type[Document]) -> _Comparison:
    settings, collection = document.get_settings(), document.get_pymongo_collection()
    declared = {one.index.document["name"]: one.index for one in settings.indexes or ()}
    with database_errors():
        listed = await (await collection.list_indexes()).to_list()
    real = {index["name"]: _normalize(index) for index in listed if index["name"] != "_id_"}
    shapes = {name: _normalize(index.document) for name, index in declared.items()}
    wanted = {name: declared[name] for name in declared if shapes[name] not in real.values()}
    extra, outdated = _classify(real, shapes)
    plan = IndexPlan(
        collection=collection.name,
        in_place=[name for name in declared if name not in wanted and name not in outdated],
        missing=[name for name in wanted if name not in outdated],
        changed=list(outdated),
        extra=extra,
    )
    return _Comparison(plan, wanted, outdated, set(real))


def _classify(
    real: Mapping[str, IndexDefinition], declared: Mapping[str, IndexDefinition]
) -> tuple[list[str], dict[str, list[str]]]:
    """Real indexes of no declared shape: those of no declared name, and the others by it."""
    extra: list[str] = []
    outdated: dict[str, list[str]] = {}
    for name, shape in real.items():
        base = _find_base_name(name, declared)
        if shape in declared.values():
            continue
        if base is None:
            extra.append(name)
        else:
            outdated.setdefault(base, []).append(name)
    return extra, outdated


def _normalize(index: Mapping[str, Any]) -> IndexDefinition:
    """What makes two indexes the same, declared or as MongoDB lists it."""
    weights = dict(index.get("weights", {}))
    keys = []
    for name, kind in index["key"].items():
        if kind == "text" and name not in _OF_TEXT:
            weights.setdefault(name, 1)
        elif name not in _OF_TEXT:
            keys.append((name, kind if isinstance(kind, str) else int(kind)))
    return (
        tuple(keys),
        tuple(sorted((name, int(weight)) for name, weight in weights.items())),
        index.get("default_language", "english") if weights else None,
        bool(index.get("unique")),
        bool(index.get("sparse")),
        index.get("expireAfterSeconds"),
        json.dumps(index.get("partialFilterExpression"), sort_keys=True, default=str),
    )


def _find_base_name(name: str, declared: Mapping[str, IndexDefinition]) -> str | None:
    """The declared name that a real one stands for: itself, or itself with a number."""
    found = name if name in declared else _NUMBERED.sub("", name)
    return found if found in declared else None


async def _build(document: type[Document], compared: _Comparison) -> None:
    fresh = [one for name, one in compared.wanted.items() if name not in compared.outdated]
    if fresh:
        await _create(document, fresh)
    for name, index in compared.wanted.items():
        if name not in compared.outdated:
            continue
        numbered = chain([name], (f"{name}_{number}" for number in count(2)))
        index.document["name"] = next(one for one in numbered if one not in compared.real_names)
        try:
            await _create(document, [index])
        except OperationFailure as error:
            if error.code not in _NO_ROOM_BESIDE:
                raise
            await _drop(document, compared.outdated.pop(name))
            await _create(document, [index])
        finally:
            index.document["name"] = name


async def _create(document: type[Document], indexes: list[IndexModel]) -> None:
    try:
        await document.get_pymongo_collection().create_indexes(indexes)
    except OperationFailure as error:
        if error.code != _DUPLICATE_KEY:
            raise
        what = f"{document.get_settings().name}: {str(error.details or error)[:200]}"
        raise StartupError(f"A unique index cannot be built, documents break it. {what}") from error


async def _drop(document: type[Document], names: Iterable[str]) -> None:
    for name in list(names):
        await document.get_pymongo_collection().drop_index(name)
