"""Relay connections: the Connection and Edge types of a list, built from the type of its nodes.

Their values are `resolvers.paging.Page` and its edges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

from graph.base.fields import plain
from graph.base.paging import PageInfo

T = TypeVar("T")


def connection(
    node: Any,
    contents: str,
    one: str,
    *,
    item: str = "item",
    items: str = "items",
    edges_of: str | None = None,
    edges_with: str = "their cursors",
    cursor_use: str = "`after` or `before`",
    edge_fields: type = object,
) -> Callable[[type[T]], type[T]]:
    """Make the decorated class a connection of `node`; its own fields follow the common ones.

    Args:
        contents: what a page is of, as in "A page of films".
        one: a node in words; `item` and `items` are what cursors and lists call nodes.
        edges_of: what an edge is of; by default a list of `contents`.
        edges_with: what edges have besides nodes.
        cursor_use: arguments that take an edge's cursor.
        edge_fields: further fields of the edge type.
    """

    cursor = f"Opaque cursor of this {item}; pass it as {cursor_use}."
    of = edges_of or f"a list of {contents}"

    def build(cls: type[T]) -> type[T]:
        edge = _build_edge(cls, node, edge_fields, cursor, f"The {one}.")
        edge_type = strawberry.type(edge, description=f"An edge of {of}.")
        _add_fields(cls, edge_type, node, f"The {items} of this page", edges_with)
        return strawberry.type(cls, description=f"A page of {contents} (Relay connection).")

    return build


def _build_edge(connection_type: type, node: Any, fields: type, cursor: str, about: str) -> Any:
    """Return the class of the edge type, named after the connection."""
    name = connection_type.__name__.replace("Connection", "Edge")
    annotations = {"cursor": str, "node": node, **vars(fields).get("__annotations__", {})}
    members = {key: value for key, value in vars(fields).items() if key in annotations}
    members["cursor"] = plain(cursor, needs=[])
    members["node"] = plain(about, needs=[], child_projection="")
    module = connection_type.__module__
    return type(name, (), {"__annotations__": annotations, "__module__": module, **members})


def _add_fields(target: Any, edge: Any, node: Any, nodes: str, edges_with: str) -> None:
    """Add what every connection has, before the fields of its own."""
    common = {"edges": list[edge], "nodes": list[node], "page_info": PageInfo}
    target.__annotations__ = common | target.__annotations__
    target.edges = plain(f"{nodes} with {edges_with}.", needs=[], child_projection="")
    target.nodes = plain(f"{nodes}, without their edges.", needs=[], child_projection="")
    about = "Relay page info: cursors and whether more pages follow."
    target.page_info = plain(about, needs=[], child_projection="")
