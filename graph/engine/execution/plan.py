"""The plan of an operation: groups of fields, one per selection set and concrete type.

A plan holds nothing of any one run, so all runs of a document share it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    OperationDefinitionNode,
)

from graph.base.fields import FieldKind, Spec
from graph.base.freshness import Freshness

Class = type[Any]
Arguments = Callable[[Any], dict[str, Any]]  # variable values -> what the field's function takes


@dataclass(slots=True, eq=False)
class FieldPlan:
    """One response key of one group."""

    key: str
    name: str
    parent: str
    nodes: Sequence[FieldNode]
    definition: GraphQLField
    spec: Spec
    attribute: str
    function: Callable[..., Any] | None
    takes_parent: bool
    takes_info: bool
    arguments: Arguments | None  # None: the field takes none
    type: GraphQLOutputType
    leaf: GraphQLLeafType | None
    children: Mapping[str, GroupPlan]  # by concrete type name; empty for leaves
    list_depth: int
    is_non_null: bool
    is_inline: bool  # built together with its parent, not in a level of its own
    needs: frozenset[str]  # record fields that the children read
    has_variables: bool  # among its arguments
    waits: bool = field(init=False)
    is_nested: bool = field(init=False)  # inline, and one object of one type
    by_class: dict[Class, GroupPlan | None] = field(default_factory=dict)  # filled as classes come

    def __post_init__(self) -> None:
        self.waits = self.spec.kind not in (FieldKind.PLAIN, FieldKind.COMPUTED)
        self.is_nested = self.is_inline and not self.list_depth and len(self.children) == 1


Build = Callable[[Sequence[Any], Any], list[dict[str, Any]]]


@dataclass(slots=True, eq=False)
class GroupPlan:
    """The selected fields of one concrete type.

    `build` makes one dict per parent, with leaves filled in and relations None; `nested` are fields
    whose objects it makes as well; `relations` are filled in afterwards; `cost` is the points of
    one object. `is_lasting` says that what it makes of a record is the same in every run, and takes
    long enough to be used again.
    """

    type: GraphQLObjectType
    fields: list[FieldPlan]
    needs: frozenset[str]
    relations: list[FieldPlan] = field(default_factory=list)
    nested: list[FieldPlan] = field(default_factory=list)
    cost: int = 1
    is_lasting: bool = False
    number: int = field(default_factory=itertools.count().__next__)  # no other group has it
    build: Build = field(default=lambda rows, run: [])


@dataclass(frozen=True, slots=True)
class EventTraits:
    """What the events of a subscription depend on, beneath its root field.

    `variables` are those it reads. `is_personal`: it depends on who the viewer is, not on rights
    alone. `waits`: something of it is loaded.
    """

    variables: frozenset[str] = frozenset()
    is_personal: bool = True
    waits: bool = True


def walk_fields(groups: Iterable[GroupPlan]) -> Iterator[FieldPlan]:
    """Yield the fields of these groups and of all below them, each group's once."""
    seen: set[GroupPlan] = set()
    stack = list(groups)
    while stack:
        group = stack.pop()
        if group in seen:
            continue
        seen.add(group)
        for one in group.fields:
            yield one
            stack += one.children.values()


@dataclass(slots=True, eq=False)
class Plan:
    """`steps` are a mutation's root fields, each a group of its own, run one after another."""

    operation: OperationDefinitionNode
    kind: str  # query, mutation or subscription
    root: GroupPlan
    steps: list[GroupPlan]
    freshness: Freshness | None  # how long an answer may be cached; None: not at all
    events: EventTraits  # of a subscription
