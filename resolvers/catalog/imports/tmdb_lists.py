"""TMDb numbers of a category's first pages."""

from __future__ import annotations

from datetime import date, timedelta

from models import MovieCategory
from services.errors import ValidationFailed
from services.tmdb.client import MAX_PAGE, Tmdb
from services.tmdb.types import Page, TmdbKind

_NEW_DAYS = 45
_UPCOMING_DAYS = 180
_ENOUGH_VOTES = 300  # for a mean to mean something
_DATE = {TmdbKind.MOVIE: "primary_release_date", TmdbKind.SHOW: "first_air_date"}


async def numbers(
    tmdb: Tmdb, kind: TmdbKind, category: MovieCategory, pages: int, today: date
) -> list[int]:
    """TMDb numbers of the category's first pages, in TMDb's order, each once.

    Raises:
        ValidationFailed: TMDb has nothing like this category.
        UpstreamUnavailable: TMDb did not answer.
    """
    numbers_seen: dict[int, None] = {}
    for number in range(1, pages + 1):
        page = await _page(tmdb, kind, category, number, today)
        numbers_seen |= dict.fromkeys(line.id for line in page.results)
        if not page.results or number >= (page.total_pages or MAX_PAGE):
            break
    return list(numbers_seen)


async def _page(
    tmdb: Tmdb, kind: TmdbKind, category: MovieCategory, number: int, today: date
) -> Page:
    if category is MovieCategory.TRENDING:
        return await tmdb.trending(kind, number)
    return await tmdb.discover(kind, number, **_filters(kind, category, today))


def _filters(kind: TmdbKind, category: MovieCategory, today: date) -> dict[str, str | int]:
    popular: dict[str, str | int] = {"sort_by": "popularity.desc"}
    match category:
        case MovieCategory.POPULAR:
            return popular
        case MovieCategory.TOP_RATED:
            return {"sort_by": "vote_average.desc", "vote_count__gte": _ENOUGH_VOTES}
        case MovieCategory.NEW_RELEASES:
            return popular | _between(kind, today - timedelta(days=_NEW_DAYS), today)
        case MovieCategory.UPCOMING:
            first, last = today + timedelta(days=1), today + timedelta(days=_UPCOMING_DAYS)
            return popular | _between(kind, first, last)
    raise ValidationFailed("TMDb has no such category.", path=["category"])


def _between(kind: TmdbKind, first: date, last: date) -> dict[str, str | int]:
    name = _DATE[kind]
    return {f"{name}__gte": first.isoformat(), f"{name}__lte": last.isoformat()}
