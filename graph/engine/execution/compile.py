"""From a validated operation to a plan. Done once per document and per outcome of its conditions.

Follows the specification's CollectFields (section 6.3.2) with the concrete type known, so running a
plan never looks at the document again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from graphql import (
    BooleanValueNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeNameMetaFieldDef,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.schema.config import StrawberryConfig

from graph.base.fields import Field, FieldKind, Spec
from graph.base.freshness import Freshness, least
from graph.engine.execution.arguments import argument_reader
from graph.engine.execution.leaves import make_build
from graph.engine.execution.literals import has_variable
from graph.engine.execution.plan import EventTraits, FieldPlan, GroupPlan, Plan, walk_fields
from graph.engine.execution.sharing import read_event_traits

_CONDITIONS = ("skip", "include")
_TYPENAME = Spec(FieldKind.COMPUTED, is_pure=True)


class UnsupportedOperation(Exception):
    """The plan does not cover this operation; graphql-core runs it whole."""


def condition_variables(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """Return the names of the variables in @skip and @include of one operation, sorted.

    Another operation of the document may use the same names for values of other types.
    """
    names: set[str] = set()
    spread: set[str] = set()
    stack: list[Any] = [operation]
    while stack:
        node = stack.pop()
        if isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
            spread.add(node.name.value)
            stack.append(fragments[node.name.value])
        for directive in getattr(node, "directives", None) or ():
            if directive.name.value in _CONDITIONS:
                names.update(
                    argument.value.name.value
                    for argument in directive.arguments
                    if isinstance(argument.value, VariableNode)
                )
        selections = getattr(node, "selection_set", None)
        if selections is not None:
            stack.extend(selections.selections)
    return tuple(sorted(names))


def compile_plan(
    schema: GraphQLSchema,
    config: StrawberryConfig,
    scalars: Any,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    conditions: Mapping[str, bool],
) -> Plan:
    """Compile the plan of one operation under these values of its condition variables.

    Raises:
        UnsupportedOperation: only graphql-core runs such an operation (introspection).
    """
    compiler = _Compiler(schema, config, scalars, document, conditions)
    root_type = schema.get_root_type(operation.operation)
    assert root_type is not None
    root = compiler.group(root_type, [operation.selection_set])
    steps = [_finish_group(GroupPlan(root_type, [field], field.needs)) for field in root.fields]
    kind = operation.operation.value
    freshness = _freshness(root) if kind == "query" else None
    events = read_event_traits(root) if kind == "subscription" else EventTraits()
    return Plan(operation, kind, root, steps, freshness, events)


def _freshness(root: GroupPlan) -> Freshness | None:
    """Return the least time of all fields, if each root field has one and nothing is private."""
    if any(field.spec.freshness is None for field in root.fields if field.name != "__typename"):
        return None
    fields = list(walk_fields([root]))
    if any(field.spec.is_private or field.spec.requires is not None for field in fields):
        return None
    return least([field.spec.freshness for field in fields if field.spec.freshness is not None])


def _finish_group(group: GroupPlan) -> GroupPlan:
    group.relations = [
        field
        for field in group.fields
        if field.waits or (field.leaf is None and not field.is_inline)
    ]
    group.nested = [field for field in group.fields if field.is_nested]
    group.cost = 1 + sum(field.spec.cost for field in group.fields)
    group.is_lasting = all(map(_is_lasting, group.fields)) and any(map(_is_slow, group.fields))
    group.build = make_build(group)
    return group


def _is_lasting(field: FieldPlan) -> bool:
    """Whether what is built of a record for this field is the same in every run."""
    spec = field.spec
    if field.waits or (field.leaf is None and not field.is_inline):
        return True  # nothing is built for it
    if spec.requires is not None or field.has_variables:
        return False
    if spec.kind is FieldKind.COMPUTED and not spec.is_pure:
        return False
    return field.leaf is not None or (
        field.is_nested
        and all(_is_lasting(one) for child in field.children.values() for one in child.fields)
    )


def _is_slow(field: FieldPlan) -> bool:
    """Whether building the field takes more than reading an attribute."""
    return field.is_inline and field.spec.kind is FieldKind.COMPUTED


class _Compiler:
    def __init__(
        self,
        schema: GraphQLSchema,
        config: StrawberryConfig,
        scalars: Any,
        document: DocumentNode,
        conditions: Mapping[str, bool],
    ) -> None:
        self._schema = schema
        self._config = config
        self._scalars = scalars
        self._conditions = conditions
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._groups: dict[tuple[GraphQLObjectType, bool, tuple[int, ...]], GroupPlan] = {}

    def group(
        self, type_: GraphQLObjectType, sets: Sequence[SelectionSetNode], *, in_list: bool = False
    ) -> GroupPlan:
        """Return the one group per concrete type and selection sets.

        Otherwise abstract types within each other would make as many groups as there are paths of
        types.
        """
        key = (type_, in_list, tuple(map(id, sets)))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._group(type_, sets, in_list)
        return group

    def _group(
        self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode], in_list: bool
    ) -> GroupPlan:
        collected: dict[str, list[FieldNode]] = {}
        visited: set[str] = set()
        for selections in sets:
            self._collect(type_, selections, collected, visited)
        fields = [self._field(type_, key, nodes, in_list) for key, nodes in collected.items()]
        return _finish_group(GroupPlan(type_, fields, _required_fields(fields)))

    def _collect(
        self,
        type_: GraphQLObjectType,
        selections: SelectionSetNode,
        collected: dict[str, list[FieldNode]],
        visited: set[str],
    ) -> None:
        for node in selections.selections:
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                collected.setdefault(key, []).append(node)
                continue
            fragment = self._fragment(node, visited)
            if fragment is not None and self._applies(fragment, type_):
                self._collect(type_, fragment.selection_set, collected, visited)

    def _fragment(
        self, node: Any, visited: set[str]
    ) -> InlineFragmentNode | FragmentDefinitionNode | None:
        if not isinstance(node, FragmentSpreadNode):
            return node  # type: ignore[no-any-return]
        name = node.name.value
        if name in visited:
            return None
        visited.add(name)
        return self._fragments.get(name)

    def _applies(
        self, fragment: InlineFragmentNode | FragmentDefinitionNode, type_: GraphQLObjectType
    ) -> bool:
        if fragment.type_condition is None:
            return True
        condition = self._schema.get_type(fragment.type_condition.name.value)
        return condition is type_ or (
            is_abstract_type(condition) and self._schema.is_sub_type(condition, type_)
        )

    def _is_included(self, node: Any) -> bool:
        for directive in node.directives or ():
            name = directive.name.value
            if name in _CONDITIONS and self._condition(directive) is (name == "skip"):
                return False
            if name in ("defer", "stream"):
                raise UnsupportedOperation(name)
        return True

    def _condition(self, directive: Any) -> bool:
        value = directive.arguments[0].value
        if isinstance(value, BooleanValueNode):
            return value.value
        return self._conditions[value.name.value]

    def _field(
        self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode], in_list: bool
    ) -> FieldPlan:
        name = nodes[0].name.value
        if name == "__typename":
            return self._typename(parent, key, nodes)
        definition = parent.fields.get(name)
        if definition is None:
            raise UnsupportedOperation(name)  # __schema and __type
        field = definition.extensions.get("strawberry-definition")
        if not isinstance(field, Field):
            raise UnsupportedOperation(f"{parent.name}.{name}")
        named = get_named_type(definition.type)
        list_depth, is_non_null = _nesting(definition.type)
        children = self._children(named, nodes, in_list or list_depth > 0)
        resolver = field.base_resolver
        return FieldPlan(
            key=key,
            name=name,
            parent=parent.name,
            nodes=nodes,
            definition=definition,
            spec=field.spec,
            attribute=field.python_name or name,
            function=_function(field),
            takes_parent=field.spec.keys is not None
            or bool(resolver and resolver.parent_parameter),
            takes_info=bool(resolver and resolver.info_parameter),
            arguments=argument_reader(definition, field, nodes[0], self._config, self._scalars),
            type=definition.type,
            leaf=named if is_leaf_type(named) else None,
            children=children,
            list_depth=list_depth,
            is_non_null=is_non_null,
            is_inline=_is_inline(field.spec, list_depth, children, in_list=in_list),
            needs=frozenset().union(*(child.needs for child in children.values())),
            has_variables=any(has_variable(one.value) for one in nodes[0].arguments or ()),
        )

    def _children(self, named: Any, nodes: list[FieldNode], in_list: bool) -> dict[str, GroupPlan]:
        if is_leaf_type(named):
            return {}
        types = [named] if is_object_type(named) else self._schema.get_possible_types(named)
        sets = [node.selection_set for node in nodes if node.selection_set is not None]
        return {type_.name: self.group(type_, sets, in_list=in_list) for type_ in types}

    def _typename(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> FieldPlan:
        name = parent.name
        leaf = get_named_type(TypeNameMetaFieldDef.type)
        definition: GraphQLField = TypeNameMetaFieldDef
        return FieldPlan(
            key=key,
            name="__typename",
            parent=name,
            nodes=nodes,
            definition=definition,
            spec=_TYPENAME,
            attribute="__typename",
            function=lambda _row: name,
            takes_parent=True,
            takes_info=False,
            arguments=None,
            type=definition.type,
            leaf=leaf,  # type: ignore[arg-type]
            children={},
            list_depth=0,
            is_non_null=True,
            is_inline=False,
            needs=frozenset(),
            has_variables=False,
        )


def _function(field: Field) -> Any:
    if field.spec.keys is not None:
        return attrgetter(field.spec.keys)
    return field.base_resolver.wrapped_func if field.base_resolver else None


def _is_inline(
    spec: Spec, list_depth: int, children: Mapping[str, GroupPlan], *, in_list: bool
) -> bool:
    """Whether one parent's value is built at once: nothing below it waits.

    Of many parents only single objects of one type, which are part of the parents' function.
    """
    return (
        spec.kind in (FieldKind.PLAIN, FieldKind.COMPUTED)
        and spec.requires is None
        and list_depth <= 1
        and bool(children)
        and not (in_list and (list_depth or len(children) > 1))
        and not any(child.relations for child in children.values())
    )


def _nesting(type_: GraphQLOutputType) -> tuple[int, bool]:
    """Return the number of nested lists, and whether the outermost type is non-null."""
    is_non_null = is_non_null_type(type_)
    depth = 0
    inner: Any = type_
    while is_non_null_type(inner) or is_list_type(inner):
        depth += is_list_type(inner)
        inner = inner.of_type
    return depth, is_non_null


def _required_fields(fields: list[FieldPlan]) -> frozenset[str]:
    """Return the record fields that this group reads, those of embedded children included."""
    needs: set[str] = set()
    for field in fields:
        spec = field.spec
        needs.update(field.attribute if name == "*" else name for name in spec.needs)
        if spec.child_projection is not None:
            prefix = f"{spec.child_projection}." if spec.child_projection else ""
            needs.update(prefix + name for name in field.needs)
    return frozenset(needs)
