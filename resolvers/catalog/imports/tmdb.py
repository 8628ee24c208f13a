"""Titles from TMDb: read a few at a time, mapped, written with their people and genres.

A title that is stored already, whatever its source, is updated; edits by others stay
(models/catalog/imported_titles.py). Importing again without a change writes nothing. A title that
cannot be read is left out and reported; if none of a batch can, the import ends. One that came from
TMDb and is no longer there is hidden until it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import models
from models.mongo import ids
from resolvers.catalog.imports import tmdb_documents, tmdb_lists, tmdb_seasons
from resolvers.catalog.imports.external_ids import Claim, grant_ids
from resolvers.catalog.imports.report import Problems, Report, Writer, ignore_progress
from resolvers.catalog.imports.tmdb_documents import SOURCE
from resolvers.context import Runtime
from services import cdn
from services.errors import Conflict, UpstreamUnavailable
from services.retries import retry
from services.tmdb.types import (
    Images,
    MovieDetails,
    SeasonDetails,
    ShowDetails,
    TitleDetails,
    TmdbKind,
)

ShowWithSeasons = tuple[ShowDetails, list[SeasonDetails]]
ProgressCallback = Callable[[int, int | None], None]  # done, of how many
_WRITES = 2  # the second if another import inserted the same title meanwhile
_DRAWN = {"poster_path": cdn.poster_path, "backdrop_path": cdn.backdrop_path}
BATCH = {TmdbKind.MOVIE: 20, TmdbKind.SHOW: 5}


async def run_import(
    runtime: Runtime, arguments: Mapping[str, Any], progress: ProgressCallback
) -> str | None:
    """Run the importFromTmdb job; returns a summary of what was left out, or None.

    Raises:
        UpstreamUnavailable: TMDb or MongoDB is unavailable.
    """
    kind = TmdbKind.SHOW if arguments["tv"] else TmdbKind.MOVIE
    numbers: list[int] = arguments["tmdb_ids"]
    if not numbers:
        category = models.MovieCategory(arguments["category"])
        today = datetime.fromtimestamp(runtime.clock(), UTC).date()
        source, pages = runtime.catalog.tmdb, arguments["pages"]
        numbers = await tmdb_lists.numbers(source, kind, category, pages, today)
    return describe_omissions(await load(runtime, {kind: numbers}, progress))


async def load(
    runtime: Runtime, numbers_by_kind: Mapping[TmdbKind, Sequence[int]], progress: ProgressCallback
) -> Report:
    """Import these TMDb numbers in batches.

    Raises:
        UpstreamUnavailable: TMDb or MongoDB is unavailable; what was written before stays.
    """
    done, total = 0, sum(len(numbers) for numbers in numbers_by_kind.values())
    progress(done, total)
    running = _Import(runtime, (await runtime.catalog.tmdb.configuration()).images)
    report = Report({}, 0)
    for kind, numbers in numbers_by_kind.items():
        for some in models.batches(numbers, BATCH[kind]):
            with models.read_from_primary():  # a secondary may not have the batch before
                report = _sum(report, await running.batch(kind, some, numbers))
            done += len(some)
            progress(done, total)
    return report


def describe_omissions(report: Report) -> str | None:
    """Summary of what an import left out, or None."""
    broken = report.broken
    return f"{broken.count} left out, first {broken.examples[0]}" if broken.count else None


class _Import:
    """One import. Each person is written once: TMDb's data differ slightly from title to title."""

    def __init__(self, runtime: Runtime, images: Images) -> None:
        self._runtime = runtime
        self._images = images
        self._people: set[str] = set()

    async def batch(self, kind: TmdbKind, some: list[int], every: Sequence[int]) -> Report:
        """Import one batch of titles."""
        broken, tmdb = Problems(), self._runtime.catalog.tmdb
        if kind is TmdbKind.MOVIE:
            movies, gone = await _gather_details(
                kind, some, [tmdb.movie(number) for number in some], broken
            )
            return await retry(
                lambda: self._write_movies(movies, gone, every, broken), Conflict, attempts=_WRITES
            )
        shows, gone = await _gather_details(
            kind, some, [self._show(number, broken) for number in some], broken
        )
        return await retry(
            lambda: self._write_shows(shows, gone, broken), Conflict, attempts=_WRITES
        )

    async def _show(self, number: int, broken: Problems) -> ShowWithSeasons | None:
        tmdb = self._runtime.catalog.tmdb
        show = await tmdb.show(number)
        if show is None:
            return None
        return show, await tmdb_seasons.read(tmdb, show, broken)

    async def _write_movies(
        self, details: list[MovieDetails], gone: list[int], every: Sequence[int], broken: Problems
    ) -> Report:
        numbers = [*(one.id for one in details), *_similar(details), *every]
        movie_ids = {number: movie_id(number) for number in every}
        movie_ids |= await _stored_ids(models.Movie, numbers)
        conflicts = Problems()
        imdb_ids = await _grant_imdb_ids(details, movie_ids, conflicts)
        documents = [
            tmdb_documents.movie(
                movie_ids[one.id],
                one,
                self._images,
                imdb_id=imdb_ids.get(one.id),
                similar_ids=[
                    movie_ids[number] for number in _similar([one]) if number in movie_ids
                ],
            )
            for one in details
        ]
        await models.respect_edits(models.Movie, documents, placeholders=_DRAWN)
        writer = Writer(self._runtime, ignore_progress)
        await self._write_parts(writer, details)
        await writer.write("movies", models.Movie, documents, len(documents))
        hidden = models.hide_titles(models.Movie, [movie_id(number) for number in gone])
        await writer.apply("movies", hidden)
        return await writer.report(broken, conflicts)

    async def _write_shows(
        self, details: list[ShowWithSeasons], gone: list[int], broken: Problems
    ) -> Report:
        stored = await _stored_ids(models.Show, [show.id for show, _ in details])
        show_ids = {show.id: stored.get(show.id) or show_id(show.id) for show, _ in details}
        documents = [
            tmdb_documents.show(show_ids[show.id], show, self._images, seasons)
            for show, seasons in details
        ]
        below = tmdb_seasons.SeasonWriter(
            [
                tmdb_seasons.ShowSeasons(show_ids[show.id], show, seasons)
                for show, seasons in details
            ],
            self._images,
        )
        await below.look_up()
        await models.respect_edits(models.Show, documents, placeholders=_DRAWN)
        writer = Writer(self._runtime, ignore_progress)
        await self._write_parts(writer, [show for show, _ in details])
        await writer.write("shows", models.Show, documents, len(documents))
        await below.write(writer)
        hidden = models.hide_titles(models.Show, [show_id(number) for number in gone])
        await writer.apply("shows", hidden)
        return await writer.report(broken)

    async def _write_parts(self, writer: Writer, details: Sequence[TitleDetails]) -> None:
        """Write what titles refer to, before the titles."""
        genres = tmdb_documents.genre_documents(genre for one in details for genre in one.genres)
        everybody = tmdb_documents.people(details, self._images)
        people = [person for person in everybody if person.id not in self._people]
        await writer.write("genres", models.Genre, genres, len(genres))
        await writer.write("people", models.Person, people, len(people))
        self._people.update(person.id for person in people)


