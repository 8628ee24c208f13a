"""The estimated cost of an operation: how many things it may answer with, lists multiplied out.

Computed once per document; what depends on variables stays as terms, so a request costs as many
multiplications as it has lists sized by variables. Weights and sizes are on the fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from graph.base.fields import SLICING_ARGUMENTS, Field

_MOST = 100  # what resolvers allow for a page; a greater number is refused there
_SIZING_ARGUMENTS = (*SLICING_ARGUMENTS, "ids")  # as many things as ids are given
_SIZED_FIELDS = frozenset({"nodes", "edges"})
_ASSUMED_SIZE = 10
_PAGE_SIZE = 20  # what resolvers give where neither `first` nor `last` is said


@dataclass(frozen=True, slots=True)
class Size:
    """Assumed length of a list: the greatest of a number and of the variables with a value."""

    value: int
    variables: tuple[str, ...] = ()
    is_fallback: bool = True  # the number counts only where no variable has a value

    def of(self, variables: Mapping[str, Any]) -> int:
        """Return the length under these variables, at most the largest page."""
        if not self.variables:
            return self.value
        values = [variables.get(name) for name in self.variables]
        sizes = [_length(value) for value in values if isinstance(value, int | list)]
        if not sizes or not self.is_fallback:
            sizes.append(self.value)
        return max(sizes)


@dataclass(slots=True)
class CostEstimate:
    """Cost in points: `fixed` plus, for each term, its size times its cost.

    `is_slow` says whether the operation waits for outside services.
    """

    fixed: int = 0
    terms: list[tuple[Size, CostEstimate]] = field(default_factory=list)
    is_slow: bool = False

    def add(self, other: CostEstimate) -> None:
        """Add the cost of something selected once."""
        self.is_slow |= other.is_slow
        self.fixed += other.fixed
        self.terms += other.terms

    def add_times(self, size: Size, other: CostEstimate) -> None:
        """Add the cost of a list's items."""
        self.is_slow |= other.is_slow
        if not size.variables and not other.terms:
            self.fixed += size.value * other.fixed
        else:
            self.terms.append((size, other))

    def of(self, variables: Mapping[str, Any]) -> int:
        """Return the points under these variables."""
        return self.fixed + sum(
            size.of(variables) * cost.of(variables) for size, cost in self.terms
        )


class CostReader:
    """Reads costs from a document that need not be valid; unknown fields cost nothing.

    Source: IBM GraphQL cost specification.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._by_fragment: dict[tuple[str, Size | None], CostEstimate] = {}

    def operation(self, node: OperationDefinitionNode) -> CostEstimate:
        """Estimate the cost of one operation."""
        root = self._schema.get_root_type(node.operation)
        return self._selections(node.selection_set, root, None)

    def _selections(
        self, selections: SelectionSetNode | None, type_: Any, sized: Size | None
    ) -> CostEstimate:
        """`sized` is the page size of the connection whose fields these are."""
        total = CostEstimate()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                total.add(self._field(node, type_, sized))
            else:
                total.add(self._fragment(node, type_, sized))
        return total

    def _fragment(self, node: Any, type_: Any, sized: Size | None) -> CostEstimate:
        if not isinstance(node, FragmentSpreadNode):
            return self._selections(node.selection_set, self._condition(node, type_), sized)
        fragment = self._fragments.get(node.name.value)
        if fragment is None:
            return CostEstimate()
        key = (node.name.value, sized)
        estimate = self._by_fragment.get(key)
        if estimate is None:
            condition = self._condition(fragment, type_)
            estimate = self._selections(fragment.selection_set, condition, sized)
            self._by_fragment[key] = estimate
        return estimate

    def _condition(self, node: Any, type_: Any) -> Any:
        if node.type_condition is None:
            return type_
        return self._schema.get_type(node.type_condition.name.value)

    def _field(self, node: FieldNode, type_: Any, sized: Size | None) -> CostEstimate:
        definition = getattr(type_, "fields", {}).get(node.name.value)
        if definition is None:
            return CostEstimate()
        named = get_named_type(definition.type)
        field_ = definition.extensions.get("strawberry-definition")
        spec = field_.spec if isinstance(field_, Field) else None
        own = CostEstimate(spec.cost, is_slow=spec.is_slow) if spec else CostEstimate()
        if is_leaf_type(named):
            return own
        size = self._size(node, definition, spec.assumed_size if spec else None)
        if is_list_type(get_nullable_type(definition.type)):
            if sized is not None and node.name.value in _SIZED_FIELDS:
                size = sized
            each = self._selections(node.selection_set, named, None)
            each.fixed += 1
            own.add_times(size or Size(_ASSUMED_SIZE), each)
        else:
            own.add(self._selections(node.selection_set, named, size))
            own.fixed += 1
        return own

    def _size(self, node: FieldNode, definition: GraphQLField, assumed: int | None) -> Size | None:
        """Return the greatest slicing argument, else a default, else the assumed size."""
        fallback = assumed
        for name in SLICING_ARGUMENTS:
            argument = definition.args.get(name)
            if argument is not None:
                default = argument.default_value
                fallback = default if isinstance(default, int) else fallback or _PAGE_SIZE
        given = [one.value for one in node.arguments or () if one.name.value in _SIZING_ARGUMENTS]
        literals = [size for value in given if (size := _literal_size(value)) is not None]
        variables = tuple(one.name.value for one in given if isinstance(one, VariableNode))
        if literals:
            return Size(max(literals), variables, is_fallback=False)
        if fallback is None and not given:
            return None
        return Size(fallback or _ASSUMED_SIZE, variables)


def _literal_size(node: Any) -> int | None:
    """Return the length that a literal gives; None for null and for variables."""
    if isinstance(node, IntValueNode):
        return _length(int(node.value[:9]))
    return _length(node.values) if isinstance(node, ListValueNode) else None


def _length(value: int | Sequence[Any]) -> int:
    return min(max(value if isinstance(value, int) else len(value), 0), _MOST)
