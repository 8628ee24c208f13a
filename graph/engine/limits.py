"""Limits on one document and one operation.

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
    OverlappingFieldsCanBeMergedRule,
    SelectionSetNode,
    ValidationContext,
)

from graph.engine.cost import CostEstimate, CostReader
from services.errors import CostLimitExceeded


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Limits on one operation with its fragments spread, then on the document as written."""

    depth: int = 12
    introspection_depth: int = 20
    aliases: int = 30
    root_fields: int = 20
    fields: int = 1_000
    cost: int = 10_000
    operations: int = 20
    fragments: int = 50
    directives: int = 50
    selections: int = 200  # of one selection set
    comparisons: int = 8_000  # of fields that meet under one name, in graphql-core's units


def overlap_rule(comparisons: int) -> type[OverlappingFieldsCanBeMergedRule]:
    """Build graphql-core's quadratic rule with a budget of about 10 ms; its own is 300 ms."""

    class OverlappingFieldsWithinBudget(OverlappingFieldsCanBeMergedRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = comparisons

    return OverlappingFieldsWithinBudget


class _Size(NamedTuple):
    """Measures of a selection set with its fragments spread; `nested` is introspection's depth."""

    depth: int = 0
    nested: int = 0
    aliases: int = 0
    fields: int = 0


def examine(
    schema: GraphQLSchema, document: DocumentNode, limits: DocumentLimits
) -> dict[str, CostEstimate]:
    """Check the limits and estimate the cost of each operation by name ("" for none).

    Raises:
        CostLimitExceeded: a limit is exceeded, or fragments spread themselves.
    """
    meter = _Meter(document, limits)
    reader = CostReader(schema, document)
    operations = meter.operations
    for node in operations:
        _check(meter.operation(node), node, limits)
    meter.measure_unused_fragments()
    return {node.name.value if node.name else "": reader.operation(node) for node in operations}


def _check(size: _Size, node: OperationDefinitionNode, limits: DocumentLimits) -> None:
    roots = len(node.selection_set.selections)
    for unit, actual, most in (
        ("levels", size.depth, limits.depth),
        ("levels of introspection", size.nested, limits.introspection_depth),
        ("aliases", size.aliases, limits.aliases),
        ("root fields", roots, limits.root_fields),
        ("fields", size.fields, limits.fields),
    ):
        _refuse_more("An operation", unit, actual, most)


def _refuse_more(where: str, unit: str, actual: int, most: int) -> None:
    if actual > most:
        raise CostLimitExceeded(f"{where} has at most {most} {unit}.")


class _Meter:
    def __init__(self, document: DocumentNode, limits: DocumentLimits) -> None:
        parts = document.definitions
        self.operations = [part for part in parts if isinstance(part, OperationDefinitionNode)]
        fragments = [part for part in parts if isinstance(part, FragmentDefinitionNode)]
        _refuse_more("A document", "operations", len(self.operations), limits.operations)
        _refuse_more("A document", "fragments", len(fragments), limits.fragments)
        self._limits = limits
        self._fragments = {node.name.value: node for node in fragments}
        self._sizes: dict[str, _Size | None] = {}  # None while it is being measured
        self._directives = 0

    def operation(self, node: OperationDefinitionNode) -> _Size:
        """Measure one operation with its fragments spread."""
        self._count_directives(node)
        for variable in node.variable_definitions or ():
            self._count_directives(variable)
        return self._selections(node.selection_set)

    def measure_unused_fragments(self) -> None:
        """Measure the fragments no operation spreads, as they are validated as well."""
        for name in self._fragments:
            self._fragment_size(name)

    def _count_directives(self, node: Any) -> None:
        self._directives += len(node.directives or ())
        _refuse_more("A document", "directives", self._directives, self._limits.directives)

    def _selections(self, selections: SelectionSetNode | None) -> _Size:
        depth = nested = aliases = fields = 0
        nodes = selections.selections if selections else ()
        _refuse_more("A selection set", "selections", len(nodes), self._limits.selections)
        for node in nodes:
            self._count_directives(node)
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
        return self._fragment_size(node.name.value)

    def _fragment_size(self, name: str) -> _Size:
        if name not in self._sizes:
            self._sizes[name] = None
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._count_directives(fragment)
            self._sizes[name] = self._selections(fragment.selection_set) if fragment else _Size()
        size = self._sizes[name]
        if size is None:
            raise CostLimitExceeded(f"The fragment {name[:60]} spreads itself.")
        return size
