"""Batched and cached reads. The only folder that uses aiodataloader."""

from loaders.accounts import PrivateLoader, UserByIdUnscoped
from loaders.base import CachedLoader, CacheHits, Fields, in_order
from loaders.by_kind import PlayableById, SearchResultById, TitleById
from loaders.catalog import (
    AllGenreIds,
    GenreById,
    MovieById,
    MovieIdByImdbId,
    MovieIdByTmdbId,
    MoviePageByQuery,
    MoviePagesByQuery,
    PersonById,
    TitleIdsByPersonId,
)
from loaders.playback import OnWatchlistByTitleId, ProgressByPlayableId
from loaders.providers import AllProviderSettings
from loaders.search import SearchPageByQuery, SearchQuery
from loaders.shows import (
    EpisodeById,
    EpisodeIdByPlace,
    EpisodeIdsBySeasonId,
    EpisodesByShowId,
    SeasonById,
    SeasonIdsByShowId,
    ShowById,
    ShowIdByTmdbId,
    ShowPageByQuery,
)
from loaders.statistics import AllGenreFigures, MovieCountByQuery, ShowCountByQuery

__all__ = [
    "AllGenreFigures",
    "AllGenreIds",
    "AllProviderSettings",
    "CacheHits",
    "CachedLoader",
    "EpisodeById",
    "EpisodeIdByPlace",
    "EpisodeIdsBySeasonId",
    "EpisodesByShowId",
    "Fields",
    "GenreById",
    "MovieById",
    "MovieCountByQuery",
    "MovieIdByImdbId",
    "MovieIdByTmdbId",
    "MoviePageByQuery",
    "MoviePagesByQuery",
    "OnWatchlistByTitleId",
    "PersonById",
    "PlayableById",
    "PrivateLoader",
    "ProgressByPlayableId",
    "SearchPageByQuery",
    "SearchQuery",
    "SearchResultById",
    "SeasonById",
    "SeasonIdsByShowId",
    "ShowById",
    "ShowCountByQuery",
    "ShowIdByTmdbId",
    "ShowPageByQuery",
    "TitleById",
    "TitleIdsByPersonId",
    "UserByIdUnscoped",
    "in_order",
]
