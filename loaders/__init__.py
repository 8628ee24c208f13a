"""How reads are batched and cached. The only room that speaks aiodataloader."""

from loaders.accounts import PrivateLoader, UserById
from loaders.base import CachedLoader, Fields, in_order
from loaders.catalog import (
    AllGenreIds,
    GenreById,
    MovieById,
    MovieIdByImdbId,
    MovieIdByTmdbId,
    MovieIdsByPersonId,
    MoviePageByQuery,
    PersonById,
)
from loaders.playback import ProgressByPlayableId

__all__ = [
    "AllGenreIds",
    "CachedLoader",
    "Fields",
    "GenreById",
    "MovieById",
    "MovieIdByImdbId",
    "MovieIdByTmdbId",
    "MovieIdsByPersonId",
    "MoviePageByQuery",
    "PersonById",
    "PrivateLoader",
    "ProgressByPlayableId",
    "UserById",
    "in_order",
]
