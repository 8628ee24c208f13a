"""Words of folded text, as they are indexed and searched.

Scripts that put no blanks between words are split into pairs of neighbouring letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from services.text.folding import fold

# Han, kana and their marks, Thai, Lao, Myanmar, Khmer: written without blanks.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_AND = re.compile(r"&|(?<=\s)\+(?=\s)")
_INITIALS = re.compile(r"(?<![^\W_])(?:[^\W\d_][.*·•]){1,}[^\W\d_](?![^\W_])")  # e.t., m*a*s*h
_ASCII_WORD = re.compile("[a-z0-9]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ROMAN = re.compile(r"(x{0,3})(ix|iv|v?i{0,3})")
_ENGLISH_NUMERALS = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_ROMAN_DIGITS = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")


def split_words(text: str) -> list[str]:
    """The words of a text, folded; of a text of signs alone, its symbols ("$", "♥")."""
    folded = _AND.sub(" and ", fold(text))
    plain = _INITIALS.sub(_join_initials, folded)
    words = [word for run in _runs(plain) for word in _split_run(run)]
    return words or [sign for sign in folded if unicodedata.category(sign).startswith("S")]


def is_unspaced(word: str) -> bool:
    """Whether the word is of a script without blanks."""
    return bool(_IS_UNSPACED.match(word))


def to_arabic(word: str) -> str:
    """A Roman numeral up to XXXIX, or an English one up to twelve, in digits; else the word."""
    if word in _ENGLISH_NUMERALS:
        return str(1 + _ENGLISH_NUMERALS.index(word))
    match = _ROMAN.fullmatch(word)
    if match is None or not word:
        return word
    return str(10 * len(match[1]) + _ROMAN_DIGITS.index(match[2]))


def join_words(words: Sequence[str]) -> str:
    """Join words without blanks; pairs of unspaced letters become their text again."""
    text = ""
    for before, word in pairwise(["", *words]):
        continues = is_unspaced(word) and before and before[-1] == word[0] and len(word) > 1
        text += word[1:] if continues else word
    return text


def _join_initials(match: re.Match[str]) -> str:
    return "".join(sign for sign in match[0] if sign.isalpha())


def _runs(text: str) -> Iterator[str]:
    """Maximal runs of letters and digits of one kind of script, with the marks they carry."""
    if text.isascii():
        yield from _ASCII_WORD.findall(text)
        return
    run = ""
    for sign in text:
        kind = unicodedata.category(sign)[0]
        if kind == "M" and run:
            run += sign
        elif kind in "LN":
            if run and is_unspaced(run) != is_unspaced(sign):
                yield run
                run = ""
            run += sign
        elif run:
            yield run
            run = ""
    if run:
        yield run


def _split_run(run: str) -> list[str]:
    if not is_unspaced(run) or len(run) < 3:
        return [run]
    return [run[at : at + 2] for at in range(len(run) - 1)]
