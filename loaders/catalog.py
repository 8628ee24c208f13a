"""Loaders of the catalogue: entities by id, and ids by what points to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import models
from loaders.base import CachedLoader, Fields, Scope
from services.cache.cache import Codec
from services.cache.lists import ListRegistration
from services.redis import cache_keys


class MovieById(CachedLoader[models.MovieRecord]):
    kind = cache_keys.MOVIE
    codec = Codec(models.MovieRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MovieRecord]:
        wanted = None if fields is None else fields | {"is_active"}
        found = await models.find_by_id(models.Movie, models.MovieRecord, keys, wanted)
        return {key: movie for key, movie in found.items() if movie.is_active}


class PersonById(CachedLoader[models.PersonRecord]):
    kind = cache_keys.PERSON
    codec = Codec(models.PersonRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.PersonRecord]:
        return await models.find_by_id(models.Person, models.PersonRecord, keys, fields)


class GenreById(CachedLoader[models.GenreRecord]):
    kind = cache_keys.GENRE
    codec = Codec(models.GenreRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.GenreRecord]:
        return await models.find_by_id(models.Genre, models.GenreRecord, keys, fields)


class AllGenreIds(CachedLoader[list[str]]):
    """Its one key is "all"; ids in order of name."""

    kind = cache_keys.GENRE_LIST
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        genres = await models.find(models.Genre, models.GenreRecord, {}, sort=[("name", 1)])
        await self._scope.loader(GenreById).keep({genre.id: genre for genre in genres})
        return {"all": [genre.id for genre in genres]}

    def cache_key(self, key: str) -> str:
        return self.kind.key()


class MoviePageByQuery(CachedLoader[models.MoviePage]):
    """A key stands for a query handed in with `ask`; a miss brings the page's films along."""

    kind = cache_keys.MOVIE_LIST
    codec = Codec(models.MoviePage)

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._queries: dict[str, models.MovieQuery] = {}

    def ask(self, query: models.MovieQuery) -> str:
        key = query.key()
        self._queries[key] = query
        return key

    def cache_key(self, key: str) -> str:
        category = self._queries[key].category
        return self.kind.key(category.value.lower() if category else "all", key)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        pages = await asyncio.gather(*(self._page(self._queries[key], fields) for key in keys))
        return dict(zip(keys, pages, strict=True))

    async def _page(self, query: models.MovieQuery, fields: Fields) -> models.MoviePage:
        wanted = None if fields is None else fields | {query.order.field, "is_active"}
        page, movies = await models.read_movie_page(query, wanted)
        films = self._scope.loader(MovieById)
        if fields is None:
            await films.keep({movie.id: movie for movie in movies})
        else:
            films.prime({movie.id: movie for movie in movies}, fields)
        return page

    async def note(self, names: dict[str, str]) -> ListRegistration:
        queries = {name: self._queries[key] for name, key in names.items()}
        lists = {
            name: (models.tags_of(q), models.encode_description(q)) for name, q in queries.items()
        }
        return await self._cache.register_lists(lists)


class MoviePagesByQuery(MoviePageByQuery):
    """The same pages, any number of them in one command; their films are by MovieById."""

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        return await models.read_movie_pages({key: self._queries[key] for key in keys})


class MovieIdByTmdbId(CachedLoader[str]):
    kind = cache_keys.MOVIE_BY_TMDB
    codec = Codec(str)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
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
        # $type, because the index holds only films that have such an id.
        movies = await models.find(
            models.Movie,
            models.MovieRecord,
            {"imdb_id": {"$in": keys, "$type": "string"}, "is_active": True},
        )
        await self._scope.loader(MovieById).keep({movie.id: movie for movie in movies})
        return {movie.imdb_id: movie.id for movie in movies if movie.imdb_id}


class TitleIdsByPersonId(CachedLoader[list[str]]):
    """Films and shows, most popular first, at most 100 a person; one command for all people."""

    kind = cache_keys.PERSON_TITLES
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        return await models.title_ids_by_person(keys, at_most=100)
