"""Fields that a later subject adds to a type of an earlier one, as GraphQL's `extend type` does.

`@extend(Title)` only declares; `apply_extensions` adds, once, in the order of the subjects. So the
schema is the same whatever is imported first, and no type names the subjects that extend it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import strawberry
from strawberry.types.base import StrawberryObjectDefinition, get_object_definition

T = TypeVar("T")
_declared: list[tuple[type, type]] = []  # (target, extension), in the order of declaration


def extend(target: type) -> Callable[[type[T]], type[T]]:
    """Declare that the decorated class holds further fields of `target`.

    They become fields of the type, or of the interface and of every type that implements it.

    Raises:
        TypeError: `target` is no type or interface of the schema.
    """
    if not _is_output(get_object_definition(target)):
        raise TypeError(f"{target.__name__} is no type or interface of the schema")

    def declare(extension: type[T]) -> type[T]:
        _declared.append((target, strawberry.type(extension)))
        return extension

    return declare


def _is_output(definition: StrawberryObjectDefinition | None) -> bool:
    return definition is not None and not definition.is_input


def apply_extensions(subjects: Iterable[str]) -> None:
    """Add the fields declared in these modules and packages, in this order, each once.

    Raises:
        ValueError: a field exists already; no field of its extension is added.
    """
    for subject in subjects:
        for declared in [one for one in _declared if _is_within(one[1].__module__, subject)]:
            _apply(*declared)
            _declared.remove(declared)


def pending_extensions() -> list[type]:
    """List the extensions declared and not applied yet."""
    return [extension for _, extension in _declared]


def _is_within(module: str, subject: str) -> bool:
    return module == subject or module.startswith(f"{subject}.")


def _apply(target: type, extension: type) -> None:
    added = get_object_definition(extension, strict=True).fields
    definitions = [get_object_definition(heir, strict=True) for heir in _with_heirs(target)]
    for definition in definitions:
        names = {field.python_name for field in definition.fields}
        for field in added:
            if field.python_name in names:
                raise ValueError(f"{definition.name} has a field {field.python_name} already")
    for definition in definitions:
        definition.fields.extend(added)


def _with_heirs(target: type) -> dict[type, None]:
    """Return the type and every class derived from it, once each."""
    heirs: dict[type, None] = {target: None}
    subclasses: list[type] = target.__subclasses__()
    for heir in subclasses:
        heirs |= _with_heirs(heir)
    return heirs
