"""How a field is resolved, declared once for both executors.

plain      an attribute of the parent record
computed   a function of one parent, without waiting
relation   an attribute of the parent, or a function of it, that names keys; a loader turns all
           parents' keys into things
batched    an async function of all parents of a level, one result each
resolver   an async function of one parent: root fields, and what cannot be batched
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from strawberry import UNSET
from strawberry.types.field import StrawberryField

from graph.base.core_batching import run_in_batch
from graph.base.directives import Auth, CacheControl, CacheControlScope, Cost, ListSize
from graph.base.freshness import Freshness
from loaders import CachedLoader, in_order
from models import Role
from resolvers.context import Context

Key = str | None
_SPEC = "marquee"
SLICING_ARGUMENTS = ("first", "last")


class FieldKind(Enum):
    PLAIN = "plain"
    COMPUTED = "computed"
    RELATION = "relation"
    BATCHED = "batched"
    RESOLVER = "resolver"


@dataclass(frozen=True, slots=True)
class Spec:
    """How a field is resolved, for both executors.

    `needs` are the record fields read here. `child_projection` says whose record the child
    selection reads: None, one loaded elsewhere; "", the same record; "credits", the record
    embedded under that name.
    """

    kind: FieldKind
    needs: frozenset[str] = frozenset()
    child_projection: str | None = None
    loader: type[CachedLoader[Any]] | None = None
    keys: str | None = None  # of a relation: the parent's attribute that has them
    requires: Role | None = None
    cost: int = 0  # beyond the things it answers with, which cost 1 each
    assumed_size: int | None = None  # of a list without a slicing argument
    freshness: Freshness | None = None  # of public answers; None: as the parent's
    is_private: bool = False  # depends on the viewer
    is_pure: bool = False  # computed of the parent, arguments and settings alone
    is_slow: bool = False  # waits for outside services: cancelled when the client disconnects
    is_exclusive: bool = False  # an operation holds at most one such root field


class Field(StrawberryField):
    """A Strawberry field with a Spec; this is its graphql-core half."""

    @property
    def spec(self) -> Spec:
        """How the field is resolved."""
        return self.metadata[_SPEC]  # type: ignore[no-any-return]

    @property
    def is_basic_field(self) -> bool:
        """Whether graphql-core needs no context for it: not where a loader has the value."""
        return self.spec.keys is None and super().is_basic_field

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """Resolve the field for one parent under graphql-core, as the plan does for a level.

        Raises:
            Unauthenticated, Forbidden: the viewer's role is too low.
        """
        spec = self.spec
        if spec.kind is FieldKind.PLAIN:
            return super().get_result(source, info, args, kwargs)
        if spec.requires is not None:
            info.context.require(spec.requires)
        if spec.kind is FieldKind.BATCHED:
            return self._run_in_batch(source, info, kwargs)
        if spec.keys is not None:
            result: Any = getattr(source, spec.keys)
        else:
            result = super().get_result(source, info, args, kwargs)
        if spec.loader is not None:
            return load(info.context, spec.loader, result)
        return result

    def _run_in_batch(self, source: Any, info: Any, kwargs: dict[str, Any]) -> Any:
        resolver: Any = self.base_resolver
        name = resolver.parent_parameter.name
        key = (
            id(self),
            id(info._raw_info.field_nodes[0]),
        )  # one place in the text, the same arguments
        return run_in_batch(
            info.context.batches, key, lambda parents: resolver(**kwargs | {name: parents}), source
        )


async def load(
    context: Context, loader: type[CachedLoader[Any]], keys: Key | Collection[str]
) -> Any:
    """Load one record for a key; for several keys, the existing ones in order."""
    if keys is None:
        return None
    if isinstance(keys, str):
        return await context.load(loader, keys)
    one_by_one = context.loader(loader)
    values = await one_by_one.load_each(keys)
    return in_order(values, keys)


def _field(
    kind: FieldKind,
    description: str,
    function: Callable[..., Any] | None,
    *,
    needs: Iterable[str] = (),
    name: str | None = None,
    deprecation_reason: str | None = None,
    is_subscription: bool = False,
    **options: Any,
) -> Any:
    """Build a field; `options` are the other attributes of Spec."""
    spec = Spec(kind, frozenset(needs), **options)
    field = Field(
        python_name=None,
        graphql_name=name,
        description=description,
        metadata={_SPEC: spec},
        deprecation_reason=deprecation_reason,
        is_subscription=is_subscription,
    )
    if function is not None:
        field(function)
        for argument in field.arguments:
            if argument.default is None:
                argument.default = UNSET  # printed without a default; Python's None applies
    field.directives = list(_directives(spec, [one.python_name for one in field.arguments]))
    return field


def _directives(spec: Spec, arguments: Sequence[str]) -> Iterator[object]:
    """Derive the schema directives from what the server does with the field."""
    slicing = [name for name in SLICING_ARGUMENTS if name in arguments]
    if slicing:
        sized = ["nodes", "edges"] if "after" in arguments else UNSET
        yield ListSize(
            slicing_arguments=slicing, sized_fields=sized, require_one_slicing_argument=False
        )
    elif spec.assumed_size is not None:
        yield ListSize(assumed_size=spec.assumed_size, require_one_slicing_argument=False)
    if spec.cost:
        yield Cost(weight=str(spec.cost))
    if spec.freshness is not None:
        yield _describe_freshness(spec.freshness)
    if spec.is_private:
        yield CacheControl(scope=CacheControlScope.PRIVATE)
    if spec.requires is not None:
        yield Auth(requires=spec.requires)


def _describe_freshness(freshness: Freshness) -> CacheControl:
    return CacheControl(
        max_age=freshness.max_age,
        s_max_age=UNSET if freshness.shared_max_age is None else freshness.shared_max_age,
        stale_while_revalidate=freshness.stale_while_revalidate,
        stale_if_error=freshness.stale_if_error,
    )


def plain(description: str, *, needs: Iterable[str] | None = None, **options: Any) -> Any:
    """Declare a field that is the parent's attribute of this name.

    Args:
        needs: record fields read; by default the one of this name ("*").
    """
    return _field(
        FieldKind.PLAIN, description, None, needs=("*",) if needs is None else needs, **options
    )


def computed(function: Callable[..., Any], description: str, **options: Any) -> Any:
    """Declare a field computed by `function(parent, info?, **arguments)`, which never waits."""
    return _field(FieldKind.COMPUTED, description, function, **options)


def relation(
    keys: str | Callable[..., Key | Collection[str]],
    loader: type[CachedLoader[Any]],
    description: str,
    **options: Any,
) -> Any:
    """Declare a field whose keys are loaded once for all parents.

    Args:
        keys: the parent's attribute that has one key, None, or several keys; or `keys(parent,
            **arguments)`, which returns them, with the record fields read in `needs`.
    """
    if isinstance(keys, str):
        options = {"needs": [keys], "keys": keys, **options}
        return _field(FieldKind.RELATION, description, None, loader=loader, **options)
    return _field(FieldKind.RELATION, description, keys, loader=loader, **options)


def batched(
    function: Callable[..., Awaitable[Iterable[Any]]], description: str, **options: Any
) -> Any:
    """Declare a field resolved for all parents of a level by one call.

    Args:
        function: `function(parents, info, **arguments)` returns one result (or Exception) per
            parent, in order.
    """
    return _field(FieldKind.BATCHED, description, function, **options)


def resolver(function: Callable[..., Any], description: str, **options: Any) -> Any:
    """Declare a field resolved once per parent by `function(parent?, info, **arguments)`."""
    return _field(FieldKind.RESOLVER, description, function, **options)


def subscription(function: Callable[..., Any], description: str, **options: Any) -> Any:
    """Declare a subscription; `function(info, **arguments)` is an async generator of events."""
    return _field(FieldKind.RESOLVER, description, function, is_subscription=True, **options)
