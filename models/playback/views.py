"""Views of titles: each viewing is counted once, when enough of it was watched.

Marking the viewing and raising its title's counts is one transaction, so that flushing it twice,
late, out of order or by two workers counts it once. A view of an episode is one of its show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ReadPreference, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from models.catalog.documents import Episode, EpisodeRecord, Movie, Show
from models.mongo import ids
from models.mongo.base import StoredDocument
from models.mongo.reading import database_errors, find_by_id
from models.mongo.updates import build_update
from models.playback.viewings import Viewing, ViewingRecord

_COUNTED_SECONDS = 60.0  # watched, or
_COUNTED_SHARE = 0.05  # of the title, whichever is first
_HALF_LIFE_SECONDS = 7 * 86400.0
# Weights double every week from here, instead of old ones being halved: a float lasts until 2045.
_ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)


def is_view(viewing: ViewingRecord, duration_seconds: float | None) -> bool:
    """Whether enough was watched to count as a view."""
    seconds = _COUNTED_SECONDS
    if duration_seconds:
        seconds = min(seconds, duration_seconds * _COUNTED_SHARE)
    return viewing.completed or viewing.watched_seconds >= seconds


async def count_views(viewings: Sequence[ViewingRecord]) -> int:
    """Count those of these written viewings that are not counted yet; returns how many.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; nothing or all of it is counted.
    """
    by_id = {viewing.id: viewing for viewing in viewings}
    if not by_id or not await _read_uncounted(by_id):  # as a rule all are counted
        return 0
    titles = await _title_ids({viewing.playable_id for viewing in viewings})

    async def count(session: AsyncClientSession) -> int:
        counted = await _read_uncounted(by_id, session)
        await _mark(counted, session)
        await _raise_counts([by_id[id_] for id_ in counted], titles, session)
        return len(counted)

    client = Viewing.get_pymongo_collection().database.client
    with database_errors():
        async with client.start_session() as session:
            return await session.with_transaction(count, read_preference=ReadPreference.PRIMARY)


async def _read_uncounted(
    viewing_ids: Collection[str], session: AsyncClientSession | None = None
) -> list[str]:
    collection = Viewing.get_pymongo_collection().with_options(
        read_preference=ReadPreference.PRIMARY
    )
    where = {"_id": {"$in": list(viewing_ids)}, "is_counted": {"$ne": True}}
    if session is not None:
        return [row["_id"] async for row in collection.find(where, {"_id": 1}, session=session)]
    with database_errors():
        return [row["_id"] async for row in collection.find(where, {"_id": 1})]


async def _title_ids(playable_ids: Collection[str]) -> dict[str, str]:
    """The film, or the episode's show, of each playable that is stored."""
    episode_ids = [id_ for id_ in playable_ids if ids.kind_of(id_) == "episode"]
    episodes = await find_by_id(Episode, EpisodeRecord, episode_ids, frozenset({"show_id"}))
    films = {id_: id_ for id_ in playable_ids if ids.kind_of(id_) == "movie"}
    return films | {id_: episode.show_id for id_, episode in episodes.items()}


async def _mark(viewing_ids: Sequence[str], session: AsyncClientSession) -> None:
    await Viewing.get_pymongo_collection().update_many(
        {"_id": {"$in": list(viewing_ids)}},
        build_update(Viewing, {"is_counted": True}),
        session=session,
    )


async def _raise_counts(
    viewings: Sequence[ViewingRecord], titles: Mapping[str, str], session: AsyncClientSession
) -> None:
    by_title: dict[str, list[ViewingRecord]] = defaultdict(list)
    for viewing in viewings:
        if viewing.playable_id in titles:
            by_title[titles[viewing.playable_id]].append(viewing)
    updates: dict[type[StoredDocument], list[UpdateOne]] = defaultdict(list)
    for title_id, some in sorted(by_title.items()):  # in one order: no two workers wait in a ring
        document: type[StoredDocument] = Movie if ids.kind_of(title_id) == "movie" else Show
        increments: dict[str, Any] = {"views": len(some)}
        if document is Movie:
            increments["trend"] = sum(weight(viewing.started_at) for viewing in some)
        updates[document].append(
            UpdateOne({"_id": title_id}, build_update(document, increments=increments))
        )
    for document, some_updates in updates.items():
        await document.get_pymongo_collection().bulk_write(some_updates, session=session)


def weight(at: datetime) -> float:
    """What a viewing adds to a trend: twice as much as one a week before."""
    return float(2.0 ** ((at - _ORIGIN).total_seconds() / _HALF_LIFE_SECONDS))
