"""Keys of cached values: their texts, and the beginnings that loaders join to ids."""

from __future__ import annotations

from services.redis import cache_keys
from services.redis.cache_keys import Kind

KINDS = [value for value in vars(cache_keys).values() if isinstance(value, Kind)]


def test_the_start_of_a_key_makes_the_key_that_its_text_makes() -> None:
    started = [kind for kind in KINDS if kind.start is not None]
    assert {"movie", "person", "genre"} <= {kind.name for kind in started}
    assert [f"{kind.start}some:id" for kind in started] == [kind.key("some:id") for kind in started]


def test_keys_of_another_form_have_no_start() -> None:
    others = {kind.name for kind in KINDS if kind.start is None}
    assert {"movie_list", "person_titles", "genre_list"} <= others
