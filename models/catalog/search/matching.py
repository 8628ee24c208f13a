"""What is looked for, and how well one name matches it: the tiers of a ranking.

A whole name beats a phrase, a phrase all words, all words beginnings of words, and those beat words
with a letter or two wrong; then come names and descriptions with some of the words.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property, lru_cache
from itertools import pairwise

from models.catalog.search_keys import DESCRIPTION, Name, canonical
from services.text.articles import without_article
from services.text.edit_distance import edit_distance, tolerated_edits
from services.text.words import join_words, split_words

_MOST_WORDS = 12
_SHORT = 2  # letters of a word that may be wrong altogether


class Tier(IntEnum):
    """How a name matches; the greater the better."""

    SOME_WORDS = 1
    NEAR_IN_PART_BY_TWO = 2
    NEAR_IN_PART = 3
    NEAR_BY_TWO = 4
    NEAR = 5
    WORD_STARTS = 6
    NAME_START = 7
    ALL_WORDS = 8
    PHRASE = 9
    NAME_BUT_ARTICLE = 10
    NAME = 11


@dataclass(frozen=True)
class Query:
    """The folded words to look for.

    `titles` tells how many titles have a word, `distances` how far similar words are. While
    `is_typing`, the last word is a beginning, however much of a word it is, but if `is_word_ended`.
    """

    words: tuple[str, ...]
    is_typing: bool = False
    is_word_ended: bool = False
    titles: Mapping[str, int] = field(default_factory=dict)
    distances: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def learn(self, titles: Mapping[str, int], distances: Mapping[str, Mapping[str, int]]) -> Query:
        """The query with what the lexicon knows of its words."""
        return replace(self, titles=titles, distances=distances)

    @cached_property
    def canonical(self) -> tuple[str, ...]:
        """The words with Arabic numerals."""
        return canonical(self.words)

    @cached_property
    def joined(self) -> str:
        """The canonical words without blanks."""
        return join_words(self.canonical)

    @cached_property
    def without_article(self) -> tuple[str, ...]:
        """The words after an English article; none without an article."""
        text = " ".join(self.words)
        others = without_article(text)
        return tuple(others.split()) if others != text else ()

    @cached_property
    def joined_without_article(self) -> str:
        """The canonical words after an English article, without blanks; else empty."""
        return join_words(canonical(self.without_article))

    def weight(self, word: str) -> float:
        """How much a word says: the rarer, the more."""
        return 1 / (1 + math.log1p(self.titles.get(word, 0)))


def fold_query(text: str) -> tuple[str, ...]:
    """The words to look for, folded; none if the text has nothing that names consist of."""
    return tuple(split_words(text)[:_MOST_WORDS])


def is_word_ended(text: str) -> bool:
    """Whether a text ends behind its last word, with a blank or a sign."""
    return not text[-1:].isalnum()


class _Profile:
    """A stored name, taken apart once for many queries."""

    __slots__ = (
        "canonical",
        "first_after_article",
        "joined",
        "joined_without_article",
        "starts",
        "words",
        "wordset",
    )

    def __init__(self, stored: str) -> None:
        name = Name.parse(stored)
        self.words = name.words
        self.canonical = canonical(name.words)
        self.joined = join_words(self.canonical)
        self.starts = {len(join_words(self.canonical[:at])) for at in range(len(name.words) + 1)}
        self.first_after_article = name.article
        self.joined_without_article = join_words(self.canonical[name.article :])
        pairs = map(join_words, pairwise(name.words))
        self.wordset = frozenset((*self.words, *self.canonical, *pairs))


_profile = lru_cache(maxsize=20_000)(_Profile)


def best_tier(query: Query, names: Collection[str], *, tolerant: bool) -> Tier:
    """The best match among the names of a title; `tolerant` compares letter by letter, too."""
    return max((_tier(query, _profile(name), tolerant) for name in names), default=Tier.SOME_WORDS)


def matched_share(query: Query, names: Collection[str], matched_keys: Collection[str]) -> float:
    """How much of a query's weight a title has; a description counts half."""
    words = frozenset[str]().union(*(_profile(name).wordset for name in names))
    total = sum(map(query.weight, query.words))
    found = 0.0
    for word in query.words:
        similar = query.distances.get(word, {})
        if word in words or not words.isdisjoint(similar):
            found += query.weight(word)
        elif DESCRIPTION + word in matched_keys:
            found += query.weight(word) / 2
    return found / total if total else 0.0