async def _gather_details(
    kind: TmdbKind, numbers: list[int], requests: Sequence[Any], broken: Problems
) -> tuple[list[Any], list[int]]:
    """Details of all titles that could be read, and the numbers that TMDb does not have.

    Raises:
        UpstreamUnavailable: nothing could.
    """
    answers = await asyncio.gather(*requests, return_exceptions=True)
    details, failed, gone = [], [], []
    for number, answer in zip(numbers, answers, strict=True):
        if isinstance(answer, UpstreamUnavailable):
            failed.append(answer)
            broken.note(f"{kind.value} {number}: {answer.message}")
        elif isinstance(answer, BaseException):
            raise answer
        elif answer is None:
            gone.append(number)
            broken.note(f"{kind.value} {number}: TMDb has no such title.")
        else:
            details.append(answer)
    if len(failed) == len(numbers):
        raise failed[0]
    return details, gone


async def _grant_imdb_ids(
    details: Sequence[MovieDetails], movie_ids: Mapping[int, str], conflicts: Problems
) -> dict[int, str]:
    """IMDb ids by TMDb number, of the films that may have theirs."""
    imdb_ids = {one.id: tmdb_documents.imdb_number(one) for one in details}
    claimed = {number: imdb_id for number, imdb_id in imdb_ids.items() if imdb_id is not None}
    claims = [
        Claim(movie_ids[number], imdb_id, f"movie {number}") for number, imdb_id in claimed.items()
    ]
    may = await grant_ids("imdb_id", claims, conflicts)
    return {number: imdb_id for number, imdb_id in claimed.items() if movie_ids[number] in may}


def movie_id(number: int) -> str:
    """The id of a film imported from TMDb."""
    return ids.derive("movie", SOURCE, number)


def show_id(number: int) -> str:
    """The id of a show imported from TMDb."""
    return ids.derive("show", SOURCE, number)


def _similar(details: Sequence[TitleDetails]) -> list[int]:
    return [
        line.id for one in details for line in one.similar.results[: tmdb_documents.MAX_SIMILAR]
    ]


async def _stored_ids(
    document: type[models.Movie] | type[models.Show], numbers: Sequence[int]
) -> dict[int, str]:
    """Our ids by TMDb number, whoever imported them. `$type` lets MongoDB use the index."""
    unique = list(dict.fromkeys(numbers))
    titles = await models.find(
        document,
        models.TitleRecord,
        {"tmdb_id": {"$in": unique, "$type": "int"}},
        fields=frozenset({"tmdb_id"}),
        limit=len(unique),
    )
    return {title.tmdb_id: title.id for title in titles if title.tmdb_id is not None}


def _sum(one: Report, other: Report) -> Report:
    stages = {*one.changes, *other.changes}
    none = models.Changes()
    dropped = (one.keys_dropped, other.keys_dropped)
    return Report(
        {name: one.changes.get(name, none) + other.changes.get(name, none) for name in stages},
        None if None in dropped else sum(filter(None, dropped)),
        _join(one.broken, other.broken),
        _join(one.conflicts, other.conflicts),
    )


def _join(one: Problems, other: Problems) -> Problems:
    return Problems(one.count + other.count, [*one.examples, *other.examples][:20])
