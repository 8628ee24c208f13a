"""What titles and people are found by, made anew from what is stored of them.

For documents of an earlier version of the folding. It may run while the API serves, and again after
an interruption: only documents that differ are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pymongo
from pymongo import UpdateOne

from models.catalog.search.entries import SEARCHED, search_text_of, searched_fields
from models.catalog.search.lexicon import replace_counts
from models.catalog.search_keys import words_of
from models.mongo.base import StoredDocument, utc_now
from models.mongo.reading import database_errors
from models.mongo.updates import build_update
from services.text.folding import fold

_BATCH = 1_000
_SECONDS = 120.0
Row = dict[str, Any]


class Rebuilt(NamedTuple):
    """Documents looked at, those of them that differed, and words of all names."""

    documents: int
    changed: int
    words: int


async def rebuild_search(progress: Callable[[str, int, int], None]) -> Rebuilt:
    """Fold all names again.

    Args:
        progress: called with each collection, how many are done and about how many there are.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    started = utc_now()
    words: Counter[str] = Counter()
    documents = changed = 0
    for document in SEARCHED:
        done, total = 0, await _count(document)
        async for rows in _batches(document):
            changed += await _fold_again(document, rows, words)
            done += len(rows)
            progress(document.get_pymongo_collection().name, done, total)
        documents += done
    await replace_counts(words, started)
    return Rebuilt(documents, changed, len(words))


async def _count(document: type[StoredDocument]) -> int:
    with database_errors():
        return await document.get_pymongo_collection().estimated_document_count()


async def _batches(document: type[StoredDocument]) -> AsyncIterator[list[Row]]:
    names = [*searched_fields(document), "search", "sort_title"]
    collection = document.get_pymongo_collection()
    last = ""
    while True:
        with database_errors(), pymongo.timeout(_SECONDS):
            cursor = collection.find({"_id": {"$gt": last}}, dict.fromkeys(names, 1))
            rows: list[Row] = await cursor.sort("_id", 1).limit(_BATCH).to_list(None)
        if not rows:
            return
        yield rows
        last = rows[-1]["_id"]


async def _fold_again(document: type[StoredDocument], rows: list[Row], words: Counter[str]) -> int:
    writes = []
    for row in rows:
        text = search_text_of(document, row)
        words.update(words_of(text))
        changes: Row = {"search": text.model_dump()}
        if "sort_title" in row:
            changes["sort_title"] = fold(row["sort_title"])
        if any(row.get(name) != value for name, value in changes.items()):
            # Only if the names are still those that were read: an edit meanwhile knows better.
            unchanged = {name: row.get(name) for name in searched_fields(document)}
            writes.append(
                UpdateOne({"_id": row["_id"], **unchanged}, build_update(document, changes))
            )
    if writes:
        with database_errors(), pymongo.timeout(_SECONDS):
            await document.get_pymongo_collection().bulk_write(writes, ordered=False)
    return len(writes)
