"""The Node interface, and the types that implement it: each registers how its ids are found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import strawberry

from graph.base.directives import CacheTag
from graph.base.fields import plain
from loaders import CachedLoader
from models.mongo import ids
from resolvers.context import Context

T = TypeVar("T")
FindMany = Callable[[Context, Sequence[str]], Awaitable[Mapping[str, Any]]]


@strawberry.interface(description="An object with a global id that `node` can fetch again.")
class Node:
    id: strawberry.ID = plain(
        "Opaque global id, such as movie_5d1c0b7c2f9a4e6b8d10; accepted by `node`."
    )


@dataclass(frozen=True, slots=True)
class NodeType:
    """A type of the schema whose objects `node` finds by their ids."""

    type: type
    find: FindMany


NODE_TYPES: dict[str, NodeType] = {}  # by kind of id


def node_type(
    kind: str, record: type, find: type[CachedLoader[Any]] | FindMany, description: str
) -> Callable[[type[T]], type[T]]:
    """Make the decorated class a type of the schema that `node` returns.

    Args:
        kind: of its ids, as in `models.mongo.ids`.
        record: what its fields are read from.
        find: a loader, or a function that returns objects by their ids: of those that belong to a
            viewer, only the viewer's own.

    Raises:
        ValueError: no id has this kind, or another type has it already.
    """
    if kind not in ids.KINDS or kind in NODE_TYPES:
        raise ValueError(f"{kind} is no kind of id, or has a type already")

    def register(cls: type[T]) -> type[T]:
        cls.is_type_of = lambda value, _info: isinstance(value, record)  # type: ignore[attr-defined]
        NODE_TYPES[kind] = NodeType(cls, find if not isinstance(find, type) else _load(find))
        return strawberry.type(cls, description=description, directives=_cache_tags(kind, find))

    return register


def _cache_tags(kind: str, find: type[CachedLoader[Any]] | FindMany) -> list[object]:
    """The tag of objects that a cache keeps under their ids; those of a viewer have none."""
    cached = find.kind if isinstance(find, type) and issubclass(find, CachedLoader) else None
    is_cached = cached is not None and cached.start == f"{kind}:"
    return [CacheTag(format=f"{kind}:{{$key.id}}")] if is_cached else []


def _load(loader: type[CachedLoader[Any]]) -> FindMany:
    async def find(context: Context, requested_ids: Sequence[str]) -> dict[str, Any]:
        return await context.load_many(loader, requested_ids)

    return find
