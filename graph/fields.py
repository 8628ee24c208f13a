"""How a field is got, declared once for both executors.

plain      an attribute of the parent record
computed   a function of one parent, without waiting
relation   a function of one parent that names keys; a loader turns all parents' keys into things
batched    an async function of all parents of a level, one result each
resolver   an async function of one parent: root fields, and what cannot be batched
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from strawberry import UNSET
from strawberry.types.field import StrawberryField

from graph.directives import Auth
from loaders import CachedLoader, in_order
from models import Role
from resolvers.context import Context

Key = str | None
_SPEC = "marquee"


class How(Enum):
    PLAIN = "plain"
    COMPUTED = "computed"
    RELATION = "relation"
    BATCHED = "batched"
    RESOLVER = "resolver"


@dataclass(frozen=True, slots=True)
class Spec:
    """`needs` are the record fields read here. `passes` says whose business the needs of the child
    selection are: None, not ours (loaded elsewhere); "", the same record's; "credits", those of an
    embedded record under that name."""

    how: How
    needs: frozenset[str] = frozenset()
    passes: str | None = None
    loader: type[CachedLoader[Any]] | None = None
    requires: Role | None = None


class Field(StrawberryField):
    """A Strawberry field that knows its Spec; this is its graphql-core half."""

    @property
    def spec(self) -> Spec:
        return self.metadata[_SPEC]  # type: ignore[no-any-return]

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        spec = self.spec
        if spec.how is How.PLAIN:
            return super().get_result(source, info, args, kwargs)
        if spec.requires is not None:
            info.context.require(spec.requires)
        if spec.how is How.BATCHED:
            return _alone(self.base_resolver, kwargs | {self.parent_name: [source]})
        result = super().get_result(source, info, args, kwargs)
        if spec.loader is not None:
            return load(info.context, spec.loader, result)
        return result

    @property
    def parent_name(self) -> str:
        resolver = self.base_resolver
        assert resolver is not None and resolver.parent_parameter is not None
        return resolver.parent_parameter.name


async def _alone(resolver: Any, kwargs: dict[str, Any]) -> Any:
    """A batched function for a batch of one."""
    (result,) = await resolver(**kwargs)
    if isinstance(result, Exception):
        raise result
    return result


async def load(
    context: Context, loader: type[CachedLoader[Any]], keys: Key | Collection[str]
) -> Any:
    """One thing for a key, the existing ones in order for many."""
    if keys is None:
        return None
    if isinstance(keys, str):
        return await context.load(loader, keys)
    one_by_one = context.loader(loader)
    values = await one_by_one.load_each(keys)
    return in_order(values, keys)


def _field(
    spec: Spec,
    description: str,
    resolver: Callable[..., Any] | None = None,
    directives: Iterable[object] = (),
    **options: Any,
) -> Any:
    field = Field(
        python_name=None,
        graphql_name=options.pop("name", None),
        description=description,
        metadata={_SPEC: spec},
        directives=[*directives, *([Auth(requires=spec.requires)] if spec.requires else [])],
        **options,
    )
    if resolver is None:
        return field
    field(resolver)
    for argument in field.arguments:
        if argument.default is None:
            argument.default = UNSET  # printed without a default; Python's None applies
    return field


def plain(
    description: str,
    *,
    needs: Iterable[str] | None = None,
    passes: str | None = None,
    **options: Any,
) -> Any:
    """The parent's attribute of this name. `needs` defaults to that name."""
    spec = Spec(How.PLAIN, frozenset(needs) if needs is not None else frozenset({"*"}), passes)
    return _field(spec, description, **options)


def computed(
    function: Callable[..., Any],
    description: str,
    *,
    needs: Iterable[str] = (),
    passes: str | None = None,
    requires: Role | None = None,
    **options: Any,
) -> Any:
    """`function(parent, info?, **arguments)`, called per parent; must not wait."""
    spec = Spec(How.COMPUTED, frozenset(needs), passes, requires=requires)
    return _field(spec, description, function, **options)


def relation(
    keys: Callable[..., Key | Collection[str]],
    loader: type[CachedLoader[Any]],
    description: str,
    *,
    needs: Iterable[str] = (),
    requires: Role | None = None,
    **options: Any,
) -> Any:
    """`keys(parent, **arguments)` names one thing (or None) or many; one load for all parents."""
    spec = Spec(How.RELATION, frozenset(needs), loader=loader, requires=requires)
    return _field(spec, description, keys, **options)


def batched(
    function: Callable[..., Awaitable[Iterable[Any]]],
    description: str,
    *,
    needs: Iterable[str] = (),
    passes: str | None = None,
    requires: Role | None = None,
    **options: Any,
) -> Any:
    """`function(parents, info, **arguments)`: one result (or Exception) per parent, in order."""
    spec = Spec(How.BATCHED, frozenset(needs), passes, requires=requires)
    return _field(spec, description, function, **options)


def resolver(
    function: Callable[..., Any],
    description: str,
    *,
    needs: Iterable[str] = (),
    passes: str | None = None,
    requires: Role | None = None,
    **options: Any,
) -> Any:
    """`function(info, **arguments)` or `function(parent, info, **arguments)`, once per parent."""
    spec = Spec(How.RESOLVER, frozenset(needs), passes, requires=requires)
    return _field(spec, description, function, **options)


def subscription(
    function: Callable[..., Any], description: str, *, requires: Role | None = None, **options: Any
) -> Any:
    """`function(info, **arguments)` is an async generator; each value is one event."""
    spec = Spec(How.RESOLVER, requires=requires)
    return _field(spec, description, function, is_subscription=True, **options)

