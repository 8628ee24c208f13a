"""Lines of text that people name things with: what in them shows, and what misleads.

Refused are control characters, line breaks, and what reverses the order of the text around it
(Unicode's bidirectional embeddings, overrides and isolates), by which one name looks like another.
"""

from __future__ import annotations

import unicodedata

_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_SHOWS_NOTHING = frozenset({"Cc", "Cf", "Cn", "Cs", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters and a symbol that are blank
_OUTER = "\u200b\u2060\ufeff\u180e\u00ad"  # of no width, of no use at an end


def trim(text: str) -> str:
    """Cut blanks of every width, and of none, from both ends."""
    before = None
    while text != before:
        before, text = text, text.strip().strip(_OUTER)
    return text


def is_fit(text: str, *, breaks: bool = False) -> bool:
    """Whether the text shows something and misleads by nothing.

    Args:
        breaks: whether line breaks and tabs are taken, as in descriptions.
    """
    taken = "\n\r\t" if breaks else ""
    has_controls = any(_is_control(one) for one in text if one not in taken)
    return not has_controls and any(_is_visible(one) for one in text)


def _is_control(character: str) -> bool:
    return (
        unicodedata.category(character) in _CONTROLS
        or unicodedata.bidirectional(character) in _DIRECTIONS
    )


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _SHOWS_NOTHING and character not in _FILLERS
