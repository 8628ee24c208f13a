"""A field that waits for something may be null, so that its failure takes nothing else along."""

from __future__ import annotations

from graphql import GraphQLInterfaceType, GraphQLObjectType, is_non_null_type

from graph.base.fields import Field, FieldKind
from graph.schema import schema

WAITS = {FieldKind.RELATION, FieldKind.BATCHED, FieldKind.RESOLVER}


def test_every_field_that_waits_is_nullable() -> None:
    built = schema._schema
    fields = {
        f"{kind.name}.{name}": field
        for kind in built.type_map.values()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        and kind is not built.subscription_type  # whose fields are the events themselves
        for name, field in kind.fields.items()
    }
    waiting = {
        name: field
        for name, field in fields.items()
        if isinstance(spec := field.extensions.get("strawberry-definition"), Field)
        and spec.spec.kind in WAITS
    }
    assert len(waiting) > 60
    # then root lists, payloads of mutations and everything that is loaded may be null
    assert [name for name, field in waiting.items() if is_non_null_type(field.type)] == []
