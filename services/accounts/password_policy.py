"""Policy for new passwords: no short ones, no common ones, none made of personal texts.

After NIST SP 800-63B, section 5.1.1.2: length and a list of common passwords, no rules about kinds
of characters. The list holds stems: `P@ssw0rd2024!!` is `password` to it. Reads one file, once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from services.errors import ValidationFailed

MIN_CHARACTERS = 12
_LIST = Path(__file__).with_name("common_passwords.txt")
_MIN_DISTINCT = 5
_MIN_PERSONAL = 3  # shorter names are in too many words
_MIN_REMAINING = 8  # what has to remain of a password without well-known text
_PLAIN_LETTERS = str.maketrans("013457@$!|", "oleastasil")
_ROWS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
)
_SERVICE = "marquee"


def refuse_weak(password: str, path: list[str], personal_texts: Iterable[str] = ()) -> None:
    """Refuse a weak password.

    Args:
        personal_texts: texts an attacker knows, such as the address and the name.

    Raises:
        ValidationFailed: the message says what to change.
    """
    if len(password) < MIN_CHARACTERS:
        message = f"The password needs at least {MIN_CHARACTERS} characters."
        raise ValidationFailed(message, path=path)
    folded = _fold(password[:256])
    if _is_pattern(folded) or _is_common(folded):
        raise ValidationFailed("This password is among the first that are tried.", path=path)
    if _is_personal(folded, personal_texts):
        message = "The password is mostly your address or name, or the name of this service."
        raise ValidationFailed(message, path=path)


def _fold(text: str) -> str:
    """Lower case, without accents and spaces."""
    bare = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in bare if not unicodedata.combining(sign) and not sign.isspace())


def _is_pattern(folded: str) -> bool:
    """Few characters, one piece over and over, or a walk along the alphabet or the keyboard."""
    is_repeated = 0 < (folded + folded).find(folded, 1) < len(folded)
    is_walk = any(_starts_walk(folded, row) for row in _ROWS)
    return is_repeated or is_walk or len(set(folded)) < _MIN_DISTINCT


def _starts_walk(folded: str, row: str) -> bool:
    """Nearly all of it is one run of the row, forwards or backwards."""
    length = max(_MIN_REMAINING, len(folded) - 3)
    pieces = (folded[start : start + length] for start in range(len(folded) - length + 1))
    return any(piece in row or piece in row[::-1] for piece in pieces)


def _is_common(folded: str) -> bool:
    """A well-known password with digits and signs before, after or in place of letters."""
    forms = {folded, re.sub(r"[\W_]", "", folded), _stem(folded), _stem(_replace_signs(folded))}
    forms |= {_stem(_replace_signs(_stem(folded)))}
    return any(form in _common_passwords() or _is_made_of_common(form) for form in forms)


def _is_made_of_common(form: str) -> bool:
    """Two of the list, one behind the other, or one of them twice."""
    passwords = _common_passwords()
    return any(
        form[:cut] in passwords and form[cut:] in passwords for cut in range(3, len(form) - 2)
    )


def _replace_signs(text: str) -> str:
    return text.translate(_PLAIN_LETTERS)


def _stem(text: str) -> str:
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)


def _is_personal(folded: str, personal_texts: Iterable[str]) -> bool:
    """Little is left of it without the texts an attacker knows."""
    personal = {_SERVICE}
    for text in personal_texts:
        personal.update(re.split(r"[\W_]+", text.casefold()))
        personal.update((_fold(text), _fold(text.partition("@")[0])))
    remaining = folded
    for text in sorted(personal, key=len, reverse=True):
        if len(text) >= _MIN_PERSONAL:
            remaining = remaining.replace(text, "")
    return remaining != folded and len(_stem(remaining)) < _MIN_REMAINING


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(_LIST.read_text(encoding="ascii").split())
