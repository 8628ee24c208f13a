"""Checking documents before clients send them: do they run, what do they cost, who may cache them?

A document is public if shared caches may keep its answers. One that mixes public with private
fields is private as a whole: split, its public half would come from the caches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    parse,
    separate_operations,
    validate,
    visit,
)

from graph.base.fields import Field, Spec
from graph.contract import UnreadableSchema
from graph.engine.documents import Documents, Operation

_MAX_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """What is known of a document.

    Attributes:
        operations: their names; one without a name is "".
        problems: why it does not run; empty if it does.
        cost: of the costliest operation in points, variables unset.
        max_age_seconds: how long shared caches may keep its answers; None: they may not.
        mixed: public and private fields, if an operation has both; a root field without an age
            is no public one.
    """

    id: str
    operations: Sequence[str] = ()
    problems: Sequence[str] = ()
    cost: int = 0
    max_age_seconds: int | None = None
    mixed: tuple[Sequence[str], Sequence[str]] | None = None


def check_documents(documents: Documents, texts: Mapping[str, str]) -> list[DocumentReport]:
    """Check documents by id as this process would run them."""
    return [_check(documents, id_, text) for id_, text in sorted(texts.items())]


def check_against(schema_text: str, texts: Mapping[str, str]) -> list[DocumentReport]:
    """Check documents by id against another schema, without this service's limits.

    Raises:
        UnreadableSchema: the text is no schema.
    """
    try:
        schema = build_schema(schema_text)
    except (GraphQLError, TypeError) as error:
        raise UnreadableSchema(f"The schema cannot be read: {error}") from error
    return [_validate(schema, id_, text) for id_, text in sorted(texts.items())]


def _validate(schema: GraphQLSchema, document_id: str, text: str) -> DocumentReport:
    try:
        ast = parse(text)
    except (GraphQLError, RecursionError) as error:
        return DocumentReport(document_id, problems=[str(error).splitlines()[0]])
    names = [
        node.name.value if node.name else ""
        for node in ast.definitions
        if isinstance(node, OperationDefinitionNode)
    ]
    errors = validate(schema, ast, max_errors=_MAX_PROBLEMS)
    return DocumentReport(document_id, names, [error.message for error in errors])


def _check(documents: Documents, document_id: str, text: str) -> DocumentReport:
    document = documents.get(text)
    if document.errors:
        problems = [error.message for error in document.errors[:_MAX_PROBLEMS]]
        return DocumentReport(document_id, problems=problems)
    operations = list(document.operations.values())
    ages = [_find_max_age(documents, one) for one in operations]
    known_ages = [age for age in ages if age is not None]
    return DocumentReport(
        document_id,
        list(document.operations),
        cost=max(one.cost.of({}) for one in operations),
        max_age_seconds=min(known_ages) if len(known_ages) == len(ages) else None,
        mixed=_find_mixed(documents.schema, operations[0].document),
    )


def _find_max_age(documents: Documents, operation: Operation) -> int | None:
    if operation.kind != "query":
        return None
    plan = documents.plan(operation, {})
    freshness = plan.freshness if plan is not None else None
    return freshness.max_age if freshness is not None else None


def _find_mixed(
    schema: GraphQLSchema, ast: DocumentNode
) -> tuple[Sequence[str], Sequence[str]] | None:
    for operation in separate_operations(ast).values():
        public, private = set(), set()
        for place, spec, is_root in _walk(schema, operation):
            if spec.is_private or spec.requires is not None:
                private.add(place)
            elif spec.freshness is not None:
                public.add(place)
            elif is_root:
                private.add(place)
        if public and private:
            return sorted(public), sorted(private)
    return None


def _walk(schema: GraphQLSchema, ast: DocumentNode) -> Iterator[tuple[str, Spec, bool]]:
    """Yield each selected field of ours, as `Type.field`, with its spec; is it a root field?"""
    seen: dict[tuple[str, bool], Spec] = {}
    info = TypeInfo(schema)

    class Collector(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            definition, parent = info.get_field_def(), info.get_parent_type()
            field = definition.extensions.get("strawberry-definition") if definition else None
            if parent is not None and isinstance(field, Field):
                is_root = parent is schema.query_type
                seen[f"{parent.name}.{node.name.value}", is_root] = field.spec

    visit(ast, TypeInfoVisitor(info, Collector()))
    for (place, is_root), spec in seen.items():
        yield place, spec, is_root
