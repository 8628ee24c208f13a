"""@defer and @stream: in the schema on request, and out of documents for clients without them."""

from __future__ import annotations

from typing import Any

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    GraphQLDeferDirective,
    GraphQLSchema,
    GraphQLStreamDirective,
    Visitor,
    visit,
)

_DIRECTIVES = (GraphQLDeferDirective, GraphQLStreamDirective)
_NAMES = frozenset(one.name for one in _DIRECTIVES)


def add_directives(schema: GraphQLSchema) -> GraphQLSchema:
    """Build the same schema with the two directives."""
    arguments = schema.to_kwargs()
    arguments["directives"] = (*arguments["directives"], *_DIRECTIVES)
    return GraphQLSchema(**arguments)


class _DirectiveRemover(Visitor):
    def enter_directive(self, node: DirectiveNode, *_: Any) -> Any:
        return REMOVE if node.name.value in _NAMES else None


def strip_directives(text: str, document: DocumentNode) -> DocumentNode:
    """Return the document without the two directives: itself, where it has none."""
    if not any(f"@{name}" in text for name in _NAMES):
        return document
    stripped: DocumentNode = visit(document, _DirectiveRemover())
    return stripped
