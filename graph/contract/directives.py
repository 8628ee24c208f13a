"""Changes of directives: of those applied, which graphql-core leaves out, and of deprecations.

What an applied directive means decides: who needs a role, a smaller input or another cost than
before is broken by it, though every type stays.
"""

from __future__ import annotations

from typing import Any

from graphql import DirectiveNode, print_ast, value_from_ast_untyped

from graph.contract.changes import (
    Change,
    Changes,
    Criticality,
    breaking_if,
    dangerous,
    safe,
)
from models import Role

_DECLARED_ELSEWHERE = {"deprecated", "specifiedBy"}  # attributes of what they stand at
_UPPER_BOUNDS = ("maxItems", "maxLength", "max")
_LOWER_BOUNDS = ("minItems", "minLength", "min")


def compare_applied(place: str, old: Any, new: Any) -> Changes:
    """Compare the directives applied to one element, which both schemas have."""
    before, after = _read_applied(old), _read_applied(new)
    for name in {**before, **after}:
        one, other = before.get(name), after.get(name)
        if one is None and other is not None:
            message = f"Directive '{name}' was added to {place}"
            yield Change(_weigh(name, None, other[0]), message)
        elif other is None:
            criticality = Criticality.SAFE if name in _RESTRICTING else Criticality.DANGEROUS
            yield Change(criticality, f"Directive '{name}' was removed from {place}")
        elif one is not None and _text(one) != _text(other):
            message = f"Directive '{name}' on {place} changed from"
            criticality = _weigh(name, one[0], other[0])
            yield Change(criticality, f"{message} '{_text(one)}' to '{_text(other)}'")


def _text(nodes: list[DirectiveNode]) -> str:
    return " ".join(print_ast(node) for node in nodes)


def _read_applied(element: Any) -> dict[str, list[DirectiveNode]]:
    """The applied directives by name; of the repeatable ones several."""
    applied: dict[str, list[DirectiveNode]] = {}
    for node in (element.ast_node.directives or ()) if element.ast_node is not None else ():
        if node.name.value not in _DECLARED_ELSEWHERE:
            applied.setdefault(node.name.value, []).append(node)
    return applied


def _weigh(name: str, old: DirectiveNode | None, new: DirectiveNode) -> Criticality:
    weigh = _RESTRICTING.get(name)
    if weigh is None:
        return Criticality.DANGEROUS
    is_stricter = weigh(_read_arguments(old) if old else None, _read_arguments(new))
    return Criticality.BREAKING if is_stricter else Criticality.SAFE


def _read_arguments(node: DirectiveNode) -> dict[str, Any]:
    return {one.name.value: value_from_ast_untyped(one.value) for one in node.arguments or ()}


def _needs_more_rights(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    needed = Role[new.get("requires", Role.USER.name)]
    return old is None or needed.rank > Role[old.get("requires", Role.USER.name)].rank


def _takes_less(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    before = old or {}
    smaller = any(
        name in new and (name not in before or new[name] < before[name]) for name in _UPPER_BOUNDS
    )
    return smaller or any(
        name in new and (name not in before or new[name] > before[name]) for name in _LOWER_BOUNDS
    )


def _is_new(old: dict[str, Any] | None, _new: dict[str, Any]) -> bool:
    return old is None


# Whether what is declared now refuses what was taken before.
_RESTRICTING = {"auth": _needs_more_rights, "constraint": _takes_less, "oneOf": _is_new}


def compare_deprecation(place: str, old: str | None, new: str | None) -> Changes:
    """Compare the reasons for which one element is deprecated; None: it is not."""
    subject = f"{place[0].upper()}{place[1:]}"
    if old is None and new is not None:
        yield safe(f"{subject} is deprecated")
    elif new is None and old is not None:
        yield dangerous(f"{subject} is no longer deprecated")
    elif old != new:
        yield safe(f"Deprecation reason on {place} has changed from '{old}' to '{new}'")


def compare_value_deprecation(value: str, old: str | None, new: str | None) -> Changes:
    """Compare the reasons for which a value of an enum is deprecated."""
    if old is None and new is not None:
        yield safe(f"Enum value '{value}' was deprecated with reason '{new}'")
    elif new is None and old is not None:
        yield dangerous(f"Deprecation reason was removed from enum value '{value}'")
    elif old != new:
        yield safe(f"Enum value '{value}' deprecation reason changed from '{old}' to '{new}'")


def compare_description(place: str, old: str | None, new: str | None) -> Changes:
    """Compare the descriptions of one element."""
    subject = f"{place[0].upper()}{place[1:]}"
    if not old and new:
        yield safe(f"{subject} has description '{new}'")
    elif old and not new:
        yield safe(f"Description was removed from {place}")
    elif old != new and place.startswith(("argument", "enum value")):
        yield safe(f"Description for {place} changed from '{old}' to '{new}'")
    elif old != new:
        yield safe(f"{subject} description changed from '{old}' to '{new}'")


def compare_definitions(name: str, old: Any, new: Any) -> Changes:
    """Compare two definitions of a directive."""
    yield from compare_description(f"directive '{name}'", old.description, new.description)
    for location in old.locations:
        if location not in new.locations:
            message = f"Location '{location.name}' was removed from directive '{name}'"
            yield Change(Criticality.BREAKING, message)
    for location in new.locations:
        if location not in old.locations:
            yield safe(f"Location '{location.name}' was added to directive '{name}'")
    if old.is_repeatable and not new.is_repeatable:
        yield Change(Criticality.BREAKING, f"Directive '{name}' is no longer repeatable")
    elif new.is_repeatable and not old.is_repeatable:
        yield safe(f"Directive '{name}' is now repeatable")
    for argument in old.args:
        if argument not in new.args:
            message = f"Argument '{argument}' was removed from directive '{name}'"
            yield Change(Criticality.BREAKING, message)
    for argument in new.args:
        if argument not in old.args:
            needed = str(new.args[argument].type).endswith("!")
            message = f"Argument '{argument}' was added to directive '{name}'"
            yield breaking_if(needed, message, Criticality.SAFE)
