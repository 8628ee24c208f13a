"""Two ways to be loaded: by questions handed in beforehand, and in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

from loaders.base import CachedLoader, Fields, Scope

V = TypeVar("V")
Q = TypeVar("Q")


class QueryLoader(CachedLoader[V], Generic[V, Q]):
    """`ask` gives the key to load a question's answer by."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._questions: dict[str, Q] = {}

    def ask(self, key: str, question: Q) -> str:
        self._questions[key] = question
        return key


class SerializedLoader(CachedLoader[V]):
    """For keys that several fields of one level ask for at once: who comes second finds what the
    first one read, instead of reading it too, depending on who is faster."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._turn = asyncio.Lock()

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, V | None]:
        async with self._turn:
            return await super().many(keys, fields)
