"""Records whose every attribute follows from a seed: good values, nulls, wrong types, failures.

Both executors meet the same ones, in whatever order they ask. Nothing here waits for anything but
the loop itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, ClassVar

from loaders import CachedLoader, Fields
from resolvers.context import Context
from services.cache.cache import Codec
from services.errors import Conflict, NotFound, RateLimited, UpstreamUnavailable, ValidationFailed
from services.redis.cache_keys import Kind


class Colour(Enum):
    RED = "r"
    GREEN = "g"
    BLUE = "b"


@dataclass(slots=True)
class World:
    """`failures` is the share of values that are not as they should be, 0 to 1."""

    seed: int
    failures: float = 0.0

    def dice(self, *about: object) -> random.Random:
        text = ":".join(map(str, (self.seed, *about)))
        return random.Random(hashlib.blake2b(text.encode(), digest_size=8).digest())

    def value(self, good: Callable[[random.Random], Any], *about: object) -> Any:
        """A good value, sometimes null; or null, a wrong type, an exception or a raise."""
        dice = self.dice(*about)
        if dice.random() < self.failures:
            return _bad(dice)
        return good(dice)

    def value_or_error(self, good: Callable[[random.Random], Any], *about: object) -> Any:
        """As `value`, for one parent of a batch: what would be raised is given back."""
        try:
            return self.value(good, *about)
        except Exception as error:
            return error

    def may_fail(self, *about: object) -> None:
        dice = self.dice("fails", *about)
        if dice.random() < self.failures:
            raise _failure(dice)

    async def wait(self, *about: object) -> None:
        for _ in range(self.dice("waits", *about).randrange(4)):
            await asyncio.sleep(0)


def _failure(dice: random.Random) -> Exception:
    kind = dice.choice((NotFound, Conflict, RateLimited, ValidationFailed, KeyError, TimeoutError))
    return kind("On purpose.")


def _bad(dice: random.Random) -> Any:
    kind = dice.randrange(6)
    if kind == 0:
        raise _failure(dice)
    if kind == 1:
        return _failure(dice)
    if kind in (2, 3):
        return None
    return dice.choice((object(), 7, "seven", 7.5, True, [7], {"seven": 7}, float("nan"), 2**40))


@dataclass(slots=True)
class SampleContext(Context):
    """`done` is what mutations did, in order."""

    world: World = field(default_factory=lambda: World(0))
    done: list[str] = field(default_factory=list)

    def for_event(self) -> SampleContext:
        return SampleContext(self.runtime, self.viewer, world=self.world, done=self.done)


_WORDS = ("", "one", "two", "späte Züge", 'quo"te')


def _texts(dice: random.Random) -> list[Any]:
    return [dice.choice(_WORDS) for _ in range(dice.randrange(4))]


def _holed(dice: random.Random, items: list[Any]) -> Any:
    """A list with the odd hole in it, or of another iterable kind."""
    if items and dice.random() < 0.15:
        items[dice.randrange(len(items))] = None
    return dice.choice((items, items, items, tuple(items), iter(items)))


def _maybe(good: Callable[[random.Random], Any]) -> Callable[[random.Random], Any]:
    return lambda dice: None if dice.random() < 0.2 else good(dice)


LEAVES: dict[str, Callable[[random.Random], Any]] = {
    "text": lambda dice: dice.choice(_WORDS),
    "number": lambda dice: dice.choice((0, 1, -5, 2**31 - 1, -(2**31), 3.0, True)),
    "ratio": lambda dice: dice.choice((0.0, 1.5, -2.25, 3)),
    "flag": lambda dice: dice.choice((True, False)),
    "mark": lambda dice: dice.choice(("id-1", 12)),
    "colour": lambda dice: dice.choice(list(Colour)),
    "at": lambda dice: datetime(2024, 1, 1 + dice.randrange(28), tzinfo=UTC),
    "meta": lambda dice: {"deep": [dice.randrange(9), None, {"x": "y"}]},
    "texts": _texts,
    "grid": lambda dice: _holed(dice, [[1, 2], [], [dice.randrange(9)]]),
    "colours": lambda dice: _holed(dice, [Colour.RED, Colour.BLUE]),
}


class Row:
    """A record: attributes named as in LEAVES, nullable ones as `maybe_...`."""

    __slots__ = ("key", "world")
    keys: ClassVar[str]

    def __init__(self, world: World, key: str) -> None:
        self.world = world
        self.key = key

    @property
    def id(self) -> str:
        return self.key

    def __getattr__(self, name: str) -> Any:
        good = LEAVES.get(name.removeprefix("maybe_"))
        if good is None:
            raise AttributeError(name)
        if name.startswith("maybe_"):
            good = _maybe(good)
        return self.world.value(good, self.key, name)


class CatRow(Row):
    keys = "cat"


class DogRow(Row):
    keys = "dog"


class RockRow(Row):
    keys = "rock"


class BoxRow(Row):
    keys = "box"


ROWS: dict[str, type[Row]] = {kind.keys: kind for kind in (CatRow, DogRow, RockRow)}


def things_at(row: Row, name: str, *kinds: str, most: int = 3) -> list[str]:
    """Keys of what a record points to; some point to nothing there is."""
    dice = row.world.dice(row.key, name)
    return [_key(dice, kinds) for _ in range(dice.randrange(most + 1))]


def thing_at(row: Row, name: str, *kinds: str) -> str:
    return _key(row.world.dice(row.key, name), kinds)


def _key(dice: random.Random, kinds: tuple[str, ...]) -> str:
    kind = "ghost" if dice.random() < 0.06 else dice.choice(kinds or tuple(ROWS))
    return f"{kind}:{dice.randrange(5)}"


def row_of(world: World, key: str) -> Row | None:
    kind = ROWS.get(key.partition(":")[0])
    return kind(world, key) if kind else None


def box_at(row: Row, name: str) -> BoxRow:
    return BoxRow(row.world, f"{row.key}.{name}")


class Unstored(Codec[Any]):
    """For records that only memory keeps."""

    def __init__(self) -> None:
        super().__init__(Any)

    def encode(self, _kind: Kind, _entry: Any) -> bytes:
        return b""

    def decode(self, _kind: Kind, _raw: bytes) -> None:
        return None


class ThingByKey(CachedLoader[Row]):
    """Fails as a whole in some worlds. `fetches` are the keys of each fetch of this loader."""

    kind = Kind("sample", "sample:{}:{}", 3600, 3600)
    codec = Unstored()

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.world: World = scope.world
        self.fetches: list[list[str]] = []

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, Row]:
        self.fetches.append(keys)
        dice = self.world.dice(type(self).__name__)
        await asyncio.sleep(0)
        if dice.random() < self.world.failures:
            raise dice.choice((UpstreamUnavailable, RuntimeError))("On purpose.")
        rows = {key: row_of(self.world, key) for key in keys}
        return {key: row for key, row in rows.items() if row is not None}

    def cache_key(self, key: str) -> str:
        return self.kind.key(f"{self.world.seed}-{self.world.failures}", key)


class CatByKey(ThingByKey):
    kind = Kind("sample_cat", "sample_cat:{}:{}", 3600, 3600)
