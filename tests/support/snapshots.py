"""What is stored in MongoDB, taken once and put back as often as tests need it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection

import models


class Snapshot:
    """Documents of each collection that has any, as MongoDB sent them; false before it is taken.

    `writes` is how many writes this process had made when it was stored last.
    """

    def __init__(self) -> None:
        self._documents: dict[str, list[RawBSONDocument]] = {}
        self.writes = -1

    def __bool__(self) -> bool:
        return bool(self._documents)

    def is_stored(self, writes: int) -> bool:
        """Say whether nothing was written since, so that all of it is there, and nothing else."""
        return writes == self.writes

    async def take(self) -> None:
        """Read all that is stored."""
        for collection in _collections():
            if documents := await collection.find().to_list():
                self._documents[collection.name] = documents

    async def restore(self) -> None:
        """Store it again, in collections that are empty."""
        for collection in _collections():
            if collection.name in self._documents:
                await collection.insert_many(self._documents[collection.name], ordered=False)


def _collections() -> Iterator[AsyncCollection[RawBSONDocument]]:
    raw: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
    for document in models.DOCUMENTS:
        yield document.get_pymongo_collection().with_options(raw)
