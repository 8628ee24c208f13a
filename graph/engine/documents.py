"""The registry of documents: parsed, validated and compiled once, however they arrive.

Bounded by count and by estimated bytes, plans included; the least recently used go first. Refused
documents are kept as messages alone. Counters tell how often each step really ran.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    parse,
    specified_rules,
    validate,
)
from graphql.validation.validate import ValidationAbortedError
from strawberry.schema.config import StrawberryConfig

from graph.engine.bounds import BoundsReader, Checks, InputBounds, check_numbers
from graph.engine.cost import CostEstimate
from graph.engine.document_errors import as_graphql_error, as_limit_error, without_sources
from graph.engine.exclusive_fields import OneExclusiveField
from graph.engine.execution import Plan, UnsupportedOperation, compile_plan, condition_variables
from graph.engine.execution.variables import ReadVariables, variable_reader
from graph.engine.incremental_directives import add_directives, strip_directives
from graph.engine.limits import DocumentLimits, examine, overlap_rule
from graph.engine.persisted.ids import NOT_FOUND, DocumentIds
from services.cache.byte_lru import ByteLru
from services.documents.ids import is_sha256
from services.documents.trusted import MAX_CHARACTERS, MAX_TRUSTED, TrustedDocuments
from services.errors import (
    CodedError,
    CostLimitExceeded,
    PersistedQueryNotFound,
    ValidationFailed,
)

MAX_TOKENS = 1_000
_TOKEN_BYTES = 600  # of syntax tree and readers per token, as measured
_OVERHEAD_BYTES = 2_000
_TOO_LONG = f"A document has at most {MAX_CHARACTERS} characters."
_TOO_ALIKE = "The document repeats the same fields too often to be checked."
_MAX_ERRORS = 5
URGENT_FIELDS = frozenset({"reportProgress", "reportProgressBatch", "stopPlayback"})
_URGENT_NAMES = tuple(name.encode() for name in URGENT_FIELDS)
_ID_IN_JSON = re.compile(rb'"(?:sha256:)?([\w.~-]{1,128})"', re.ASCII)
_FULL_SHARE = 0.95
MAX_TRUSTED_BYTES = 128 * 1024 * 1024  # of trusted documents, with their plans
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
    bounds: InputBounds
    read_variables: ReadVariables
    text: str
    size: int  # of the document in bytes, as estimated; each plan counts as much again
    is_urgent: bool  # only reports of what a player does
    plans: OrderedDict[PlanKey, Plan | None] = field(default_factory=OrderedDict)
    incremental: DocumentNode | None = None  # `document` with @defer and @stream, if it has any
    name: str | None = field(init=False)  # in its document, if it has one
    label: str = field(init=False)  # kind and name, for logs
    root_fields: frozenset[str] = field(init=False)  # their names; a fragment's is empty
    _variables: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        node = self.node
        self.name = node.name.value if node.name else None
        self.label = f"{self.kind} {self.name[:60] if self.name else '(anonymous)'}"
        selections: Iterable[Any] = node.selection_set.selections
        names = (one.name.value if one.kind == "field" else "" for one in selections)
        self.root_fields = frozenset(names)
        self._variables = tuple(
            [one.variable.name.value for one in node.variable_definitions or ()]
        )

    def declared(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables that the operation declares; others are ignored."""
        return {name: variables[name] for name in self._variables if name in variables}


