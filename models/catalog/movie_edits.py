"""One film edited by hand: each edit is one atomic command that returns the film before it.

Each edit raises a film's version by one, so a caller that read version n can require version n.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from pymongo import ReadPreference, ReturnDocument
from pymongo.errors import DuplicateKeyError

from models.catalog.derived_values import derive_values, is_derived_from
from models.catalog.documents import Movie, MovieRecord
from models.catalog.search.entries import is_searched_by, search_text_of
from models.catalog.search.lexicon import add_words, count_words
from models.catalog.search_keys import words_of
from models.catalog.sort_values import SORT_VALUES
from models.catalog.writes import stored_row
from models.mongo.base import utc_now
from models.mongo.reading import database_errors, projection, to_record
from models.mongo.updates import build_update
from services.errors import AlreadyExists, Conflict

_ATTEMPTS = 5  # against others who edit the film meanwhile


class MovieEdit(NamedTuple):
    before: MovieRecord
    after: MovieRecord


async def movie_to_edit(id_: str | None, tmdb_id: int | None) -> MovieRecord | None:
    """The film of this id, else of this TMDb number, deleted ones too; from the primary.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    if id_ is None and tmdb_id is None:
        return None
    # $type, because the index holds only films that have such a number.
    where = {"_id": id_} if id_ is not None else {"tmdb_id": {"$eq": tmdb_id, "$type": "int"}}
    collection = Movie.get_pymongo_collection().with_options(read_preference=ReadPreference.PRIMARY)
    with database_errors():
        row = await collection.find_one(where, projection(MovieRecord, None))
    return None if row is None else to_record(row, MovieRecord)


async def insert_movie(movie: Movie) -> MovieRecord:
    """Insert a film and return it as stored.

    Raises:
        AlreadyExists: another film has this TMDb number.
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    movie.created_at = movie.updated_at = _now()
    row = stored_row(movie)
    row["search"] = await _search_value(row)
    with database_errors():
        try:
            await Movie.get_pymongo_collection().insert_one(row)
        except DuplicateKeyError:
            raise _duplicate_number() from None
    return to_record(row, MovieRecord)


async def edit_movie(id_: str, changes: Mapping[str, Any], version: int | None) -> MovieEdit | None:
    """Set these fields of a film, deleted or not; None if this version does not exist.

    Raises:
        AlreadyExists: another film has this TMDb number.
        Conflict: others edit the film all the time.
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    if not is_derived_from(Movie, changes) and not is_searched_by(Movie, changes):
        return await _edit_once(id_, changes, version)
    for _ in range(_ATTEMPTS):
        stored = await movie_to_edit(id_, None)
        if stored is None or version not in (None, stored.version):
            return None
        after = {**msgspec.structs.asdict(stored), **changes}
        derived = derive_values(Movie, after)
        beside = {"facets": derived["facets"]}
        if is_searched_by(Movie, changes):
            beside["search"] = await _search_value(after)
        sorted_by = {name: derived[name] for name in SORT_VALUES}
        edit = await _edit_once(id_, {**changes, **sorted_by}, stored.version, beside)
        if edit is not None or version is not None:
            return edit
    raise Conflict("The film changes too fast to be edited.")


async def _search_value(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the film is found by, whose words are then known."""
    text = search_text_of(Movie, row)
    await add_words(count_words([words_of(text)]))
    return text.model_dump()


async def _edit_once(
    id_: str,
    changes: Mapping[str, Any],
    version: int | None,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> MovieEdit | None:
    """Set these fields and, beside them, what records do not hold."""
    where = {"_id": id_} if version is None else {"_id": id_, "version": version}
    changed = {**changes, "updated_at": _now()}
    with database_errors():
        try:
            row = await Movie.get_pymongo_collection().find_one_and_update(
                where,
                build_update(Movie, {**changed, **beside}, increments={"version": 1}),
                projection(MovieRecord, None),
                return_document=ReturnDocument.BEFORE,
            )
        except DuplicateKeyError:
            raise _duplicate_number() from None
    if row is None:
        return None
    before = to_record(row, MovieRecord)
    # What was there, changed as MongoDB changed it: no other writer can have come in between.
    return MovieEdit(before, msgspec.structs.replace(before, **changed, version=before.version + 1))


def _now() -> datetime:
    """The current time at MongoDB's precision, milliseconds."""
    now = utc_now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _duplicate_number() -> AlreadyExists:
    return AlreadyExists("Another film has this number in TMDb.", path=["tmdbId"])
