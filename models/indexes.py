"""Declared indexes compared with those MongoDB has, and changed to match.

A command of its own, never a step of starting up. An index is identified by its definition, not by
its name, so a changed one is built under a free name before the old one is dropped. Only where
MongoDB cannot have both (the same keys with other options) the old one is dropped first.
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

from models.catalog.derived_fills import fill_derived_values
from models.mongo.base import DOCUMENTS
from models.mongo.reading import database_errors
from services.errors import StartupError

_BUILD_SECONDS = 3600.0
_NO_ROOM_BESIDE = {67, 85, 86}  # CannotCreateIndex, IndexOptionsConflict, IndexKeySpecsConflict
_DUPLICATE_KEY = 11000
_NUMBERED = re.compile(r"_\d+$")
IndexDefinition = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """Comparison of one collection's indexes, by name.

    `changed` have another definition in MongoDB than declared, `extra` are declared nowhere.
    """

    collection: str
    in_place: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    @property
    def is_in_step(self) -> bool:
        """Whether there is nothing to build, replace or drop."""
        return not (self.missing or self.changed or self.extra)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """`to_build` are missing or changed, `outdated` are what they replace; by declared name."""

    plan: IndexPlan
    to_build: dict[str, IndexModel]
    outdated: dict[str, list[str]]  # to the real names
    real_names: set[str]


async def plan_indexes() -> list[IndexPlan]:
    """Compare the indexes of every collection; one plan each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    return [(await _compare(document)).plan for document in DOCUMENTS]


async def apply_indexes(*, drop_extra: bool = False) -> list[IndexPlan]:
    """Build missing and changed indexes, then drop those replaced; returns the plans.

    Values that indexes are made of are filled in first where an earlier version left them out.
    Indexes declared nowhere stay, unless `drop_extra`. May be interrupted and run again.

    Raises:
        StartupError: stored documents break a unique index.
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    plans = []
    await fill_derived_values()
    for document in DOCUMENTS:
        comparison = await _compare(document)
        plans.append(comparison.plan)
        with database_errors(), pymongo.timeout(_BUILD_SECONDS):
            await _build(document, comparison)
            await _drop(document, chain.from_iterable(comparison.outdated.values()))
            await _drop(document, comparison.plan.extra if drop_extra else ())
    return plans


async def _compare(document: type[Document]) -> _Comparison:
    settings, collection = document.get_settings(), document.get_pymongo_collection()
    declared = {one.index.document["name"]: one.index for one in settings.indexes or ()}
    with database_errors():
        listed = await (await collection.list_indexes()).to_list()
    real = {index["name"]: _normalize(index) for index in listed if index["name"] != "_id_"}
    definitions = {name: _normalize(index.document) for name, index in declared.items()}
    to_build = {name: declared[name] for name in declared if definitions[name] not in real.values()}
    extra, outdated = _classify(real, definitions)
    plan = IndexPlan(
        collection=collection.name,
        in_place=[name for name in declared if name not in to_build and name not in outdated],
        missing=[name for name in to_build if name not in outdated],
        changed=list(outdated),
        extra=extra,
    )
    return _Comparison(plan, to_build, outdated, set(real))


def _classify(
    real: Mapping[str, IndexDefinition], declared: Mapping[str, IndexDefinition]
) -> tuple[list[str], dict[str, list[str]]]:
    """Undeclared real indexes: those to drop, and by declared name those to replace."""
    extra: list[str] = []
    outdated: dict[str, list[str]] = {}
    for name, definition in real.items():
        base = _find_base_name(name, declared)
        if definition in declared.values():
            continue
        if base is None:
            extra.append(name)
        else:
            outdated.setdefault(base, []).append(name)
    return extra, outdated


def _normalize(index: Mapping[str, Any]) -> IndexDefinition:
    """The definition of an index, equal whether declared or as MongoDB lists it."""
    keys = [(name, k if isinstance(k, str) else int(k)) for name, k in index["key"].items()]
    return (
        tuple(keys),
        bool(index.get("unique")),
        bool(index.get("sparse")),
        index.get("expireAfterSeconds"),
        json.dumps(index.get("partialFilterExpression"), sort_keys=True, default=str),
    )


def _find_base_name(name: str, declared: Mapping[str, IndexDefinition]) -> str | None:
    """The declared name that a real name is, with or without a number suffix."""
    base = name if name in declared else _NUMBERED.sub("", name)
    return base if base in declared else None


async def _build(document: type[Document], comparison: _Comparison) -> None:
    fresh = [one for name, one in comparison.to_build.items() if name not in comparison.outdated]
    if fresh:
        await _create(document, fresh)
    for name, index in comparison.to_build.items():
        if name not in comparison.outdated:
            continue
        numbered = chain([name], (f"{name}_{number}" for number in count(2)))
        index.document["name"] = next(one for one in numbered if one not in comparison.real_names)
        try:
            await _create(document, [index])
        except OperationFailure as error:
            if error.code not in _NO_ROOM_BESIDE:
                raise
            await _drop(document, comparison.outdated.pop(name))
            await _create(document, [index])
        finally:
            index.document["name"] = name


async def _create(document: type[Document], indexes: list[IndexModel]) -> None:
    try:
        await document.get_pymongo_collection().create_indexes(indexes)
    except OperationFailure as error:
        if error.code != _DUPLICATE_KEY:
            raise
        cause = f"{document.get_settings().name}: {str(error.details or error)[:200]}"
        raise StartupError(
            f"A unique index cannot be built, documents break it. {cause}"
        ) from error


async def _drop(document: type[Document], names: Iterable[str]) -> None:
    for name in list(names):
        await document.get_pymongo_collection().drop_index(name)