@dataclass(slots=True, eq=False)
class Document:
    """A read document: its errors, or its operations by name ("" for none)."""

    errors: Sequence[GraphQLError] = ()
    operations: Mapping[str, Operation] = field(default_factory=dict)
    document_hash: str = ""  # a digest of its text
    is_parsed: bool = True

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
        incremental: bool = False,
        limits: DocumentLimits = DocumentLimits(),  # noqa: B008 - immutable
        capacity: int = 1_000,
        max_bytes: int = 48 * 1024 * 1024,
        published: Mapping[str, str] | None = None,
        trusted: TrustedDocuments | None = None,
    ) -> None:
        core = schema._schema
        self.schema: GraphQLSchema = add_directives(core) if incremental else core
        _declare_one_of(self.schema)
        self._config = config
        self._scalars = schema.schema_converter.scalar_registry
        self._introspection = introspection
        self.limits = limits
        self._checks = Checks()
        self._rules = _validation_rules(limits, introspection)
        self._by_text: ByteLru[str, Document] = ByteLru(max_bytes, capacity)
        self._trusted: ByteLru[str, Document] = ByteLru(MAX_TRUSTED_BYTES, MAX_TRUSTED)
        self.ids = DocumentIds(published or {}, TrustedDocuments() if trusted is None else trusted)
        self.counters = Counters()

    def find(self, text: str | None, document_id: str | None) -> Document:
        """Return the document of this text, or the one that has this id.

        Raises:
            PersistedQueryNotFound: nothing has the id, and no text came with it.
            ValidationFailed: the id is not the text's.
        """
        if document_id is None:
            return self.get(text or "")
        named = self.ids.find_text(document_id)
        if text is None:
            if named is None:
                raise PersistedQueryNotFound(NOT_FOUND)
            return self.get(named)
        if named != text:
            _check_hash(document_id, text)
        return self.get(text)

    def may_be_urgent(self, body: bytes) -> bool:
        """Whether a request's body has a field that players report with, or such a document's id.

        A look at its text: an id is looked for as JSON has it.
        """
        if any(name in body for name in _URGENT_NAMES):
            return True
        texts = (self.ids.find_text(part.decode()) for part in _ID_IN_JSON.findall(body))
        return any(name in text for text in texts if text for name in URGENT_FIELDS)

    def is_read(self, text: str) -> bool:
        """Whether the document of this text was read before."""
        return text in self._memory_of(text)

    def touch(self, text: str | None, document_id: str | None) -> bool:
        """Count a use of this document; whether it was read before."""
        if text is None:
            text = self.ids.find_text(document_id or "")
        return text is not None and self._memory_of(text).get(text) is not None

    def _memory_of(self, text: str) -> ByteLru[str, Document]:
        """Trusted documents have a memory of their own, where strangers' displace none."""
        return self._trusted if self.ids.has_text(text) else self._by_text

    def get(self, text: str) -> Document:
        """Return the document of this text; invalid ones are cached as well."""
        memory = self._memory_of(text)
        document = memory.get(text)
        if document is not None:
            return document
        if len(text) > MAX_CHARACTERS:  # not worth remembering
            return Document([as_graphql_error(CostLimitExceeded(_TOO_LONG))])
        document = self._read(text)
        document.document_hash = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        size = sys.getsizeof(text) + _OVERHEAD_BYTES
        if document.errors:
            document.errors = [without_sources(error) for error in document.errors]
        else:
            size = next(iter(document.operations.values())).size
        memory.put(text, document, size)
        return document

    @property
    def is_full_of_trusted(self) -> bool:
        """Whether trusted documents have used up their memory but for a little."""
        return self._trusted.bytes > _FULL_SHARE * MAX_TRUSTED_BYTES

    def forget_untrusted(self) -> None:
        """Drop read documents that are no longer trusted; they are read anew where they run."""
        for text in [text for text, _ in self._trusted.items() if not self.ids.has_text(text)]:
            self._trusted.pop(text)

    def plan(self, operation: Operation, variables: Mapping[str, Any]) -> Plan | None:
        """Return the plan for these variable values, or None where graphql-core runs it."""
        outcome: tuple[Any, ...] = ()
        if operation.conditions:
            outcome = tuple([variables.get(name, False) for name in operation.conditions])
            if not all(isinstance(value, bool) for value in outcome):
                return None  # a null condition is an error of the fields it is on
        plans, key = operation.plans, (operation.name, *outcome)
        if key in plans:
            plans.move_to_end(key)
            return plans[key]
        plan = plans[key] = self._compile(operation, outcome)
        if len(plans) > MAX_PLANS:
            plans.popitem(last=False)
        self._memory_of(operation.text).resize(operation.text, operation.size * (1 + len(plans)))
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
            check_numbers(ast)
            costs = examine(self.schema, ast, self.limits)
        except GraphQLError as error:
            return Document([as_limit_error(error)], is_parsed=False)
        except CodedError as error:
            return Document([as_graphql_error(error)])
        except RecursionError:
            return Document(
                [as_graphql_error(CostLimitExceeded("The document is nested too deeply."))]
            )
        invalid = self._validate(ast)
        if invalid:
            return Document(invalid)
        try:
            return Document(operations=self._read_operations(text, ast, costs))
        except CodedError as error:  # a literal is beyond its bound
            return Document([as_graphql_error(error)])

    def _read_operations(
        self, text: str, ast: DocumentNode, costs: Mapping[str, CostEstimate]
    ) -> dict[str, Operation]:
        incremental, ast = ast, strip_directives(text, ast)
        plans: OrderedDict[PlanKey, Plan | None] = OrderedDict()
        bounds = BoundsReader(self.schema, ast, self._checks)
        size = 2 * sys.getsizeof(text) + _OVERHEAD_BYTES + _TOKEN_BYTES * _count_tokens(ast)
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
                bounds.operation(node),
                variable_reader(self.schema, node),
                text,
                size,
                _is_urgent(node),
                plans,
                incremental if incremental is not ast else None,
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
            return [as_graphql_error(CostLimitExceeded(_TOO_ALIKE))]
        return violations


def _check_hash(document_id: str, text: str) -> None:
    """Check that an id is the text's SHA-256, in hexadecimal.

    Raises:
        ValidationFailed: it is not.
    """
    if not is_sha256(document_id):
        raise ValidationFailed("With a text goes its SHA-256, or the id that it was pushed under.")
    if hashlib.sha256(text.encode()).hexdigest() != document_id:
        raise ValidationFailed("The id is not the SHA-256 of the document.")


def _validation_rules(limits: DocumentLimits, introspection: bool) -> list[type[ASTValidationRule]]:
    rules: list[type[ASTValidationRule]] = [
        rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule
    ]
    rules += [overlap_rule(limits.comparisons), OneExclusiveField]
    return rules if introspection else [*rules, NoSchemaIntrospectionCustomRule]


def _declare_one_of(schema: GraphQLSchema) -> None:
    """Tell graphql-core of @oneOf inputs, so that validation reports a mistake before execution."""
    for type_ in schema.type_map.values():
        definition = type_.extensions.get("strawberry-definition")
        if isinstance(type_, GraphQLInputObjectType) and definition is not None:
            type_.is_one_of = bool(definition.is_one_of)


def _is_urgent(node: OperationDefinitionNode) -> bool:
    return all(
        isinstance(field, FieldNode) and field.name.value in URGENT_FIELDS
        for field in node.selection_set.selections
    )


def _operations(ast: DocumentNode) -> Iterator[tuple[str, OperationDefinitionNode]]:
    for node in ast.definitions:
        if isinstance(node, OperationDefinitionNode):
            yield node.name.value if node.name else "", node


def _count_tokens(ast: DocumentNode) -> int:
    token, count = ast.loc.start_token if ast.loc is not None else None, 0
    while token is not None:
        token, count = token.next, count + 1
    return count
