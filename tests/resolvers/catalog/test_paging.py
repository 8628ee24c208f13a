"""Pages while the catalogue changes under them: nothing twice, nothing skipped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

import models
from resolvers.catalog import browse
from resolvers.context import Context, Runtime
from resolvers.paging import PageArguments
from services.cache.cache import Cache
from tests.support.thoroughness import share_of
from tests.support.titles import film_id

_DAY = datetime(2026, 1, 1, tzinfo=UTC)
# Few different values, so that ties are many; null where the order's field may be null.
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "popularity": st.sampled_from([0.0, 1.5, 2.0]),
    "rating": st.sampled_from([None, None, 5.0, 7.5]),
    "released": st.sampled_from([None, "1999", "1999-01-01", "2020-02-29"]),
    "sort_title": st.sampled_from(["a", "b", "ä"]),
    "created_at": st.sampled_from([_DAY, _DAY + timedelta(milliseconds=1)]),
}
_ORDERS = [
    models.MovieOrder.of(None, (field, direction))
    for field in models.MovieOrderField
    for direction in models.OrderDirection
]


@dataclass(frozen=True)
class Story:
    """Films there at first, and what comes and goes before each further page."""

    order: models.MovieOrder
    size: int
    backwards: bool
    values: list[Any]
    steps: list[tuple[list[Any], list[int]]]  # values of new films, numbers of those deleted


@st.composite
def stories(draw: st.DrawFn) -> Story:
    order = draw(st.sampled_from(_ORDERS))
    value = _VALUES[order.field]
    step = st.tuples(st.lists(value, max_size=3), st.lists(st.integers(0, 30), max_size=3))
    return Story(
        order,
        draw(st.integers(1, 4)),
        draw(st.booleans()),
        draw(st.lists(value, min_size=1, max_size=16)),
        draw(st.lists(step, max_size=8)),
    )


@with_settings(
    max_examples=share_of(120, are_new=True),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(story=stories())
async def test_films_that_come_and_go_disturb_no_page(runtime: Runtime, story: Story) -> None:
    # given films and no cache, which would keep pages as they were
    context = Context(replace(runtime, cache=Cache(runtime.redis, tiers="")))
    collection = models.Movie.get_pymongo_collection()
    await collection.delete_many({})
    chance = Numbers()
    stood = {await _insert(story, chance, value) for value in story.values}
    seen: list[str] = []
    steps = iter(story.steps)
    arguments = _arguments(story, None)
    while True:
        # when page after page is read
        page = await browse.movies(context.for_event(), arguments, order=story.order)
        ids = [film.id for film in page.nodes]
        seen = ids + seen if story.backwards else seen + ids
        # then it tells truly what lies on both sides of it
        assert (page.has_previous_page, page.has_next_page) == await _bounds(story, ids)
        more = page.has_previous_page if story.backwards else page.has_next_page
        if not more or not ids:
            break
        arguments = _arguments(story, page.start_cursor if story.backwards else page.end_cursor)
        # and between them films come and go
        new, removed = next(steps, ([], []))
        for value in new:
            await _insert(story, chance, value)
        names = [film_id(number) for number in removed]
        await collection.update_many({"_id": {"$in": names}}, {"$set": {"is_active": False}})
        stood -= set(names)
    # then none was met twice, each that stood throughout was met, and all in order
    assert len(seen) == len(set(seen))
    assert stood <= set(seen)
    assert seen == await _in_order(story, seen)


class Numbers:
    """Ids in no order of time: new films land before and behind the page."""

    def __init__(self) -> None:
        self._used = 0

    def next(self) -> int:
        self._used += 1
        return self._used * 7 % 31 + 31 * (self._used // 31)


async def _insert(story: Story, numbers: Numbers, value: Any) -> str:
    id_ = film_id(numbers.next())
    row = {"_id": id_, "is_active": True, "title": id_, "sort_title": "", "genre_ids": []}
    await models.Movie.get_pymongo_collection().insert_one(row | {story.order.field: value})
    return id_


def _arguments(story: Story, cursor: str | None) -> PageArguments:
    if story.backwards:
        return PageArguments(last=story.size, before=cursor)
    return PageArguments(first=story.size, after=cursor)


async def _bounds(story: Story, ids: list[str]) -> tuple[bool, bool]:
    """Whether films lie before and after these; an empty page is behind all of them."""
    active = models.Movie.get_pymongo_collection().find({"is_active": True}, {"_id": 1})
    whole = await _in_order(story, [row["_id"] for row in await active.to_list()])
    if not ids:
        return (False, bool(whole)) if story.backwards else (bool(whole), False)
    return whole[0] != ids[0], whole[-1] != ids[-1]


async def _in_order(story: Story, ids: list[str]) -> list[str]:
    direction = story.order.direction
    cursor = models.Movie.get_pymongo_collection().find({"_id": {"$in": ids}}, {"_id": 1})
    rows = await cursor.sort([(story.order.field, direction), ("_id", direction)]).to_list()
    return [row["_id"] for row in rows]
