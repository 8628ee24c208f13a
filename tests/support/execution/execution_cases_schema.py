"""A small schema over records that a test chooses, for cases told exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.base.fields import batched, computed, plain, relation, resolver, subscription
from graph.base.info import Info
from graph.base.scalars import SCALARS
from loaders import CachedLoader, Fields
from resolvers.context import Context
from services.errors import NotFound, UpstreamUnavailable
from services.redis.cache_keys import Kind
from tests.support.execution.sample_world import Unstored

Parent = strawberry.Parent
A = strawberry.ID("a")


@dataclass
class ItemRecord:
    id: str
    name: Any = "name"
    must: Any = "must"
    tags: Any = ()
    holes: Any = ()
    twin_id: Any = None
    friend_ids: Any = ()
    part: Any = None
    parts: Any = ()


@dataclass
class RockRecord:
    id: str
    weight: Any = 1


@dataclass(slots=True)
class ChosenContext(Context):
    """`seen` is what happened, in order; `fetches` the keys of each fetch."""

    store: dict[str, Any] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)
    fetches: list[list[str]] = field(default_factory=list)
    loader_fails: bool = False

    def for_event(self) -> ChosenContext:
        return ChosenContext(
            self.runtime, self.viewer, store=self.store, seen=self.seen, fetches=self.fetches
        )


class ItemById(CachedLoader[Any]):
    kind = Kind("chosen", "chosen:{}", 3600, 3600)
    codec = Unstored()

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self._store_scope = scope

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, Any]:
        self._store_scope.fetches.append(keys)
        await asyncio.sleep(0)
        if self._store_scope.loader_fails:
            raise UpstreamUnavailable("The store is away.")
        return {key: self._store_scope.store[key] for key in keys if key in self._store_scope.store}


def _self(item: Parent[Any]) -> Any:
    return item


def _twin(item: Parent[Any]) -> Any:
    return item.twin_id


def _friends(item: Parent[Any]) -> Any:
    return item.friend_ids


async def _lengths(items: Parent[list[Any]], info: Info) -> list[Any]:
    info.context.seen.append(("lengths", [item.id for item in items]))
    both = [(item, len(item.must)) for item in items]
    if "whole" in (item.name for item in items):
        raise NotFound("All of it.")
    return [NotFound("One.") if item.name == "one" else n for item, n in both]


async def _short(items: Parent[list[Any]]) -> list[int]:
    return [1] * (len(items) - 1)


async def _later(item: Parent[Any], info: Info, seconds: float = 0.0) -> Any:
    await asyncio.sleep(seconds)
    return item


def _said(
    _item: Parent[Any], number: int = 1, numbers: list[int] | None = None, word: str | None = None
) -> str:
    return f"{number} {numbers} {word}"


ITEM = Annotated["Item", strawberry.lazy("tests.support.execution.execution_cases_schema")]


@strawberry.interface
class Thing:
    id: strawberry.ID = plain("-")


@strawberry.type
class Item(Thing):
    name: str | None = plain("-")
    must: str = plain("-")
    tags: list[str] | None = plain("-")
    holes: list[str | None] = plain("-")
    same: ITEM = computed(_self, "-")
    maybe: ITEM | None = computed(_self, "-")
    twin: ITEM | None = relation(_twin, ItemById, "-")
    must_twin: ITEM = relation(_twin, ItemById, "-")
    friends: list[ITEM] = relation(_friends, ItemById, "-")
    maybe_friends: list[ITEM | None] | None = relation(_friends, ItemById, "-")
    part: ITEM | None = plain("-")
    parts: list[ITEM] | None = plain("-")
    length: int | None = batched(_lengths, "-")
    short: int | None = batched(_short, "-")
    later: ITEM | None = resolver(_later, "-")
    said: str | None = computed(_said, "-")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, ItemRecord)


@strawberry.type
class Rock(Thing):
    weight: int = plain("-")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, RockRecord)


Any_ = Annotated[Item | Rock, strawberry.union("Any")]


def _all(info: Info) -> list[Any]:
    return list(info.context.store.values())


def _one(info: Info, id: strawberry.ID = A) -> Any:
    return info.context.store.get(id)


async def _slow(info: Info, id: strawberry.ID = A, seconds: float = 0.01) -> Any:
    await asyncio.sleep(seconds)
    return info.context.store.get(id)


@strawberry.input(one_of=True)
class Pick:
    id: strawberry.ID | None = strawberry.UNSET
    number: int | None = strawberry.UNSET


def _picked(pick: Pick) -> str:
    return "picked"


@strawberry.type
class Query:
    item: Item | None = resolver(_one, "-")
    must_item: Item = resolver(_one, "-")
    slow: Item | None = resolver(_slow, "-")
    items: list[Item] = resolver(_all, "-")
    maybe_items: list[Item | None] | None = resolver(_all, "-")
    things: list[Thing] = resolver(_all, "-")
    anything: list[Any_] = resolver(_all, "-")
    picked: str | None = resolver(_picked, "-")


async def _write(info: Info, word: str = "x") -> Any:
    info.context.seen.append(f"begin {word}")
    await asyncio.sleep(0.002 if word == "slow" else 0)
    if word == "fails":
        raise NotFound("On purpose.")
    info.context.seen.append(f"end {word}")
    return ItemRecord(word)


@strawberry.type
class Mutation:
    write: Item | None = resolver(_write, "-")
    must_write: Item = resolver(_write, "-")


async def _changes(info: Info) -> AsyncIterator[Any]:
    for event in ("first", "second"):
        info.context.store["a"].name = event
        yield ItemRecord("event", twin_id="a")


@strawberry.type
class Subscription:
    changes: Item = subscription(_changes, "-")


CONFIG = StrawberryConfig(scalar_map=SCALARS)
SCHEMA = strawberry.Schema(
    query=Query, mutation=Mutation, subscription=Subscription, types=[Item, Rock], config=CONFIG
)
