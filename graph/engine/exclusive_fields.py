"""Fields of which an operation holds at most one: what counts attempts or sends mail.

An operation is admitted, limited and logged once; twenty aliased sign-ins would pass as one.
"""

from __future__ import annotations

from typing import Any

from graphql import (
    ASTValidationRule,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
)

from graph.base.fields import Field


class OneExclusiveField(ASTValidationRule):
    """Validation rule: an operation holds at most one exclusive root field.

    Aliases and fragments are counted; the same field twice under one name is one, as the two are
    merged. Conditions are not looked at: a document is checked before its variables.
    """

    context: ValidationContext

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        """Count the exclusive root fields of one operation by the name in the answer."""
        root = self.context.schema.get_root_type(node.operation)
        fields: dict[str, FieldNode] = {}
        self._collect(node.selection_set, getattr(root, "fields", {}), fields, set())
        if len(fields) > 1:
            names = sorted({field.name.value for field in fields.values()})
            self.report_error(
                GraphQLError(
                    f"An operation holds at most one of {', '.join(exclusive_names(root))}; "
                    f"this one holds {len(fields)} ({', '.join(names)}).",
                    list(fields.values())[:2],
                )
            )

    def _collect(
        self,
        selections: SelectionSetNode,
        root_fields: dict[str, Any],
        fields: dict[str, FieldNode],
        spread: set[str],
    ) -> None:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                if is_exclusive(root_fields.get(node.name.value)):
                    fields[(node.alias or node.name).value] = node
            elif not isinstance(node, FragmentSpreadNode):
                self._collect(node.selection_set, root_fields, fields, spread)  # type: ignore[attr-defined]
            elif node.name.value not in spread:
                spread.add(node.name.value)
                fragment = self.context.get_fragment(node.name.value)
                if fragment is not None:
                    self._collect(fragment.selection_set, root_fields, fields, spread)


def is_exclusive(definition: Any) -> bool:
    """Whether the field of this definition was declared with `is_exclusive`."""
    field = definition.extensions.get("strawberry-definition") if definition else None
    return isinstance(field, Field) and field.spec.is_exclusive


def exclusive_names(root: Any) -> list[str]:
    """Return the names of a root type's exclusive fields."""
    return [name for name, definition in root.fields.items() if is_exclusive(definition)]
