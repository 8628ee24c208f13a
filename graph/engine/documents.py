"""The registry of documents: parsed, validated and compiled once, however they arrive.

Bounded by count and by text; the least recently used go first. Counters tell how often each step
really ran.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql import (
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    parse,
    specified_rules,
    validate,
)
from graphql.validation.validate import ValidationAbortedError
from strawberry.schema.config import StrawberryConfig

from graph.engine.cost import CostEstimate
from graph.engine.exclusive_fields import OneExclusiveField
from graph.engine.execution import Plan, UnsupportedOperation, compile_plan, condition_variables
from graph.engine.execution.variables import ReadVariables, variable_reader
from graph.engine.limits import DocumentLimits, examine, overlap_rule
from services.errors import (
    CodedError,
    CostLimitExceeded,
    PersistedQueryNotFound,
    ValidationFailed,
)

MAX_CHARACTERS = 15_000
MAX_TOKENS = 1_000
_TOO_LONG = f"A document has at most {MAX_CHARACTERS} characters."
_TOO_ALIKE = "The document repeats the same fields too often to be checked."
_PARSER_LIMIT_SUFFIX = "Parsing aborted."
_MAX_ERRORS = 5
MAX_PLANS = 32  # of one document, by operation and outcome of its conditions


PlanKey = tuple[Any, ...]  # an operation's name, then the values of its condition variables


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of a document; `plans` are those of the whole document, oldest use first."""

    document: DocumentNode
    node: OperationDefinitionNode
    kind: str
    conditions: tuple[str, ...]
    cost: CostEstimate
    read_variables: ReadVariables
    plans: OrderedDict[PlanKey, Plan | None] = field(default_factory=OrderedDict)


@dataclass(slots=True, eq=False)
class Document:
    """A read document: its errors, or its operations by name ("" for none)."""

    errors: Sequence[GraphQLError] = ()
    operations: Mapping[str, Operation] = field(default_factory=dict)
    document_hash: str = ""  # a digest of its text

    def operation(self, name: str | None) -> Operation:
        """Return the operation to run.

        Raises:
            ValidationFailed: no such operation, or several and no name.
        """
        if name:
            operation = self.operations.get(name)
            if operation is None:
                raise ValidationFailed(f"The document has no operation named {name[:60]!r}.")
            return operation
        if len(self.operations) != 1:
            raise ValidationFailed(
                "`operationName` is needed: the document has several operations."
            )
        return next(iter(self.operations.values()))


@dataclass(slots=True)
class Counters:
    parsed: int = 0
    compiled: int = 0


