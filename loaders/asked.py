"""Loaders whose keys stand for questions that are handed in beforehand."""

from __future__ import annotations

from typing import Generic, TypeVar

from loaders.base import CachedLoader, Scope

V = TypeVar("V")
Q = TypeVar("Q")


class AskedLoader(CachedLoader[V], Generic[V, Q]):
    """`ask` gives the key to load a question's answer by."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._questions: dict[str, Q] = {}

    def ask(self, key: str, question: Q) -> str:
        self._questions[key] = question
        return key
