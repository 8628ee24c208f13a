"""Search on 3,200 real titles: what share is found as people type them.

The titles are of the npm package vega-datasets. Needs npm; without it skipped, except in CI.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import models
from resolvers.context import Runtime
from services.text.articles import without_article
from services.text.words import join_words, split_words

HERE = Path(__file__).parent
SAMPLE = 200
SUGGESTIONS = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz"
KINDS = list(models.SearchKind)


class Title(NamedTuple):
    id: str
    text: str
    votes: float

    @property
    def folded(self) -> str:
        return join_words(split_words(self.text))


@pytest.fixture(scope="module")
async def packages() -> None:
    """node_modules as package-lock.json says; npm keeps a copy of the lock file inside."""
    installed = HERE / "node_modules" / ".package-lock.json"
    lock = HERE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    if shutil.which("npm") is None:
        assert os.environ.get("CI") != "true", "CI lacks npm"
        pytest.skip("npm not found")
    process = await asyncio.create_subprocess_exec(
        *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"), cwd=HERE
    )
    assert await process.wait() == 0


@pytest.fixture
async def titles(packages: None, runtime: Runtime) -> list[Title]:
    """The catalogue, stored; votes are its popularity."""
    text = (HERE / "node_modules/vega-datasets/data/movies.json").read_text(encoding="utf-8")
    titles = [
        Title(f"movie_{number:05}", str(row["Title"]), float(row["IMDB Votes"] or 0))
        for number, row in enumerate(json.loads(text))
        if row["Title"] is not None
    ]
    assert len(titles) >= 3_000
    films = (
        models.Movie(id=one.id, title=one.text, sort_title=one.folded, popularity=one.votes)
        for one in titles
    )
    await models.upsert(models.Movie, films)
    return titles


async def test_titles_are_found_as_people_type_them(titles: list[Title]) -> None:
    chance = random.Random(2026)
    with_article = [one for one in titles if without_article(one.text) != one.text]
    longer = [one for one in titles if len(one.folded) >= 4]
    shares = {
        "whole titles": await _first_hits(titles, titles, _as_it_is, chance),
        "without their article": await _first_hits(titles, with_article, _without, chance),
        "one letter wrong": await _first_hits(titles, longer, _one_letter_wrong, chance),
        "four letters": await _suggested(titles, chance),
    }
    for name, least in (
        ("whole titles", 0.99),
        ("without their article", 0.97),
        ("one letter wrong", 0.95),
        ("four letters", 0.95),
    ):
        assert shares[name] >= least, shares


async def _first_hits(
    titles: Sequence[Title],
    among: Sequence[Title],
    typed: Callable[[str, random.Random], str],
    chance: random.Random,
) -> float:
    """Share of titles that come first; of films of one title any may."""
    folded = {one.id: one.folded for one in titles}
    found = 0
    for title in chance.sample(among, SAMPLE):
        words = models.fold_query(typed(title.text, chance))
        hits = (await models.search_names(words, KINDS, models.MovieFilter())).hits
        found += bool(hits) and folded[hits[0].id] == title.folded
    return found / SAMPLE


async def _suggested(titles: Sequence[Title], chance: random.Random) -> float:
    """Share of titles among the first five of those that begin with their first four letters.

    Left out are titles that cannot be expected: with five more popular ones that begin so, with or
    without an article.
    """
    starts = {one.id: _starts(one) for one in titles}
    names = {one.id: one.folded for one in titles}
    found = tried = 0
    for title in chance.sample(list(titles), 2 * SAMPLE):
        typed = without_article(title.text).strip()[:4]
        if len(join_words(split_words(typed))) < 2 or _rivals(typed, title, titles, starts) >= 5:
            continue
        ended = models.is_word_ended(typed)
        hits = await models.suggest_names(models.fold_query(typed), KINDS, is_word_ended=ended)
        tried += 1
        found += title.folded in {names[hit.id] for hit in hits[:SUGGESTIONS]}
    assert tried >= SAMPLE
    return found / tried


def _rivals(typed: str, title: Title, titles: Iterable[Title], starts: dict[str, list[str]]) -> int:
    begins = typed.lower()
    return sum(
        one.votes >= title.votes
        and one.folded != title.folded
        and any(start.startswith(begins) for start in starts[one.id])
        for one in titles
    )


def _starts(title: Title) -> list[str]:
    return [title.text.lower(), without_article(title.text).strip().lower()]


def _as_it_is(text: str, _chance: random.Random) -> str:
    return text


def _without(text: str, _chance: random.Random) -> str:
    return without_article(text)


def _one_letter_wrong(text: str, chance: random.Random) -> str:
    """A letter missing, added, replaced, or swapped with the next."""
    at = chance.choice([at for at, letter in enumerate(text) if letter.isalnum()])
    before, letter, after = text[:at], text[at], text[at + 1 :]
    other = chance.choice(LETTERS)
    return chance.choice(
        [
            before + after,
            before + other + letter + after,
            before + other + after,
            before + after[:1] + letter + after[1:],
        ]
    )
