"""Folding: text as it is compared, without case, accents and variants of letters.

Stored names, queries and sort keys go through the same function, so whatever it makes equal is
found. Marks of scripts in which they are vowels (Thai, Devanagari, kana) stay.
"""

from __future__ import annotations

import re
import unicodedata

# Accents of Latin, Greek and Cyrillic, points of Hebrew, vowel signs of Arabic.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
_VARIANT = re.compile(
    r"LATIN (?:SMALL )?(?:LETTER|LIGATURE) (?:DOTLESS )?([A-Z]{1,2})(?: WITH .*)?"
)
_SPELT = {"ð": "d", "þ": "th", "ŋ": "ng", "ĸ": "k", "ſ": "s", "ə": "e", "ς": "σ"}
_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")


class _Letters(dict[int, str]):
    """Replacements by code point, worked out when a letter is first met."""

    def __missing__(self, point: int) -> str:
        letter = chr(point)
        self[point] = replacement = letter if letter.isascii() else _base_letter(letter)
        return replacement


def _base_letter(letter: str) -> str:
    """A letter's plain form, by its Unicode name: ł is L WITH STROKE, æ is AE."""
    if letter in _SPELT:
        return _SPELT[letter]
    match = _VARIANT.fullmatch(unicodedata.name(letter, ""))
    return match[1].lower() if match else letter


_letters = _Letters()


def fold(text: str) -> str:
    """Fold case, accents, letter variants and compatibility forms; signs and blanks stay."""
    if text.isascii():
        return text.lower()
    spaced = _FRACTION.sub(r" \g<0> ", text)  # 8½ is "8 1⁄2", not "81⁄2"
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", spaced).casefold())
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    return plain.translate(_letters).casefold()
