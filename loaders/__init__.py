"""How reads are batched and cached. The only room that speaks aiodataloader."""

from loaders.accounts import PrivateLoader, UserById
from loaders.base import CachedLoader, Fields, Tally, in_order
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
from loaders.figures import AllGenreFigures, MovieCountByQuery, ShowCountByQuery
from loaders.playback import ProgressByPlayableId
from loaders.search import SearchPageByQuery, SearchQuery
from loaders.shows import (
    EpisodeById,
    EpisodeIdByPlace,
    EpisodeIdsBySeasonId,
    SeasonById,
    SeasonIdsByShowId,
    ShowById,
    ShowIdByTmdbId,
    ShowPageByQuery,
)

__all__ = [
    "AllGenreFigures",
    "AllGenreIds",
    "CachedLoader",
    "EpisodeById",
    "EpisodeIdByPlace",
    "EpisodeIdsBySeasonId",
    "Fields",
    "GenreById",
    "MovieById",
    "MovieCountByQuery",
    "MovieIdByImdbId",
    "MovieIdByTmdbId",
    "MoviePageByQuery",
    "MoviePagesByQuery",
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
    "Tally",
    "TitleById",
    "TitleIdsByPersonId",
    "UserById",
    "in_order",
]
