"""State of one execution of a plan, passed to its generated functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graph.base.fields import FieldKind
from graph.base.info import PlanInfo
from graph.engine.execution.deadline import Deadline
from graph.engine.execution.failures import FailedValue, coerce_leaf
from graph.engine.execution.plan import FieldPlan, GroupPlan
from resolvers.context import Context


class Batch(NamedTuple):
    """Parents of one group and the dicts made of them, in the same order."""

    group: GroupPlan
    rows: Sequence[Any]
    outs: Sequence[dict[str, Any]]


class Run:
    def __init__(self, context: Context, variables: Any, deadline: Deadline | None) -> None:
        self.context = context
        self.variables = variables
        self.deadline = deadline
        self.info = PlanInfo(context, frozenset())
        self.failed = False
        self.derived = context.cache.derived
        self.batches: list[Batch] = []
        self._arguments: dict[FieldPlan, dict[str, Any]] = {}

    def cost(self) -> int:
        """Return the points of what was built, each object once, without the root.

        Weighed as in graph/engine/cost.py.
        """
        return sum(len(batch.rows) * batch.group.cost for batch in self.batches) - 1

    def note_nested(self, group: GroupPlan, outs: Sequence[dict[str, Any]]) -> None:
        """Record the objects that were built within these: they cost, and failures have a place."""
        for field in group.nested:
            (child,) = field.children.values()
            made = [one for out in outs if (one := out[field.key]) is not None]
            self.batches.append(Batch(child, made, made))
            self.note_nested(child, made)

    def fail(self, error: Exception, field: FieldPlan) -> FailedValue:
        """Record that the run has a failure, and return what takes the value's place."""
        self.failed = True
        return FailedValue(error, field)

    def arguments(self, field: FieldPlan) -> dict[str, Any]:
        """Return the field's arguments in this run, coerced once.

        Raises:
            Exception: what coercion raises.
        """
        values = self._arguments.get(field)
        if values is None:
            reader = field.arguments
            values = self._arguments[field] = reader(self.variables) if reader else {}
        return values

    def resume(self, field: FieldPlan, cursor: str) -> None:
        """Let the field continue after this cursor, whatever the document says, if it can.

        Raises:
            Exception: what coercion of its arguments raises.
        """
        if "resumeAfter" in field.definition.args:
            self._arguments[field] = {**self.arguments(field), "resume_after": cursor}

    def check_role(self, field: FieldPlan) -> bool:
        """Return True if the viewer may select the field.

        Arguments are read first, as under graphql-core: their errors are reported to everybody.

        Raises:
            Unauthenticated, Forbidden: the viewer's role is too low.
        """
        if field.spec.requires is not None:
            self.arguments(field)
            self.context.require(field.spec.requires)
        return True

    def value(self, field: FieldPlan, row: Any) -> Any:
        """Return one parent's value of a field that does not wait."""
        self.check_role(field)
        if field.spec.kind is FieldKind.PLAIN:
            return getattr(row, field.attribute)
        return self.call(field, row)

    def call(self, field: FieldPlan, row: Any) -> Any:
        """Call the field's function for one parent (batched: for the list of them)."""
        assert field.function is not None
        keywords = self.arguments(field) if field.arguments else {}
        if field.takes_info:
            keywords = {**keywords, "info": PlanInfo(self.context, field.needs)}
        if field.takes_parent:
            return field.function(row, **keywords)
        return field.function(**keywords)

    def call_each(self, field: FieldPlan, rows: Sequence[Any]) -> list[Any]:
        """Call the field's function for each parent.

        Raises:
            Exception: what it raises for any of them.
        """
        function = field.function
        if function is None or field.takes_info or not field.takes_parent:
            return [self.call(field, row) for row in rows]
        keywords = self.arguments(field) if field.arguments else None
        if keywords:
            return [function(row, **keywords) for row in rows]
        return list(map(function, rows))

    def leaf(self, field: FieldPlan, value: Any) -> Any:
        """Complete a leaf as graphql-core would; a failure becomes a FailedValue."""
        try:
            return coerce_leaf(field, field.type, value, self.fail)
        except Exception as error:
            return self.fail(error, field)
