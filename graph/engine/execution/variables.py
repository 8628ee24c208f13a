"""Variable values coerced by functions made once per operation.

They take what is plainly right (specification, section 6.1.2); anything else goes to graphql-core,
whose errors are the ones clients see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce = Callable[[Any], Any]
ReadVariables = Callable[[Mapping[str, Any]], VariableValues | None]
_MAX_INT = 2**31


class UndecidedValue(Exception):
    """The value is not plainly right: graphql-core decides."""


def variable_reader(schema: GraphQLSchema, operation: OperationDefinitionNode) -> ReadVariables:
    """Build a function from raw values to VariableValues; it returns None where undecided."""
    coercers: list[tuple[str, Any, Coerce, Any]] = []
    coercers_by_type: dict[GraphQLInputObjectType, Coerce] = {}
    for node in operation.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        if isinstance(signature, GraphQLError):
            return lambda _raw: None
        try:
            default = coerce_default_value(signature) if node.default_value else Undefined
        except GraphQLError:  # Strawberry's own checks
            return lambda _raw: None
        coerce = _coercer(signature.type, coercers_by_type)
        coercers.append((signature.name, signature, coerce, default))

    def read(raw: Mapping[str, Any]) -> VariableValues | None:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        try:
            for name, signature, coerce, default in coercers:
                value = raw.get(name, Undefined)
                sources[name] = VariableValueSource(signature, value)
                if value is not Undefined:
                    coerced[name] = coerce(value)
                elif default is not Undefined:
                    coerced[name] = default
                elif is_non_null_type(signature.type):
                    return None
        except UndecidedValue:
            return None
        return VariableValues(sources, coerced)

    return read


def _coercer(type_: Any, coercers_by_type: dict[GraphQLInputObjectType, Coerce]) -> Coerce:
    if not is_non_null_type(type_):
        inner = _present(type_, coercers_by_type)
        return lambda value: None if value is None else inner(value)
    return _refuse_null(_present(type_.of_type, coercers_by_type))


def _refuse_null(inner: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise UndecidedValue
        return inner(value)

    return coerce


def _present(type_: Any, coercers_by_type: dict[GraphQLInputObjectType, Coerce]) -> Coerce:
    """Build the coercion of values that are not null."""
    if is_list_type(type_):
        return _list(_coercer(type_.of_type, coercers_by_type))
    if isinstance(type_, GraphQLInputObjectType):
        if type_ not in coercers_by_type:
            coercers_by_type[type_] = _defer(
                coercers_by_type, type_
            )  # inputs may contain themselves
            coercers_by_type[type_] = _object(type_, coercers_by_type)
        return coercers_by_type[type_]
    if isinstance(type_, GraphQLEnumType):
        return _leaf(type_)
    return _SCALARS.get(type_.name) or _leaf(type_)


def _defer(
    coercers_by_type: dict[GraphQLInputObjectType, Coerce], type_: GraphQLInputObjectType
) -> Coerce:
    return lambda value: coercers_by_type[type_](value)


def _list(item: Coerce) -> Coerce:
    def coerce(value: Any) -> list[Any]:
        if value.__class__ is not list:
            raise UndecidedValue
        return [item(one) for one in value]

    return coerce


def _leaf(type_: Any) -> Coerce:
    def coerce(value: Any) -> Any:
        try:
            coerced = type_.coerce_input_value(value)
        except Exception:  # whatever a scalar raises
            raise UndecidedValue from None
        if coerced is Undefined:
            raise UndecidedValue
        return coerced

    return coerce


def _object(
    type_: GraphQLInputObjectType, coercers_by_type: dict[GraphQLInputObjectType, Coerce]
) -> Coerce:
    fields = [
        (
            name,
            field.out_name or name,
            _coercer(field.type, coercers_by_type),
            coerce_default_value(field),
            is_non_null_type(field.type),
        )
        for name, field in type_.fields.items()
    ]
    names = frozenset(type_.fields)
    out_type, is_one_of = type_.out_type, type_.is_one_of

    def coerce(value: Any) -> Any:
        if value.__class__ is not dict or not names.issuperset(value):
            raise UndecidedValue
        fields_by_name: dict[str, Any] = {}
        for name, out_name, coerce_field, default, is_required in fields:
            if name in value:
                fields_by_name[out_name] = coerce_field(value[name])
            elif default is not Undefined:
                fields_by_name[out_name] = default
            elif is_required:
                raise UndecidedValue
        if is_one_of and (len(fields_by_name) != 1 or None in fields_by_name.values()):
            raise UndecidedValue
        try:
            return out_type(fields_by_name)
        except Exception:  # Strawberry's own checks
            raise UndecidedValue from None

    return coerce


def _int(value: Any) -> int:
    if value.__class__ is not int or not -_MAX_INT <= value < _MAX_INT:
        raise UndecidedValue
    return value


def _float(value: Any) -> float:
    if value.__class__ is int and abs(value) < 2**53:
        return float(value)
    if value.__class__ is not float or not math.isfinite(value):
        raise UndecidedValue
    return value


def _text(value: Any) -> str:
    if value.__class__ is not str:
        raise UndecidedValue
    return value


def _boolean(value: Any) -> bool:
    if value.__class__ is not bool:
        raise UndecidedValue
    return value


_SCALARS: dict[str, Coerce] = {
    GraphQLInt.name: _int,
    GraphQLFloat.name: _float,
    GraphQLString.name: _text,
    GraphQLID.name: _text,
    GraphQLBoolean.name: _boolean,
}
