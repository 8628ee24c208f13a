"""Objects built of values in process memory: as long as the values are there, and bounded."""

from __future__ import annotations

from services.cache.derived import DerivedObjects
from services.cache.memory import Entry, MemoryTier
from tests.support.clock import Clock


def read(derived: DerivedObjects, value: object, number: int) -> object:
    built = derived.by_value.get(id(value), {}).get(number)
    return built and built[0]


def test_what_was_built_goes_when_its_value_leaves_memory(clock: Clock) -> None:
    # given two films in memory, of which something was built
    memory = MemoryTier(100, 1_000_000, clock)
    first, second, newer = ["first"], ["second"], ["first"]
    for key, value in {"movie:1": first, "movie:2": second}.items():
        memory.put(key, Entry(value, clock.now + 50, clock.now + 50))
        memory.derived.add(value, 7, value[0], 10)
    assert read(memory.derived, first, 7) == "first"
    assert read(memory.derived, second, 7) == "second"
    # when another value comes in one's place, then nothing is built of it yet
    memory.put("movie:1", Entry(newer, clock.now + 90, clock.now + 90))
    assert read(memory.derived, first, 7) is read(memory.derived, newer, 7) is None
    assert id(first) not in memory.derived.by_value
    # and what is dropped by time leaves nothing behind
    clock.now += 61
    memory.sweep()
    assert set(memory.derived.by_value) == {id(newer)}
    assert memory.derived.bytes == 0
    memory.clear()
    assert memory.derived.by_value == {}


def test_bytes_are_bounded_and_values_stay_open() -> None:
    derived = DerivedObjects(max_bytes=100_000)
    values = [[number] for number in range(1_000)]
    for value in values:
        derived.open(value)
    for value in values:
        derived.add(value, 1, "object", 100)
        assert 0 < derived.bytes <= 100_000
    built = [value for value in values if read(derived, value, 1)]
    assert 1 <= len(built) <= 100
    assert built[-1] is values[-1]
    assert len(derived.by_value) == 1_000


def test_a_value_has_objects_of_a_few_builders() -> None:
    derived, value = DerivedObjects(max_bytes=100_000), ["film"]
    derived.open(value)
    for number in range(50):
        derived.add(value, number, number, 10)
        assert read(derived, value, number) == number
    assert len(derived.by_value[id(value)]) <= 8
    derived.add(value, 49, "again", 10)
    assert read(derived, value, 49) == "again"
    derived.close(value)
    assert derived.bytes == 0


def test_what_is_missing_has_nothing_to_build_from() -> None:
    derived = DerivedObjects(max_bytes=100_000)
    derived.open(None)
    derived.close(None)
    assert derived.by_value == {}
