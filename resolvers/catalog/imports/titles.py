"""Film titles in catalogue notation: "City of Lost Children, The (Cité ..., La) (1995)".

The year is removed from the end, articles are moved to the front, "(a.k.a. ...)" is dropped,
another name in parentheses is the original title. Pure functions of text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_ARTICLES = {
    "en": ("The", "A", "An"),
    "fr": ("Le", "La", "Les", "L'", "Un", "Une"),
    "it": ("Il", "Lo", "La", "L'", "I", "Gli", "Le", "Un", "Uno", "Una", "Un'"),
    "es": ("El", "La", "Los", "Las", "Un", "Una"),
    "pt": ("O", "A", "Os", "As", "Um", "Uma"),
    "de": ("Der", "Die", "Das", "Den", "Dem", "Ein", "Eine", "Einer"),
    "nl": ("De", "Het", "Een"),
    "sv": ("Den", "Det", "De", "En", "Ett"),
    "da": ("Den", "Det", "De", "En", "Et"),
    "no": ("Den", "Det", "De", "En", "Ei", "Et"),
}
_ANY = sorted({article for group in _ARTICLES.values() for article in group}, key=len, reverse=True)
_MOVED = re.compile(rf"(?P<head>.*\S)\s*,\s*(?P<article>{'|'.join(_ANY)})", re.IGNORECASE)
_YEAR = re.compile(r"\(\s*(\d{4})(?:\s*[-–/]\s*(?:\d{4})?)?\s*\)$")  # (1999), (1975-1979), (2007–)
_ALSO_KNOWN_AS = re.compile(r"a\.?\s?k\.?\s?a\b", re.IGNORECASE)
_NOT_A_NAME = re.compile(
    r"(?:part|vol|volume|chapter|episode|extended|director|tv|remix|uncut)\b|no\.|[\W\d_]*$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?::|&|\b(?:or|and|of))$", re.IGNORECASE)  # "Birdman: Or (...)"


@dataclass(frozen=True, slots=True)
class ParsedTitle:
    title: str
    sort_title: str
    year: int | None = None
    original_title: str | None = None


def parse(text: str) -> ParsedTitle:
    """Parse a title; what is no year, article or other name stays in the title."""
    whole = " ".join(text.split())
    name, year = _take_year(whole)
    name, others = _take_names(name)
    title = article_first(name)
    originals = [article_first(other) for other in others if not _ALSO_KNOWN_AS.match(other)]
    original = next((other for other in originals if other != title), None)
    return ParsedTitle(title, _sort_title_of(name), year, original)


def article_first(name: str) -> str:
    """Move an article to the front: "Avventura, L'" becomes "L'Avventura"."""
    match = _MOVED.fullmatch(name)
    if match is None:
        return name
    article = match["article"][0].upper() + match["article"][1:]
    return f"{article}{'' if article.endswith(chr(39)) else ' '}{match['head']}"


def sort_title(title: str, languages: Sequence[str] = ()) -> str:
    """Sort key: no leading article of English or `languages`, no accents, no case."""
    groups = (_ARTICLES.get(language[:2], ()) for language in ("en", *languages))
    for article in {article for group in groups for article in group}:
        remainder = title[len(article) :]
        opens = article.endswith("'") or remainder.startswith(" ")
        if opens and remainder.strip() and title.casefold().startswith(article.casefold()):
            return _fold(remainder)
    return _fold(title)


def _sort_title_of(name: str) -> str:
    match = _MOVED.fullmatch(name)
    return _fold(match["head"]) if match else sort_title(name)


def _fold(text: str) -> str:
    """Fold accents, case and leading signs; a title of signs only keeps them."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()
    start = next((at for at, sign in enumerate(plain) if sign.isalnum()), 0)
    return " ".join(plain[start:].split()) or text.casefold()


def _take_year(text: str) -> tuple[str, int | None]:
    match = _YEAR.search(text)
    remainder = text[: match.start()].rstrip() if match else ""
    if match is None or not remainder or not 1870 <= int(match[1]) <= 2100:
        return text, None
    return remainder, int(match[1])


def _take_names(text: str) -> tuple[str, list[str]]:
    """The name, and what followed it in parentheses, in order."""
    names: list[str] = []
    while (start := _last_group(text)) is not None:
        remainder, inside = text[:start].rstrip(), text[start + 1 : -1].strip()
        if not remainder or _NOT_A_NAME.match(inside) or _GOES_ON.search(remainder):
            break
        names.insert(0, inside)
        text = remainder
    return text, names


def _last_group(text: str) -> int | None:
    """Position at which the parenthesis that ends the text opens."""
    if not text.endswith(")"):
        return None
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return at
    return None