class Documents:
    """Registry of documents, one per process."""

    def __init__(
        self,
        schema: strawberry.Schema,
        config: StrawberryConfig,
        *,
        introspection: bool,
        limits: DocumentLimits = DocumentLimits(),  # noqa: B008 - immutable
        capacity: int = 1_000,
    ) -> None:
        self.schema: GraphQLSchema = schema._schema
        _declare_one_of(self.schema)
        self._config = config
        self._scalars = schema.schema_converter.scalar_registry
        self._capacity = capacity
        self._introspection = introspection
        self.limits = limits
        self._rules = _validation_rules(limits, introspection)
        self._by_text: OrderedDict[str, Document] = OrderedDict()
        self._by_id: OrderedDict[str, str] = OrderedDict()
        self.counters = Counters()

    def find(self, text: str | None, document_id: str | None) -> Document:
        """Return the document of this text, or the one registered under this id.

        Args:
            document_id: SHA-256 of the text, in hex.

        Raises:
            PersistedQueryNotFound: nothing is registered under the id, and no text came with it.
            ValidationFailed: the id is not the text's SHA-256.
        """
        if document_id is None:
            return self.get(text or "")
        if text is None:
            registered_text = self._by_id.get(document_id)
            if registered_text is None:
                raise PersistedQueryNotFound("PersistedQueryNotFound")  # what clients look for
            return self.get(registered_text)
        if hashlib.sha256(text.encode()).hexdigest() != document_id:
            raise ValidationFailed("The id is not the SHA-256 of the document.")
        document = self.get(text)
        if not document.errors:
            self._register(document_id, text)
        return document

    def is_registered(self, document_id: str | None) -> bool:
        """Whether a document is registered under this id."""
        return document_id is not None and document_id in self._by_id

    def _register(self, document_id: str, text: str) -> None:
        self._by_id[document_id] = text
        self._by_id.move_to_end(document_id)
        if len(self._by_id) > self._capacity:
            self._by_id.popitem(last=False)

    def get(self, text: str) -> Document:
        """Return the document of this text; invalid ones are cached as well."""
        document = self._by_text.get(text)
        if document is not None:
            self._by_text.move_to_end(text)
            return document
        if len(text) > MAX_CHARACTERS:  # not worth remembering
            return Document([_as_graphql_error(CostLimitExceeded(_TOO_LONG))])
        document = self._read(text)
        document.document_hash = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self._by_text[text] = document
        if len(self._by_text) > self._capacity:
            self._by_text.popitem(last=False)
        return document

    def plan(self, operation: Operation, variables: Mapping[str, Any]) -> Plan | None:
        """Return the plan for these variable values, or None where graphql-core runs it."""
        outcome = tuple(variables.get(name, False) for name in operation.conditions)
        if not all(isinstance(value, bool) for value in outcome):
            return None  # a null condition is an error of the fields it is on
        plans, key = operation.plans, (operation.node.name and operation.node.name.value, *outcome)
        if key in plans:
            plans.move_to_end(key)
            return plans[key]
        plan = plans[key] = self._compile(operation, outcome)
        if len(plans) > MAX_PLANS:
            plans.popitem(last=False)
        return plan

    def _compile(self, operation: Operation, outcome: tuple[bool, ...]) -> Plan | None:
        self.counters.compiled += 1
        conditions = dict(zip(operation.conditions, outcome, strict=True))
        try:
            return compile_plan(
                self.schema,
                self._config,
                self._scalars,
                operation.document,
                operation.node,
                conditions,
            )
        except UnsupportedOperation:
            return None

    def _read(self, text: str) -> Document:
        """Parse a text, check its limits, then validate it: a hostile text costs no validation."""
        self.counters.parsed += 1
        try:
            ast = parse(text, max_tokens=MAX_TOKENS)
            costs = examine(self.schema, ast, self.limits)
        except GraphQLError as error:
            return Document([_as_limit_error(error)])
        except CodedError as error:
            return Document([_as_graphql_error(error)])
        except RecursionError:
            return Document(
                [_as_graphql_error(CostLimitExceeded("The document is nested too deeply."))]
            )
        invalid = self._validate(ast)
        if invalid:
            return Document(invalid)
        return Document(operations=self._read_operations(ast, costs))

    def _read_operations(
        self, ast: DocumentNode, costs: Mapping[str, CostEstimate]
    ) -> dict[str, Operation]:
        plans: OrderedDict[PlanKey, Plan | None] = OrderedDict()
        fragments = {
            node.name.value: node
            for node in ast.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        return {
            name: Operation(
                ast,
                node,
                node.operation.value,
                condition_variables(node, fragments),
                costs[name],
                variable_reader(self.schema, node),
                plans,
            )
            for name, node in _operations(ast)
        }

    def _validate(self, ast: DocumentNode) -> list[GraphQLError]:
        violations = validate(
            self.schema,
            ast,
            self._rules,
            max_errors=_MAX_ERRORS,
            hide_suggestions=not self._introspection,
        )
        if any(isinstance(error, ValidationAbortedError) for error in violations[:_MAX_ERRORS]):
            return [_as_graphql_error(CostLimitExceeded(_TOO_ALIKE))]
        return violations


def _validation_rules(limits: DocumentLimits, introspection: bool) -> list[type[ASTValidationRule]]:
    rules: list[type[ASTValidationRule]] = [
        rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule
    ]
    rules += [overlap_rule(limits.comparisons), OneExclusiveField]
    return rules if introspection else [*rules, NoSchemaIntrospectionCustomRule]


def _as_limit_error(error: GraphQLError) -> GraphQLError:
    """Turn the parser's token limit, known by its message, into a coded error."""
    if isinstance(error, GraphQLSyntaxError) and error.message.endswith(_PARSER_LIMIT_SUFFIX):
        return _as_graphql_error(CostLimitExceeded(error.message.removeprefix("Syntax Error: ")))
    return error


def _declare_one_of(schema: GraphQLSchema) -> None:
    """Tell graphql-core of @oneOf inputs, so that validation reports a mistake before execution."""
    for type_ in schema.type_map.values():
        definition = type_.extensions.get("strawberry-definition")
        if isinstance(type_, GraphQLInputObjectType) and definition is not None:
            type_.is_one_of = bool(definition.is_one_of)


def _operations(ast: DocumentNode) -> Iterator[tuple[str, OperationDefinitionNode]]:
    for node in ast.definitions:
        if isinstance(node, OperationDefinitionNode):
            yield node.name.value if node.name else "", node


def _as_graphql_error(error: CodedError) -> GraphQLError:
    return GraphQLError(error.message, original_error=error)
