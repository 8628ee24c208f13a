"""What is stored beside a title or person so that it is found: folded names and index keys.

Keys of one array, told apart by their first sign:

    =word   a word of a name, its Arabic numeral, two neighbouring words joined
    *wo     how a word begins: 2 to 6 letters, of a script without blanks 1
    ^mat    how a name begins, without blanks: 2 to 4 letters, with and without its article
    !matrix a whole name without blanks, with and without its article
    ~word   a word of the description
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

from pydantic import BaseModel

from services.text.articles import without_article
from services.text.words import is_unspaced, join_words, split_words, to_arabic

WORD, WORD_START, NAME_START, NAME, DESCRIPTION = "=*^!~"
LONGEST_WORD_START = 6
LONGEST_NAME_START = 4
_ARTICLE_END = "|"
_MOST_NAMES = 12
_MOST_WORDS = 24  # of one name
_MOST_DESCRIPTION_WORDS = 60
_LONGEST_WORD = 40


class SearchText(BaseModel):
    """Folded names ("the|matrix": the article, then the rest) and keys; see the module."""

    names: list[str] = []
    keys: list[str] = []


class Name(NamedTuple):
    """A folded name: its words, of which the first `article` are an article."""

    words: tuple[str, ...]
    article: int = 0

    @classmethod
    def of(cls, text: str, languages: Sequence[str] = ()) -> Name:
        """Fold a name."""
        words = _split_name(text)
        article = len(words) - len(_split_name(without_article(text, languages)))
        return cls(words, article if 0 < article < len(words) else 0)

    @classmethod
    def parse(cls, stored: str) -> Name:
        """Read a stored name."""
        article, mark, others = stored.rpartition(_ARTICLE_END)
        first = article.split() if mark else []
        return cls((*first, *others.split()), len(first))

    def __str__(self) -> str:
        """The name as stored."""
        article, others = " ".join(self.words[: self.article]), self.words[self.article :]
        return (article + _ARTICLE_END if article else "") + " ".join(others)


def build_search_text(
    names: Iterable[str], languages: Sequence[str], description: str | None
) -> SearchText:
    """Build what is stored of a title's or person's names and description."""
    folded = dict.fromkeys(Name.of(name, languages) for name in islice(names, _MOST_NAMES))
    some = [name for name in folded if name.words]
    keys: dict[str, None] = {}
    for name in some:
        keys.update(dict.fromkeys(_name_keys(name)))
    words = dict.fromkeys(_split_name(description or "", _MOST_DESCRIPTION_WORDS))
    keys.update((DESCRIPTION + word, None) for word in words)
    return SearchText(names=list(map(str, some)), keys=list(keys))


def names_of(row: Mapping[str, Any], fields: Sequence[str]) -> Iterator[str]:
    """The names that these fields of a stored document hold, one or a list each."""
    for field in fields:
        value = row.get(field)
        yield from [value] if isinstance(value, str) else value or ()


def words_of(text: SearchText) -> set[str]:
    """The words of its names, each by itself, numerals in both ways."""
    names = (Name.parse(name).words for name in text.names)
    return {each for words in names for each in (*words, *canonical(words))}


def canonical(words: Iterable[str]) -> tuple[str, ...]:
    """Words with Roman numerals as Arabic ones."""
    return tuple(map(to_arabic, words))


def whole_name_keys(words: Sequence[str]) -> set[str]:
    """Keys of a whole name, as it is and with Arabic numerals."""
    return {NAME + join_words(words), NAME + join_words(canonical(words))}


def word_starts(word: str) -> Iterator[str]:
    """How a word begins, shortest first."""
    shortest = 1 if is_unspaced(word) else 2
    for length in range(shortest, min(len(word), LONGEST_WORD_START) + 1):
        yield word[:length]


def _name_keys(name: Name) -> Iterator[str]:
    for words in (name.words, name.words[name.article :]):
        yield from whole_name_keys(words)
        start = join_words(words)[:LONGEST_NAME_START]
        yield from (NAME_START + start[:length] for length in range(2, len(start) + 1))
    for word in name.words:
        yield from (WORD + word, WORD + to_arabic(word))
        yield from (WORD_START + start for start in word_starts(word))
    yield from (WORD + join_words(pair) for pair in pairwise(name.words))


def _split_name(text: str, most: int = _MOST_WORDS) -> tuple[str, ...]:
    return tuple(word[:_LONGEST_WORD] for word in split_words(text)[:most])
