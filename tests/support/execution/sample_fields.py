"""What the sample schema's fields answer: by parent, by batch, by key, now or after a while."""

from __future__ import annotations

from typing import Any, NamedTuple

import strawberry

from graph.base.info import Info
from graph.base.scalars import DateTime, JSONObject
from services.errors import ValidationFailed
from tests.support.execution.sample_world import Colour, Row, box_at, row_of, thing_at, things_at

strawberry.enum(Colour)
Parent = strawberry.Parent


@strawberry.input
class Wish:
    text: str | None = None
    least: int = 3
    number: int
    tags: list[str] | None = strawberry.UNSET
    colour: Colour | None = Colour.GREEN
    wish: Wish | None = None


@strawberry.input(one_of=True)
class Pick:
    id: strawberry.ID | None = strawberry.UNSET
    number: int | None = strawberry.UNSET


def echo(*values: Any) -> str:
    """What arrived, so that both executors are seen to coerce alike."""
    if len(repr(values)) % 29 == 0:
        raise ValidationFailed("On purpose.", path=["text"])
    return repr(values)


def say(
    _row: Parent[Any],
    number: int | None = None,
    numbers: list[int] | None = None,
    nested: list[list[str | None]] | None = None,
    colour: Colour = Colour.RED,
    flag: bool | None = True,
) -> str:
    return echo(number, numbers, nested, colour, flag)


async def say_batched(
    rows: Parent[list[Any]],
    info: Info,
    number: int = 5,
    ratio: float | None = None,
    at: DateTime | None = None,
    id: strawberry.ID | None = None,
) -> list[str]:
    await info.context.world.wait(number)
    return [echo(number, ratio, at, id) for _ in rows]


async def say_slowly(
    info: Info,
    wish: Wish | None = None,
    wishes: list[Wish] | None = None,
    pick: Pick | None = None,
    meta: JSONObject | None = None,
) -> str:
    await info.context.world.wait(str(meta))
    return echo(wish, wishes, pick, meta)


def guarded_of(row: Parent[Any], info: Info) -> str:
    return f"{info.context.viewer_id} may read {row.key}"


async def scores_of(rows: Parent[list[Row]], info: Info, most: int = 9) -> list[Any]:
    info.context.world.may_fail("scores", most)
    return [
        row.world.value_or_error(lambda dice: dice.randrange(max(most, 1)), row.key, "score")
        for row in rows
    ]


async def miscounted_of(rows: Parent[list[Row]], info: Info) -> Any:
    roll = info.context.world.dice("miscounted").random()
    if roll < info.context.world.failures:
        return None
    results: list[Any] = [row.key for row in rows]
    return results[1:] if roll < 2 * info.context.world.failures else results


def friend_of(row: Parent[Row]) -> str | None:
    row.world.may_fail(row.key, "friend")
    return thing_at(row, "friend") if row.world.dice(row.key, "has").random() < 0.8 else None


def best_of(row: Parent[Row]) -> str | None:
    return row.world.value(lambda _dice: thing_at(row, "best"), row.key, "best keys") and thing_at(
        row, "best"
    )


def kin_of(row: Parent[Row], most: int = 3, colour: Colour | None = None) -> list[str]:
    row.world.may_fail(row.key, "kin", most)
    return things_at(row, f"kin {colour}", most=min(max(most, 0), 4))


def litter_of(row: Parent[Row]) -> tuple[str, ...] | None:
    keys = things_at(row, "litter", *(["cat"] * 20), "dog")
    return tuple(keys) if len(keys) < 3 else None


def owner_of(row: Parent[Row]) -> str:
    return thing_at(row, "owner", *(["cat"] * 20), "dog")


def box_of(row: Parent[Row]) -> Any:
    return row.world.value(lambda _dice: box_at(row, "box"), row.key, "box")


def boxes_of(row: Parent[Row], most: int = 3) -> Any:
    boxes = [box_at(row, f"boxes.{number}") for number in range(min(most, 4))]
    return row.world.value(lambda dice: holed(dice, boxes), row.key, "boxes")


def matrix_of(row: Parent[Row]) -> Any:
    boxes = [box_at(row, f"matrix.{number}") for number in range(3)]
    return row.world.value(
        lambda dice: holed(dice, [boxes[:1], [], boxes[1:], holed(dice, boxes)]), row.key, "matrix"
    )


def holed(dice: Any, items: list[Any]) -> Any:
    present: list[Any] = [item for item in items if dice.random() < 0.7]
    if present and dice.random() < 0.15:
        present[dice.randrange(len(present))] = dice.choice(
            (None, ValidationFailed("On purpose."), 7)
        )
    return dice.choice((present, present, tuple(present), iter(present)))


def pet_of(row: Parent[Row]) -> Any:
    return row.world.value(lambda _dice: thing_of(row, "pet", "cat", "dog", "box"), row.key, "pet")


def thing_of(row: Row, name: str, *kinds: str) -> Row | None:
    key = thing_at(row, name, *kinds)
    return box_at(row, name) if key.startswith("box") else row_of(row.world, key)


def pets_of(row: Parent[Row]) -> Any:
    things = [thing_of(row, f"pets {number}", "cat", "dog", "box") for number in range(3)]
    return row.world.value(lambda dice: holed(dice, things), row.key, "pets")


class Pair(NamedTuple):
    left: Any
    place: int


def pairs_of(row: Parent[Row]) -> list[Pair]:
    return [Pair(row_of(row.world, key), at) for at, key in enumerate(things_at(row, "pairs"))]


def left_of(pair: Parent[Pair]) -> Any:
    return pair.left


async def neighbours_of(rows: Parent[list[Row]], info: Info, most: int = 2) -> list[Any]:
    world = info.context.world
    await world.wait("neighbours", most)
    world.may_fail("neighbours", most)
    neighbours = [[row_of(world, key) for key in things_at(row, "near", most=2)] for row in rows]
    return [
        world.value_or_error(lambda dice, some=some: holed(dice, some), row.key, "neighbours")
        for row, some in zip(rows, neighbours, strict=True)
    ]


async def rivals_of(rows: Parent[list[Row]], info: Info) -> list[Any]:
    await info.context.world.wait("rivals")
    return [
        row.world.value_or_error(lambda _, r=row: thing_of(r, "rival"), row.key, "rival")
        for row in rows
    ]


async def visitor_of(row: Parent[Row], info: Info) -> Any:
    await row.world.wait(row.key)
    row.world.may_fail(row.key, "visitor")
    return thing_of(row, "visitor", "cat", "rock")


def shadow_of(row: Parent[Row], info: Info) -> Any:
    return row.world.value(lambda _dice: thing_of(row, "shadow", "dog"), row.key, "shadow")
