"""A cache of bytes: what it counts, and what leaves first."""

from __future__ import annotations

from services.cache.byte_lru import ByteLru


def test_what_was_used_longest_ago_leaves_when_the_bytes_are_used_up() -> None:
    left: list[str] = []
    lru: ByteLru[str, int] = ByteLru(100, 10, lambda key, value: left.append(key))
    for name in "abcd":
        lru.put(name, ord(name), 25)
    # given a use of the oldest
    assert lru.get("a") == 97
    # when another comes, then the next oldest leaves
    lru.put("e", 101, 25)
    assert (left, lru.bytes, lru.get("b")) == (["b"], 100, None)
    # and one that grows makes others leave
    lru.resize("e", 60)
    assert (left, lru.bytes) == (["b", "c", "d"], 85)
    lru.resize("nobody", 1_000)
    # and one that has no room leaves itself
    lru.put("f", 102, 101)
    assert (left[-1], lru.bytes, len(lru)) == ("f", 0, 0)


def test_the_number_of_values_is_bounded_as_well() -> None:
    lru: ByteLru[int, int] = ByteLru(1_000, 3)
    for number in range(10):
        lru.put(number, number, 1)
        lru.put(number, number, 2)  # the same, once
    assert [key for key, _ in lru.items()] == [7, 8, 9]
    assert lru.bytes == 6
    assert (lru.pop(8), lru.pop(8), lru.bytes) == (8, None, 4)
    lru.clear()
    assert (len(lru), lru.bytes, 9 in lru) == (0, 0, False)
