"""Compiling trusted documents before anybody asks for them: at start, and when some are pushed."""

from __future__ import annotations

import asyncio
from itertools import product

from graph.engine.documents import Documents

_MAX_CONDITIONS = 3  # beyond it an operation has too many plans to make them all


async def keep_compiled(documents: Documents) -> None:
    """Compile all trusted documents, and again after each change of them, for ever."""
    changed = asyncio.Event()
    unsubscribe = documents.ids.trusted.subscribe(changed.set)
    try:
        while True:
            changed.clear()
            await compile_trusted(documents)
            await changed.wait()
    finally:
        unsubscribe()


async def compile_trusted(documents: Documents) -> None:
    """Read and compile those that are not read, one at a time, with others' work in between."""
    documents.forget_untrusted()
    for text in documents.ids.list_trusted_texts():
        if documents.is_full_of_trusted:
            return  # each more would displace one that is as likely to be asked for
        if not documents.is_read(text):
            _compile(documents, text)
            await asyncio.sleep(0)


def _compile(documents: Documents, text: str) -> None:
    for operation in documents.get(text).operations.values():
        names = operation.conditions
        for outcome in product((False, True), repeat=min(len(names), _MAX_CONDITIONS)):
            documents.plan(operation, dict(zip(names, outcome, strict=False)))
