"""Browsing shows: pages of shows, single shows, their seasons and episodes."""

from __future__ import annotations

from collections.abc import Sequence

import loaders
import models
from models.mongo import ids
from resolvers.catalog.browse import ShowPage, build_title_page, position_of
from resolvers.catalog.filters import normalize_filter
from resolvers.context import Context
from resolvers.paging import PageArguments, require_kind


async def shows(
    context: Context,
    arguments: PageArguments,
    *,
    filter_: models.MovieFilter | None = None,
    order: models.MovieOrder | None = None,
    fields: loaders.Fields = None,
    looks_behind: bool = True,
) -> ShowPage:
    """A page of shows. Ids are cached for 5 minutes, shows for an hour.

    `looks_behind` is as for `browse.movies`.

    Raises:
        ValidationFailed, InvalidCursor: the arguments make no page.
        UpstreamUnavailable: neither the database nor the cache has it.
    """
    order = order or models.MovieOrder.of_shows(None)
    size = arguments.size()
    secret = context.runtime.settings.secret_bytes
    query = models.MovieQuery(
        category=None,
        filter=await normalize_filter(context, filter_),
        order=order,
        size=size,
        backwards=arguments.is_backwards,
        position=position_of(arguments, order, secret),
        looks_behind=looks_behind,
    )
    pages = context.loader(loaders.ShowPageByQuery)
    page = await pages.load_one(pages.key_for(query.key(), query), fields)
    assert page is not None  # a page may be empty, but it exists
    records = await context.load_many(loaders.ShowById, page.ids, fields)
    return build_title_page(loaders.in_order(records, page.ids), page, query, secret)


async def show(
    context: Context,
    *,
    id_: str | None = None,
    tmdb_id: int | None = None,
    fields: loaders.Fields = None,
) -> models.ShowRecord | None:
    """The show with exactly one of these ids, or None."""
    if tmdb_id is not None:
        id_ = await context.load(loaders.ShowIdByTmdbId, str(tmdb_id))
    elif id_ is not None:
        require_kind(id_)
    if id_ is None or ids.kind_of(id_) != "show":
        return None
    return await context.loader(loaders.ShowById).load_one(id_, fields)


async def seasons_of_shows(
    context: Context, some: Sequence[models.ShowRecord]
) -> list[list[models.SeasonRecord]]:
    """Seasons of each show in order of number; one command for all shows."""
    ids_of = await context.load_many(loaders.SeasonIdsByShowId, [one.id for one in some])
    season_ids = [id_ for some_ids in ids_of.values() for id_ in some_ids or ()]
    seasons = await context.load_many(loaders.SeasonById, season_ids)
    return [loaders.in_order(seasons, ids_of[one.id] or ()) for one in some]


async def season_of_shows(
    context: Context, some: Sequence[models.ShowRecord], number: int
) -> list[models.SeasonRecord | None]:
    """The season of this number of each show, or None."""
    seasons = await seasons_of_shows(context, some)
    return [next((one for one in of_show if one.number == number), None) for of_show in seasons]


async def episodes_of_seasons(
    context: Context, some: Sequence[models.SeasonRecord]
) -> list[list[models.EpisodeRecord]]:
    """Episodes of each season in order of number; one command for all seasons."""
    ids_of = await context.load_many(loaders.EpisodeIdsBySeasonId, [one.id for one in some])
    episode_ids = [id_ for some_ids in ids_of.values() for id_ in some_ids or ()]
    episodes = await context.load_many(loaders.EpisodeById, episode_ids)
    return [loaders.in_order(episodes, ids_of[one.id] or ()) for one in some]


async def episode_of_shows(
    context: Context, some: Sequence[models.ShowRecord], season: int, number: int
) -> list[models.EpisodeRecord | None]:
    """The episode with these numbers of each show, or None; one command for all shows."""
    loader = context.loader(loaders.EpisodeIdByPlace)
    keys = [loader.at(models.EpisodePlace(one.id, season, number)) for one in some]
    ids_at = await loader.many(keys)
    episode_ids = [id_ for id_ in ids_at.values() if id_ is not None]
    episodes = await context.load_many(loaders.EpisodeById, episode_ids)
    return [episodes.get(ids_at[key] or "") for key in keys]
