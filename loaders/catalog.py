"""Loaders of the catalogue: entities by id, and ids by attributes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import models
from loaders.base import CachedLoader, Fields, Scope
from services.cache.cache import Codec
from services.cache.lists import ListRegistration
from services.redis import cache_keys


class MovieById(CachedLoader[models.MovieRecord]):
    kind = cache_keys.MOVIE
    codec = Codec(models.MovieRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MovieRecord]:
        """Read films by id; inactive ones are absent."""
        read_fields = None if fields is None else fields | {"is_active"}
        movies = await models.find_by_id(models.Movie, models.MovieRecord, keys, read_fields)
        return {key: movie for key, movie in movies.items() if movie.is_active}


class PersonById(CachedLoader[models.PersonRecord]):
    kind = cache_keys.PERSON
    codec = Codec(models.PersonRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.PersonRecord]:
        """Read people by id."""
        return await models.find_by_id(models.Person, models.PersonRecord, keys, fields)


class GenreById(CachedLoader[models.GenreRecord]):
    kind = cache_keys.GENRE
    codec = Codec(models.GenreRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.GenreRecord]:
        """Read genres by id."""
        return await models.find_by_id(models.Genre, models.GenreRecord, keys, fields)


class AllGenreIds(CachedLoader[list[str]]):
    """All genre ids in order of name, under the one key "all"."""

    kind = cache_keys.GENRE_LIST
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        """Read all genres and return their ids in order of name."""
        genres = await models.find(models.Genre, models.GenreRecord, {}, sort=[("name", 1)])
        await self._scope.loader(GenreById).keep({genre.id: genre for genre in genres})
        return {"all": [genre.id for genre in genres]}

    def cache_key(self, key: str) -> str:
        """The one Redis key."""
        return self.kind.key()


class MoviePageByQuery(CachedLoader[models.MoviePage]):
    """Pages by the key of a query registered with `key_for`; a miss loads the films too."""

    kind = cache_keys.MOVIE_LIST
    codec = Codec(models.MoviePage)

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._queries: dict[str, models.MovieQuery] = {}

    def key_for(self, query: models.MovieQuery) -> str:
        """Register the query and return its key."""
        key = query.key()
        self._queries[key] = query
        return key

    def cache_key(self, key: str) -> str:
        """The Redis key of a page, by category."""
        category = self._queries[key].category
        return self.kind.key(category.value.lower() if category else "all", key)

    def tags_of(self, key: str) -> Iterable[str]:
        """The page's own tag, and those of its genres or category."""
        return (self.cache_key(key), *models.tags_of(self._queries[key]))

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        """Read the pages, one command each, with their films."""
        pages = await asyncio.gather(*(self._page(self._queries[key], fields) for key in keys))
        return dict(zip(keys, pages, strict=True))

    async def _page(self, query: models.MovieQuery, fields: Fields) -> models.MoviePage:
        read_fields = None if fields is None else fields | {query.order.field, "is_active"}
        page, movies = await models.read_movie_page(query, read_fields)
        films = self._scope.loader(MovieById)
        if fields is None:
            await films.keep({movie.id: movie for movie in movies})
        else:
            films.prime({movie.id: movie for movie in movies}, fields)
        return page

    async def note(self, names: dict[str, str]) -> ListRegistration:
        """Record the lists before they are read, so that a change invalidates them."""
        queries = {name: self._queries[key] for name, key in names.items()}
        lists = {
            name: (models.tags_of(q), models.encode_description(q)) for name, q in queries.items()
        }
        return await self._cache.register_lists(lists)


class MoviePagesByQuery(MoviePageByQuery):
    """Pages as of MoviePageByQuery, all in one command; their films are loaded by MovieById."""

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        """Read all pages in one command."""
        return await models.read_movie_pages({key: self._queries[key] for key in keys})


class MovieIdByTmdbId(CachedLoader[str]):
    kind = cache_keys.MOVIE_BY_TMDB
    codec = Codec(str)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
        """Read active films by TMDb number and return their ids."""
        movies = await models.find(
            models.Movie,
            models.MovieRecord,
            {"tmdb_id": {"$in": [int(key) for key in keys], "$type": "int"}, "is_active": True},
        )
        await self._scope.loader(MovieById).keep({movie.id: movie for movie in movies})
        return {str(movie.tmdb_id): movie.id for movie in movies}


class MovieIdByImdbId(CachedLoader[str]):
    kind = cache_keys.MOVIE_BY_IMDB
    codec = Codec(str)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
        """Read active films by IMDb id and return their ids."""
        # $type, because the index holds only films that have such an id.
        movies = await models.find(
            models.Movie,
            models.MovieRecord,
            {"imdb_id": {"$in": keys, "$type": "string"}, "is_active": True},
        )
        await self._scope.loader(MovieById).keep({movie.id: movie for movie in movies})
        return {movie.imdb_id: movie.id for movie in movies if movie.imdb_id}


class TitleIdsByPersonId(CachedLoader[list[str]]):
    """Films and shows of a person, most popular first, at most 100; one command for all."""

    kind = cache_keys.PERSON_TITLES
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        """Read the title ids of all people in one command."""
        return await models.title_ids_by_person(keys, at_most=100)
