"""Decoding of answers in which single values are odd: one bad value loses itself only.

An optional field of another type or out of bounds has its default, a bad element is left out of its
list. Without a required value there is no answer.
"""

from __future__ import annotations

import json
import typing
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON.

    Raises:
        ValueError: not JSON, or a required value is missing or bad.
    """
    try:
        return _decoder(kind).decode(body)
    except msgspec.DecodeError:
        return typing.cast(T, _convert(_parse(body), kind))


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return _decoders.setdefault(kind, msgspec.json.Decoder(kind))


def _parse(body: bytes) -> Any:
    """Parse leniently: numbers beyond a float are infinite, NaN is one; bounds refuse them."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _convert(value: Any, kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _convert_fields(value, kind)
    if typing.get_origin(kind) is list:
        return list(_convert_elements(value, typing.get_args(kind)[0]))
    if isinstance(value, str):
        value.encode()  # a lone surrogate cannot be stored
    return msgspec.convert(value, kind, strict=False)


def _convert_fields(value: Any, kind: type[msgspec.Struct]) -> msgspec.Struct:
    if not isinstance(value, dict):
        raise ValueError(f"no {kind.__name__}")
    fields = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in value:
            continue
        try:
            fields[field.name] = _convert(value[field.encode_name], field.type)
        except ValueError:
            if field.required:
                raise
    try:
        return kind(**fields)
    except TypeError as error:
        raise ValueError("a required value is missing") from error


def _convert_elements(value: Any, kind: Any) -> typing.Iterator[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    for element in value:
        try:
            yield _convert(element, kind)
        except ValueError:
            continue
