"""Two answers are compared by value, and told apart by the place where they differ."""

from __future__ import annotations

import pytest

from bench.check import difference


def test_equal_answers_have_no_difference() -> None:
    answer = {"movies": {"nodes": [{"id": "m1", "rating": 25}], "pageInfo": None}}
    same = {"movies": {"pageInfo": None, "nodes": [{"id": "m1", "rating": 25.0}]}}
    assert difference(answer, same) is None


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ({"nodes": [{"id": "m1"}, {"id": "m3"}]}, "data.nodes[1].id: m2 / m3"),
        ({"nodes": [{"id": "m1"}]}, "data.nodes"),
        ({"nodes": [{"id": "m1"}, {"id": "m2", "title": "x"}]}, "data.nodes[1]"),
        ({"nodes": None}, "data.nodes"),
    ],
)
def test_a_difference_is_told_with_its_place(other: object, place: str) -> None:
    where = difference({"nodes": [{"id": "m1"}, {"id": "m2"}]}, other)
    assert where is not None
    assert where.startswith(place)