def _tier(query: Query, name: _Profile, tolerant: bool) -> Tier:
    if name.joined == query.joined:
        return Tier.NAME
    if _is_name_but_article(query, name):
        return Tier.NAME_BUT_ARTICLE
    if not query.is_typing:
        tier = _phrase_tier(query, name)
        if tier is not None:
            return tier
    tier = _start_tier(query, name)
    if tier is not None or not tolerant:
        return tier or Tier.SOME_WORDS
    return _near_tier(query, name)


def _is_name_but_article(query: Query, name: _Profile) -> bool:
    if name.first_after_article and name.joined_without_article == query.joined:
        return True
    return bool(query.without_article) and name.joined == query.joined_without_article


def _phrase_tier(query: Query, name: _Profile) -> Tier | None:
    """Whether the name has the query as it is, or all of its words."""
    at = name.joined.find(query.joined)
    while at >= 0:
        if at in name.starts and at + len(query.joined) in name.starts:
            return Tier.PHRASE
        at = name.joined.find(query.joined, at + 1)
    has_all = all(
        word in name.wordset or number in name.wordset
        for word, number in zip(query.words, query.canonical, strict=True)
    )
    return Tier.ALL_WORDS if has_all else None


def _start_tier(query: Query, name: _Profile) -> Tier | None:
    """Whether each word begins a word of the name, or (being typed) all begin the name."""
    if query.is_typing and _is_name_start(query, name):
        return Tier.NAME_START
    return Tier.WORD_STARTS if _has_word_starts(query, name) else None


def _is_name_start(query: Query, name: _Profile) -> bool:
    """Word by word, with or without the article; of one word also across the name's words."""
    is_one_beginning = len(query.words) == 1 and not query.is_word_ended
    if is_one_beginning and (
        name.joined.startswith(query.words[0])
        or name.joined_without_article.startswith(query.words[0])
    ):
        return True
    *complete, last = query.words
    for first in {0, name.first_after_article}:
        words = name.words[first : first + len(query.words)]
        if list(words[:-1]) != complete or not words:
            continue
        if words[-1] == last or (not query.is_word_ended and words[-1].startswith(last)):
            return True
    return False


def _has_word_starts(query: Query, name: _Profile) -> bool:
    return all(
        number in name.wordset or any(each.startswith(word) for each in name.wordset)
        for word, number in zip(query.words, query.canonical, strict=True)
    )


def _near_tier(query: Query, name: _Profile) -> Tier:
    most = max(1, tolerated_edits(query.joined))
    whole = min(
        edit_distance(query.joined, text, most)
        for text in {name.joined, name.joined_without_article}
    )
    if whole <= most:
        return Tier.NEAR if whole <= 1 else Tier.NEAR_BY_TWO
    edits = _edits(query, name)
    if edits is None:
        return Tier.SOME_WORDS
    return Tier.NEAR_IN_PART if edits <= 1 else Tier.NEAR_IN_PART_BY_TWO


def _edits(query: Query, name: _Profile) -> int | None:
    """Letters wrong in all words together; None if a word is not there at all."""
    total = 0
    for word, number in zip(query.words, query.canonical, strict=True):
        if number in name.wordset or any(each.startswith(word) for each in name.wordset):
            continue
        near = [
            distance
            for other, distance in query.distances.get(word, {}).items()
            if other in name.wordset
        ]
        if not near and len(word) > _SHORT:
            return None
        total += min(near, default=1)
    return total
