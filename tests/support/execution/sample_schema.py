"""A schema of every shape a field can have, declared as the product declares its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.base.fields import batched, computed, plain, relation, resolver, subscription
from graph.base.info import Info
from graph.base.scalars import SCALARS, DateTime, JSONObject
from models import Role
from tests.support.execution import sample_fields as answers
from tests.support.execution.sample_world import (
    ROWS,
    BoxRow,
    CatByKey,
    CatRow,
    Colour,
    DogRow,
    RockRow,
    ThingByKey,
    row_of,
)

Parent = strawberry.Parent
A_KEY = strawberry.ID("cat:1")
A_THING = Annotated["Thing", strawberry.lazy("tests.support.execution.sample_schema")]
A_CAT = Annotated["Cat", strawberry.lazy("tests.support.execution.sample_schema")]
A_BOX = Annotated["Box", strawberry.lazy("tests.support.execution.sample_schema")]
A_PET = Annotated["Pet", strawberry.lazy("tests.support.execution.sample_schema")]


@strawberry.type
class Leaves:
    text: str = plain("-")
    number: int = plain("-")
    ratio: float = plain("-")
    flag: bool = plain("-")
    mark: strawberry.ID = plain("-")
    colour: Colour = plain("-")
    at: DateTime = plain("-")
    meta: JSONObject = plain("-")
    texts: list[str] = plain("-")
    grid: list[list[int]] = plain("-")
    colours: list[Colour] = plain("-")
    maybe_text: str | None = plain("-")
    maybe_number: int | None = plain("-")
    maybe_ratio: float | None = plain("-")
    maybe_flag: bool | None = plain("-")
    maybe_mark: strawberry.ID | None = plain("-")
    maybe_colour: Colour | None = plain("-")
    maybe_at: DateTime | None = plain("-")
    maybe_meta: JSONObject | None = plain("-")
    maybe_texts: list[str | None] | None = plain("-")
    maybe_grid: list[list[int | None] | None] | None = plain("-")
    maybe_colours: list[Colour | None] | None = plain("-")
    say: str = computed(answers.say, "-")
    say_batched: str | None = batched(answers.say_batched, "-")
    say_slowly: str = resolver(answers.say_slowly, "-")
    guarded: str | None = computed(answers.guarded_of, "-", requires=Role.USER)
    score: int = batched(answers.scores_of, "-")
    maybe_score: int | None = batched(answers.scores_of, "-")
    miscounted: str | None = batched(answers.miscounted_of, "-")


@strawberry.interface
class Thing:
    id: strawberry.ID = plain("-")
    text: str = plain("-")
    maybe_colour: Colour | None = plain("-")
    friend: A_THING | None = relation(answers.friend_of, ThingByKey, "-")
    best: A_THING = relation(answers.best_of, ThingByKey, "-")
    kin: list[A_THING] = relation(answers.kin_of, ThingByKey, "-")
    maybe_kin: list[A_THING | None] | None = relation(answers.kin_of, ThingByKey, "-")
    box: A_BOX = computed(answers.box_of, "-")
    neighbours: list[A_THING | None] | None = batched(answers.neighbours_of, "-")
    say: str = computed(answers.say, "-")


@strawberry.interface
class Animal(Thing):
    litter: list[A_CAT] | None = relation(answers.litter_of, CatByKey, "-")
    owner: A_CAT = relation(answers.owner_of, CatByKey, "-")
    rival: A_THING | None = batched(answers.rivals_of, "-")


@strawberry.type(name="Pair")
class APair:
    left: A_THING | None = computed(answers.left_of, "-")
    place: int = plain("-")


@strawberry.type
class Cat(Leaves, Animal, Thing):
    boxes: list[A_BOX] = computed(answers.boxes_of, "-")
    matrix: list[list[A_BOX]] = computed(answers.matrix_of, "-")
    pet: A_PET | None = computed(answers.pet_of, "-")
    visitor: A_THING = resolver(answers.visitor_of, "-")
    pairs: list[APair] = computed(answers.pairs_of, "-")
    shade: A_THING = resolver(answers.shadow_of, "-", requires=Role.USER)

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, CatRow)


@strawberry.type
class Dog(Leaves, Animal, Thing):
    # of other types than a cat's fields of these names
    boxes: list[A_BOX | None] | None = computed(answers.boxes_of, "-")
    matrix: list[list[A_BOX | None] | None] | None = computed(answers.matrix_of, "-")
    shadow: Dog | None = resolver(answers.shadow_of, "-")
    visitor: A_THING | None = resolver(answers.visitor_of, "-")
    hidden: list[A_THING] | None = relation(answers.kin_of, ThingByKey, "-", requires=Role.ADMIN)

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, DogRow)


@strawberry.type
class Rock(Thing):
    at: DateTime = plain("-")
    pets: list[A_PET] = computed(answers.pets_of, "-")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, RockRow)


@strawberry.type
class Box(Leaves):
    pets: list[A_PET | None] = computed(answers.pets_of, "-")
    best: A_THING | None = relation(answers.best_of, ThingByKey, "-")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, BoxRow)


Pet = Annotated[Cat | Dog | Box, strawberry.union("Pet")]


async def _root_thing(info: Info, key: strawberry.ID = A_KEY) -> Any:
    world = info.context.world
    await world.wait("root", key)
    world.may_fail("root", key)
    return row_of(world, key)


async def _root_things(info: Info, count: int = 3, of: list[str] | None = None) -> list[Any]:
    kinds = [kind for kind in of or () if kind in ROWS] or list(ROWS)
    keys = [f"{kinds[at % len(kinds)]}:{at}" for at in range(min(count, 5))]
    return [row_of(info.context.world, key) for key in keys]


def _root_keys(count: int = 2) -> list[str]:
    return [f"{kind}:{at}" for at in range(min(count, 4)) for kind in ("cat", "dog")]


def _root_box(info: Info) -> Any:
    return BoxRow(info.context.world, "box:root")


@strawberry.type
class Query:
    thing: Thing | None = resolver(_root_thing, "-")
    a_thing: Thing = resolver(_root_thing, "-")
    things: list[Thing] = resolver(_root_things, "-")
    maybe_things: list[Thing | None] | None = resolver(_root_things, "-")
    animals: list[Animal | None] = relation(_root_keys, ThingByKey, "-")
    box: Box | None = computed(_root_box, "-")
    say_slowly: str | None = resolver(answers.say_slowly, "-")
    secret: str | None = resolver(answers.say_slowly, "-", requires=Role.ADMIN)


class EntryRow:
    def __init__(self, context: Any, text: str) -> None:
        self.context = context
        self.text = text
        self.key = f"cat:{len(text)}"
        self.world = context.world


def written(context: Any) -> list[str]:
    """What mutations did; what fields below them look at beside an error may come later."""
    return [one for one in context.done if one.startswith(("begin", "end"))]


def _history(entry: Parent[EntryRow]) -> list[str]:
    return written(entry.context)


async def _later(entries: Parent[list[EntryRow]], info: Info) -> list[Any]:
    for entry in entries:
        info.context.done.append(f"look {entry.text}")
        await info.context.world.wait(entry.text)
        info.context.done.append(f"seen {entry.text}")
    return [written(info.context) for _ in entries]


@strawberry.type
class Entry:
    text: str = plain("-")
    history: list[str] = computed(_history, "-")
    later: list[str] = batched(_later, "-")
    best: A_THING = relation(answers.best_of, ThingByKey, "-")


async def _append(info: Info, text: str = "x", number: int = 1) -> Any:
    world, done = info.context.world, info.context.done
    done.append(f"begin {text}")
    await world.wait("append", text, number)
    world.may_fail("append", text, number)
    done.append(f"end {text}")
    return world.value(lambda _dice: EntryRow(info.context, text), "entry", text, number)


@strawberry.type
class Mutation:
    append: Entry | None = resolver(_append, "-")
    must_append: Entry = resolver(_append, "-")


async def _ticks(info: Info, count: int = 2) -> AsyncIterator[Any]:
    for at in range(min(max(count, 0), 4)):
        await info.context.world.wait("tick", at)
        yield info.context.world.value(
            lambda _dice, at=at: row_of(info.context.world, f"cat:{at}"), "tick", at
        )


@strawberry.type
class Subscription:
    ticks: Thing = subscription(_ticks, "-")
    maybe_ticks: Cat | None = subscription(_ticks, "-")


CONFIG = StrawberryConfig(scalar_map=SCALARS)
SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Cat, Dog, Rock],
    config=CONFIG,
)
