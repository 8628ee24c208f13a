"""The words of all names: how frequent each is, and which are a letter or two away.

Words are added before the titles that have them, and stay when the last title goes, which costs
nothing. Frequencies only decide which word of a query is looked up first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import pymongo
from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError

from models.mongo.base import IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import collect_refused_writes, database_errors, find
from models.mongo.updates import build_initial_values, build_update
from services.telemetry.logs import get_logger
from services.text.edit_distance import deletions, edit_distance, tolerated_edits

log = get_logger("search")
_SECONDS = 30.0
_REBUILD_SECONDS = 600.0
_BATCH = 1_000
_MOST_CANDIDATES = 500  # words compared for one search
_MOST_SIMILAR = 12  # of one word


class SearchWord(StoredDocument):
    """A word, by itself its id; `deletions` as services/text/edit_distance.py makes them."""

    titles: int = 0
    deletions: list[str] = []

    class Settings:
        name = "search_words"
        indexes = [IndexModel([("deletions", 1), ("titles", -1)], name="deletions")]


class SearchWordRecord(IdentifiedRecord, frozen=True):
    titles: int = 0


class SimilarWord(NamedTuple):
    distance: int
    titles: int
    word: str


async def add_words(counts: Mapping[str, int]) -> None:
    """Add so many titles to each word, and the words that are new.

    A word whose document has another form keeps it: how frequent it is, is an estimate anyway.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    if not counts:
        return
    now = utc_now()
    writes = [_add(word, count, now) for word, count in counts.items()]
    with database_errors(), pymongo.timeout(_SECONDS):
        try:
            await SearchWord.get_pymongo_collection().bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            refused = collect_refused_writes(error)
            log.warning("search_words_refused", words=len(refused))


def _add(word: str, count: int, now: datetime) -> UpdateOne:
    first = {**build_initial_values(now), "deletions": sorted(deletions(word))}
    added = {"titles": count, "version": 1}
    changed = {"updated_at": now}
    update = build_update(SearchWord, changed, increments=added, on_insert=first)
    return UpdateOne({"_id": word}, update, upsert=True)


async def frequencies(words: Collection[str]) -> dict[str, int]:
    """About how many titles and people have each word in a name; words of none are absent.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    records = await find(
        SearchWord, SearchWordRecord, {"_id": {"$in": list(words)}}, limit=len(words)
    )
    return {record.id: record.titles for record in records}


async def similar_words(words: Collection[str]) -> dict[str, list[SimilarWord]]:
    """Words one edit away from each word, else two, the nearest and most frequent first.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    similar: dict[str, list[SimilarWord]] = {}
    for most in (1, 2):
        compared = [word for word in words if tolerated_edits(word) >= most and word not in similar]
        if compared:
            records = await _candidates(compared, most)
            similar |= {word: near for word in compared if (near := _nearest(word, records, most))}
    return similar


async def _candidates(words: Collection[str], most: int) -> list[SearchWordRecord]:
    shared = sorted(set[str]().union(*(deletions(word, most) for word in words)))
    where = {"deletions": {"$in": shared}}
    order = [("titles", -1)]
    return await find(SearchWord, SearchWordRecord, where, sort=order, limit=_MOST_CANDIDATES)


def _nearest(word: str, records: Collection[SearchWordRecord], most: int) -> list[SimilarWord]:
    all_words = (
        SimilarWord(edit_distance(word, each.id, most), each.titles, each.id) for each in records
    )
    near = [each for each in all_words if 0 < each.distance <= most]
    return sorted(near, key=lambda each: (each.distance, -each.titles, each.word))[:_MOST_SIMILAR]


def count_words(words_by_title: Collection[set[str]]) -> Counter[str]:
    """In how many titles each word is."""
    return Counter(word for words in words_by_title for word in words)


async def replace_counts(counts: Mapping[str, int], since: datetime) -> None:
    """Set how frequent each word is, and drop the others that were not added `since`.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    now = utc_now()
    collection = SearchWord.get_pymongo_collection()
    words = iter(sorted(counts))
    with database_errors(), pymongo.timeout(_REBUILD_SECONDS):
        while batch := list(islice(words, _BATCH)):
            writes = [_set(word, counts[word], now) for word in batch]
            await collection.bulk_write(writes, ordered=False)
        await collection.delete_many({"updated_at": {"$lt": since}})


def _set(word: str, count: int, now: datetime) -> UpdateOne:
    values = {"titles": count, "deletions": sorted(deletions(word)), "updated_at": now}
    first = build_initial_values(now)
    update = build_update(SearchWord, values, increments={"version": 1}, on_insert=first)
    return UpdateOne({"_id": word}, update, upsert=True)
