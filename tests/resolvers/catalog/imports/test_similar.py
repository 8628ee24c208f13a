"""Likeness is symmetric; the films named most alike do not depend on the order they came in."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from resolvers.catalog.imports.similar import Features, likeness, similar_ids


def film(
    id_: str, year: int, genres: str = "", people: str = "", popularity: float = 0.0
) -> Features:
    return Features(id_, year, frozenset(genres.split()), frozenset(people.split()), popularity)


_films = st.builds(
    Features,
    st.text("abcdef", min_size=1, max_size=3),
    st.integers(1890, 2030),
    st.frozensets(st.sampled_from(["drama", "comedy", "war", "crime"])),
    st.frozensets(st.sampled_from(["ann", "bob", "cyd"])),
    st.floats(0, 100),
)


@given(_films, _films)
def test_likeness_is_the_same_both_ways(one: Features, other: Features) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0 <= likeness(one, other) <= 100


@given(_films, _films)
def test_nothing_is_more_like_a_film_than_itself(one: Features, other: Features) -> None:
    assert likeness(one, other) <= likeness(one, one) or len(other.people) > len(one.people)


def test_people_genres_and_time_all_count() -> None:
    one = film("a", 1920, "comedy short", "chaplin purviance")
    assert likeness(one, film("b", 1920, "comedy short", "chaplin purviance")) == 20 + 40 + 20
    assert likeness(one, film("b", 1925, "comedy", "chaplin")) == 10 + 20 + 15
    assert likeness(one, film("b", 1960, "drama")) == 0


async def test_two_films_that_share_a_person_name_each_other() -> None:
    # given two films of one director far apart in time, and strangers
    films = [film("a", 1920, "war", "gance"), film("b", 1960, "music", "gance")]
    strangers = [film(f"s{n}", 1940, "comedy") for n in range(20)]

    # when
    ids = await similar_ids(films + strangers)

    # then
    assert ids["a"] == ["b"]
    assert ids["b"] == ["a"]


async def test_films_that_share_nothing_are_not_alike() -> None:
    assert await similar_ids([film("a", 1920, "war"), film("b", 1920, "comedy")]) == {
        "a": [],
        "b": [],
    }


async def test_at_most_twelve_each_once_and_never_itself() -> None:
    similar = await similar_ids(film(f"f{n:02}", 1950 + n % 5, "drama", "x") for n in range(50))
    assert {len(ids) for ids in similar.values()} == {12}
    assert all(len(set(ids)) == 12 and id_ not in ids for id_, ids in similar.items())


async def test_the_more_popular_of_equally_like_films_comes_first() -> None:
    ids = await similar_ids(
        [film("a", 1950, "war"), film("b", 1950, "war"), film("c", 1950, "war", popularity=9)]
    )
    assert ids["a"] == ["c", "b"]


async def test_the_order_of_the_films_does_not_matter() -> None:
    # given
    chance = random.Random(7)
    films = [
        film(f"f{n}", chance.randint(1900, 2020), chance.choice(["war", "war drama", "drama"]))
        for n in range(300)
    ]
    shuffled = list(films)
    chance.shuffle(shuffled)

    # then
    assert await similar_ids(films) == await similar_ids(shuffled)


async def test_progress_is_reported_between_blocks() -> None:
    counts: list[int] = []
    await similar_ids((film(f"f{n}", 1950, "war") for n in range(1200)), counts.append)
    assert counts == [500, 1000]
