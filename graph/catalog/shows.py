"""Shows as clients see them, with seasons and episodes, and the root fields that find them."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import Parent

import loaders
import models
from graph.base.connections import connection
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import batched, plain, relation, resolver
from graph.base.freshness import CATALOGUE
from graph.base.info import Info, looks_behind, requested_fields
from graph.base.node import Node, node_type
from graph.base.paging import After, Before, Count, First, Last
from graph.base.roots import Query
from graph.base.scalars import Date
from graph.catalog.catalog import Playable, Title
from graph.catalog.images import Image, image
from graph.catalog.inputs import MovieFilter, MovieOrder, TvShowBy, unset_to_none
from resolvers import paging
from resolvers.catalog import browse, shows

describe_enum(
    models.ShowStatus,
    "Production status of a show.",
    {
        "RETURNING": "More episodes are being produced.",
        "ENDED": "The show has ended.",
        "CANCELED": "The show was canceled.",
        "PLANNED": "The show is announced and has not aired.",
    },
)
SeasonNumber = Annotated[int, strawberry.argument(description="Season number; 0 for specials.")]
EpisodeNumber = Annotated[int, strawberry.argument(description="Episode number within its season.")]


async def _seasons(
    parents: Parent[list[models.ShowRecord]], info: Info
) -> list[list[models.SeasonRecord]]:
    return await shows.seasons_of_shows(info.context, parents)


async def _season(
    parents: Parent[list[models.ShowRecord]],
    info: Info,
    number: SeasonNumber,
) -> list[models.SeasonRecord | None]:
    return await shows.season_of_shows(info.context, parents, number)


async def _episode(
    parents: Parent[list[models.ShowRecord]],
    info: Info,
    season: SeasonNumber,
    number: EpisodeNumber,
) -> list[models.EpisodeRecord | None]:
    return await shows.episode_of_shows(info.context, parents, season, number)


@node_type("show", models.ShowRecord, loaders.ShowById, "A show with seasons and episodes.")
class TvShow(Title, Node):
    status: models.ShowStatus = plain("Production status.")
    season_count: int = plain("Number of seasons.")
    episode_count: int = plain("Number of episodes in all seasons.")
    seasons: list[Season] | None = batched(
        _seasons, "Seasons by number, at most 100.", needs=["id"], assumed_size=5
    )
    season: Season | None = batched(
        _season, "One season by number; null if there is none.", needs=["id"]
    )
    episode: Episode | None = batched(
        _episode, "One episode by season and episode number; null if there is none.", needs=["id"]
    )


async def _episodes(
    parents: Parent[list[models.SeasonRecord]], info: Info
) -> list[list[models.EpisodeRecord]]:
    return await shows.episodes_of_seasons(info.context, parents)


@node_type("season", models.SeasonRecord, loaders.SeasonById, "A season of a show.")
class Season(Node):
    show: TvShow | None = relation("show_id", loaders.ShowById, "The show of this season.")
    number: int = plain("Season number; 0 for specials.")
    name: str | None = plain("Name of the season; null if it has none of its own.")
    air_date: Date | None = plain("Air date of the first episode; null if unknown.")
    episodes: list[Episode] | None = batched(
        _episodes, "Episodes by number, at most 2,000.", needs=["id"], assumed_size=12
    )


@node_type("episode", models.EpisodeRecord, loaders.EpisodeById, "An episode of a show.")
class Episode(Playable, Node):
    show: TvShow | None = relation("show_id", loaders.ShowById, "The show of this episode.")
    season: Season | None = relation("season_id", loaders.SeasonById, "The season of this episode.")
    number: int = plain("Episode number within its season.")
    name: str | None = plain("Name of the episode; null if unknown.")
    overview: str | None = plain("Plot summary; null if unknown.")
    air_date: Date | None = plain("Date of first broadcast; null if unknown.")
    still: Image | None = image(
        "still_path", "Still image from the episode; null if there is none."
    )


async def _show_counts(
    connections: Parent[list[browse.ShowPage]], info: Info
) -> list[models.Count | None]:
    return await browse.count_shows(info.context, connections)


@connection(TvShow, "shows", "show", item="show", items="shows")
class TvShowConnection:
    total_count: Count | None = batched(
        _show_counts,
        "Length of the whole list; null if it was not counted. Counted only when selected.",
        cost=10,
    )


async def _tv_shows(
    info: Info,
    filter: Annotated[
        MovieFilter | None, strawberry.argument(description="Conditions that every show must meet.")
    ] = None,
    order_by: Annotated[
        MovieOrder | None,
        strawberry.argument(description="Order of the list; null means most popular first."),
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> browse.ShowPage:
    return await shows.shows(
        info.context,
        paging.PageArguments(first, after, last, before),
        filter_=filter.query() if filter else None,
        order=order_by.of_shows() if order_by else None,
        fields=requested_fields(info),
        looks_behind=looks_behind(info, is_backwards=last is not None or before is not None),
    )


async def _tv_show(
    info: Info,
    by: Annotated[TvShowBy, strawberry.argument(description="One identifier of the show.")],
) -> models.ShowRecord | None:
    return await shows.show(
        info.context,
        id_=unset_to_none(by.id),
        tmdb_id=unset_to_none(by.tmdb_id),
        fields=requested_fields(info),
    )


@extend(Query)
class ShowsQuery:
    tv_shows: TvShowConnection | None = resolver(
        _tv_shows, "Shows of the catalogue, filtered, ordered and paginated.", freshness=CATALOGUE
    )
    tv_show: TvShow | None = resolver(
        _tv_show, "One show by an identifier; null if there is none.", freshness=CATALOGUE
    )
