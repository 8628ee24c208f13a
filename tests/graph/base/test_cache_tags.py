"""The schema says which tag a response has for each object, and that is the one it is purged by."""

from __future__ import annotations

import re

from graph.base.node import NODE_TYPES
from graph.schema import schema
from services.redis import cache_keys

_TAGGED = re.compile(r'^type (\w+) .*@cacheTag\(format: "(\w+):\{\$key\.id\}"\)', re.MULTILINE)


def test_the_types_of_the_catalogue_name_their_tags_and_no_others() -> None:
    # given the types that the printed schema has tags of
    tagged = dict(_TAGGED.findall(schema.as_str()))
    # then they are those that a cache keeps by id, under the beginning of their cache keys
    kinds = {value.start for value in vars(cache_keys).values() if hasattr(value, "start")}
    expected = {
        entry.type.__name__: kind for kind, entry in NODE_TYPES.items() if f"{kind}:" in kinds
    }
    assert tagged == expected
    assert set(tagged) == {"Movie", "TvShow", "Season", "Episode", "Person", "Genre"}
