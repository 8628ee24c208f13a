"""Policy for new passwords: no short ones, none that is guessed soon, none made of personal texts.

After NIST SP 800-63B, section 5.1.1.2: length and well-known passwords, no rules about kinds of
characters. zxcvbn estimates the guesses; it knows common passwords, words, dates and keyboards.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable

from zxcvbn import zxcvbn  # type: ignore[import-untyped]

from services.errors import ValidationFailed

MIN_CHARACTERS = 12
# zxcvbn calls 10**8 safe from guesses at a stolen slow hash, but `Summer2026!!!` stands more.
_MIN_GUESSES = 10**9
_SCORED_CHARACTERS = 32  # the estimate takes up to 10 ms for them, and grows with their square
_READ_CHARACTERS = 256
_MIN_PERSONAL = 3  # shorter names are in too many words
_SERVICE = "marquee"
_FAMOUS = "correcthorsebatterystaple"  # the example of a good password that everybody has read
# Signs that stand for letters: zxcvbn tries their combinations, for a second where there are many.
_LETTERS = str.maketrans("@$!|+%([{<", "asiltxcccc")
_lock = threading.Lock()  # the library keeps the personal texts of a call in a global


def refuse_weak(password: str, path: list[str], personal_texts: Iterable[str] = ()) -> None:
    """Refuse a weak password; takes some milliseconds, so it is called in a thread.

    Args:
        personal_texts: texts an attacker knows, such as the address and the name.

    Raises:
        ValidationFailed: the message says what to change.
    """
    if len(password) < MIN_CHARACTERS:
        message = f"The password needs at least {MIN_CHARACTERS} characters."
        raise ValidationFailed(message, path=path)
    personal = _split_personal(personal_texts)
    text = _fold(password)[:_SCORED_CHARACTERS] or " "  # the library fails on no text
    with _lock:
        estimate = zxcvbn(text, user_inputs=[*personal, _FAMOUS])
    if estimate["guesses"] >= _MIN_GUESSES:
        return
    matches = [match for match in estimate["sequence"] if match.get("matched_word") in personal]
    if matches and sum(len(match["token"]) for match in matches) * 2 >= len(text):
        message = "The password is mostly your address or name, or the name of this service."
        raise ValidationFailed(message, path=path)
    raise ValidationFailed("This password is easy to guess: add a rare word or two.", path=path)


def _fold(text: str) -> str:
    """Without accents and spaces, and with letters for the signs that stand for them."""
    bare = unicodedata.normalize("NFKD", text[:_READ_CHARACTERS])
    letters = (sign for sign in bare if not unicodedata.combining(sign) and not sign.isspace())
    return "".join(letters).translate(_LETTERS)


def _split_personal(texts: Iterable[str]) -> list[str]:
    """The texts, the part of an address before its @, and the words of each."""
    personal = {_SERVICE}
    for text in texts:
        words = (_fold(word) for word in re.split(r"[\W_]+", text))
        personal |= {_fold(text), _fold(text.partition("@")[0]), *words}
    return sorted(text.lower() for text in personal if len(text) >= _MIN_PERSONAL)
