"""`node` and `nodes`: anything by its id, whatever its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from graph.base.bounds import bound
from graph.base.extension import extend
from graph.base.fields import resolver
from graph.base.info import Info
from graph.base.node import NODE_TYPES, Node
from graph.base.roots import Query
from models.mongo import ids
from resolvers.context import Context
from services.errors import ValidationFailed


def _kind_of(id_: str, *path: str) -> str:
    kind = ids.kind_of(id_)
    if kind is None:
        raise ValidationFailed("This is not an id of this API.", path=path)
    return kind


async def _find(context: Context, kinds_by_id: Mapping[str, str]) -> dict[str, Any]:
    """Return objects by their ids, with one query per kind."""
    kinds: dict[str, list[str]] = {}
    for id_, kind in kinds_by_id.items():
        kinds.setdefault(kind, []).append(id_)
    things: dict[str, Any] = {}
    for kind, ids_of_kind in kinds.items():
        if kind in NODE_TYPES:
            things.update(await NODE_TYPES[kind].find(context, ids_of_kind))
    return things


async def _node(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Global id of any object.")],
) -> Any:
    kinds_by_id: dict[str, str] = {id: _kind_of(id, "id")}
    return (await _find(info.context, kinds_by_id)).get(id)


async def _nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID],
        strawberry.argument(
            description="Global ids of any objects, at most 100.", directives=bound(items=100)
        ),
    ],
) -> list[Any]:
    kinds_by_id: dict[str, str] = {
        id_: _kind_of(id_, "ids", str(index)) for index, id_ in enumerate(ids)
    }
    things = await _find(info.context, kinds_by_id)
    return [things.get(id_) for id_ in ids]


@extend(Query)
class NodeQuery:
    node: Node | None = resolver(
        _node,
        "One object by its global id; null if it does not exist or the viewer may not see it.",
    )
    nodes: list[Node | None] | None = resolver(
        _nodes,
        "Objects by their global ids, in the order of `ids`; null for an "
        "object that does not exist or that the viewer may not see.",
    )
