"""What one operation may ask for: depth, aliases, root fields, fields and estimated cost.

One pass over the document, each fragment measured once and remembered, so the time is linear in the
text however often fragments are spread. Runs before validation: hostile documents meet it first.
List sizes follow the IBM cost specification: the slicing argument, else the assumed size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)

from graph.cost import Cost, CostReader
from services.errors import CostLimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    depth: int = 12
    introspection_depth: int = 20
    aliases: int = 30
    root_fields: int = 20
    fields: int = 1_000
    cost: int = 10_000


class _Size(NamedTuple):
    """Of a selection set with its fragments spread out; `nested` counts introspection alone."""

    depth: int = 0
    nested: int = 0
    aliases: int = 0
    fields: int = 0


def examine(schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> dict[str, Cost]:
    """The estimated cost of each operation by name ("" for none).

    Raises:
        CostLimitExceeded: an operation is over a limit, or fragments spread themselves.
    """
    meter = _Meter(document)
    reader = CostReader(schema, document)
    costs: dict[str, Cost] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            _check(meter.operation(node), node, limits)
            costs[node.name.value if node.name else ""] = reader.operation(node)
    return costs


def _check(size: _Size, node: OperationDefinitionNode, limits: Limits) -> None:
    roots = len(node.selection_set.selections)
    for what, found, most in (
        ("levels", size.depth, limits.depth),
        ("levels of introspection", size.nested, limits.introspection_depth),
        ("aliases", size.aliases, limits.aliases),
        ("root fields", roots, limits.root_fields),
        ("fields", size.fields, limits.fields),
    ):
        if found > most:
            raise CostLimitExceeded(f"An operation has at most {most} {what}.")


class _Meter:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._sizes: dict[str, _Size | None] = {}  # None while it is being measured

    def operation(self, node: OperationDefinitionNode) -> _Size:
        return self._selections(node.selection_set)

    def _selections(self, selections: SelectionSetNode | None) -> _Size:
        depth = nested = aliases = fields = 0
        for node in selections.selections if selections else ():
            part = self._field(node) if isinstance(node, FieldNode) else self._fragment(node)
            depth = max(depth, part.depth)
            nested = max(nested, part.nested)
            aliases += part.aliases
            fields += part.fields
        return _Size(depth, nested, aliases, fields)

    def _field(self, node: FieldNode) -> _Size:
        below = self._selections(node.selection_set)
        aliases = below.aliases + (node.alias is not None)
        deep = max(below.depth, below.nested) + 1
        if node.name.value in ("__schema", "__type"):
            return _Size(0, deep, aliases, 1)
        return _Size(below.depth + 1, below.nested, aliases, below.fields + 1)

    def _fragment(self, node: Any) -> _Size:
        if not isinstance(node, FragmentSpreadNode):
            return self._selections(node.selection_set)
        name = node.name.value
        if name not in self._sizes:
            self._sizes[name] = None
            fragment = self._fragments.get(name)
            self._sizes[name] = self._selections(fragment.selection_set) if fragment else _Size()
        size = self._sizes[name]
        if size is None:
            raise CostLimitExceeded(f"The fragment {name[:60]} spreads itself.")
        return size
