"""Which keys a query looks up: whole names, words, beginnings, similar words, some of the words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from models.catalog.search.lexicon import SimilarWord
from models.catalog.search.matching import Query, Tier
from models.catalog.search.retrieval import Branch
from models.catalog.search_keys import (
    DESCRIPTION,
    LONGEST_NAME_START,
    LONGEST_WORD_START,
    NAME_START,
    WORD,
    WORD_START,
    whole_name_keys,
    word_starts,
)
from services.text.articles import ARTICLES
from services.text.words import join_words, to_arabic

_MOST_NAMES = 50
_MOST_OF_A_WORD = 50
_MOST_BRANCHES = 4  # of joined words, and of single words
_SHORT = 2
_TITLES_BY_LENGTH = {1: 10**6, 2: 10**5, 3: 5_000, 4: 1_500, 5: 500}  # of a beginning, roughly
_MANY = 300  # titles with a word: fewer have it beside another
_SELDOM, _FREQUENT = 50, 10  # titles, and times the rarest word: more says nothing by itself
_ARTICLES = {article.lower() for article in chain.from_iterable(ARTICLES.values())}
Keys = list[str | re.Pattern[str]]
Choice = tuple[Keys, int]  # keys of one word, and about how many titles have one of them


def exact_branches(query: Query, most: int) -> list[Branch]:
    """Branches of whole names, all words, and beginnings of words."""
    names = sorted(whole_name_keys(query.words) | _names_without_article(query))
    branches = [Branch([names], min(most, _MOST_NAMES), Tier.NAME)]
    if not query.is_typing:
        branches += _branch(_phrase_choices(query), most, Tier.PHRASE)
    elif len(start := join_words(query.words)) <= LONGEST_NAME_START:
        branches.append(Branch([[NAME_START + start]], most, Tier.NAME_START))
    starts = [choice for word in query.words for choice in _start_choices(query, word)]
    return [*branches, *_branch(starts, most, Tier.WORD_STARTS)]


def tolerant_branches(
    query: Query, similar: Mapping[str, Sequence[SimilarWord]], most: int
) -> list[Branch]:
    """Branches of joined words, and of similar words."""
    joined: list[list[Choice]] = [
        [(_word_keys(word), query.titles.get(word, 0)) for word in words]
        for words in islice(joined_words(query.words), _MOST_BRANCHES)
    ]
    near = [_similar_choice(query, word, similar.get(word, ())) for word in query.words]
    some = [(keys, titles) for keys, titles in near if titles]
    return [branch for choices in (*joined, some) for branch in _branch(choices, most, Tier.PHRASE)]


def single_word_branches(
    query: Query, similar: Mapping[str, Sequence[SimilarWord]]
) -> list[Branch]:
    """Branches of each word by itself, but articles and words far more frequent than the rarest."""
    words = [word for word in query.words if word not in _ARTICLES] or query.words
    choices = {word: _similar_choice(query, word, similar.get(word, ())) for word in words}
    rarest = min((titles for _, titles in choices.values() if titles), default=0)
    said = [
        (titles, word)
        for word, (_, titles) in choices.items()
        if titles <= max(_SELDOM, _FREQUENT * rarest)
    ]
    return [
        Branch([[WORD + word, DESCRIPTION + word]], _MOST_OF_A_WORD, Tier.SOME_WORDS)
        for _, word in sorted(said)[:_MOST_BRANCHES]
    ]


def joined_words(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The words with two neighbours joined, in each place."""
    for at in range(len(words) - 1):
        yield (*words[:at], join_words(words[at : at + 2]), *words[at + 2 :])


def _phrase_choices(query: Query) -> list[Choice]:
    """Keys of all words; where even the rarest is frequent, it and a neighbour are one word."""
    choices: list[Choice] = [(_word_keys(word), query.titles.get(word, 0)) for word in query.words]
    rarest = min(range(len(choices)), key=lambda at: choices[at][1])
    if len(choices) == 1 or choices[rarest][1] <= _MANY:
        return choices
    beside = [at for at in (rarest - 1, rarest + 1) if 0 <= at < len(choices)]
    first = min(rarest, min(beside, key=lambda at: choices[at][1]))
    joined = WORD + join_words(query.words[first : first + 2])
    return [*choices[:first], ([joined], 0), *choices[first + 2 :]]


def _branch(choices: Iterable[Choice], most: int, best: Tier) -> Iterator[Branch]:
    """The branch of titles that fit all choices, looked up by the rarest."""
    ordered = sorted(choices, key=lambda choice: choice[1])
    if ordered and all(isinstance(key, str) for key in ordered[0][0]):
        yield Branch([keys for keys, _ in ordered], most, best)


def _names_without_article(query: Query) -> set[str]:
    return whole_name_keys(query.without_article) if query.without_article else set()


def _word_keys(word: str) -> Keys:
    return [WORD + each for each in dict.fromkeys((word, to_arabic(word)))]


def _start_choices(query: Query, word: str) -> Iterator[Choice]:
    """Keys of words that begin so; of a long beginning in two steps."""
    starts = list(word_starts(word))
    pattern = re.compile("^" + re.escape(WORD + word))
    if not starts:
        yield [pattern, *_word_keys(word)], _TITLES_BY_LENGTH[1]
        return
    titles = 2 * query.titles.get(word, 0) + _TITLES_BY_LENGTH.get(len(word), 100)
    yield [WORD_START + starts[-1], *_word_keys(word)], titles
    if len(word) > LONGEST_WORD_START:
        yield [pattern], 10**9


def _similar_choice(query: Query, word: str, similar: Sequence[SimilarWord]) -> Choice:
    """Keys of a word, its beginnings and similar ones; no titles if it need not match."""
    titles = query.titles.get(word, 0) + sum(each.titles for each in similar)
    keys: Keys = [*_word_keys(word), *(WORD + each.word for each in similar)]
    if len(word) <= _SHORT:
        return keys, 0
    return [*keys, *(WORD_START + start for start in [*word_starts(word)][-1:])], titles
