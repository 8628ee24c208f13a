"""Trusted documents are read and compiled before anybody asks, and once they go, are forgotten."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from graph.engine.trusted_documents import compile_trusted, keep_compiled
from graph.schema import open_documents
from services.documents.trusted import TrustedDocument, TrustedDocuments
from services.settings.settings import Settings

GENRES = "{ genres { name } }"
CONDITIONAL = (
    "query ($a: Boolean!, $b: Boolean!) { genres { id @skip(if: $a) name @include(if: $b) } }"
)


def trust(*texts: str) -> list[TrustedDocument]:
    return [TrustedDocument(f"d{n}", text, frozenset({"web"})) for n, text in enumerate(texts)]


async def test_all_plans_are_made_ahead_and_requests_compile_nothing() -> None:
    trusted = TrustedDocuments()
    documents = open_documents(Settings(_env_file=None), trusted)
    trusted.replace(trust(GENRES, CONDITIONAL, "{ broken"))
    # when they are compiled ahead
    await compile_trusted(documents)
    counted = documents.counters.parsed, documents.counters.compiled
    assert counted == (3, 5)  # one plan, and one for each outcome of two conditions
    # then requests find every plan
    documents.plan(documents.find(None, "d0").operation(None), {})
    for variables in ({"a": a, "b": b} for a in (False, True) for b in (False, True)):
        assert documents.plan(documents.find(None, "d1").operation(None), variables)
    assert (documents.counters.parsed, documents.counters.compiled) == counted
    # and doing it again reads nothing
    await compile_trusted(documents)
    assert (documents.counters.parsed, documents.counters.compiled) == counted


async def test_what_is_pushed_meanwhile_is_compiled_and_what_is_pruned_is_forgotten() -> None:
    trusted = TrustedDocuments()
    documents = open_documents(Settings(_env_file=None), trusted)
    task = asyncio.create_task(keep_compiled(documents))
    try:
        await asyncio.sleep(0)
        # when one is pushed
        trusted.replace(trust(GENRES))
        async with asyncio.timeout(5):
            while not documents.counters.compiled:
                await asyncio.sleep(0.01)
        assert documents.is_read(GENRES)
        # and when it is pruned
        trusted.replace(())
        async with asyncio.timeout(5):
            while len(documents._trusted):
                await asyncio.sleep(0.01)
        assert not documents.is_read(GENRES)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
